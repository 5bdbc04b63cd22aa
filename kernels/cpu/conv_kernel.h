// Convolution in phase form, see conv.h. Two kernels: output channels in the lanes, which is the
// common one, and input channels in the lanes where there are only a few outputs.
#include "activation_kernel.h"

#undef TILE_PIXELS
#undef FEW_ACCUMULATORS
#if BRENIER_PATH == BRENIER_AVX512 || !BRENIER_X86
// Of 32 registers (NEON has as many) 24 accumulate, two or three hold weights and one an input. An
// fma's latency of 4 cycles and two a cycle, or four on the wide Arm cores, need 8 or 16 in flight.
#define TILE_PIXELS(vectors) ((vectors) == 3 ? 8 : 12)
#define FEW_ACCUMULATORS 24
#else
// Of 16 registers 12 accumulate, two or three hold weights and one an input. A single vector has the
// 8 pixels whose addresses the other registers hold.
#define TILE_PIXELS(vectors) ((vectors) == 1 ? 8 : (vectors) == 2 ? 6 : 4)
#define FEW_ACCUMULATORS 12
#endif

#ifndef BRENIER_CONV_TYPES
#define BRENIER_CONV_TYPES
enum { TILE_MOST = 12 };

// What a call of brenier_conv works on.
typedef struct {
	const brenier_phase *phase;
	const brenier_tap *taps;
	const brenier_activation *activation;
	const float *zeros, *in, *residual;
	float *out;
} brenier_conv_work;

// Where the pixels of a tile read and write.
typedef struct {
	int32_t y[TILE_MOST], x[TILE_MOST];      // input position of a tap at (0,0)
	int64_t in[TILE_MOST], out[TILE_MOST];  // first channels of that and of the output pixel, indices
} brenier_conv_tile;

// The phase's pixel that the next tile begins with: what a tile says of it, its place in the phase,
// and where its image begins.
typedef struct {
	int32_t y, x, i, j;
	int64_t in, out, in_image, out_image;
} brenier_conv_place;

// Sets what follows from i, j and the image.
static inline void brenier_conv_set(const brenier_phase *p, brenier_conv_place *at) {
	at->y = at->i * p->in_step_y;
	at->x = at->j * p->in_step_x;
	at->in = at->in_image + ((int64_t)at->y * p->in_width + at->x) * p->in_channels;
	const int64_t y = p->out_y + (int64_t)at->i * p->out_step_y, x = p->out_x + (int64_t)at->j * p->out_step_x;
	at->out = at->out_image + (y * p->out_width + x) * p->out_channels;
}

// The place of a pixel, counted through the images.
static brenier_conv_place brenier_conv_find(const brenier_phase *p, int64_t pixel) {
	const int64_t per_image = (int64_t)p->rows * p->cols, image = pixel / per_image;
	brenier_conv_place at = {
		.i = (int32_t)(pixel % per_image / p->cols),
		.j = (int32_t)(pixel % per_image % p->cols),
		.in_image = image * p->in_height * p->in_width * p->in_channels,
		.out_image = image * p->out_height * p->out_width * p->out_channels,
	};
	brenier_conv_set(p, &at);
	return at;
}

// Fills a tile with the next `pixels` pixels.
static void brenier_conv_fill(const brenier_phase *p, brenier_conv_place *at, int pixels,
                              brenier_conv_tile *tile) {
	for (int m = 0; m < pixels; m++) {
		tile->y[m] = at->y;
		tile->x[m] = at->x;
		tile->in[m] = at->in;
		tile->out[m] = at->out;
		at->x += p->in_step_x;
		at->in += (int64_t)p->in_step_x * p->in_channels;
		at->out += (int64_t)p->out_step_x * p->out_channels;
		if (++at->j < p->cols) continue;
		at->j = 0;
		if (++at->i == p->rows) {
			at->i = 0;
			at->in_image += (int64_t)p->in_height * p->in_width * p->in_channels;
			at->out_image += (int64_t)p->out_height * p->out_width * p->out_channels;
		}
		brenier_conv_set(p, at);
	}
}

// The input pixel that pixel m of the tile reads through a tap: the zeros where it is outside.
BRENIER_INLINE const float *brenier_conv_row(const brenier_conv_work *w, const brenier_conv_tile *tile,
                                             int m, const brenier_tap *tap) {
	const brenier_phase *p = w->phase;
	const int64_t off = ((int64_t)tap->dy * p->in_width + tap->dx) * p->in_channels;
	const uint32_t y = (uint32_t)(tile->y[m] + tap->dy), x = (uint32_t)(tile->x[m] + tap->dx);
	const int outside = (y >= (uint32_t)p->in_height) | (x >= (uint32_t)p->in_width);
	return outside ? w->zeros : w->in + (tile->in[m] + off);
}
#endif

