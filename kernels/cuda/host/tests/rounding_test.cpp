// The sums of tensor_core.h against the model's definition, in exact integers of unbounded-enough width:
// cases by hand, and random ones over all kinds of numbers.
#include "../tensor_core.h"

#include <math.h>
#include <string.h>

#include <random>
#include <vector>

#include "../half.h"
#include "check.h"

namespace {

using namespace brenier;
using host::Format;

// significand * 2^exponent, as the format stores it: the significand of a subnormal number is below
// its normal range, its exponent the smallest.
struct Number {
	int64_t significand;
	int exponent;  // of the significand's last place
	int scale;     // of its leading place: what terms are aligned by
};

Number take_apart(uint16_t bits, Format format) {
	const int fraction_bits = format == Format::float16 ? 10 : 7, bias = format == Format::float16 ? 15 : 127;
	const int field = (bits & 0x7fff) >> fraction_bits;
	int64_t significand = bits & ((1 << fraction_bits) - 1);
	if (field) significand |= 1 << fraction_bits;
	const int scale = (field ? field : 1) - bias;
	return {bits & 0x8000 ? -significand : significand, scale - fraction_bits, scale};
}
Number take_apart(float v) {
	uint32_t bits;
	memcpy(&bits, &v, 4);
	const int field = bits >> 23 & 255;
	int64_t significand = bits & 0x7fffff;
	if (field) significand |= 1 << 23;
	const int scale = (field ? field : 1) - 127;
	return {bits >> 31 ? -significand : significand, scale - 23, scale};
}

// significand * 2^exponent in units of 2^unit, toward zero.
int64_t aligned(int64_t significand, int exponent, int unit) {
	const int shift = exponent - unit;
	if (shift >= 0) return significand * ((int64_t)1 << shift);
	if (shift <= -62) return 0;
	const int64_t magnitude = significand < 0 ? -significand : significand;
	return significand < 0 ? -(magnitude >> -shift) : magnitude >> -shift;
}

// sum * 2^unit as float32, toward zero. Too large is infinity.
float rounded_toward_zero(int64_t sum, int unit) {
	if (sum == 0) return 0;
	uint64_t magnitude = (uint64_t)(sum < 0 ? -sum : sum);
	while (magnitude >> 24) magnitude >>= 1, unit++;
	while (unit < -149) magnitude >>= 1, unit++;
	const float v = ldexpf((float)magnitude, unit);
	return sum < 0 ? -v : v;
}

// One step, for finite operands.
float reference_step(int fraction_bits, Format format, int k, const uint16_t *a, const uint16_t *b, float c) {
	const Number accumulator = take_apart(c);
	int largest = accumulator.significand ? accumulator.scale : -126;
	for (int i = 0; i < k; i++) {
		const Number x = take_apart(a[i], format), y = take_apart(b[i], format);
		const int scale = x.significand && y.significand ? x.scale + y.scale : -126;
		if (scale > largest) largest = scale;
	}
	const int unit = largest - fraction_bits;
	int64_t sum = aligned(accumulator.significand, accumulator.exponent, unit);
	for (int i = 0; i < k; i++) {
		const Number x = take_apart(a[i], format), y = take_apart(b[i], format);
		sum += aligned(x.significand * y.significand, x.exponent + y.exponent, unit);
	}
	return rounded_toward_zero(sum, unit);
}

float reference(int capability, Format format, const uint16_t *a, const uint16_t *b, float c) {
	if (capability >= 90) return reference_step(25, format, 16, a, b, c);
	c = reference_step(24, format, 8, a, b, c);
	return reference_step(24, format, 8, a + 8, b + 8, c);
}

// One element: a and b given by their first pairs, the rest 0.
float one(int capability, const std::vector<float> &a, const std::vector<float> &b, float c) {
	uint16_t row[16] = {}, columns[16][8] = {};
	for (size_t i = 0; i < a.size(); i++) {
		row[i] = half_bits(a[i]);
		for (int j = 0; j < 8; j++) columns[i][j] = half_bits(b[i]);
	}
	float d[8];
	for (float &v : d) v = c;
	host::multiply_add(host::TensorCoreModel::of(capability), host::Rounding::modelled, Format::float16, 1, 8, row,
	                   columns[0], d, true);
	return d[3];
}

void by_hand() {
	// 1 + 2^-24: the product lies at the 24th fractional bit of the sum, and the result has 23.
	check::that(one(90, {0x1p-12f}, {0x1p-12f}, 1) == 1, "a half of the last place is cut off");
	// 2^-24 twice makes 2^-23 where 24 fractional bits are kept, as they are everywhere.
	for (int capability : {80, 90})
		check::that(one(capability, {0x1p-12f, 0x1p-12f}, {0x1p-12f, 0x1p-12f}, 1) == 1 + 0x1p-23f, "terms are added before the cut");
	// Four times 2^-25: kept with 25 bits, lost with 24.
	const std::vector<float> small(4, 0x1p-12f), smaller(4, 0x1p-13f);
	check::that(one(90, small, smaller, 1) == 1 + 0x1p-23f, "25 fractional bits on sm_90");
	check::that(one(80, small, smaller, 1) == 1, "24 fractional bits on sm_80");
	// Toward zero on both sides.
	check::that(one(90, {0x1p-12f}, {-0x1p-13f}, 1) == 1 - 0x1p-24f, "below 1 the last place is 2^-24; the rest is cut toward zero");
	check::that(one(90, {0x1p-12f}, {-0x1p-12f}, -1) == -1, "negative sums are cut toward zero");
	// A product is aligned by the sum of exponents, although 1.5 * 1.5 is above 2.
	check::that(one(80, {1.5f, 0x1p-12f}, {1.5f, 0x1p-12f}, 0) == 2.25f, "2.25 + 2^-24 in 23 bits");
	// Cancellation shows what was cut: the cut is by the largest exponent, not by the result's.
	check::that(one(90, {1, 0x1p-13f}, {1, 0x1p-13f}, -1) == 0, "2^-26 beside 1 is gone before 1 - 1");
	check::that(one(90, {1, 0x1p-13f}, {1, 0x1p-12f}, -1) == 0x1p-25f, "2^-25 beside 1 is kept");
	// sm_80 takes k in two halves: the second step sees a rounded accumulator.
	std::vector<float> a(16, 0), b(16, 0);
	a[0] = b[0] = 1;
	a[8] = 0x1p-13f, b[8] = 0x1p-13f;
	check::that(one(80, a, b, -1) == 0x1p-26f, "the second half of k starts from the first's result");
	check::that(one(90, a, b, -1) == 0, "all of k in one step");
	// Special values.
	check::that(one(90, {INFINITY}, {1}, 0) == INFINITY, "infinity");
	check::that(isnan(one(90, {INFINITY, INFINITY}, {1, -1}, 0)), "infinities that cancel");
	check::that(float_bits(one(90, {NAN}, {1}, 0)) == 0x7fffffff, "the NaN of the card");
	check::that(float_bits(one(90, {0}, {0}, -0.0f)) == 0, "a sum of zeros is +0");
	check::that(one(90, {0}, {0}, 0x1p-149f) == 0x1p-149f, "a subnormal accumulator is kept");
	check::that(one(90, {0x1p15f}, {0x1p15f}, 3e38f) == 3e38f, "a product far below a huge accumulator");
}

void random_cases(Format format, int capability) {
	std::mt19937 draw(11);
	int wrong = 0;
	for (int round = 0; round < 2000; round++) {
		// Exponents drawn near each other, so that terms overlap, cancel and fall off.
		// A bfloat16 has the exponents of a float: its products reach far below and above float16's.
		const unsigned range = format == Format::float16 ? 40 : 200;
		const int spread = 1 + (int)(draw() % 30), centre = (int)(draw() % range) - (int)range / 2;
		const auto value = [&] {
			if (draw() % 8 == 0) return (uint16_t)(draw() % 2 ? 0 : draw() & 0x83ff);  // zeros and subnormal float16
			const float v = ldexpf(1 + (float)(draw() % 4096) / 4096, centre / 2 + (int)(draw() % (unsigned)spread) - spread / 2);
			const float s = draw() % 2 ? v : -v;
			uint16_t bits = format == Format::float16 ? half_bits(s) : bfloat_bits(s);
			if ((bits & 0x7c00) == 0x7c00 && format == Format::float16) bits = 0x7bff;
			return bits;
		};
		uint16_t a[3][16], b[16][8];
		float d[3][8], before[3][8];
		for (auto &row : a)
			for (uint16_t &v : row) v = value();
		for (auto &row : b)
			for (uint16_t &v : row) v = value();
		for (auto &row : d)
			for (float &v : row) {
				v = ldexpf((float)((int)(draw() % 33554432) - 16777216), centre - 24 + (int)(draw() % (unsigned)spread) - spread / 2);
				if (draw() % 16 == 0) v = 0;
				if (draw() % 64 == 0) v = ldexpf(v, -(int)(draw() % 130));
			}
		memcpy(before, d, sizeof d);
		host::multiply_add(host::TensorCoreModel::of(capability), host::Rounding::modelled, format, 3, 8, a[0], b[0], d[0], true);
		for (int i = 0; i < 3; i++)
			for (int j = 0; j < 8; j++) {
				uint16_t column[16];
				for (int k = 0; k < 16; k++) column[k] = b[k][j];
				const float want = reference(capability, format, a[i], column, before[i][j]);
				if (float_bits(want) != float_bits(d[i][j])) {
					if (!wrong++) printf("format %d, sm_%d, round %d: %a, want %a (accumulator %a)\n", (int)format, capability, round, d[i][j], want, before[i][j]);
				}
			}
	}
	check::that(wrong == 0, "random sums, format " + std::to_string((int)format) + ", sm_" + std::to_string(capability) + ": " +
	                            std::to_string(wrong) + " of 48000 wrong");
}

// Plain sums: one float multiplication-addition after another, k upwards.
void plain() {
	std::mt19937 draw(5);
	uint16_t a[2][16], b[16][8];
	float d[2][8], want[2][8];
	for (auto &row : a)
		for (uint16_t &v : row) v = half_bits((float)(draw() % 2000) / 999 - 1);
	for (auto &row : b)
		for (uint16_t &v : row) v = half_bits((float)(draw() % 2000) / 999 - 1);
	for (int i = 0; i < 2; i++)
		for (int j = 0; j < 8; j++) {
			d[i][j] = want[i][j] = (float)i + 0.1f * (float)j;
			for (int k = 0; k < 16; k++) want[i][j] = fmaf(half_value(a[i][k]), half_value(b[k][j]), want[i][j]);
		}
	host::multiply_add(host::TensorCoreModel::of(80), host::Rounding::plain, Format::float16, 2, 8, a[0], b[0], d[0], true);
	check::that(memcmp(d, want, sizeof d) == 0, "plain sums are a chain of fmaf");
	host::multiply_add(host::TensorCoreModel::of(80), host::Rounding::plain, Format::float16, 2, 8, a[0], b[0], d[0], false);
	host::multiply_add(host::TensorCoreModel::of(80), host::Rounding::plain, Format::float16, 2, 8, a[0], b[0], want[0], false);
	check::that(memcmp(d, want, sizeof d) == 0, "what d held does not count where nothing is accumulated");
}

// half.h against conversions by way of double arithmetic.
void conversions() {
	int wrong = 0;
	for (int bits = 0; bits < 65536; bits++) {
		const int field = bits >> 10 & 31, fraction = bits & 1023;
		const double magnitude = field == 31 ? (fraction ? NAN : INFINITY) : field ? ldexp(1024 + fraction, field - 25) : ldexp(fraction, -24);
		const double want = bits & 0x8000 ? -magnitude : magnitude;
		const double got = half_value((uint16_t)bits);
		wrong += isnan(want) ? !isnan(got) : got != want || signbit(got) != signbit(want);
		if (!isnan(want)) wrong += half_bits((float)want) != bits;
	}
	check::that(wrong == 0, "float16 to float and back");
	wrong = 0;
	std::mt19937 draw(3);
	for (int i = 0; i < 1000000; i++) {
		const float v = float_value((uint32_t)draw());
		if (isnan(v)) {
			wrong += half_bits(v) != 0x7fff || bfloat_bits(v) != 0x7fff;
			continue;
		}
		// The grid's step at v, rounded to by the rounding of the host's own double arithmetic.
		int e;
		frexp(v, &e);
		const double half_step = ldexp(1, (e - 1 < -14 ? -14 : e - 1) - 10), half_want = rint(v / half_step) * half_step;
		const double half_got = half_value(half_bits(v));
		wrong += fabs(half_want) >= 65536 ? !isinf(half_got) : half_got != half_want;
		const double bfloat_step = ldexp(1, (e - 1 < -126 ? -126 : e - 1) - 7), bfloat_want = rint(v / bfloat_step) * bfloat_step;
		const double bfloat_got = bfloat_value(bfloat_bits(v));
		wrong += fabs(bfloat_want) >= ldexp(1, 128) ? !isinf(bfloat_got) : bfloat_got != bfloat_want;
	}
	check::that(wrong == 0, "float to float16 and bfloat16: " + std::to_string(wrong) + " wrong");
}

}  // namespace

int main() {
	by_hand();
	for (int capability : {80, 90}) {
		random_cases(Format::float16, capability);
		random_cases(Format::bfloat16, capability);
	}
	plain();
	conversions();
	return check::summary();
}
