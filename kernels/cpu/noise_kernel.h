// Noise, up to 64 Philox blocks at a time: 256 words, then their quantiles. Blocks are taken in the
// order of the output, across the borders of samples, so that a small d fills the vectors as well.
//
// Nothing but correctly rounded operations in one written order (+, -, *, /, sqrt, fma, and moving
// bits), so every compiler, path and device gets the same bits. The quantile's central branch is
// computed in every lane; the words of its tails, 15% of all, are put together first.
#include "natural_log.h"
#include "philox_kernel.h"

// The quantile of N(0,1) at u = (r + 1/2) / 2^32, in two branches.
// Source: Wichura, "Algorithm AS 241: the percentage points of the normal distribution", Applied
// Statistics 37 (1988), routine PPND16, relative accuracy about 1e-16. Its third interval,
// sqrt(-ln p) > 5, begins at p = 1.4e-11; the smallest p here is 2^-33 = 1.2e-10.
BRENIER_INLINE vd BRENIER_KERNEL(central_quantile)(vd u) {
	const vd q = u - 0.5;
	const vd c = vd_fma(-q, q, vd_set(0.180625));
	return q * (HORNER7(c, 2.5090809287301226727e+3, 3.3430575583588128105e+4, 6.7265770927008700853e+4,
	                    4.5921953931549871457e+4, 1.3731693765509461125e+4, 1.9715909503065514427e+3,
	                    1.3314166789178437745e+2, 3.3871328727963666080e+0) /
	            HORNER7(c, 5.2264952788528545610e+3, 2.8729085735721942674e+4, 3.9307895800092710610e+4,
	                    2.1213794301586595867e+4, 5.3941960214247511077e+3, 6.8718700749205790830e+2,
	                    4.2313330701600911252e+1, 1.0));
}

BRENIER_INLINE vd BRENIER_KERNEL(tail_quantile)(vd u) {
	const vl negative = u < 0.5;
	const vd p = vd_select(negative, u, 1.0 - u);  // exact
	const vd t = vd_sqrt(-BRENIER_KERNEL(natural_log)(p)) - 1.6;
	const vd tail =
		HORNER7(t, 7.74545014278341407640e-4, 2.27238449892691845833e-2, 2.41780725177450611770e-1,
	            1.27045825245236838258e+0, 3.64784832476320460504e+0, 5.76949722146069140550e+0,
	            4.63033784615654529590e+0, 1.42343711074968357734e+0) /
		HORNER7(t, 1.05075007164441684324e-9, 5.47593808499534494600e-4, 1.51986665636164571966e-2,
	            1.48103976427480074590e-1, 6.89767334985100004550e-1, 1.67638483018380384940e+0,
	            2.05319162663775882187e+0, 1.0);
	return vd_select(negative, -tail, tail);
}

BRENIER_INLINE vd BRENIER_KERNEL(uniforms_at)(const uint32_t *words) {
	vu r;
	memcpy(&r, words, sizeof r);
	return BRENIER_KERNEL(uniform_of)(__builtin_convertvector(r, vq));
}

enum { BRENIER_KERNEL(BLOCKS) = 64, BRENIER_KERNEL(WORDS) = 4 * BRENIER_KERNEL(BLOCKS) };

// Writes the quantiles of `count` words, a multiple of DOUBLES up to WORDS, rounded to float32.
static inline void BRENIER_KERNEL(normal_quantiles)(const uint32_t *words, int count, float *values) {
	uint32_t tails[BRENIER_KERNEL(WORDS) + DOUBLES];
	uint8_t at[BRENIER_KERNEL(WORDS)];
	int found = 0;
	for (int first = 0; first < count; first += 64) {
		uint64_t in_tail = 0;  // by word: |u - 1/2| > 0.425
		for (int w = first; w < first + 64 && w < count; w += DOUBLES) {
			const vd u = BRENIER_KERNEL(uniforms_at)(words + w);
			in_tail |= (uint64_t)vl_mask((u < 0.075) | (u > 0.925)) << (w - first);
			const vh value = vd_narrow(BRENIER_KERNEL(central_quantile)(u));
			memcpy(values + w, &value, sizeof value);
		}
		for (; in_tail != 0; in_tail &= in_tail - 1, found++) {
			const int w = first + __builtin_ctzll(in_tail);
			at[found] = (uint8_t)w;
			tails[found] = words[w];
		}
	}
	memset(tails + found, 0, DOUBLES * sizeof *tails);
	for (int w = 0; w < found; w += DOUBLES) {
		const vh value = vd_narrow(BRENIER_KERNEL(tail_quantile)(BRENIER_KERNEL(uniforms_at)(tails + w)));
		for (int i = 0; i < DOUBLES && w + i < found; i++) values[at[w + i]] = value[i];
	}
}

void BRENIER_KERNEL(brenier_cpu_noise)(int source, float *x, int64_t n, int64_t d, uint64_t seed,
                                   uint64_t first, uint32_t stream) {
	enum { BLOCKS = BRENIER_KERNEL(BLOCKS), WORDS = BRENIER_KERNEL(WORDS) };
	const int64_t blocks = (d + 3) / 4;
	int64_t sample = 0, block = 0;  // the next one to make
	while (sample < n) {
		uint64_t index[BLOCKS], place[BLOCKS];
		float *to[BLOCKS];
		int dims[BLOCKS], taken = 0;
		for (; taken < BLOCKS && sample < n; taken++) {
			index[taken] = first + (uint64_t)sample;
			place[taken] = (uint64_t)block;
			to[taken] = x + sample * d + 4 * block;
			dims[taken] = d - 4 * block < 4 ? (int)(d - 4 * block) : 4;
			if (++block == blocks) {
				block = 0;
				sample++;
			}
		}
		int made = taken;  // whole vectors; the last blocks may be computed and not stored
		for (; made % DOUBLES != 0; made++) index[made] = place[made] = 0;

		uint32_t words[WORDS];
		for (int b = 0; b < made; b += DOUBLES) {
			vq c[4] = {{0}, {0}, {0}, (vq){0} + stream};
			memcpy(&c[0], index + b, sizeof c[0]);
			memcpy(&c[2], place + b, sizeof c[2]);
			c[1] = c[0] >> 32;
			BRENIER_KERNEL(philox_blocks)(c, seed);
			for (int i = 0; i < DOUBLES; i++)
				for (int w = 0; w < 4; w++) words[4 * (b + i) + w] = (uint32_t)c[w][i];
		}
		float values[WORDS];
		if (source == BRENIER_UNIFORM) {
			for (int w = 0; w < 4 * made; w += DOUBLES) {
				const vh value = vd_narrow(BRENIER_KERNEL(uniforms_at)(words + w) - 0.5);
				memcpy(values + w, &value, sizeof value);
			}
		} else {
			BRENIER_KERNEL(normal_quantiles)(words, 4 * made, values);
		}
		for (int b = 0; b < taken; b++) {
			if (dims[b] == 4) {
				memcpy(to[b], values + 4 * b, 4 * sizeof(float));
				continue;
			}
			for (int i = 0; i < dims[b]; i++) to[b][i] = values[4 * b + i];
		}
	}
}
