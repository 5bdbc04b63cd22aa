// The k best cells of a sample, and which lanes of a vector may hold one. Include after simd.h, once
// for every path.
#undef lanes_at_least  // bit l is set where lane l of v is at least s
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
