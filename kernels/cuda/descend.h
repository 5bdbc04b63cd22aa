#ifndef BRENIER_KERNELS_CUDA_DESCEND_H
#define BRENIER_KERNELS_CUDA_DESCEND_H
#include "locate.h"
#include "params.h"

#define BRENIER_DESCEND_THREADS 256  // of a block; each takes one cell
#define BRENIER_DESCEND_AVERAGES 2

// How far the heights go. Largest values as bits that are ordered as they are.
typedef struct {
	uint32_t highest;   // of a step's heights so far; 0 between steps, as are the next two
	uint32_t farthest;  // of their sizes
	uint32_t finished;  // blocks of the step
	uint32_t reach;     // the largest |height| of all steps since it was cleared
} brenier_descend_extent;

// descend.cu: a step of the descent (engine/internal/sgd), which says in which order it is computed.
typedef struct {
	BRENIER_ADDRESS(const double) rates;     // [N]
	BRENIER_ADDRESS(const double) steps;     // s_i after 0, 1, ... hits, as many as the share
	BRENIER_ADDRESS(int64_t) hits;           // [N]
	BRENIER_ADDRESS(double) h;               // [N]
	BRENIER_ADDRESS(double) averages[BRENIER_DESCEND_AVERAGES];  // [N]
	BRENIER_ADDRESS(uint32_t) counts;        // [N] of the step; 0 after it
	BRENIER_ADDRESS(float) heights;          // [N] float32(h - centre)
	BRENIER_ADDRESS(double) highest;         // of these
	BRENIER_ADDRESS(brenier_locate_map) map; // that the heights are of, or 0
	BRENIER_ADDRESS(brenier_descend_extent) extent;
	double share, expected, shared, bound, steepness;
	double weights[BRENIER_DESCEND_AVERAGES];
	double centre;
	int64_t cells;  // N
} brenier_descend_params;

#endif
