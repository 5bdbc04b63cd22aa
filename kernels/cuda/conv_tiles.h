#ifndef BRENIER_KERNELS_CUDA_CONV_TILES_H
#define BRENIER_KERNELS_CUDA_CONV_TILES_H

// The shapes of tiles that conv_mma ships: X(pixels, rows, of a warp: pixels, rows, groups of warps
// along k, pipeline stages, blocks resident on a multiprocessor). All give the same bits; which one
// runs is a matter of speed.
#define BRENIER_CUDA_CONV_TILES(X)  \
	X(128, 128, 64, 64, 1, 3, 2)    \
	X(128, 64, 64, 32, 1, 3, 4)     \
	X(256, 32, 64, 32, 1, 2, 3)     \
	X(64, 64, 32, 32, 1, 4, 3)      \
	X(16, 128, 16, 32, 1, 4, 4)     \
	X(32, 32, 32, 32, 4, 5, 1)      \
	X(16, 32, 16, 32, 4, 6, 2)      \
	X(16, 16, 16, 16, 4, 8, 2)

// Threads of a block of the kernel for few outputs, and blocks resident on a multiprocessor.
#define BRENIER_CUDA_CONV_FEW_THREADS 256
#define BRENIER_CUDA_CONV_FEW_BLOCKS 3

// Threads of a group of warps along k, and of a block.
#define BRENIER_CUDA_CONV_GROUP_THREADS(bm, bn, wm, wn) (32 * ((bm) / (wm)) * ((bn) / (wn)))
#define BRENIER_CUDA_CONV_THREADS(bm, bn, wm, wn, wk) (BRENIER_CUDA_CONV_GROUP_THREADS(bm, bn, wm, wn) * (wk))

// Shared memory of a block: for each group of warps its stages of A [bm][32] and B [bn][32] of 16-bit
// elements; the places of the bm pixels, 8 bytes each; then sums of chunks, float32: those of the other
// groups along k, or a thread's own where they would take 64 registers or more. They are used only where
// there are several chunks, but a thread's own always where the stages have no room for the finished ones.
#define BRENIER_CUDA_CONV_STAGE_BYTES(bm, bn) (((bm) + (bn)) * 64)
#define BRENIER_CUDA_CONV_PLACES_AT(bm, bn, wk, stages) (BRENIER_CUDA_CONV_STAGE_BYTES(bm, bn) * (stages) * (wk))
#define BRENIER_CUDA_CONV_SUMS_AT(bm, bn, wk, stages) (BRENIER_CUDA_CONV_PLACES_AT(bm, bn, wk, stages) + (bm) * 8)
#define BRENIER_CUDA_CONV_SUMS_BYTES(bm, bn, wm, wn, wk) \
	(((wk) > 1 ? (wk) - 1 : (wm) * (wn) / 32 >= 64 ? 1 : 0) * (bm) * (bn) * 4)
#define BRENIER_CUDA_CONV_SUMS_ALWAYS(bm, bn, wk, stages) \
	((wk) == 1 && (bm) * (bn) * 4 > BRENIER_CUDA_CONV_PLACES_AT(bm, bn, wk, stages))

#endif
