// Noise, up to 128 Philox blocks at a time: 512 words, then their quantiles. Blocks are taken in the
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

// For c = 0.425^2 - q^2 >= 0, q = u - 1/2.
BRENIER_INLINE vd BRENIER_KERNEL(central_quantile)(vd q, vd c) {
	return q * (HORNER7(c, 2.5090809287301226727e+3, 3.3430575583588128105e+4, 6.7265770927008700853e+4,
	                    4.5921953931549871457e+4, 1.3731693765509461125e+4, 1.9715909503065514427e+3,
	                    1.3314166789178437745e+2, 3.3871328727963666080e+0) /
	            HORNER7(c, 5.2264952788528545610e+3, 2.8729085735721942674e+4, 3.9307895800092710610e+4,
	                    2.1213794301586595867e+4, 5.3941960214247511077e+3, 6.8718700749205790830e+2,
	                    4.2313330701600911252e+1, 1.0));
}

// For all other u, of which come the quantiles in place. At most 4 vectors.
BRENIER_INLINE void BRENIER_KERNEL(tail_quantiles)(vd *u, const int vectors) {
	vd t[4], above[4], below[4];
	EACH t[v] = vd_select(u[v] < 0.5, u[v], 1.0 - u[v]);  // exact
	BRENIER_KERNEL(natural_logs)(t, vectors);
	EACH t[v] = vd_sqrt(-t[v]) - 1.6;
	BRENIER_KERNEL(horner7)(t, vectors, (const double[8]){
		7.74545014278341407640e-4, 2.27238449892691845833e-2, 2.41780725177450611770e-1,
		1.27045825245236838258e+0, 3.64784832476320460504e+0, 5.76949722146069140550e+0,
		4.63033784615654529590e+0, 1.42343711074968357734e+0}, above);
	BRENIER_KERNEL(horner7)(t, vectors, (const double[8]){
		1.05075007164441684324e-9, 5.47593808499534494600e-4, 1.51986665636164571966e-2,
		1.48103976427480074590e-1, 6.89767334985100004550e-1, 1.67638483018380384940e+0,
		2.05319162663775882187e+0, 1.0}, below);
	EACH {
		const vd tail = above[v] / below[v];
		u[v] = vd_select(u[v] < 0.5, -tail, tail);
	}
}

BRENIER_INLINE vd BRENIER_KERNEL(uniforms_at)(const uint32_t *words) {
	vu r;
	memcpy(&r, words, sizeof r);
	return BRENIER_KERNEL(uniform_of)(vq_widen(r));
}

enum {
	BRENIER_KERNEL(BLOCKS) = 128,
	BRENIER_KERNEL(WORDS) = 4 * BRENIER_KERNEL(BLOCKS),
	BRENIER_KERNEL(MASK_BLOCKS) = 16  // whose words have a bit each in 64
};

// Writes the quantiles of `count` words, a multiple of 64 up to WORDS, rounded to float32.
static inline void BRENIER_KERNEL(normal_quantiles)(const uint32_t *words, int count, float *values) {
	enum { WORDS = BRENIER_KERNEL(WORDS), VECTORS = 4, TAILS = VECTORS * DOUBLES };
	uint32_t tails[WORDS + TAILS];
	uint16_t at[WORDS + TAILS];
	int found = 0;
	for (int first = 0; first < count; first += 64) {
		uint64_t in_tail = 0;  // by word
#pragma GCC unroll 8
		for (int w = 0; w < 64; w += DOUBLES) {
			const vd q = BRENIER_KERNEL(uniforms_at)(words + first + w) - 0.5;
			const vd c = vd_fma(-q, q, vd_set(0.180625));
			in_tail |= (uint64_t)vl_mask(c < 0.0) << w;
			const vh value = vd_narrow(BRENIER_KERNEL(central_quantile)(q, c));
			memcpy(values + first + w, &value, sizeof value);
		}
		for (; in_tail != 0; in_tail &= in_tail - 1, found++) {
			const int w = first + __builtin_ctzll(in_tail);
			at[found] = (uint16_t)w;
			tails[found] = words[w];
		}
	}
	for (int i = 0; i < TAILS && found > 0; i++) {  // the last one again fills up the vectors
		at[found + i] = at[found - 1];
		tails[found + i] = tails[found - 1];
	}
	for (int t = 0; t < found; t += TAILS) {
		vd u[VECTORS];
#pragma GCC unroll 4
		for (int v = 0; v < VECTORS; v++) u[v] = BRENIER_KERNEL(uniforms_at)(tails + t + v * DOUBLES);
		BRENIER_KERNEL(tail_quantiles)(u, VECTORS);
#pragma GCC unroll 4
		for (int v = 0; v < VECTORS; v++) {
			const vh value = vd_narrow(u[v]);
#pragma GCC unroll 8
			for (int i = 0; i < DOUBLES; i++) values[at[t + v * DOUBLES + i]] = value[i];
		}
	}
}

