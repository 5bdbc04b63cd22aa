// Overlap of a kernel's start with the end of the one before it in the stream, for kernels that are
// launched so (sm_90 and later; elsewhere, and when launched plainly, both do nothing).
#pragma once
#include "../device.cuh"

#if BRENIER_DEVICE_CODE
namespace brenier {

// The next kernel may start its blocks.
__device__ inline void launch_dependents() {
#if __CUDA_ARCH__ >= 900
	asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}
// Until the kernel before this one has ended and its writes are visible.
__device__ inline void wait_for_prerequisites() {
#if __CUDA_ARCH__ >= 900
	asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

}  // namespace brenier
#else
#include "../host/dependent.h"
#endif
