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

// The sum of x - mean over a group, or of its square, in eight chains that go round the channels.
static double BRENIER_KERNEL(group_sum)(const float *group, int64_t pixels, int64_t channels,
                                        int64_t group_channels, int square, double mean) {
	enum { CHAINS = 8 };
	double sums[CHAINS] = {0};
	const int64_t whole = group_channels / CHAINS * CHAINS;
	for (int64_t p = 0; p < pixels; p++) {
		const float *x = group + p * channels;
		for (int64_t c = 0; c < whole; c += CHAINS)
			for (int l = 0; l < CHAINS; l++) {
				const double d = x[c + l] - mean;
				sums[l] += square ? d * d : d;
			}
		for (int64_t c = whole; c < group_channels; c++) {
			const double d = x[c] - mean;
			sums[c - whole] += square ? d * d : d;
		}
	}
	for (int half = CHAINS / 2; half > 0; half /= 2)
		for (int l = 0; l < half; l++) sums[l] += sums[l + half];
	return sums[0];
}

static void BRENIER_KERNEL(group_norm)(int64_t pixels, int64_t channels, int64_t first_channel,
                                       int64_t group_channels, double epsilon, const float *scale,
                                       const float *shift, const brenier_activation *activation,
                                       const float *in, float *out) {
	const double size = (double)pixels * (double)group_channels;
	const float *group = in + first_channel;
	const double mean = BRENIER_KERNEL(group_sum)(group, pixels, channels, group_channels, 0, 0) / size;
	const double squares = BRENIER_KERNEL(group_sum)(group, pixels, channels, group_channels, 1, mean);
	const double inverse = 1 / sqrt(squares / size + epsilon);
	for (int64_t p = 0; p < pixels; p++) {
		float *row = out + p * channels + first_channel;
		for (int64_t c = 0; c < group_channels; c++)
			row[c] = (float)((group[p * channels + c] - mean) * inverse * scale[first_channel + c] +
			                 shift[first_channel + c]);
		BRENIER_KERNEL(activate)(row, group_channels, activation);
	}
}