void BRENIER_KERNEL(brenier_cpu_noise)(int source, float *x, int64_t n, int64_t d, uint64_t seed,
                                   uint64_t first, uint32_t stream) {
	enum { BLOCKS = BRENIER_KERNEL(BLOCKS), WORDS = BRENIER_KERNEL(WORDS) };
	const int64_t blocks = (d + 3) / 4;  // of a sample

	// The counters of the next DOUBLES blocks, and how far those of as many later ones are.
	vq index;
	vl place;
	for (int i = 0; i < DOUBLES; i++) {
		index[i] = first + (uint64_t)(i / blocks);
		place[i] = i % blocks;
	}
	const uint64_t samples_on = (uint64_t)(DOUBLES / blocks);
	const int64_t blocks_on = DOUBLES % blocks;

	const float *const end = x + n * d;
	int64_t left = d;  // dimensions of the sample that are not written
	for (int64_t rest = n * blocks; rest > 0; rest -= BLOCKS) {
		const int taken = rest < BLOCKS ? (int)rest : BLOCKS;
		uint32_t words[WORDS];  // the last ones may be made for nothing
		int made = 0;
		for (; made < taken || made % BRENIER_KERNEL(MASK_BLOCKS) != 0; made += 2 * DOUBLES) {
			vq c[2][4];
			for (int half = 0; half < 2; half++) {
				c[half][0] = index;
				c[half][1] = index >> 32;
				c[half][2] = (vq)place;
				c[half][3] = (vq){0} + stream;
				place += blocks_on;
				const vl over = place >= blocks;
				place -= over & blocks;
				index += samples_on - (vq)over;
			}
			BRENIER_KERNEL(philox_blocks)(c, 2, seed);
			for (int half = 0; half < 2; half++)
				BRENIER_KERNEL(store_blocks)(c[half], words + 4 * (made + half * DOUBLES));
		}
		// Blocks lie one after another in x too; what is made for nothing must not go there.
		float room[WORDS], *values = d % 4 == 0 && taken == made ? x : room;
		if (source == BRENIER_UNIFORM) {
			for (int w = 0; w < 4 * made; w += DOUBLES) {
				const vh value = vd_narrow(BRENIER_KERNEL(uniforms_at)(words + w) - 0.5);
				memcpy(values + w, &value, sizeof value);
			}
		} else {
			BRENIER_KERNEL(normal_quantiles)(words, 4 * made, values);
		}
		for (int b = 0; values == room && b < taken; b++) {
			const int dims = left < 4 ? (int)left : 4;
			if (end - x >= 4) {  // what is too much comes to lie under the next blocks
				memcpy(x, room + 4 * b, 4 * sizeof *x);
			} else {
				for (int i = 0; i < dims; i++) x[i] = room[4 * b + i];
			}
			x += dims;
			left = left == dims ? d : left - dims;
		}
		if (values == x) x += 4 * taken;
	}
}