// Ends a tile: residual, activation, store. sums holds `vectors` vectors for each pixel. It is a
// function of its own, so that the many tile functions stay short.
static __attribute__((noinline)) void BRENIER_KERNEL(conv_finish)(const brenier_conv_work *w,
                                                                  const brenier_conv_tile *tile,
                                                                  const brenier_panel *panel,
                                                                  const float *sums, int pixels,
                                                                  int vectors) {
	const brenier_activation *a = w->activation;
	const int channels = panel->out_channels;
	for (int m = 0; m < pixels; m++) {
		const int64_t at = tile->out[m] + panel->first_out;
		float *out = w->out + at;
		for (int v = 0; v < vectors; v++) {
			const int here = channels - v * LANES < LANES ? channels - v * LANES : LANES;
			vf sum = vf_load(sums + (m * vectors + v) * LANES);
			float some[LANES] = {0};
			if (w->residual != NULL) {
				const float *residual = w->residual + at + v * LANES;
				if (here < LANES) residual = memcpy(some, residual, (size_t)here * sizeof(float));
				sum += vf_load(residual);
			}
			if (a->kind == BRENIER_LINEAR) sum = BRENIER_KERNEL(linear)(sum, a);
			if (here == LANES) {
				vf_store(out + v * LANES, sum);
			} else {
				vf_store(some, sum);
				memcpy(out + v * LANES, some, (size_t)here * sizeof(float));
			}
		}
		if (a->kind != BRENIER_LINEAR) BRENIER_KERNEL(activate)(out, channels, a);
	}
}

// One tile of `pixels` by `vectors` vectors of output channels; both are constants where this is
// inlined, so that the sums live in registers.
BRENIER_INLINE void BRENIER_KERNEL(conv_tile)(const brenier_conv_work *w, const brenier_conv_tile *tile,
                                              const brenier_panel *panel, const float *weights,
                                              const float *bias, const int pixels, const int vectors) {
	vf sums[TILE_MOST][BRENIER_PANEL_VECTORS_MOST];
#pragma GCC unroll 16
	for (int m = 0; m < pixels; m++)
#pragma GCC unroll 3
		for (int v = 0; v < vectors; v++) sums[m][v] = vf_load(bias + v * LANES);
	const int64_t channels = panel->in_channels;
	for (int32_t t = 0; t < w->phase->taps; t++) {
		const float *row[TILE_MOST];
#pragma GCC unroll 16
		for (int m = 0; m < pixels; m++) row[m] = brenier_conv_row(w, tile, m, &w->taps[t]) + panel->first_in;
		for (int64_t c = 0; c < channels; c++) {
			vf weight[BRENIER_PANEL_VECTORS_MOST];
#pragma GCC unroll 3
			for (int v = 0; v < vectors; v++) weight[v] = vf_load(weights + v * LANES);
			weights += vectors * LANES;
#pragma GCC unroll 16
			for (int m = 0; m < pixels; m++) {
				const vf x = vf_set(row[m][c]);
#pragma GCC unroll 3
				for (int v = 0; v < vectors; v++) sums[m][v] = vf_fma(x, weight[v], sums[m][v]);
			}
		}
	}
	float results[TILE_PIXELS(2) * 2 * LANES];  // as many as accumulators, at most
#pragma GCC unroll 16
	for (int m = 0; m < pixels; m++)
#pragma GCC unroll 3
		for (int v = 0; v < vectors; v++) vf_store(results + (m * vectors + v) * LANES, sums[m][v]);
	BRENIER_KERNEL(conv_finish)(w, tile, panel, results, pixels, vectors);
}

#undef CONV_TILE
#define CONV_TILE(pixels, vectors)                                                             \
	static __attribute__((noinline)) void BRENIER_KERNEL(conv_tile_##pixels##x##vectors)(         \
	    const brenier_conv_work *w, const brenier_conv_tile *tile, const brenier_panel *panel,   \
	    const float *weights, const float *bias) {                                               \
		BRENIER_KERNEL(conv_tile)(w, tile, panel, weights, bias, pixels, vectors);               \
	}
#undef CONV_TILES
#undef CONV_TILES_8
#undef CONV_TILES_12
#define CONV_TILES(X, vectors) X(1, vectors) X(2, vectors) X(3, vectors) X(4, vectors)
#define CONV_TILES_8(X, vectors) \
	CONV_TILES(X, vectors) X(5, vectors) X(6, vectors) X(7, vectors) X(8, vectors)
