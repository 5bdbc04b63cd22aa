// Convolution of bfloat16 values on the tensor cores: the shipped tiles.
#include "conv_few.cuh"
#include "conv_mma.cuh"

#define CONV_KERNEL(bm, bn, wm, wn, wk, stages, blocks)                                             \
	BRENIER_KERNEL(brenier_cuda_conv_bf16_##bm##x##bn, brenier_cuda_conv,                             \
	               BRENIER_CUDA_CONV_THREADS(bm, bn, wm, wn, wk), blocks) {                          \
		brenier::conv<brenier::BFloat, brenier::ConvTile<bm, bn, wm, wn, wk, stages>>(p);             \
	}
BRENIER_CUDA_CONV_TILES(CONV_KERNEL)

BRENIER_KERNEL(brenier_cuda_conv_bf16_few, brenier_cuda_conv, BRENIER_CUDA_CONV_FEW_THREADS, BRENIER_CUDA_CONV_FEW_BLOCKS) {
	brenier::conv_few<brenier::BFloat>(p);
}
