// ldmatrix, mma and wgmma: which lane holds which element, against plain matrix products of small
// integers, exact in any order; and what wgmma refuses.
#include "../../ptx/block.cuh"
#include "../../ptx/bulk_copy.cuh"
#include "../../ptx/half.cuh"
#include "../../ptx/ldmatrix.cuh"
#include "../../ptx/mma.cuh"
#include "../../ptx/wgmma.cuh"
#include "runner.h"

using namespace brenier;

constexpr int matrix_words = 4 + 2 + 4;
BRENIER_KERNEL(brenier_cuda_test_ldmatrix, Params, 32, 1) {
	__shared__ __align__(16) uint16_t rows[32][24];  // a row of 8, and room
	for (int i = 0; i < 8; i++) rows[threadIdx.x][i] = (uint16_t)(threadIdx.x * 8 + i);
	sync_threads();
	uint32_t four[4], two[2], transposed[4];
	ldmatrix_x4(four, rows[threadIdx.x]);
	ldmatrix_x2(two, rows[threadIdx.x % 16]);
	ldmatrix_x4_transposed(transposed, rows[threadIdx.x]);
	for (int i = 0; i < 4; i++) p.out[threadIdx.x * matrix_words + i] = four[i];
	for (int i = 0; i < 2; i++) p.out[threadIdx.x * matrix_words + 4 + i] = two[i];
	for (int i = 0; i < 4; i++) p.out[threadIdx.x * matrix_words + 6 + i] = transposed[i];
}

static void test_ldmatrix() {
	uint32_t out[32 * matrix_words];
	check::that(run("brenier_cuda_test_ldmatrix", 1, 32, 0, Params{out, nullptr, nullptr, 0}).ok(), "ldmatrix runs");
	const auto element = [](int m, int row, int column) { return (uint32_t)(m * 64 + row * 8 + column); };
	bool right = true;
	for (int l = 0; l < 32; l++) {
		const int row = l / 4, column = 2 * (l % 4);
		for (int m = 0; m < 4; m++) {
			const uint32_t straight = element(m, row, column) | element(m, row, column + 1) << 16;
			right &= out[l * matrix_words + m] == straight;
			if (m < 2) right &= out[l * matrix_words + 4 + m] == straight;
			right &= out[l * matrix_words + 6 + m] == (element(m, column, row) | element(m, column + 1, row) << 16);
		}
	}
	check::that(right, "ldmatrix gives each lane its pairs, straight and transposed");
}

// in: a [16,16], b [16,8], as floats of small integers; out: d [16,8].
BRENIER_KERNEL(brenier_cuda_test_mma, Params, 32, 1) {
	const float *a = reinterpret_cast<const float *>(p.in), *b = a + 256;
	const int g = (int)threadIdx.x / 4, t = (int)threadIdx.x % 4;
	const auto pack = [&](float low, float high) { return p.which ? pack_bfloat2(low, high) : pack_half2(low, high); };
	const auto pair_a = [&](int row, int column) { return pack(a[row * 16 + column], a[row * 16 + column + 1]); };
	const auto pair_b = [&](int row) { return pack(b[row * 8 + g], b[(row + 1) * 8 + g]); };
	const uint32_t fa[4] = {pair_a(g, 2 * t), pair_a(g + 8, 2 * t), pair_a(g, 2 * t + 8), pair_a(g + 8, 2 * t + 8)};
	const uint32_t fb[2] = {pair_b(2 * t), pair_b(2 * t + 8)};
	float d[4] = {1, 2, 3, 4};
	if (p.which) mma_bf16(d, fa, fb);
	else mma_f16(d, fa, fb);
	for (int i = 0; i < 4; i++) p.out[(g + 8 * (i / 2)) * 8 + 2 * t + i % 2] = float_bits(d[i] - (float)(i + 1));
}

