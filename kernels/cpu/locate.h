#ifndef BRENIER_KERNELS_CPU_LOCATE_H
#define BRENIER_KERNELS_CPU_LOCATE_H
#include <stdint.h>

// Locate: the k cells with the highest score s_i = h_i + <x,y_i>, in two steps.
//
//   screen    float32 scores of every (sample, cell); of them only the maxima of groups are kept
//   select    the groups that may hold one of the k best, by a proven bound, are scored again in
//             float64, and those scores decide
//
// The score returned is the float64 fma chain over dimensions 0 .. d-1 that starts at h_i, on the
// stored float32 values; order: score descending, then index ascending.
//
// The packed map. W = 2 * lanes of the path cells are a panel; P panels, a
// multiple of T, of which T consecutive ones are cut into groups of one lane each: lane l of both
// vectors of panels g*T .. g*T+T-1 is group g*lanes + l, of G = P/T * lanes. The 2T cells of a
// group have consecutive numbers, so that the points to score again lie together: cell i is in
// group i/2T, panel (i%2T)/2 of the T, vector i%2.
//   panels   [P][d][W] float32, zero past cell N; 64-byte aligned
//   levels   [P][W] float32, h_i less the highest height, rounded; -FLT_MAX past cell N
#define BRENIER_MAX_K 32

// Packs cells first .. end-1 of points [N,d] into panels, which are zero before.
void brenier_locate_pack(int path, const float *points, int64_t first, int64_t end, int64_t d,
                         int64_t T, float *panels);

// Packs heights [N] into levels [P][W], and writes the highest and the lowest of them.
void brenier_locate_levels(int path, const float *heights, int64_t N, int64_t T, int64_t P,
                           float *levels, float *highest, float *lowest);

// Samples of a full tile of the path. `packed` and `maxima` have room for whole tiles.
int brenier_locate_tile_rows(int path);

// Packs x [rows,d] as the tiles read it: packed [padded rows,d].
void brenier_locate_pack_samples(int path, const float *x, int64_t rows, int64_t d, float *packed);

// Screens packed samples against panels first .. end-1; both are multiples of T. Writes the groups
// of those panels in maxima [padded rows,stride], stride >= G.
void brenier_locate_screen(int path, const float *packed, int64_t rows, int64_t d,
                           const float *panels, const float *levels, int64_t first, int64_t end,
                           int64_t T, float *maxima, int64_t stride);

// What select knows of the map.
//   points   [N,d] float32, row-major
//   heights  [N] float32
//   norm     at least the largest |y_i|
//   reach    at least the largest |h_i|
// Writes cells [rows,k] and scores [rows,k]. kept [2G] and reached
// [max(G,64)] are scratch.
void brenier_locate_select(int path, const float *x, int64_t rows, int64_t d, const float *points,
                           const float *heights, int64_t N, double norm, double reach,
                           const float *maxima, int64_t stride, int64_t T, int64_t G, int k,
                           int32_t *kept, float *reached,
                           int32_t *cells, double *scores);

#endif