#define CONV_TILES_12(X, vectors) \
	CONV_TILES_8(X, vectors) X(9, vectors) X(10, vectors) X(11, vectors) X(12, vectors)
#undef CONV_TILES_OF_1
#undef CONV_TILES_OF_2
#undef CONV_TILES_OF_3
#if TILE_PIXELS(3) == 8
#define CONV_TILES_OF_1(X) CONV_TILES_12(X, 1)
#define CONV_TILES_OF_2(X) CONV_TILES_12(X, 2)
#define CONV_TILES_OF_3(X) CONV_TILES_8(X, 3)
#else
#define CONV_TILES_OF_1(X) CONV_TILES_8(X, 1)
#define CONV_TILES_OF_2(X) CONV_TILES(X, 2) X(5, 2) X(6, 2)
#define CONV_TILES_OF_3(X) CONV_TILES(X, 3)
#endif
CONV_TILES_OF_1(CONV_TILE)
CONV_TILES_OF_2(CONV_TILE)
CONV_TILES_OF_3(CONV_TILE)

// The sums of the lanes of four vectors, each by halves folded onto halves.
BRENIER_INLINE void BRENIER_KERNEL(conv_lanes)(const vf *v, float *sums) {
	brenier_f4 quarter[4];
#pragma GCC unroll 4
	for (int i = 0; i < 4; i++) {
		brenier_f4 part[LANES / 4];
		memcpy(part, &v[i], sizeof part);
#pragma GCC unroll 2
		for (int half = LANES / 8; half > 0; half /= 2)
#pragma GCC unroll 2
			for (int l = 0; l < half; l++) part[l] += part[l + half];
		quarter[i] = part[0];
	}
#if BRENIER_X86
	const __m128 a = (__m128)quarter[0], b = (__m128)quarter[1], c = (__m128)quarter[2], d = (__m128)quarter[3];
	const __m128 ab = _mm_movelh_ps(a, b) + _mm_movehl_ps(b, a), cd = _mm_movelh_ps(c, d) + _mm_movehl_ps(d, c);
	const __m128 all = _mm_shuffle_ps(ab, cd, 0x88) + _mm_shuffle_ps(ab, cd, 0xdd);
	memcpy(sums, &all, sizeof all);
#else
	for (int i = 0; i < 4; i++) sums[i] = (quarter[i][0] + quarter[i][2]) + (quarter[i][1] + quarter[i][3]);
#endif
}

// A tile of few_outputs: input channels in the lanes, `outputs` output channels.
BRENIER_INLINE void BRENIER_KERNEL(conv_few_tile)(const brenier_conv_work *w, const brenier_conv_tile *tile,
                                                  const float *weights, const float *bias,
                                                  const int pixels, const int outputs) {
	vf sums[TILE_MOST][BRENIER_FEW_OUTPUTS];
	const brenier_phase *p = w->phase;
#pragma GCC unroll 16
	for (int m = 0; m < pixels; m++)
#pragma GCC unroll 4
		for (int o = 0; o < outputs; o++) sums[m][o] = vf_set(0.0f);
	const int64_t whole = p->in_channels / LANES * LANES, rest = p->in_channels - whole;
	const int64_t padded = whole + (rest > 0 ? LANES : 0);
	for (int32_t t = 0; t < p->taps; t++) {
		const float *row[TILE_MOST];
#pragma GCC unroll 16
		for (int m = 0; m < pixels; m++) row[m] = brenier_conv_row(w, tile, m, &w->taps[t]);
		for (int64_t c = 0; c < whole; c += LANES)
#pragma GCC unroll 4
			for (int o = 0; o < outputs; o++) {
				const vf weight = vf_load(weights + o * padded + c);
#pragma GCC unroll 16
				for (int m = 0; m < pixels; m++) sums[m][o] = vf_fma(vf_load(row[m] + c), weight, sums[m][o]);
			}
		if (rest > 0)
#pragma GCC unroll 16
			for (int m = 0; m < pixels; m++) {
				float last[LANES] = {0};
				memcpy(last, row[m] + whole, (size_t)rest * sizeof(float));
#pragma GCC unroll 4
				for (int o = 0; o < outputs; o++)
					sums[m][o] = vf_fma(vf_load(last), vf_load(weights + o * padded + whole), sums[m][o]);
			}
		weights += outputs * padded;
	}
	// The results of a tile side by side, so that the activation has full vectors.
	float results[TILE_MOST * BRENIER_FEW_OUTPUTS + LANES];
	const int count = pixels * outputs;
#pragma GCC unroll 16
	for (int r = 0; r < count; r += 4) {
		vf four[4];
#pragma GCC unroll 4
		for (int i = 0; i < 4; i++) {
			const int at = r + i < count ? r + i : r;
			four[i] = sums[at / outputs][at % outputs];
		}
		BRENIER_KERNEL(conv_lanes)(four, results + r);
	}
	for (int m = 0; m < pixels; m++)
		for (int o = 0; o < outputs; o++) {
			float *result = &results[m * outputs + o];
			*result += bias[o];
			if (w->residual != NULL) *result += w->residual[tile->out[m] + o];
		}
	memset(results + count, 0, LANES * sizeof(float));
	BRENIER_KERNEL(activate)(results, (count + LANES - 1) / LANES * LANES, w->activation);
	for (int m = 0; m < pixels; m++)
		for (int o = 0; o < outputs; o++) w->out[tile->out[m] + o] = results[m * outputs + o];
}