static void test_mma() {
	float in[256 + 128];
	for (int i = 0; i < 384; i++) in[i] = (float)(i * 31 % 17 - 8);
	for (int which = 0; which < 2; which++)
		for (int capability : {80, 90}) {
			uint32_t out[128];
			check::that(run("brenier_cuda_test_mma", 1, 32, 0, Params{out, reinterpret_cast<uint32_t *>(in), nullptr, which},
			                options_of("random:2", capability)).ok(), "mma runs");
			bool right = true;
			for (int i = 0; i < 16; i++)
				for (int j = 0; j < 8; j++) {
					float sum = 0;
					for (int k = 0; k < 16; k++) sum += in[i * 16 + k] * in[256 + k * 8 + j];
					right &= float_value(out[i * 8 + j]) == sum;
				}
			check::that(right, which ? "mma_bf16 is a b" : "mma_f16 is a b");
		}
}

// One product of every width; the second of two groups accumulates on the first. in: floats a [64,16],
// b [256,16]. which: 0 a in shared memory, 1 a in registers (width 128).
template <int N>
static void multiply_and_store(const Params &p, unsigned char *tiles) {
	float d[N / 2];
	for (int i = 0; i < N / 2; i++) d[i] = 1000;
	const uint64_t a = wgmma_advance(wgmma_descriptor(tiles), 32), b = wgmma_advance(wgmma_descriptor(tiles + 8192), 64);
	wgmma_fence();
	wgmma_f16<N>(d, a, b, 0);
	wgmma_commit();
	wgmma_f16<N>(d, a, b, 1);
	wgmma_commit();
	wgmma_wait<0>();
	wgmma_hold(d);
	const int warp = (int)threadIdx.x / 32, lane = (int)threadIdx.x % 32;
	for (int i = 0; i < N / 2; i++)
		p.out[(16 * warp + lane / 4 + 8 * (i % 4 / 2)) * N + 8 * (i / 4) + 2 * (lane % 4) + i % 2] = float_bits(d[i]);
}

BRENIER_KERNEL(brenier_cuda_test_wgmma, Params, 128, 1) {
	unsigned char *tiles = dynamic_shared();  // a [64,64] and b [256,64] of 128-byte rows
	const float *in = reinterpret_cast<const float *>(p.in);
	for (int i = (int)threadIdx.x; i < (64 + 256) * 16; i += 128) {
		const int row = i / 16, k = i % 16;
		// a's 16 columns are the second step of its tile, b's the third.
		const int chunk = (row < 64 ? 2 : 4) + k / 8;
		memcpy(tiles + row * 128 + ((chunk ^ row % 8) * 16) + k % 8 * 2, std::initializer_list<uint16_t>{half_bits(in[i])}.begin(), 2);
	}
	if (p.counter) fence_async_shared();
	sync_threads();
	switch (p.which) {
	case 64: multiply_and_store<64>(p, tiles); break;
	case 128: multiply_and_store<128>(p, tiles); break;
	case 256: multiply_and_store<256>(p, tiles); break;
	case 1: {
		const int warp = (int)threadIdx.x / 32, g = (int)threadIdx.x % 32 / 4, t = (int)threadIdx.x % 4;
		const auto pair = [&](int row, int column) {
			const float *at = in + (16 * warp + row) * 16 + column;
			return pack_half2(at[0], at[1]);
		};
		const uint32_t a[4] = {pair(g, 2 * t), pair(g + 8, 2 * t), pair(g, 2 * t + 8), pair(g + 8, 2 * t + 8)};
		float d[64];
		wgmma_fence();
		wgmma_f16<128>(d, a, wgmma_advance(wgmma_descriptor(tiles + 8192), 64), 0);
		wgmma_f16<128>(d, a, wgmma_advance(wgmma_descriptor(tiles + 8192), 64), 1);
		wgmma_commit();
		wgmma_wait<0>();
		wgmma_hold(d);
		for (int i = 0; i < 64; i++)
			p.out[(16 * warp + g + 8 * (i % 4 / 2)) * 128 + 8 * (i / 4) + 2 * t + i % 2] = float_bits(d[i]);
		break;
	}
	}
}

