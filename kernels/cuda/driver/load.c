#include "load.h"

#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>

#define NOT_INITIALIZED 3 /* CUDA_ERROR_NOT_INITIALIZED */
#define NOT_FOUND 500     /* CUDA_ERROR_NOT_FOUND */

/* One slot a function, in the order of the names; both are written by forward.cmake. */
extern void *brenier_cuda_driver_slots[];
extern const char *const brenier_cuda_driver_names[];
extern const uint64_t brenier_cuda_driver_count;

/* What a slot leads to in place of the driver's function. Arguments are the caller's to clean up in
 * every calling convention here, so that one function stands for all. */
int brenier_cuda_driver_absent(void);
int brenier_cuda_driver_absent(void) { return NOT_INITIALIZED; }
static int lacking(void) { return NOT_FOUND; }

/* Called by cu before anything is loaded, and by nobody else. */
int cuInit(unsigned int flags);
int cuInit(unsigned int flags) {
	(void)flags;
	return 0;
}

static void *library;

int brenier_cuda_driver_load(const char *path, char *message, size_t bytes) {
	void *loaded = dlopen(path ? path : "libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
	if (!loaded) {
		const char *reason = dlerror();
		snprintf(message, bytes, "%s", reason ? reason : "the loader gives no reason");
		return BRENIER_CUDA_NO_LIBRARY;
	}
	int (*initialise)(unsigned int) = (int (*)(unsigned int))dlsym(loaded, "cuInit");
	if (!initialise) {
		snprintf(message, bytes, "it has no cuInit");
		dlclose(loaded);
		return BRENIER_CUDA_NO_LIBRARY;
	}
	int status = initialise(0);
	if (status != 0) {
		const char *text = NULL;
		int (*describe)(int, const char **) = (int (*)(int, const char **))dlsym(loaded, "cuGetErrorString");
		if (describe) {
			describe(status, &text);
		}
		snprintf(message, bytes, "%s", text ? text : "unknown error");
		dlclose(loaded);
		return status;
	}
	for (uint64_t i = 0; i < brenier_cuda_driver_count; i++) {
		void *function = dlsym(loaded, brenier_cuda_driver_names[i]);
		brenier_cuda_driver_slots[i] = function ? function : (void *)lacking;
	}
	library = loaded;
	return 0;
}

void *brenier_cuda_driver_symbol(const char *name) { return library ? dlsym(library, name) : NULL; }
