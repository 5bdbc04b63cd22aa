#ifndef BRENIER_KERNELS_CUDA_CONV_TILES_H
#define BRENIER_KERNELS_CUDA_CONV_TILES_H

// The shapes of tiles that conv_mma ships: X(pixels, rows, of a warp: pixels, rows, groups of warps
// along k, pipeline stages, blocks resident on a multiprocessor). All give the same bits; which one runs
// is a matter of speed.
#define BRENIER_CUDA_CONV_TILES(X)  \
	X(128, 128, 64, 64, 1, 3, 2)    \
	X(128, 64, 64, 32, 1, 4, 2)     \
	X(64, 64, 32, 32, 1, 4, 3)      \
	X(16, 128, 16, 32, 1, 4, 4)     \
	X(32, 32, 32, 32, 4, 5, 1)      \
	X(16, 32, 16, 32, 4, 6, 2)      \
	X(16, 16, 16, 16, 4, 8, 2)

// Those for few outputs: 8 rows.
#define BRENIER_CUDA_CONV_FEW_TILES(X) \
	X(128, 8, 32, 8, 1, 4, 4)          \
	X(16, 8, 16, 8, 4, 8, 2)

#endif
