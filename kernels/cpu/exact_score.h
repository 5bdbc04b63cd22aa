// Exact chains: the float64 sums of products whose bits are promised. Include after simd.h, once
// for every path.
//
//   start + x_0 y_0 + x_1 y_1 + ...,  one fma a step, in this order
//
// The product of two float32 is exact in float64 (24 + 24 bits, and no exponent out of range), so
// round(x*y + sum), what an fma gives, is also what a multiplication and an addition give: the
// path without fma instructions needs no slow emulation.
#undef CHAINS
#define CHAINS 8  // side by side, so that one chain's latency hides behind the others

// Chains over dimensions 0 .. d-1 of x [d] with each of the rows y[c] [d]; sum[c] holds their
// starts on entry.
BRENIER_INLINE void BRENIER_KERNEL(exact_chains)(const float *restrict x,
                                                 const float *const y[CHAINS], int64_t d,
                                                 double sum[CHAINS]) {
	double s0 = sum[0], s1 = sum[1], s2 = sum[2], s3 = sum[3];
	double s4 = sum[4], s5 = sum[5], s6 = sum[6], s7 = sum[7];
	for (int64_t k = 0; k < d; k++) {
		const double xk = x[k];
		s0 += xk * (double)y[0][k];
		s1 += xk * (double)y[1][k];
		s2 += xk * (double)y[2][k];
		s3 += xk * (double)y[3][k];
		s4 += xk * (double)y[4][k];
		s5 += xk * (double)y[5][k];
		s6 += xk * (double)y[6][k];
		s7 += xk * (double)y[7][k];
	}
	sum[0] = s0, sum[1] = s1, sum[2] = s2, sum[3] = s3;
	sum[4] = s4, sum[5] = s5, sum[6] = s6, sum[7] = s7;
}
