#include "pointwise.h"

#include <math.h>

#include "float_mode.h"

#define BRENIER_KERNEL_FILE "pointwise_kernel.h"
#include "foreach_path.h"

static void (*const affine[BRENIER_PATHS])(const float *, const float *, int64_t, const brenier_activation *,
                                           const float *, float *, int64_t, int64_t) = BRENIER_TABLE(affine);
static void (*const binary[BRENIER_PATHS])(int, const brenier_activation *, const float *, const float *,
                                           float *, int64_t) = BRENIER_TABLE(binary);
static void (*const group_norm[BRENIER_PATHS])(int64_t, int64_t, int64_t, int64_t, double, const float *,
                                               const float *, const brenier_activation *, const float *,
                                               float *) = BRENIER_TABLE(group_norm);

void brenier_affine(int path, const float *scale, const float *shift, int64_t period,
                    const brenier_activation *activation, const float *in, float *out, int64_t first,
                    int64_t count) {
	const uint64_t mode = brenier_float_mode_set();
	affine[path](scale, shift, period, activation, in, out, first, count);
	brenier_float_mode_restore(mode);
}

void brenier_binary(int path, int multiply, const brenier_activation *activation, const float *a,
                    const float *b, float *out, int64_t count) {
	const uint64_t mode = brenier_float_mode_set();
	binary[path](multiply, activation, a, b, out, count);
	brenier_float_mode_restore(mode);
}

void brenier_group_norm(int path, int64_t pixels, int64_t channels, int64_t first_channel,
                        int64_t group_channels, double epsilon, const float *scale, const float *shift,
                        const brenier_activation *activation, const float *in, float *out) {
	const uint64_t mode = brenier_float_mode_set();
	group_norm[path](pixels, channels, first_channel, group_channels, epsilon, scale, shift, activation, in, out);
	brenier_float_mode_restore(mode);
}
