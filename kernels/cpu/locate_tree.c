#include "locate_tree.h"

#include "float_mode.h"
#include "locate_tree_bound.h"

// The parts of a level that n of the level below lie in.
static inline int64_t brenier_tree_parts(int64_t n) {
	return (n + BRENIER_TREE_WIDTH - 1) / BRENIER_TREE_WIDTH;
}

// Those of n of a level that part `part` of the level above holds.
static inline int brenier_tree_members(int64_t n, int64_t part) {
	const int64_t left = n - part * BRENIER_TREE_WIDTH;
	return left < BRENIER_TREE_WIDTH ? (int)left : BRENIER_TREE_WIDTH;
}

// The floats of a block.
static inline int64_t brenier_tree_block(int64_t d) {
	return (BRENIER_TREE_ROWS * d + 1) * BRENIER_TREE_WIDTH;
}

#define BRENIER_KERNEL_FILE "locate_tree_kernel.h"
#include "foreach_path.h"

static void (*const lower[BRENIER_PATHS])(int64_t, int64_t, const float *, double, int64_t, int64_t,
                                          float *, const float *, const float *, float *,
                                          const int32_t *) = BRENIER_TABLE(brenier_tree_lower);
static void (*const upper[BRENIER_PATHS])(int64_t, int64_t, float *,
                                          const float *) = BRENIER_TABLE(brenier_tree_upper);
static int64_t (*const search[BRENIER_PATHS])(const float *, int64_t, int64_t, int64_t, const float *,
                                              const float *, const float *, const int32_t *, double,
                                              double, double, double, int, int64_t, int32_t *,
                                              double *) = BRENIER_TABLE(brenier_tree_search);

void brenier_tree_lower(int path, int64_t N, int64_t d, const float *h, double top, int64_t first,
                        int64_t end, float *blocks, const float *fits, const float *points,
                        float *heights, const int32_t *cells) {
	const uint64_t mode = brenier_float_mode_set();
	lower[path](N, d, h, top, first, end, blocks, fits, points, heights, cells);
	brenier_float_mode_restore(mode);
}

void brenier_tree_upper(int path, int64_t N, int64_t d, float *blocks, const float *fits) {
	const uint64_t mode = brenier_float_mode_set();
	upper[path](N, d, blocks, fits);
	brenier_float_mode_restore(mode);
}

int64_t brenier_tree_search(int path, const float *x, int64_t rows, int64_t d, int64_t N,
                            const float *blocks, const float *points, const float *heights,
                            const int32_t *numbers, double top, double norm, double reach,
                            double extent, int k, int64_t budget, int32_t *cells, double *scores) {
	const uint64_t mode = brenier_float_mode_set();
	const int64_t done = search[path](x, rows, d, N, blocks, points, heights, numbers, top, norm, reach,
	                                  extent, k, budget, cells, scores);
	brenier_float_mode_restore(mode);
	return done;
}
