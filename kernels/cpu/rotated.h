#ifndef BRENIER_KERNELS_CPU_ROTATED_H
#define BRENIER_KERNELS_CPU_ROTATED_H
#include <stdint.h>

// Rotated draws: samples of N(0,I) that are sparse in a frame which a group of them shares, so
// that the score of a cell costs 16 products for four draws, not d for one.
//
// With q_a the axes of a random frame, a draw is
//
//    x = sum_j v_j q_{a_j}     over 16 axes a_0 .. a_15 of the d,     v = rho u,
//
// u a unit vector of R^16 and rho ~ chi_d. The frame being Haar-distributed and independent of v and
// a, x/|x| is uniform on the sphere of R^d whatever a and u are, and |x| = rho is independent of it:
// every draw is exactly N(0,I). Draws of one group depend on one another; groups are independent.
// <x,y_i> = sum_j v_j z_{i,a_j} with z_ia = <q_a,y_i>, which is computed once for the group.
//
// As a and u are free, they are chosen so that few draws of a group lie near one another, where they
// would share a cell: a group is then worth about as much as that many independent draws. All of u
// are +-1/4, so that draws that share j axes have a product of j/16 at most.
//
//   family   FAMILY = 4 draws with the same |v| and axes. With A and B the two halves of v, they are
//            (A,B), (-A,-B), (A,-B), (-A,B), on two lines at right angles; the sums over A and B serve
//            all four.
//   choice   CHOICE = 12: 3 families that share their axes.
//   set      SET / CHOICE = 4 choices on end that share them too. The signs of family f of the set are
//            FAMILY_SIGNS(f), times those of the set: Walsh functions of j mod 8, from f = 8 on times a
//            bent function of j (Rothaus, "On bent functions", J. Comb. Theory A 20 (1976)). So the
//            first 16 lines are a basis at right angles, and the others are at +-1/4 to each of these.
//   shuffle  a permutation of the d axes that keeps the remainder by 8, cut into as many sets' axes as
//            fit: a_j = j modulo 8. So what reads eight axes' z at once finds them in different banks.
//
// Streams of noise.h's generator, under the seed as the key:
//   FRAME      index = group * ceil(d/2) + r: the normals of two reflectors (below)
//   RADIUS     index = family: floor(d/2) uniform words, four a block
//   DEGREE     index = family: a normal, where d is odd
//   SIGNS      index = set: the signs, bits of the first word, of which 1 is minus
//   AXES       index = shuffle: the words that shuffle the axes, four a block
// Families, sets and shuffles are counted from group 0 on.
//
// The score of a draw is float32, every step rounded once and in this order on every path:
//
//    level_i + ((v_0 z_0 + v_1 z_1 + ...) + (v_8 z_8 + v_9 z_9 + ...)),   z_j = z_{i,a_j}
//
// each inner sum an fma chain that starts at zero; level_i = h_i less the highest
// height, rounded; z_ia an fma chain over dimensions 0 .. d-1 that starts at zero. The cells are the
// k best by that score; ties go to the lower index.
//
// How far that is from locate's rule on the draw x as brenier_rotated_noise writes it (derived here;
// gamma_n as in locate_bound.h, u = 2^-24): x, z and the score are sums of d or 16 terms whose
// absolute values add up to at most |v|_1 |y_i| = 4 |v| |y_i|, so that
//
//    |score_i - s_i(x)| <= (gamma_{d+1} + gamma_17 + gamma_12) 4 |v| |y_i| (1 + 2^-10)
//                          + gamma_12 |h_i - max h|,
//
// the last factor being for axes that are rounded. A draw can thus get another cell than locate
// gives x only where its two best scores are within twice that, some 1e-5 of |x| |y|; and as the
// errors know nothing of which cell should gain by them, what they move of a cell's mass is of that
// order too, far below what any number of samples can show.
#define BRENIER_FAMILY 4
#define BRENIER_CHOICE 12  // draws that are made at once
#define BRENIER_SET 48     // draws that share axes
#define BRENIER_AXES 16    // of a set
#define BRENIER_AXIS_CLASSES 8
#define BRENIER_SHUFFLE_SETS(d) ((d) / BRENIER_AXES)

