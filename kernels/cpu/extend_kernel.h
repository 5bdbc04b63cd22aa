// Extend: angles, distances, weighted means; extend.h states the arithmetic. Chains of several
// cells, or of several dimensions, run side by side; the order within each is the stated one.
#include "simd_double.h"

#include "exact_score.h"

void BRENIER_KERNEL(brenier_plane_norms)(const float *points, int64_t N, int64_t d, double *norms) {
	for (int64_t first = 0; first < N; first += CHAINS) {
		const float *y[CHAINS];
		double sum[CHAINS];
		for (int c = 0; c < CHAINS; c++) {
			y[c] = points + (first + c < N ? first + c : first) * d;
			sum[c] = 1;
		}
		for (int64_t i = 0; i < d; i++)
			for (int c = 0; c < CHAINS; c++) sum[c] += (double)y[c][i] * (double)y[c][i];
		for (int c = 0; c < CHAINS && first + c < N; c++) norms[first + c] = sqrt(sum[c]);
	}
}

// The cosines of one sample's cells [k].
static void BRENIER_KERNEL(cosines_of)(const int32_t *cells, int64_t d, int64_t k,
                                       const float *points, const double *norms, double *cosines) {
	for (int64_t first = 0; first < k; first += CHAINS) {
		const float *y[CHAINS];
		double sum[CHAINS];
		for (int c = 0; c < CHAINS; c++) {
			y[c] = points + cells[first + c < k ? first + c : first] * d;
			sum[c] = 1;
		}
		BRENIER_KERNEL(exact_chains)(points + cells[0] * d, y, d, sum);
		for (int64_t j = first; j < first + CHAINS && j < k; j++)
			cosines[j] = sum[j - first] / (norms[cells[0]] * norms[cells[j]]);
	}
}

void BRENIER_KERNEL(brenier_cosines)(const int32_t *cells, int64_t n, int64_t d, int64_t k,
                                     const float *points, const double *norms, double *cosines) {
	for (int64_t row = 0; row < n; row++)
		BRENIER_KERNEL(cosines_of)(cells + row * k, d, k, points, norms, cosines + row * k);
}

// |x - c_j| for each of the cells [k]: the root of an fma chain of squares that starts at 0.
static void BRENIER_KERNEL(distances_of)(const float *x, const int32_t *cells, int64_t d, int64_t k,
                                         const float *centroids, double *distances) {
	for (int64_t first = 0; first < k; first += CHAINS) {
		const float *c[CHAINS];
		double sum[CHAINS] = {0};
		for (int j = 0; j < CHAINS; j++)
			c[j] = centroids + cells[first + j < k ? first + j : first] * d;
		for (int64_t i = 0; i < d; i++) {
			for (int j = 0; j < CHAINS; j++) {
				const double gap = (double)x[i] - (double)c[j][i];
				sum[j] = __builtin_fma(gap, gap, sum[j]);
			}
		}
		for (int64_t j = first; j < first + CHAINS && j < k; j++) distances[j] = sqrt(sum[j - first]);
	}
}

// z = sum_j w_j y_j / sum_j w_j, both sums in the order of the cells and from 0.
static void BRENIER_KERNEL(weighted_mean)(const int32_t *cells, const double *weights, int64_t d,
                                          int64_t k, const float *points, float *z) {
	double total = 0;
	for (int64_t j = 0; j < k; j++) total += weights[j];
	int64_t i = 0;
	for (; i + DOUBLES <= d; i += DOUBLES) {
		vd sum = vd_set(0.0);
		for (int64_t j = 0; j < k; j++) {
			vh y;
			memcpy(&y, points + cells[j] * d + i, sizeof y);
			sum = vd_fma(vd_set(weights[j]), vd_widen(y), sum);
		}
		const vh mean = vd_narrow(sum / total);
		memcpy(z + i, &mean, sizeof mean);
	}
	for (; i < d; i++) {
		double sum = 0;
		for (int64_t j = 0; j < k; j++)
			sum = __builtin_fma(weights[j], (double)points[cells[j] * d + i], sum);
		z[i] = (float)(sum / total);
	}
}

// z = (1-blend) y + blend other: one product, one fma.
static void BRENIER_KERNEL(blend_of)(const float *y, const float *other, double blend, int64_t d,
                                     float *z) {
	const double rest = 1 - blend;
	for (int64_t i = 0; i < d; i++)
		z[i] = (float)__builtin_fma(blend, (double)other[i], rest * (double)y[i]);
}

void BRENIER_KERNEL(brenier_cpu_extend)(const float *x, const int32_t *cells, int64_t n, int64_t d,
                                    int64_t k, const float *points, const double *norms,
                                    const float *centroids, int mode, double min_cosine,
                                    double blend, float *z) {
	for (int64_t row = 0; row < n; row++, x += d, z += d, cells += k) {
		double cosines[BRENIER_MAX_K], weights[BRENIER_MAX_K];
		int32_t kept[BRENIER_MAX_K];
		int64_t count = 1;  // admissible cells, in their order
		kept[0] = cells[0];
		if (mode != BRENIER_CELL) {
			BRENIER_KERNEL(cosines_of)(cells, d, k, points, norms, cosines);
			for (int64_t j = 1; j < k; j++)
				if (cosines[j] >= min_cosine) kept[count++] = cells[j];
		}
		int32_t alone = kept[0];  // z = y of this cell
		if (count > 1 && mode == BRENIER_PAIR) {
			BRENIER_KERNEL(blend_of)(points + kept[0] * d, points + kept[1] * d, blend, d, z);
			continue;
		}
		if (count > 1 && mode == BRENIER_SIMPLEX) {
			BRENIER_KERNEL(distances_of)(x, kept, d, count, centroids, weights);
			int64_t j = 0;
			for (; j < count && weights[j] > 0; j++) weights[j] = 1 / weights[j];
			if (j == count) {
				BRENIER_KERNEL(weighted_mean)(kept, weights, d, count, points, z);
				continue;
			}
			alone = kept[j];
		}
		memcpy(z, points + alone * d, (size_t)d * sizeof *z);
	}
}
