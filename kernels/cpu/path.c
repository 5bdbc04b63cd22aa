#include "path.h"

int brenier_best_path(void) {
#if BRENIER_X86
	__builtin_cpu_init();
	// Each test includes the operating system's part: the registers must be saved on a switch.
	if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
	    __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
	    __builtin_cpu_supports("fma"))
		return BRENIER_AVX512;
	if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return BRENIER_AVX2;
#endif
	return BRENIER_PORTABLE;
}
