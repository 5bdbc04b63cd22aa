#ifndef BRENIER_KERNELS_CPU_LOCATE_TREE_H
#define BRENIER_KERNELS_CPU_LOCATE_TREE_H
#include <stdint.h>

// Locate by a tree: the cells that locate.h promises, without a look at every cell. For few dimensions.
//
// Cells lie in an order in which neighbours are together, 16 of them in a leaf. A block tells of 16
// leaves, a block of the next level of 16 blocks, and so on to one that tells of all: level 0 are the
// leaves, L_0 = ceil(N/16) of them, level l has L_l = ceil(L_{l-1}/16) blocks, and what block j of a
// level tells of are 16j .. 16j+15 of the level below. Blocks are numbered from those of level 1 on. Of
// each of these 16 parts a block says
//
//   <x,y_i> + h_i - top <= roof + sum_k x_k centre_k + max over |u_k| <= half_k of
//                                 sum_k |x_k - slope_k| u_k - bend_k u_k^2         for all its cells i
//
// with centre and half the middle and half the sides of the part's box, and roof the most that a height
// less top is above the surface -<slope,u> - sum_k bend_k u_k^2 over the box, u = y - centre. The heights
// of a map are a concave surface over its points: with that surface's own slope and bend, the bound of
// a part is little above what its cells would reach if there were one at every place of its box. The
// maximum is at u_k = |x_k - slope_k| turn_k, or half_k where that is less; turn = 1/(2 bend).
//
//   blocks       [L_1 + L_2 + ..][5d+1][16] float32: of each dimension the rows below; then roof
//   fits         [L_1 + L_2 + ..][16][d][16] float32: -slope_k = sum_m fits_km (height of member m); of a
//                leaf the members are its cells, of a block its parts, whose height is their roof
//   points       [L_0][d][16] float32, zero past cell N
//   heights      [L_0][16] float32
//   cells        [L_0][16] int32, the cells' numbers; -1 past cell N
enum { BRENIER_TREE_WIDTH = 16, BRENIER_TREE_MOST = 6 };  // the latter: dimensions, at most

// The rows of a block, for each dimension, before the roofs.
enum {
	BRENIER_TREE_CENTRE,
	BRENIER_TREE_HALF,
	BRENIER_TREE_SLOPE,
	BRENIER_TREE_BEND,
	BRENIER_TREE_TURN,
	BRENIER_TREE_ROWS,
};

// Takes heights h [N] into leaves 16 first .. 16 end-1 and into blocks first .. end-1 of level 1. `top` is
// at least every height.
void brenier_tree_lower(int path, int64_t N, int64_t d, const float *h, double top, int64_t first,
                        int64_t end, float *blocks, const float *fits, const float *points,
                        float *heights, const int32_t *cells);

// Takes them from there into the blocks of the levels above.
void brenier_tree_upper(int path, int64_t N, int64_t d, float *blocks, const float *fits);

// What a search knows of the map.
//   norm     at least the largest |y_i|
//   reach    at least the largest |h_i|, and top is one of them
//   extent   at least the largest |centre| + |half|, over all parts
// Writes cells [rows,k] and scores [rows,k] of samples x [rows,d] until it has looked at `budget` leaves
// and blocks, and returns the number of samples done, the first ones; -1 less that number where the next
// sample, or the heights, are so large that the bounds do not hold.
int64_t brenier_tree_search(int path, const float *x, int64_t rows, int64_t d, int64_t N,
                            const float *blocks, const float *points, const float *heights,
                            const int32_t *numbers, double top, double norm, double reach,
                            double extent, int k, int64_t budget, int32_t *cells, double *scores);

#endif
