/* The forwarding functions of the driver, over a small driver: forward_test DRIVER */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cuda.h>

#include "load.h"

static int faults;

#define CHECK(condition)                                                      \
	do {                                                                      \
		if (!(condition)) {                                                   \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
			faults++;                                                         \
		}                                                                     \
	} while (0)

/* What every call answers while no driver is loaded, cuInit excepted. */
static void check_nothing_loaded(void) {
	int count = -1;
	CUdeviceptr address = 0;
	CHECK(cuInit(0) == CUDA_SUCCESS);
	CHECK(cuDeviceGetCount(&count) == CUDA_ERROR_NOT_INITIALIZED && count == -1);
	CHECK(cuMemAlloc(&address, 1) == CUDA_ERROR_NOT_INITIALIZED);
	CHECK(brenier_cuda_driver_symbol("cuInit") == NULL);
}

int main(int argc, char **argv) {
	char message[256];
	if (argc != 2) {
		fprintf(stderr, "want the driver's file\n");
		return 2;
	}
	check_nothing_loaded();

	CHECK(brenier_cuda_driver_load("/no/such/driver", message, sizeof message) == BRENIER_CUDA_NO_LIBRARY);
	CHECK(strstr(message, "/no/such/driver") != NULL);
	check_nothing_loaded();

	/* A driver that does not start: its own words, and nothing is left of it. */
	setenv("SMALL_DRIVER_STATUS", "100", 1);
	CHECK(brenier_cuda_driver_load(argv[1], message, sizeof message) == CUDA_ERROR_NO_DEVICE);
	CHECK(strcmp(message, "small driver: 100") == 0);
	check_nothing_loaded();
	char short_message[6];
	CHECK(brenier_cuda_driver_load(argv[1], short_message, sizeof short_message) == CUDA_ERROR_NO_DEVICE);
	CHECK(strcmp(short_message, "small") == 0);

	unsetenv("SMALL_DRIVER_STATUS");
	CHECK(brenier_cuda_driver_load(argv[1], message, sizeof message) == CUDA_SUCCESS);
	int count = 0;
	CHECK(cuDeviceGetCount(&count) == CUDA_SUCCESS && count == 7);
	/* Eleven arguments: those that travel on the stack arrive too. */
	void *arguments[1] = {&count}, *extra[1] = {arguments};
	CHECK(cuLaunchKernel((CUfunction)1, 2, 3, 4, 5, 6, 7, 8, (CUstream)9, arguments, extra) == CUDA_SUCCESS);
	CUdeviceptr address = 0;
	CHECK(cuMemAlloc(&address, 1) == CUDA_ERROR_NOT_FOUND);
	CHECK(cuInit(0) == CUDA_SUCCESS);
	CHECK(brenier_cuda_driver_symbol("cuDeviceGetCount") != NULL);
	CHECK(brenier_cuda_driver_symbol("cuMemAlloc_v2") == NULL);
	return faults != 0;
}
