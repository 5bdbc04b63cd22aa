// Convolution in phase form, see conv.h. Two kernels: output channels in the lanes, which is the
// common one, and input channels in the lanes where there are only a few outputs.
#include "activation_kernel.h"

#undef TILE_PIXELS
#undef FEW_ACCUMULATORS
#if BRENIER_PATH == BRENIER_AVX512 || !BRENIER_X86
// Of 32 registers (NEON has as many) 24 accumulate, two hold weights and one an input. An fma's
// latency of 4 cycles and two a cycle, or four on the wide Arm cores, need 8 or 16 in flight.
#define TILE_PIXELS 12
#define FEW_ACCUMULATORS 24
#else
// Of 16 registers 12 accumulate, two hold weights and one an input.
#define TILE_PIXELS 6
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
	const float *image[TILE_MOST];      // in the input
	int32_t y[TILE_MOST], x[TILE_MOST];  // input position of a tap at (0,0)
	int64_t out[TILE_MOST];             // first channel of the output pixel, index into out
} brenier_conv_tile;

// Fills a tile with `pixels` pixels from `first` on.
static void brenier_conv_place(const brenier_conv_work *w, brenier_conv_tile *tile, int64_t first,
                               int pixels) {
	const brenier_phase *p = w->phase;
	const int64_t in_size = (int64_t)p->in_height * p->in_width * p->in_channels;
	const int64_t out_size = (int64_t)p->out_height * p->out_width * p->out_channels;
	const int64_t per_image = (int64_t)p->rows * p->cols;
	int64_t image = first / per_image;
	int32_t i = (int32_t)(first % per_image / p->cols), j = (int32_t)(first % per_image % p->cols);
	for (int m = 0; m < pixels; m++) {
		tile->image[m] = w->in + image * in_size;
		tile->y[m] = i * p->in_step_y;
		tile->x[m] = j * p->in_step_x;
		const int64_t y = p->out_y + (int64_t)i * p->out_step_y, x = p->out_x + (int64_t)j * p->out_step_x;
		tile->out[m] = image * out_size + (y * p->out_width + x) * p->out_channels;
		if (++j == p->cols) {
			j = 0;
			if (++i == p->rows) {
				i = 0;
				image++;
			}
		}
	}
}

// The input pixel that pixel m of the tile reads through a tap: the zeros where it is outside.
BRENIER_INLINE const float *brenier_conv_row(const brenier_conv_work *w, const brenier_conv_tile *tile,
                                             int m, const brenier_tap *tap) {
	const brenier_phase *p = w->phase;
	const int32_t y = tile->y[m] + tap->dy, x = tile->x[m] + tap->dx;
	if ((uint32_t)y >= (uint32_t)p->in_height || (uint32_t)x >= (uint32_t)p->in_width) return w->zeros;
	return tile->image[m] + ((int64_t)y * p->in_width + x) * p->in_channels;
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
	vf sums[TILE_PIXELS][BRENIER_PANEL_VECTORS];
#pragma GCC unroll 16
	for (int m = 0; m < pixels; m++)
#pragma GCC unroll 2
		for (int v = 0; v < vectors; v++) sums[m][v] = vf_load(bias + v * LANES);
	const int64_t channels = panel->in_channels;
	for (int32_t t = 0; t < w->phase->taps; t++) {
		const float *row[TILE_PIXELS];
#pragma GCC unroll 16
		for (int m = 0; m < pixels; m++) row[m] = brenier_conv_row(w, tile, m, &w->taps[t]) + panel->first_in;
		for (int64_t c = 0; c < channels; c++) {
			vf weight[BRENIER_PANEL_VECTORS];
#pragma GCC unroll 2
			for (int v = 0; v < vectors; v++) weight[v] = vf_load(weights + v * LANES);
			weights += vectors * LANES;
#pragma GCC unroll 16
			for (int m = 0; m < pixels; m++) {
				const vf x = vf_set(row[m][c]);
#pragma GCC unroll 2
				for (int v = 0; v < vectors; v++) sums[m][v] = vf_fma(x, weight[v], sums[m][v]);
			}
		}
	}
	float results[TILE_PIXELS * BRENIER_PANEL_VECTORS * LANES];
#pragma GCC unroll 16
	for (int m = 0; m < pixels; m++)
#pragma GCC unroll 2
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
#define CONV_TILES(X, vectors) \
	X(1, vectors) X(2, vectors) X(3, vectors) X(4, vectors) X(5, vectors) X(6, vectors)
#undef CONV_TILES_MORE
#if TILE_PIXELS > 6
#define CONV_TILES_MORE(X, vectors) \
	X(7, vectors) X(8, vectors) X(9, vectors) X(10, vectors) X(11, vectors) X(12, vectors)
#else
#define CONV_TILES_MORE(X, vectors)
#endif
CONV_TILES(CONV_TILE, 1)
CONV_TILES_MORE(CONV_TILE, 1)
CONV_TILES(CONV_TILE, 2)
CONV_TILES_MORE(CONV_TILE, 2)

// The sum of the lanes, halves folded onto halves.
BRENIER_INLINE float BRENIER_KERNEL(conv_lanes)(vf v) {
	float lanes[LANES];
	vf_store(lanes, v);
	for (int half = LANES / 2; half > 0; half /= 2)
		for (int l = 0; l < half; l++) lanes[l] += lanes[l + half];
	return lanes[0];
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
	for (int m = 0; m < pixels; m++)
#pragma GCC unroll 4
		for (int o = 0; o < outputs; o++) {
			float *result = &results[m * outputs + o];
			*result = BRENIER_KERNEL(conv_lanes)(sums[m][o]) + bias[o];
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
		brenier_conv_tile tile;                                                                     \
		for (; pixels >= tile_pixels; first += tile_pixels, pixels -= tile_pixels) {                \
			brenier_conv_place(w, &tile, first, tile_pixels);                                       \
			BRENIER_KERNEL(conv_few_tile)(w, &tile, weights, bias, tile_pixels, outputs);           \
		}                                                                                           \
		for (; pixels > 0; first++, pixels--) {                                                     \
			brenier_conv_place(w, &tile, first, 1);                                                 \
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
	static tile_function *const narrow[] = {CONV_TILES(CONV_ENTRY, 1) CONV_TILES_MORE(CONV_ENTRY, 1)};
	static tile_function *const wide[] = {CONV_TILES(CONV_ENTRY, 2) CONV_TILES_MORE(CONV_ENTRY, 2)};
	const int64_t tiles = (pixels + TILE_PIXELS - 1) / TILE_PIXELS;
	for (int64_t k = 0; k < panel_count; k++) {
		const brenier_panel *panel = &panels[k];
		tile_function *const *tile_of = panel->out_channels > LANES ? wide : narrow;
		// Tiles of nearly one size: a small last one would leave the fma units waiting.
		int64_t at = first, left = pixels;
		for (int64_t t = tiles; t > 0; t--) {
			const int size = (int)((left + t - 1) / t);
			brenier_conv_tile tile;
			brenier_conv_place(w, &tile, at, size);
			tile_of[size - 1](w, &tile, panel, weights + panel->weights, bias + panel->bias);
			at += size;
			left -= size;
		}
	}
}
