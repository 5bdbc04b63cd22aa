// A float32 fma with one rounding on every path, for float32 sums whose bits are promised. Include
// after simd.h and simd_double.h, once for every path.
//
//   vf_fma_exact(a,b,c)   a*b + c, rounded once
//
// In hardware on AVX2, AVX-512 and Arm. Elsewhere in float64, where the product of two float32 is
// exact: the sum is rounded to odd there, which keeps what the rounding to float32 has to know of
// the bits that were lost (Boldo and Melquiond, "Emulation of FMA and correctly rounded sums:
// proved algorithms using rounding to odd", IEEE Transactions on Computers 57, 2008).
#undef vf_fma_exact
#if LANES > 4 || defined(__aarch64__)
#define vf_fma_exact(a, b, c) vf_fma(a, b, c)
#else
#define vf_fma_exact(a, b, c) brenier_fma_by_halves(a, b, c)

// p + c rounded to odd: where the sum is inexact, its neighbour in the direction of the error
// (Knuth's two-sum) if its last bit is even. Finite p and c far from overflow.
BRENIER_INLINE brenier_d2 brenier_add_to_odd(brenier_d2 p, brenier_d2 c) {
	const brenier_d2 sum = p + c;
	const brenier_d2 part = sum - p;
	const brenier_d2 error = (p - (sum - part)) + (c - part);
	brenier_l2 bits;
	memcpy(&bits, &sum, sizeof bits);
	const brenier_l2 inexact = error != 0.0;
	const brenier_l2 even = (bits & 1) - 1;                   // all bits set, or none
	const brenier_l2 other = (bits ^ (brenier_l2)error) < 0;  // -1 where error and sum differ in sign
	bits += (1 + 2 * other) & inexact & even;
	brenier_d2 odd;
	memcpy(&odd, &bits, sizeof odd);
	return odd;
}

// Not inlined: at some fifty instructions it would make unrolled loops enormous.
static __attribute__((noinline)) brenier_f4 brenier_fma_by_halves(brenier_f4 a, brenier_f4 b, brenier_f4 c) {
	brenier_h2 half[3][2], sum[2];
	memcpy(half[0], &a, sizeof a);
	memcpy(half[1], &b, sizeof b);
	memcpy(half[2], &c, sizeof c);
	for (int h = 0; h < 2; h++) {
		const brenier_d2 p = __builtin_convertvector(half[0][h], brenier_d2) *
		                     __builtin_convertvector(half[1][h], brenier_d2);
		sum[h] = __builtin_convertvector(
			brenier_add_to_odd(p, __builtin_convertvector(half[2][h], brenier_d2)), brenier_h2);
	}
	brenier_f4 all;
	memcpy(&all, sum, sizeof all);
	return all;
}
#endif
