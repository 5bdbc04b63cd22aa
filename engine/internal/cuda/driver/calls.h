/* What gorgonia.org/cu lacks of the driver, or does in more than one C call. */
#ifndef BRENIER_ENGINE_CUDA_DRIVER_CALLS_H
#define BRENIER_ENGINE_CUDA_DRIVER_CALLS_H

#include <cuda.h>

#include "driver/load.h"
#include "embed.h"

/* An array of unknown length is nothing that Go can name. */
static inline const struct brenier_image *brenier_cuda_images(void) { return brenier_images; }

typedef struct {
	unsigned int x, y, z;
} brenier_cuda_dim;

/* Takes the current context off the thread's stack. cu's own hands it back through Go's heap. */
static inline CUresult brenier_cuda_pop_context(void) {
	CUcontext popped;
	return cuCtxPopCurrent(&popped);
}

/* Parameters are passed as bytes: so cgo takes them for the numbers that they are, wherever Go keeps them,
 * and does not look for Go pointers in what stands around them. */

/* Launches a kernel whose one parameter is the struct at `params`; with `dependent`, it may start before
 * the kernel ahead of it in the stream has ended. */
static inline CUresult brenier_cuda_launch(CUfunction function, brenier_cuda_dim grid, brenier_cuda_dim block,
                                           unsigned int shared, CUstream stream, const unsigned char *params,
                                           int dependent) {
	void *arguments[1] = {(void *)params};
	if (!dependent) {
		return cuLaunchKernel(function, grid.x, grid.y, grid.z, block.x, block.y, block.z, shared, stream,
		                      arguments, NULL);
	}
	CUlaunchAttribute attribute = {.id = CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION};
	attribute.value.programmaticStreamSerializationAllowed = 1;
	CUlaunchConfig config = {
	    .gridDimX = grid.x,
	    .gridDimY = grid.y,
	    .gridDimZ = grid.z,
	    .blockDimX = block.x,
	    .blockDimY = block.y,
	    .blockDimZ = block.z,
	    .sharedMemBytes = shared,
	    .hStream = stream,
	    .attrs = &attribute,
	    .numAttrs = 1,
	};
	return cuLaunchKernelEx(&config, function, arguments, NULL);
}

/* The function that a kernel node launches. */
static inline CUresult brenier_cuda_node_function(CUgraphNode node, CUfunction *function) {
	CUDA_KERNEL_NODE_PARAMS p = {0};
	CUresult status = cuGraphKernelNodeGetParams(node, &p);
	*function = p.func;
	return status;
}

/* Sets what a kernel node launches, in an executable graph. */
static inline CUresult brenier_cuda_set_kernel(CUgraphExec executable, CUgraphNode node, CUfunction function,
                                               brenier_cuda_dim grid, brenier_cuda_dim block, unsigned int shared,
                                               const unsigned char *params) {
	void *arguments[1] = {(void *)params};
	CUDA_KERNEL_NODE_PARAMS p = {
	    .func = function,
	    .gridDimX = grid.x,
	    .gridDimY = grid.y,
	    .gridDimZ = grid.z,
	    .blockDimX = block.x,
	    .blockDimY = block.y,
	    .blockDimZ = block.z,
	    .sharedMemBytes = shared,
	    .kernelParams = arguments,
	};
	return cuGraphExecKernelNodeSetParams(executable, node, &p);
}

#endif
