#define _POSIX_C_SOURCE 199309L
#include "peak.h"

#include <time.h>

#define BRENIER_KERNEL_FILE "peak_kernel.h"
#include "foreach_path.h"

static const int lanes_of_path[BRENIER_PATHS] = {4, 8, 16};
static double (*const fma_peak[BRENIER_PATHS])(int64_t) = BRENIER_TABLE(brenier_fma_peak);

static volatile double keep;  // what the measured loops computed, so that they are not dropped

static double now(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double brenier_measure_fma(int path, int64_t rounds, double *flop) {
	const double start = now();
	keep = fma_peak[path](rounds);
	*flop = 2.0 * 12 * lanes_of_path[path] * (double)rounds;
	return now() - start;
}

double brenier_measure_read(const void *data, size_t bytes, int times) {
	const uint64_t *words = data;
	uint64_t sum[8] = {0};
	const double start = now();
	for (int t = 0; t < times; t++) {
		for (size_t w = 0; w + 8 <= bytes / 8; w += 8)
			for (int l = 0; l < 8; l++) sum[l] += words[w + l];
	}
	for (int l = 1; l < 8; l++) sum[0] += sum[l];
	keep = (double)sum[0];
	return now() - start;
}
