/* A driver of a few functions, for forward_test.c. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cuda.h>

CUresult cuInit(unsigned int flags) {
	const char *status = getenv("SMALL_DRIVER_STATUS");
	return flags != 0 ? CUDA_ERROR_INVALID_VALUE : status ? (CUresult)atoi(status) : CUDA_SUCCESS;
}

CUresult cuGetErrorString(CUresult error, const char **text) {
	static char buffer[32];
	snprintf(buffer, sizeof buffer, "small driver: %d", (int)error);
	*text = buffer;
	return CUDA_SUCCESS;
}

CUresult cuDeviceGetCount(int *count) {
	*count = 7;
	return CUDA_SUCCESS;
}

/* Whether every argument is what forward_test.c passes. */
CUresult cuLaunchKernel(CUfunction function, unsigned int x, unsigned int y, unsigned int z, unsigned int threads_x,
                        unsigned int threads_y, unsigned int threads_z, unsigned int shared, CUstream stream,
                        void **arguments, void **extra) {
	int right = (uintptr_t)function == 1 && x == 2 && y == 3 && z == 4 && threads_x == 5 && threads_y == 6 &&
	            threads_z == 7 && shared == 8 && (uintptr_t)stream == 9 && extra[0] == arguments &&
	            *(int *)arguments[0] == 7;
	return right ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
