#include "noise.h"

#include "float_mode.h"
#include "philox.h"

#define BRENIER_KERNEL_FILE "noise_kernel.h"
#include "foreach_path.h"

static void (*const noise[BRENIER_PATHS])(int, float *, int64_t, int64_t, uint64_t, uint64_t,
                                          uint32_t) = BRENIER_TABLE(brenier_cpu_noise);

void brenier_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]) {
	uint32_t k0 = key[0], k1 = key[1];
	for (int w = 0; w < 4; w++) out[w] = counter[w];
	for (int round = 0; round < PHILOX_ROUNDS; round++) {
		philox_round(&out[0], &out[1], &out[2], &out[3], k0, k1);
		k0 += PHILOX_W0;
		k1 += PHILOX_W1;
	}
}

void brenier_cpu_noise(int path, int source, float *x, int64_t n, int64_t d, uint64_t seed,
                   uint64_t first, uint32_t stream) {
	const uint64_t mode = brenier_float_mode_set();
	noise[path](source, x, n, d, seed, first, stream);
	brenier_float_mode_restore(mode);
}
