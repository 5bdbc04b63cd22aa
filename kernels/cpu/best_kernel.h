// The k best of a sample, and how the maxima of groups of scores tell which groups hold them.
// Include after simd.h, once for every path.
#undef lanes_at_least  // bit l is set where lane l of v is at least s
#undef count_lanes     // bits set in such a mask
#if BRENIER_PATH == BRENIER_AVX512
#define lanes_at_least(v, s) \
	((unsigned)_mm512_cmp_ps_mask((__m512)(v), _mm512_set1_ps(s), _CMP_GE_OQ))
#elif BRENIER_PATH == BRENIER_AVX2
#define lanes_at_least(v, s) \
	((unsigned)_mm256_movemask_ps(_mm256_cmp_ps((__m256)(v), _mm256_set1_ps(s), _CMP_GE_OQ)))
#elif BRENIER_X86
#define lanes_at_least(v, s) ((unsigned)_mm_movemask_ps(_mm_cmpge_ps((__m128)(v), _mm_set1_ps(s))))
#elif defined(__aarch64__)
#define lanes_at_least(v, s)                                                  \
	((unsigned)vaddvq_u32(vandq_u32(vcgeq_f32((float32x4_t)(v), vdupq_n_f32(s)), \
	                                (uint32x4_t){1, 2, 4, 8})))
#else
#define lanes_at_least(v, s) \
	((unsigned)((v)[0] >= (s)) | ((v)[1] >= (s)) << 1 | ((v)[2] >= (s)) << 2 | ((v)[3] >= (s)) << 3)
#endif

#if LANES == 4
#define count_lanes(mask) ((int)(0x4332322132212110 >> 4 * (mask) & 7))  // a digit for each mask
#else
#define count_lanes(mask) __builtin_popcount(mask)
#endif

// The k best so far, best first.
typedef struct {
	int k, count;
	int32_t *cells;
	double *scores;
} BRENIER_KERNEL(best);

BRENIER_INLINE int BRENIER_KERNEL(better)(double score, int64_t cell, double score2, int64_t cell2) {
	return score > score2 || (score == score2 && cell < cell2);
}

static void BRENIER_KERNEL(insert)(BRENIER_KERNEL(best) * best, double score, int32_t cell) {
	int at = best->count;
	if (at == best->k) {
		if (!BRENIER_KERNEL(better)(score, cell, best->scores[at - 1], best->cells[at - 1])) return;
		at--;
	} else {
		best->count++;
	}
	for (; at > 0 && BRENIER_KERNEL(better)(score, cell, best->scores[at - 1], best->cells[at - 1]);
	     at--) {
		best->scores[at] = best->scores[at - 1];
		best->cells[at] = best->cells[at - 1];
	}
	best->scores[at] = score;
	best->cells[at] = cell;
}

// The k-th largest of v [64], of which the first `count` are looked at and the others are -FLT_MAX;
// -FLT_MAX if count < k. By counting, without branches: it is the largest value that at least k
// others, itself among them, reach.
static float BRENIER_KERNEL(kth_largest)(const float v[64], int count, int k) {
	float kth = -FLT_MAX;
	for (int i = 0; i < count; i++) {
		int reaching = 0;
#pragma GCC unroll 16
		for (int s = 0; s < 64; s += LANES)
			reaching += count_lanes(lanes_at_least(vf_load(v + s), v[i]));
		const float candidate = reaching >= k ? v[i] : -FLT_MAX;
		kth = candidate > kth ? candidate : kth;
	}
	return kth;
}

// A lower bound of the k-th largest of v [count], count a multiple of LANES: the k-th largest
// among the maxima of 64 subsets.
static float BRENIER_KERNEL(kth_largest_bound)(const float *v, int64_t count, int k) {
	enum { SETS = 64 / LANES };
	vf most[SETS];
	for (int s = 0; s < SETS; s++) most[s] = vf_set(-FLT_MAX);
	int64_t i = 0;
	for (; i + SETS * LANES <= count; i += SETS * LANES)
#pragma GCC unroll 16
		for (int s = 0; s < SETS; s++) most[s] = vf_max(most[s], vf_load(v + i + s * LANES));
	float subset[SETS * LANES];
	for (int s = 0; s < SETS; s++, i += LANES)
		vf_store(subset + s * LANES, i < count ? vf_max(most[s], vf_load(v + i)) : most[s]);
	return BRENIER_KERNEL(kth_largest)(subset, SETS * LANES, k);
}
