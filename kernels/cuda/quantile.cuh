// From a random word to a value of the source: the quantile at u = (word + 1/2) / 2^32.
//
// The operations and their order are those of kernels/cpu/noise_kernel.h: all are correctly rounded
// and every fma is written, so the bits are the same. What is exact may be had in another way, and
// here is, where that saves float64 instructions: cards for games issue one for each 64 of float32.
#pragma once
#include "device.cuh"
#include "ptx/half.cuh"

namespace brenier {

// q = u - 1/2, exact: (2 word + 1) / 2^33 is added to 2^19 by writing it into the fraction.
__device__ __forceinline__ double centred(uint32_t word) {
	const uint64_t bits = (uint64_t)(0x41200000u | word >> 31) << 32 | (word << 1 | 1u);
	return double_value(bits) - (0x1p19 + 0.5);
}

// Whether |q| <= 0.425, the interval of the central quantile.
__device__ __forceinline__ bool is_central(uint32_t word) {
	constexpr uint32_t lowest = 322122547u;  // of these words; the highest mirrors it
	static_assert((lowest + 0.5) / 0x1p32 - 0.5 >= -0.425 && (lowest - 0.5) / 0x1p32 - 0.5 < -0.425, "the first within");
	return word - lowest <= ~lowest - lowest;
}

// Coefficients, highest power first. In constant memory an fma takes them as they are.
__constant__ double log_series[7] = {
	1.479819860511658591e-01, 1.531383769920937332e-01, 1.818357216161805012e-01,
	2.222219843214978396e-01, 2.857142874366239149e-01, 3.999999999940941908e-01,
	6.666666666666735130e-01};
__constant__ double central_numerator[8] = {
	2.5090809287301226727e+3, 3.3430575583588128105e+4, 6.7265770927008700853e+4,
	4.5921953931549871457e+4, 1.3731693765509461125e+4, 1.9715909503065514427e+3,
	1.3314166789178437745e+2, 3.3871328727963666080e+0};
__constant__ double central_denominator[8] = {
	5.2264952788528545610e+3, 2.8729085735721942674e+4, 3.9307895800092710610e+4,
	2.1213794301586595867e+4, 5.3941960214247511077e+3, 6.8718700749205790830e+2,
	4.2313330701600911252e+1, 1.0};
__constant__ double tail_numerator[8] = {
	7.74545014278341407640e-4, 2.27238449892691845833e-2, 2.41780725177450611770e-1,
	1.27045825245236838258e+0, 3.64784832476320460504e+0, 5.76949722146069140550e+0,
	4.63033784615654529590e+0, 1.42343711074968357734e+0};
__constant__ double tail_denominator[8] = {
	1.05075007164441684324e-9, 5.47593808499534494600e-4, 1.51986665636164571966e-2,
	1.48103976427480074590e-1, 6.89767334985100004550e-1, 1.67638483018380384940e+0,
	2.05319162663775882187e+0, 1.0};

// Horner's rule, all steps fma.
template <int count>
__device__ __forceinline__ double horner(double at, const double (&coefficients)[count]) {
	double sum = coefficients[0];
#pragma unroll
	for (int i = 1; i < count; i++) sum = fma(sum, at, coefficients[i]);
	return sum;
}

// ln p for normal positive p: p = 2^e m with m in [sqrt(1/2), sqrt(2)), and ln m from
// s = (m-1)/(m+1) as in FreeBSD's e_log.c (Sun Microsystems, 1993), whose coefficients these are.
__device__ __forceinline__ double natural_log(double p) {
	const uint64_t root_half = 0x3FE6A09E667F3BCD;  // bits of sqrt(1/2)
	const uint64_t moved = double_bits(p) + (0x3FF0000000000000 - root_half);
	const double m = double_value((moved & 0x000FFFFFFFFFFFFF) + root_half);
	const double e = double_value(moved >> 52 | 0x4330000000000000)  // 2^52 + 1023 + e
	                 - (0x1p52 + 1023.0);

	const double f = m - 1.0;
	const double s = f / (f + 2.0);
	const double z = s * s;
	const double half = (0.5 * f) * f;
	const double R = z * horner(z, log_series);
	const double low = fma(s, half + R, e * 1.90821492927058770002e-10);
	return fma(e, 6.93147180369123816490e-01, f - (half - low));
}

// The quantile of N(0,1).
// Source: Wichura, "Algorithm AS 241: the percentage points of the normal distribution", Applied
// Statistics 37 (1988), routine PPND16; words do not reach its third interval.

// For a word that is_central; a number without meaning for any other.
__device__ __forceinline__ double central_quantile(uint32_t word) {
	const double q = centred(word);
	const double c = fma(-q, q, 0.180625);
	return q * (horner(c, central_numerator) / horner(c, central_denominator));
}

// For any other word.
__device__ __forceinline__ double tail_quantile(uint32_t word) {
	const double q = centred(word);
	const double p = 0.5 - fabs(q);  // u or 1 - u, whichever is smaller; exact
	const double t = sqrt(-natural_log(p)) - 1.6;
	const double tail = horner(t, tail_numerator) / horner(t, tail_denominator);
	return q < 0 ? -tail : tail;
}

}  // namespace brenier
