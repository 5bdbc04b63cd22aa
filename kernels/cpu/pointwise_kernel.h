// Element by element steps, see pointwise.h.
#include "activation_kernel.h"

// Loads and stores of up to a vector.
BRENIER_INLINE vf BRENIER_KERNEL(load_some)(const float *x, int64_t count) {
	if (count >= LANES) return vf_load(x);
	float buffer[LANES] = {0};
	memcpy(buffer, x, (size_t)count * sizeof(float));
	return vf_load(buffer);
}

BRENIER_INLINE void BRENIER_KERNEL(store_some)(float *x, vf v, int64_t count) {
	if (count >= LANES) {
		vf_store(x, v);
		return;
	}
	float buffer[LANES];
	vf_store(buffer, v);
	memcpy(x, buffer, (size_t)count * sizeof(float));
}

// Where the activation is linear it is applied on the way, otherwise to the finished run.
static void BRENIER_KERNEL(affine)(const float *scale, const float *shift, int64_t period,
                                   const brenier_activation *a, const float *in, float *out, int64_t first,
                                   int64_t count) {
	const int64_t end = first + count;
	for (int64_t i = first; i < end;) {
		// A run ends where the coefficients begin again, or where it would leave the nearest cache.
		int64_t run = end - i < 4096 ? end - i : 4096;
		if (scale != NULL) {
			const int64_t place = i % period;
			if (run > period - place) run = period - place;
			for (int64_t k = 0; k < run; k += LANES) {
				const vf x = BRENIER_KERNEL(load_some)(in + i + k, run - k);
				const vf s = BRENIER_KERNEL(load_some)(scale + place + k, run - k);
				const vf t = BRENIER_KERNEL(load_some)(shift + place + k, run - k);
				BRENIER_KERNEL(store_some)(out + i + k, vf_fma(x, s, t), run - k);
			}
		} else if (in != out) {
			memcpy(out + i, in + i, (size_t)run * sizeof(float));
		}
		BRENIER_KERNEL(activate)(out + i, run, a);
		i += run;
	}
}

static void BRENIER_KERNEL(binary)(int multiply, const brenier_activation *activation, const float *a,
                                   const float *b, float *out, int64_t count) {
	for (int64_t i = 0; i < count; i += LANES) {
		const vf x = BRENIER_KERNEL(load_some)(a + i, count - i), y = BRENIER_KERNEL(load_some)(b + i, count - i);
		BRENIER_KERNEL(store_some)(out + i, multiply ? x * y : x + y, count - i);
	}
	BRENIER_KERNEL(activate)(out, count, activation);
}

static void BRENIER_KERNEL(group_norm)(int64_t pixels, int64_t channels, int64_t first_channel,
                                       int64_t group_channels, double epsilon, const float *scale,
                                       const float *shift, const brenier_activation *activation,
                                       const float *in, float *out) {
	const double size = (double)pixels * (double)group_channels;
	const float *group = in + first_channel;
	double sum = 0;
	for (int64_t p = 0; p < pixels; p++)
		for (int64_t c = 0; c < group_channels; c++) sum += group[p * channels + c];
	const double mean = sum / size;
	double squares = 0;
	for (int64_t p = 0; p < pixels; p++)
		for (int64_t c = 0; c < group_channels; c++) {
			const double d = group[p * channels + c] - mean;
			squares += d * d;
		}
	const double inverse = 1 / sqrt(squares / size + epsilon);
	for (int64_t p = 0; p < pixels; p++) {
		float *row = out + p * channels + first_channel;
		for (int64_t c = 0; c < group_channels; c++)
			row[c] = (float)((group[p * channels + c] - mean) * inverse * scale[first_channel + c] + shift[first_channel + c]);
		BRENIER_KERNEL(activate)(row, group_channels, activation);
	}
}
