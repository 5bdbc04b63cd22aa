// Parameters of the extend kernels.
#ifndef BRENIER_KERNELS_CUDA_EXTEND_H
#define BRENIER_KERNELS_CUDA_EXTEND_H
#include "params.h"

// Everything here is float64 in the order that kernels/cpu/extend.h states, so its bits are the same.

#define BRENIER_EXTEND_WARPS 4  // of a block

// Modes of extend.
#define BRENIER_EXTEND_CELL 0
#define BRENIER_EXTEND_SIMPLEX 1
#define BRENIER_EXTEND_PAIR 2

// The code once more, as the decoder reads its input: runs of `run` dimensions, each `pitch` elements from
// the next; what lies between is left alone.
enum {
	BRENIER_EXTEND_NONE,
	BRENIER_EXTEND_F32,
	BRENIER_EXTEND_F16,
	BRENIER_EXTEND_BF16,
};
typedef struct {
	BRENIER_ADDRESS(void) data;  // [n][d/run][pitch]
	int32_t kind, run, pitch;
} brenier_extend_input;

// brenier_cuda_extend: the codes z of samples x with their cells, best first.
//   CELL     z = y_i0
//   SIMPLEX  z = sum_j w_j y_j / sum_j w_j over the admissible cells in their order, with
//            w_j = 1/|x - c_j|; the y_j of the first of them with x = c_j if there is one
//   PAIR     z = (1-blend) y_i0 + blend y_ij, j the best admissible neighbour; y_i0 if none
// Cell j is admissible if j = 0 or the cosine between the planes of cells 0 and j is at least
// min_cosine.
// Grid: a warp takes 32/group samples; group is the power of two from k on, at least 2, at most 32.
typedef struct {
	BRENIER_ADDRESS(const float) x;          // [n,d]
	BRENIER_ADDRESS(const int32_t) cells;    // [n,k]
	BRENIER_ADDRESS(const float) points;     // [N,d], aligned to 16 bytes
	BRENIER_ADDRESS(const double) norms;     // [N], of brenier_cuda_plane_norms
	BRENIER_ADDRESS(const float) centroids;  // [N,d], aligned to 16 bytes; read by SIMPLEX alone
	BRENIER_ADDRESS(float) z;                // [n,d]
	brenier_extend_input input;
	double min_cosine, blend;
	int32_t n, d, k, group, mode;
} brenier_extend_params;

// brenier_cuda_plane_norms: norms[i] = |(y_i,-1)|, the root of an fma chain of squares that starts
// at 1. Grid: one thread for each of N.
#define BRENIER_NORM_THREADS 128
typedef struct {
	BRENIER_ADDRESS(const float) points;  // [N,d]
	BRENIER_ADDRESS(double) norms;        // [N]
	int32_t N, d;
} brenier_plane_norms_params;

#endif
