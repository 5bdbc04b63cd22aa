#include "conv.h"

#include "float_mode.h"

#define BRENIER_KERNEL_FILE "conv_kernel.h"
#include "foreach_path.h"

static void (*const conv[BRENIER_PATHS])(const brenier_conv_work *, const brenier_panel *, int64_t,
                                         const float *, const float *, int64_t, int64_t) = BRENIER_TABLE(conv);

void brenier_conv(int path, const brenier_phase *phase, const brenier_tap *taps,
                  const brenier_panel *panels, int64_t panel_count, const brenier_activation *activation,
                  const float *weights, const float *bias, const float *zeros, const float *in,
                  float *out, const float *residual, int64_t first_pixel, int64_t pixels) {
	const brenier_conv_work work = {phase, taps, activation, zeros, in, residual, out};
	const uint64_t mode = brenier_float_mode_set();
	conv[path](&work, panels, panel_count, weights, bias, first_pixel, pixels);
	brenier_float_mode_restore(mode);
}
