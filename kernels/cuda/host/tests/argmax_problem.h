// Samples, cells and heights whose scores every summation gets exactly: small integers.
#pragma once
#include <stdint.h>

#include <random>
#include <vector>

#include "../half.h"

struct ArgmaxProblem {
	static constexpr int d = 64;
	int n, cells;
	std::vector<uint16_t> x, y;    // [n,d], [cells,d] float16
	std::vector<float> heights;    // [cells]
	std::vector<int32_t> best;     // [n], the lowest index of the highest score

	ArgmaxProblem(int n, int cells) : n(n), cells(cells), x(n * d), y(cells * d), heights(cells), best(n) {
		std::mt19937 draw(7);
		std::vector<int> xi(x.size()), yi(y.size());
		for (size_t i = 0; i < x.size(); i++) x[i] = brenier::half_bits((float)(xi[i] = (int)(draw() % 9) - 4));
		for (size_t i = 0; i < y.size(); i++) y[i] = brenier::half_bits((float)(yi[i] = (int)(draw() % 9) - 4));
		for (float &h : heights) h = (float)(int)(draw() % 21) - 10;
		for (int r = 0; r < n; r++) {
			int highest = -1000000;
			for (int c = 0; c < cells; c++) {
				int score = (int)heights[c];
				for (int k = 0; k < d; k++) score += xi[r * d + k] * yi[c * d + k];
				if (score > highest) highest = score, best[r] = c;
			}
		}
	}

	// Rows of 128 bytes as tiles of 1024 bytes: chunk c of row r at r*128 + ((c ^ r%8) * 16), or without
	// the xor.
	static std::vector<uint16_t> tiles(const std::vector<uint16_t> &rows, bool swizzled = true) {
		std::vector<uint16_t> packed(rows.size() + 8);
		// 16-byte alignment, which a vector promises on the platforms of today.
		for (size_t r = 0; r < rows.size() / d; r++)
			for (size_t c = 0; c < 8; c++)
				for (size_t e = 0; e < 8; e++)
					packed[r * d + (swizzled ? c ^ r % 8 : c) * 8 + e] = rows[r * d + c * 8 + e];
		return packed;
	}
};
