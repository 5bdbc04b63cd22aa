// From the cells of a warp's samples to their codes; extend.h states the arithmetic.
//
// A lane is a cell of a sample: it walks its chains of the angle and of the distance over the
// dimensions, while the lanes of the warp fetch the next dimensions of all cells together. Then the
// lanes become dimensions, and walk the weighted mean's chains over the cells.
#pragma once
#include "device.cuh"
#include "exact_score.cuh"
#include "extend.h"
#include "ptx/half.cuh"
#include "ptx/warp.cuh"

namespace brenier {
namespace {

enum {
	EXTEND_DIMS = 16,               // dimensions fetched at a time
	EXTEND_ROW = EXTEND_DIMS + 4,   // floats between cells in shared memory: 8 lanes read 16 bytes each, no conflict
	EXTEND_BASE = EXTEND_DIMS + 2,  // doubles between samples
	EXTEND_SAMPLES = 16             // of a warp
};

// What a warp holds in shared memory: some dimensions of its cells and samples, and the result.
struct ExtendTile {
	float4 points[32][EXTEND_ROW / 4];
	float4 centroids[32][EXTEND_ROW / 4];
	double bases[EXTEND_SAMPLES][EXTEND_BASE];    // of the samples' best cells, lifted
	double samples[EXTEND_SAMPLES][EXTEND_BASE];  // x
	double weights[32];                  // of the cells kept, from the first lane of the sample on
	int32_t kept[32];
};

// Dimensions at .. at+15 of 32 rows of values [.,d] that a lane fetches of them all; row r is that of
// lane r, none where it is negative. Zeros beyond d and where there is no row.
__device__ __forceinline__ void fetch(float (&fetched)[EXTEND_DIMS], const float *values, int32_t row, int at, int d) {
	const int lane = (int)lane_id();
	if (d % 4 == 0) {
		const int dim = at + lane % 4 * 4;
#pragma unroll
		for (int i = 0; i < 4; i++) {
			const int32_t from = shuffle(row, 8 * i + lane / 4);
			float4 v = make_float4(0, 0, 0, 0);
			if (from >= 0 && dim < d) v = *(const float4 *)(values + (int64_t)from * d + dim);
			fetched[4 * i] = v.x;
			fetched[4 * i + 1] = v.y;
			fetched[4 * i + 2] = v.z;
			fetched[4 * i + 3] = v.w;
		}
	} else {
		const int dim = at + lane % EXTEND_DIMS;
#pragma unroll
		for (int i = 0; i < EXTEND_DIMS; i++) {
			const int32_t from = shuffle(row, 2 * i + lane / EXTEND_DIMS);
			fetched[i] = from >= 0 && dim < d ? values[(int64_t)from * d + dim] : 0.0f;
		}
	}
}

// Puts what fetch brought in its place.
__device__ __forceinline__ void put(float4 (&rows)[32][EXTEND_ROW / 4], const float (&fetched)[EXTEND_DIMS], int d) {
	const int lane = (int)lane_id();
	if (d % 4 == 0) {
#pragma unroll
		for (int i = 0; i < 4; i++)
			rows[8 * i + lane / 4][lane % 4] =
				make_float4(fetched[4 * i], fetched[4 * i + 1], fetched[4 * i + 2], fetched[4 * i + 3]);
	} else {
#pragma unroll
		for (int i = 0; i < EXTEND_DIMS; i++) ((float *)rows[2 * i + lane / EXTEND_DIMS])[lane % EXTEND_DIMS] = fetched[i];
	}
}

// The chains of a lane's cell.
struct Chains {
	double product;  // <(y_i0,-1), (y_ij,-1)>
	double square;   // |x - c_j|^2
};

// Walks the chains of 32 lanes over all dimensions, those of the distances where they are asked for.
// cell is the lane's, -1 for none; `samples` of them, of `group` lanes each, begin with sample
// `first`.
template <bool distances>
__device__ __forceinline__ Chains walk(const brenier_extend_params &p, ExtendTile &tile, int32_t cell, int64_t first, int samples) {
	enum { X = EXTEND_SAMPLES * EXTEND_DIMS / 32 };  // values of x that a lane fetches at most
	const int lane = (int)lane_id(), slot = lane / p.group;
	float points[EXTEND_DIMS], centroids[EXTEND_DIMS], x[X];
	const auto fetch_all = [&](int at) {
		fetch(points, p.points, cell, at, p.d);
		if (!distances) return;
		fetch(centroids, p.centroids, cell, at, p.d);
#pragma unroll
		for (int i = 0; i < X; i++) {
			const int sample = 2 * i + lane / EXTEND_DIMS, dim = at + lane % EXTEND_DIMS;
			if (sample < samples && dim < p.d) x[i] = p.x[(first + sample) * p.d + dim];
			else x[i] = 0;
		}
	};
	Chains chains = {1, 0};
	fetch_all(0);
	for (int at = 0; at < p.d; at += EXTEND_DIMS) {
		put(tile.points, points, p.d);
		if (distances) put(tile.centroids, centroids, p.d);
		sync_warp();
#pragma unroll
		for (int i = 0; i < X; i++) {
			const int sample = 2 * i + lane / EXTEND_DIMS, dim = lane % EXTEND_DIMS;
			if (sample >= samples) continue;
			tile.bases[sample][dim] = lifted(((const float *)tile.points[sample * p.group])[dim]);
			if (distances) tile.samples[sample][dim] = widened(x[i]);
		}
		sync_warp();
		if (at + EXTEND_DIMS < p.d) fetch_all(at + EXTEND_DIMS);  // lands while the chains are walked

		// Zeros beyond d leave the sums as they are. The two chains hide each other's latency.
#pragma unroll
		for (int quad = 0; quad < EXTEND_DIMS / 4; quad++) {
			const float4 point = tile.points[lane][quad], centroid = tile.centroids[lane][quad];
			const float y[4] = {point.x, point.y, point.z, point.w};
			const float c[4] = {centroid.x, centroid.y, centroid.z, centroid.w};
#pragma unroll
			for (int i = 0; i < 4; i++) {
				chains.product = fma(tile.bases[slot][4 * quad + i], lowered(y[i]), chains.product);
				if (!distances) continue;
				const double gap = fma(-0x1p896, lowered(c[i]), tile.samples[slot][4 * quad + i]);  // x - c
				chains.square = fma(gap, gap, chains.square);
			}
		}
		sync_warp();
	}
	return chains;
}

// Dimension i of a sample's code, for the caller and, where it is wanted, for the decoder.
__device__ __forceinline__ void store_code(const brenier_extend_params &p, int64_t sample, int i, float v) {
	p.z[sample * p.d + i] = v;
	const brenier_extend_input &to = p.input;
	if (to.kind == BRENIER_EXTEND_NONE) return;
	const int64_t at = sample * (p.d / to.run * to.pitch) + i / to.run * to.pitch + i % to.run;
	if (to.kind == BRENIER_EXTEND_F16) ((uint16_t *)to.data)[at] = half_bits(v);
	else if (to.kind == BRENIER_EXTEND_BF16) ((uint16_t *)to.data)[at] = bfloat_bits(v);
	else ((float *)to.data)[at] = v;
}

// The code of one sample out of its kept cells and their weights [count]. A lane makes two dimensions
// at a time, so that more loads are under way.
__device__ __forceinline__ void write_code(const brenier_extend_params &p, const int32_t *kept, const double *weights,
                                           int count, double total, int64_t sample) {
	const double rest = 1 - p.blend;
	for (int i = (int)lane_id(); i < p.d; i += 64) {
		const bool both = i + 32 < p.d;
		const auto point = [&](int j, int dim) { return p.points[(int64_t)kept[j] * p.d + dim]; };
		const int dims[2] = {i, both ? i + 32 : i};
		double code[2] = {0, 0};
		if (count == 1) {
#pragma unroll
			for (int v = 0; v < 2; v++) code[v] = point(0, dims[v]);
		} else if (p.mode == BRENIER_EXTEND_PAIR) {
#pragma unroll
			for (int v = 0; v < 2; v++)
				code[v] = fma(p.blend, (double)point(1, dims[v]), rest * (double)point(0, dims[v]));
		} else {
#pragma unroll 4
			for (int j = 0; j < count; j++)
#pragma unroll
				for (int v = 0; v < 2; v++) code[v] = fma(weights[j], widened(point(j, dims[v])), code[v]);
#pragma unroll
			for (int v = 0; v < 2; v++) code[v] = code[v] / total;
		}
		store_code(p, sample, i, (float)code[0]);
		if (both) store_code(p, sample, i + 32, (float)code[1]);
	}
}

// The codes of samples first .. first+samples-1, of p.group lanes of the warp each; cell is the lane's, best
// first, -1 for none.
__device__ __forceinline__ void extend_samples(const brenier_extend_params &p, ExtendTile &tile, int32_t cell, int64_t first,
                                               int samples) {
	const int lane = (int)lane_id(), slot = lane / p.group, j = lane % p.group;
	bool admissible = cell >= 0 && j == 0;
	bool here = false;  // x = c_j
	double weight = 0;
	if (p.mode != BRENIER_EXTEND_CELL && p.k > 1) {
		const double norm = cell >= 0 ? p.norms[cell] : 1;
		const double base = shuffle(norm, slot * p.group);
		const Chains chains = p.mode == BRENIER_EXTEND_SIMPLEX ? walk<true>(p, tile, cell, first, samples)
		                                                       : walk<false>(p, tile, cell, first, samples);
		admissible = admissible || (cell >= 0 && chains.product / (base * norm) >= p.min_cosine);
		const double distance = sqrt(chains.square);
		here = p.mode == BRENIER_EXTEND_SIMPLEX && admissible && !(distance > 0);
		weight = 1 / distance;
	}

	// Of a sample's lanes: those kept, in order, or the first alone whose centroid x is.
	const uint32_t lanes = (p.group == 32 ? 0xffffffffu : (1u << p.group) - 1) << slot * p.group;
	uint32_t keep = ballot(admissible) & lanes;
	const uint32_t there = ballot(here) & lanes;
	if (there != 0) keep = there & (0u - there);
	const int count = __popc(keep);
	if (keep >> lane & 1) {
		const int at = slot * p.group + __popc(keep & ((1u << lane) - 1));
		tile.kept[at] = cell;
		tile.weights[at] = weight;
	}
	sync_warp();
	double total = 0;
	if (j == 0)
		for (int i = 0; i < count; i++) total += tile.weights[lane + i];

	for (int s = 0; s < samples; s++)
		write_code(p, tile.kept + s * p.group, tile.weights + s * p.group, shuffle(count, s * p.group),
		           shuffle(total, s * p.group), first + s);
}

}  // namespace
}  // namespace brenier
