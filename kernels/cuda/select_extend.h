// Parameters of the kernel that decides and extends few samples.
#ifndef BRENIER_KERNELS_CUDA_SELECT_EXTEND_H
#define BRENIER_KERNELS_CUDA_SELECT_EXTEND_H
#include "extend.h"
#include "locate.h"

#define BRENIER_SELECT_EXTEND_THREADS 256

// brenier_cuda_select_extend: what brenier_cuda_locate_select_wide and then brenier_cuda_extend do, in one
// launch: for a sample or a few, launches are much of what they take. There is no list of exact rows,
// extend.x is decide.x, extend.k is decide.k, and extend.cells is not read. Grid: a block a sample.
typedef struct {
	brenier_locate_decide_params decide;
	brenier_extend_params extend;
} brenier_select_extend_params;

#endif