// Runs of whole few_outputs tiles, then single pixels. A pixel's sums are the same in both.
#undef CONV_FEW
#define CONV_FEW(outputs, tile_pixels)                                                            \
	static __attribute__((noinline)) void BRENIER_KERNEL(conv_few_##outputs)(                        \
	    const brenier_conv_work *w, const float *weights, const float *bias, int64_t first,         \
	    int64_t pixels) {                                                                           \
		brenier_conv_place at = brenier_conv_find(w->phase, first);                                        \
		brenier_conv_tile tile;                                                                     \
		for (; pixels >= tile_pixels; pixels -= tile_pixels) {                                      \
			brenier_conv_fill(w->phase, &at, tile_pixels, &tile);                                          \
			BRENIER_KERNEL(conv_few_tile)(w, &tile, weights, bias, tile_pixels, outputs);           \
		}                                                                                           \
		for (; pixels > 0; pixels--) {                                                              \
			brenier_conv_fill(w->phase, &at, 1, &tile);                                                    \
			BRENIER_KERNEL(conv_few_tile)(w, &tile, weights, bias, 1, outputs);                     \
		}                                                                                           \
	}
CONV_FEW(1, (FEW_ACCUMULATORS < 24 ? 8 : 12))
CONV_FEW(2, (FEW_ACCUMULATORS / 2))
CONV_FEW(3, (FEW_ACCUMULATORS / 3))
CONV_FEW(4, (FEW_ACCUMULATORS / 4))

static void BRENIER_KERNEL(conv)(const brenier_conv_work *w, const brenier_panel *panels,
                                 int64_t panel_count, const float *weights, const float *bias,
                                 int64_t first, int64_t pixels) {
	if (w->phase->few_outputs) {
		switch (panels->out_channels) {
		case 1: BRENIER_KERNEL(conv_few_1)(w, weights, bias, first, pixels); return;
		case 2: BRENIER_KERNEL(conv_few_2)(w, weights, bias, first, pixels); return;
		case 3: BRENIER_KERNEL(conv_few_3)(w, weights, bias, first, pixels); return;
		default: BRENIER_KERNEL(conv_few_4)(w, weights, bias, first, pixels); return;
		}
	}
	typedef void tile_function(const brenier_conv_work *, const brenier_conv_tile *, const brenier_panel *,
	                           const float *, const float *);
#undef CONV_ENTRY
#define CONV_ENTRY(pixels, vectors) BRENIER_KERNEL(conv_tile_##pixels##x##vectors),
	static tile_function *const one[] = {CONV_TILES_OF_1(CONV_ENTRY)};
	static tile_function *const two[] = {CONV_TILES_OF_2(CONV_ENTRY)};
	static tile_function *const three[] = {CONV_TILES_OF_3(CONV_ENTRY)};
	static tile_function *const *const tiles_of[] = {one, two, three};
	static const int64_t most[] = {TILE_PIXELS(1), TILE_PIXELS(2), TILE_PIXELS(3)};
	for (int64_t k = 0; k < panel_count; k++) {
		const brenier_panel *panel = &panels[k];
		const int wide = (panel->out_channels - 1) / LANES;  // beyond one vector
		brenier_conv_place at = brenier_conv_find(w->phase, first);
		// Tiles of nearly one size: a small last one would leave the fma units waiting.
		int64_t left = pixels;
		for (int64_t t = (pixels + most[wide] - 1) / most[wide]; t > 0; t--) {
			const int size = (int)((left + t - 1) / t);
			brenier_conv_tile tile;
			brenier_conv_fill(w->phase, &at, size, &tile);
			tiles_of[wide][size - 1](w, &tile, panel, weights + panel->weights, bias + panel->bias);
			left -= size;
		}
	}
}
