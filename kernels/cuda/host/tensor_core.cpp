#include "tensor_core.h"

#include <math.h>
#include <string.h>

#include "half.h"

namespace brenier {
namespace host {

namespace {

constexpr int depth = 16;         // k of one instruction
constexpr int width = 8;          // columns computed together
constexpr int max_columns = 256;
constexpr int zero_exponent = -126;
constexpr int nothing = -2000;    // exponent of a zero factor: no product with it is the largest

// Lanes of a vector are columns. Products of two float16 have 22 bits and fit a float; those of two
// bfloat16 fit too, but not their exponents.
typedef int16_t Exponents __attribute__((vector_size(width * 2)));
typedef int32_t Integers __attribute__((vector_size(width * 4)));
template <Format format>
struct Arithmetic;
template <>
struct Arithmetic<Format::float16> {
	typedef float Value;
	typedef float Values __attribute__((vector_size(width * 4)));
	// Products of float16 are 2^-48 or more, or 0: below this bound all are 0, and 2^(F-exponent) would
	// leave the range of float.
	static constexpr int lowest = -60;
	static float decode(uint16_t bits) { return half_value(bits); }
	static bool special(uint16_t bits) { return (bits & 0x7c00) == 0x7c00; }
	static int exponent(uint16_t bits) {
		if (!(bits & 0x7fff)) return nothing;
		const int e = bits >> 10 & 31;
		return e ? e - 15 : -14;
	}
};
template <>
struct Arithmetic<Format::bfloat16> {
	typedef double Value;
	typedef double Values __attribute__((vector_size(width * 8)));
	static constexpr int lowest = -1000;
	static double decode(uint16_t bits) { return bfloat_value(bits); }
	static bool special(uint16_t bits) { return (bits & 0x7f80) == 0x7f80; }
	static int exponent(uint16_t bits) {
		if (!(bits & 0x7fff)) return nothing;
		const int e = bits >> 7 & 255;
		return e ? e - 127 : -126;
	}
};

int float_exponent(float v) {
	const int e = (int)(float_bits(v) >> 23 & 255);
	return e ? e - 127 : zero_exponent;
}
bool is_special(float v) { return (float_bits(v) & 0x7f800000) == 0x7f800000; }

template <class T>
T power_of_two(int e);
template <>
float power_of_two<float>(int e) { return float_value((uint32_t)(e + 127) << 23); }
template <>
double power_of_two<double>(int e) { return double_value((uint64_t)(e + 1023) << 52); }

// Toward zero. v has at most 53 bits.
float truncate_to_float(double v) {
	const uint64_t bits = double_bits(v);
	if (fabs(v) >= 0x1p-126) return (float)double_value(bits & ~(((uint64_t)1 << 29) - 1));
	return (float)(trunc(v * 0x1p149) * 0x1p-149);
}

// a and b as values and exponents, b in rows of k.
template <Format format>
struct Operands {
	typename Arithmetic<format>::Value a[64][depth], b[depth][max_columns] __attribute__((aligned(64)));
	int16_t a_exponents[64][depth], b_exponents[depth][max_columns] __attribute__((aligned(64)));
	bool special = false;

	Operands(int rows, int columns, const uint16_t *a_bits, const uint16_t *b_bits) {
		using A = Arithmetic<format>;
		for (int i = 0; i < rows; i++)
			for (int k = 0; k < depth; k++) {
				const uint16_t bits = a_bits[i * depth + k];
				a[i][k] = A::decode(bits);
				a_exponents[i][k] = (int16_t)A::exponent(bits);
				special |= A::special(bits);
			}
		for (int k = 0; k < depth; k++)
			for (int j = 0; j < columns; j++) {
				const uint16_t bits = b_bits[k * columns + j];
				b[k][j] = A::decode(bits);
				b_exponents[k][j] = (int16_t)A::exponent(bits);
				special |= A::special(bits);
			}
	}
};

// One step for one element where a factor or the accumulator is infinite or NaN.
template <Format format>
float special_step(const Operands<format> &o, int row, int column, int first, int last, float c) {
	double sum = c;
	for (int k = first; k < last; k++) sum += (double)o.a[row][k] * (double)o.b[k][column];
	return isnan(sum) ? float_value(0x7fffffff) : (float)sum;
}

template <Format format>
bool step_is_special(const Operands<format> &o, int row, int column, int first, int last, float c) {
	if (is_special(c)) return true;
	for (int k = first; k < last; k++)
		if (!isfinite(o.a[row][k]) || !isfinite(o.b[k][column])) return true;
	return false;
}

// One step for `width` columns of one row.
template <Format format>
void modelled_step(const Operands<format> &o, int row, int column, int first, int last, int fraction_bits, float *d) {
	using A = Arithmetic<format>;
	using Value = typename A::Value;
	using Values = typename A::Values;

	Exponents largest;
	for (int j = 0; j < width; j++) largest[j] = (int16_t)float_exponent(d[j]);
	for (int k = first; k < last; k++) {
		Exponents e;
		memcpy(&e, &o.b_exponents[k][column], sizeof e);
		e += o.a_exponents[row][k];
		largest = e > largest ? e : largest;
	}

	Values scale;
	for (int j = 0; j < width; j++)
		scale[j] = power_of_two<Value>(fraction_bits - (largest[j] > A::lowest ? largest[j] : A::lowest));
	// A truncated product is below 2^(F+2) <= 2^27: eight of them fit 31 bits.
	Integers sums[2] = {};
	for (int k = first; k < last; k++) {
		Values b;
		memcpy(&b, &o.b[k][column], sizeof b);
		sums[(k - first) / 8] += __builtin_convertvector(b * o.a[row][k] * scale, Integers);
	}

	for (int j = 0; j < width; j++) {
		if (is_special(d[j]) || o.special) {
			if (step_is_special(o, row, column + j, first, last, d[j])) {
				d[j] = special_step(o, row, column + j, first, last, d[j]);
				continue;
			}
		}
		const double accumulator = (double)d[j] * power_of_two<double>(fraction_bits - largest[j]);
		const int64_t sum = (int64_t)sums[0][j] + sums[1][j] + (int64_t)accumulator;
		d[j] = truncate_to_float((double)sum * power_of_two<double>(largest[j] - fraction_bits));
	}
}

template <Format format>
void multiply_add_as(const TensorCoreModel &model, Rounding rounding, int rows, int columns, const uint16_t *a,
                     const uint16_t *b, float *d) {
	const Operands<format> o(rows, columns, a, b);
	if (rounding == Rounding::plain) {
		for (int i = 0; i < rows; i++)
			for (int k = 0; k < depth; k++)
				for (int j = 0; j < columns; j++) d[i * columns + j] += (float)(o.a[i][k] * o.b[k][j]);
		return;
	}
	for (int first = 0; first < depth; first += model.step)
		for (int i = 0; i < rows; i++)
			for (int j = 0; j < columns; j += width)
				modelled_step(o, i, j, first, first + model.step, model.fraction_bits, d + i * columns + j);
}

}  // namespace

void multiply_add(const TensorCoreModel &model, Rounding rounding, Format format, int rows, int columns,
                  const uint16_t *a, const uint16_t *b, float *d, bool accumulate) {
	if (!accumulate) memset(d, 0, (size_t)rows * (size_t)columns * sizeof *d);
	if (format == Format::float16) multiply_add_as<Format::float16>(model, rounding, rows, columns, a, b, d);
	else multiply_add_as<Format::bfloat16>(model, rounding, rows, columns, a, b, d);
}

}  // namespace host
}  // namespace brenier
