#ifndef BRENIER_KERNELS_CPU_EXTEND_H
#define BRENIER_KERNELS_CPU_EXTEND_H
#include <stdint.h>

#define BRENIER_CELL 0
#define BRENIER_SIMPLEX 1
#define BRENIER_PAIR 2

// Everything here is float64 in a fixed order with fma, so its bits are the same on every path.
// points [N,d], centroids [N,d], x [n,d], z [n,d] float32; cells [n,k], best first; norms [N].

// norms[i] = |(y_i,-1)|, the square root of an fma chain over the dimensions that starts at 1.
void brenier_plane_norms(int path, const float *points, int64_t N, int64_t d, double *norms);

// cosines[r,j] = <(y_i0,-1), (y_ij,-1)> / (norm_0 norm_j): the cosine of the angle between the
// planes of a sample's best cell i0 and its cell ij; the product is an fma chain that starts at 1.
void brenier_cosines(int path, const int32_t *cells, int64_t n, int64_t d, int64_t k,
                     const float *points, const double *norms, double *cosines);

// The settings of extend. A neighbour j is admissible if its cosine is at least min_cosine; the
// best cell always is.
//   BRENIER_CELL     z = y_i0
//   BRENIER_SIMPLEX  z = sum_j w_j y_j / sum_j w_j over the admissible cells in their order, with
//                    w_j = 1/|x - c_j|; the y_j of the first of them with x = c_j if there is one
//   BRENIER_PAIR     z = (1-blend) y_i0 + blend y_ij, j the best admissible neighbour; y_i0 if none
// Source: An et al., "AE-OT" (ICLR 2020), the extension of the map over simplices and its cut at
// the singular set.
void brenier_cpu_extend(int path, const float *x, const int32_t *cells, int64_t n, int64_t d, int64_t k,
                    const float *points, const double *norms, const float *centroids, int mode,
                    double min_cosine, double blend, float *z);

#endif
