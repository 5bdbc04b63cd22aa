#include "image.h"

#include "float_mode.h"

#define BRENIER_KERNEL_FILE "image_kernel.h"
#include "foreach_path.h"

static void (*const image_f32[BRENIER_PATHS])(int, int64_t, int64_t, const float *, float *) =
    BRENIER_TABLE(image_f32);
static void (*const image_f16[BRENIER_PATHS])(int, int64_t, int64_t, const float *, uint16_t *) =
    BRENIER_TABLE(image_f16);
static void (*const image_u8[BRENIER_PATHS])(int, int64_t, int64_t, float, float, const float *, uint8_t *) =
    BRENIER_TABLE(image_u8);

void brenier_image_f32(int path, int planar, int64_t pixels, int64_t channels, const float *in, float *out) {
	image_f32[path](planar, pixels, channels, in, out);  // moves bits; the float mode does not matter
}

void brenier_image_f16(int path, int planar, int64_t pixels, int64_t channels, const float *in, uint16_t *out) {
	const uint64_t mode = brenier_float_mode_set();
	image_f16[path](planar, pixels, channels, in, out);
	brenier_float_mode_restore(mode);
}

void brenier_image_u8(int path, int planar, int64_t pixels, int64_t channels, float scale, float shift,
                      const float *in, uint8_t *out) {
	const uint64_t mode = brenier_float_mode_set();
	image_u8[path](planar, pixels, channels, scale, shift, in, out);
	brenier_float_mode_restore(mode);
}