// Bit j: whether the sign of v_j is minus.
#define BRENIER_FAMILY_SIGNS(f) \
	(((f) & 1 ? 0xAAAAu : 0u) ^ ((f) & 2 ? 0xCCCCu : 0u) ^ ((f) & 4 ? 0xF0F0u : 0u) ^ ((f) & 8 ? 0x7888u : 0u))

#define BRENIER_STREAM_FRAME 0x52000001u
#define BRENIER_STREAM_DEGREE 0x52000002u
#define BRENIER_STREAM_RADIUS 0x52000003u
#define BRENIER_STREAM_AXES 0x52000004u
#define BRENIER_STREAM_SIGNS 0x52000005u

// Frame, step 1. The frame is H_0 H_1 .. H_{d-1} S: H_k reflects the last d-k coordinates so that a
// normal vector of them goes to the first of these, S flips signs so that the triangular factor of
// the matrix of normals would be positive. Source: Stewart, "The efficient generation of random
// orthogonal matrices with an application to condition estimators", SIAM J. Numer. Anal. 17 (1980);
// without S it is not Haar: Mezzadri, "How to generate random matrices from the classical compact
// groups", Notices of the AMS 54 (2007).
// Row r of normals [ceil(d/2)][d+1] holds the d-r normals of reflector k = r, then the r+1 of k =
// d-1-r. Rows first .. end-1 become reflectors of the same layout, H_k = I - w w^T, and signs [d].
void brenier_frame_reflectors(const float *normals, int64_t first, int64_t end, int64_t d,
                              double *reflectors, float *signs);

// Step 2: columns block*BRENIER_FRAME_COLUMNS .. of the frame, to frame [d,d] float32 (row a is axis
// q_a) and to packed [d*d], in tiles as brenier_rotate reads them. scratch [d][BRENIER_FRAME_COLUMNS].
#define BRENIER_FRAME_COLUMNS 32
void brenier_frame_columns(int path, const double *reflectors, const float *signs, int64_t d,
                           int64_t block, double *scratch, float *frame, float *packed);

// Rotates panels first .. end-1 of [P][d][W], as locate.h packs points, into z [P/C][d][C+1][W], P/C
// rounded up: a pass of C panels together, an axis in one piece, as the search reads them. The
// panel's room that is left free keeps the axes of a pass from falling on the same lines of a cache.
void brenier_rotate(int path, const float *packed, int64_t d, const float *panels, int64_t first,
                    int64_t end, int64_t C, float *z);

// The axes [choices][16] and v [choices*CHOICE][16] of choices first .. first+choices-1 of a group that
// has group_choices of them, whole sets. d is 16 at least. shuffled [d] and normals [choices*3], which
// is used where d is odd, are scratch.
void brenier_rotated_draws(int path, uint64_t seed, uint64_t group, int64_t group_choices,
                           int64_t first, int64_t choices, int64_t d, int32_t *shuffled,
                           float *normals, int32_t *axes, float *v);

// The draws x [rows,d] of rows draws, the first of which is number `skip` of the choices given:
// x_c = sum_j v_j q_{a_j,c}, a float32 fma chain over j that starts at zero.
void brenier_rotated_noise(int path, const float *frame, const int32_t *axes, const float *v,
                           int64_t skip, int64_t rows, int64_t d, float *x);

// Searches panels first .. end-1, of z as brenier_rotate writes it, for the k best cells of the draws
// of choices, and adds what it finds to tops and blocks [choices*CHOICE][k][lanes]: for every lane the
// k highest scores, and their blocks, among the maxima of blocks of `block` panels. Calls go up from
// panel 0, which begins a search. C is a multiple of block and that of T, the panels of locate.h's
// groups; first is a multiple of C. k <= BRENIER_ROTATED_K.
#define BRENIER_ROTATED_K 8
void brenier_rotated_search(int path, const float *z, const float *levels, int64_t d, int64_t C,
                            int64_t block, int64_t first, int64_t end, const int32_t *axes,
                            const float *v, int64_t choices, int k, float *tops,
                            int32_t *blocks);

// Writes cells and scores [draws,k], best first, of draws that all P panels have been searched for.
void brenier_rotated_finish(int path, const float *z, const float *levels, int64_t N, int64_t d,
                            int64_t T, int64_t P, int64_t C, int64_t block, const int32_t *axes,
                            const float *v, int64_t draws, int k, const float *tops,
                            const int32_t *blocks, int32_t *cells, double *scores);

#endif