static void test_wgmma() {
	std::vector<float> in((64 + 256) * 16);
	for (size_t i = 0; i < in.size(); i++) in[i] = (float)(int)(i * 29 % 15) - 7;
	for (int which : {64, 128, 256, 1})
		for (const std::string &schedule : all_schedules()) {
			const int columns = which == 1 ? 128 : which;
			std::vector<uint32_t> out(64 * 256);
			uint32_t fenced = 1;
			const host::Outcome outcome = run("brenier_cuda_test_wgmma", 1, 128, 40960, Params{out.data(), reinterpret_cast<uint32_t *>(in.data()), &fenced, which},
			                                  options_of(schedule, 90));
			const host::Outcome unfenced = run("brenier_cuda_test_wgmma", 1, 128, 40960, Params{out.data(), reinterpret_cast<uint32_t *>(in.data()), nullptr, which},
			                                   options_of(schedule, 90));
			check::that(unfenced.message.find("without fence_async_shared") != std::string::npos, "stores without fence_async_shared: " + unfenced.message);
			bool right = outcome.ok();
			for (int i = 0; i < 64; i++)
				for (int j = 0; j < columns; j++) {
					float sum = 0;
					for (int k = 0; k < 16; k++) sum += in[(size_t)i * 16 + (size_t)k] * in[1024 + (size_t)j * 16 + (size_t)k];
					right &= float_value(out[(size_t)(i * columns + j)]) == 2 * sum;
				}
			check::that(right, "wgmma " + std::to_string(which) + " is 2 a b under " + schedule + ": " + outcome.message);
		}
}

BRENIER_KERNEL(brenier_cuda_test_wgmma_misuse, Params, 160, 1) {
	unsigned char *tiles = dynamic_shared();
	memset(tiles + (size_t)threadIdx.x % 128 * 192, 0, 192);
	fence_async_shared();
	sync_threads();
	float d[64], other[64];
	uint32_t a[4] = {};
	const uint64_t tile = wgmma_descriptor(tiles), b = wgmma_descriptor(tiles + 8192);
	wgmma_fence();
	switch (p.which) {
	case 0: wgmma_f16<128>(d, a, b, 0), a[2] = threadIdx.x == 9; break;
	case 1: wgmma_f16<128>(d, tile, b, 0), d[63] = 0; break;
	case 2: wgmma_f16<128>(threadIdx.x == 70 ? other : d, tile, b, 0), wgmma_f16<128>(d, tile, b, 1); break;
	case 3: wgmma_f16<128>(d, tile, b, threadIdx.x == 70); break;
	case 4: wgmma_f16<128>(d, tile + ((uint64_t)1 << 62), b, 0); break;
	case 5: wgmma_f16<128>(d, tile, wgmma_descriptor(tiles + 16384), 0); break;
	case 6: wgmma_f16<128>(d, tile, b, 0); break;
	case 7: wgmma_f16<128>(d, tile, b, 0); break;
	}
	if (p.which == 7 && threadIdx.x == 3) wgmma_f16<128>(d, tile, b, 1);
	wgmma_commit();
	if (p.which == 6) return;
	wgmma_wait<0>();
	wgmma_hold(d);
	wgmma_hold(other);
	asm volatile("" ::"r"(a) : "memory");
	if (p.which == 8) {
		wgmma_f16<128>(d, tile, b, 0);
		wgmma_commit();
		wgmma_wait<0>();
	}
}

static void test_wgmma_misuse() {
	const char *name = "brenier_cuda_test_wgmma_misuse";
	const auto illegal = host::Fault::illegal_instruction;
	const auto late = options_of("late", 90);
	expect_refusal(name, 128, 24576, 0, illegal, "register of operand a was written", late);
	expect_refusal(name, 128, 24576, 1, illegal, "accumulator was written", late);
	expect_refusal(name, 128, 24576, 2, illegal, "different accumulators", late);
	expect_refusal(name, 128, 24576, 3, illegal, "different operands", late);
	expect_refusal(name, 128, 24576, 4, illegal, "descriptor", late);
	expect_refusal(name, 128, 24576, 5, host::Fault::illegal_address, "outside the block's shared memory", late);
	expect_refusal(name, 128, 24576, 6, illegal, "wgmma under way", late);
	expect_refusal(name, 128, 24576, 7, illegal, "commit 1 and 2 products", late);
	expect_refusal(name, 128, 24576, 8, illegal, "no wgmma_fence", late);
	expect_refusal(name, 160, 24576, 6, illegal, "no whole warpgroup", late);
	expect_refusal(name, 128, 24576, 6, illegal, "sm_120", options_of("late", 120));
}

int main() {
	test_ldmatrix();
	test_mma();
	test_wgmma();
	test_wgmma_misuse();
	return check::summary();
}
