// Every instruction's twin against its definition in the PTX manual, written down a second time; what it
// refuses; and what a launch promises: poisoned memory, clean ends, the same result for the same seed.
#include "../../device.cuh"
#include "../../ptx/block.cuh"
#include "../../ptx/bulk_copy.cuh"
#include "../../ptx/cp_async.cuh"
#include "../../ptx/dependent.cuh"
#include "../../ptx/half.cuh"
#include "../../ptx/ldmatrix.cuh"
#include "../../ptx/mbarrier.cuh"
#include "../../ptx/memory.cuh"
#include "../../ptx/mma.cuh"
#include "../../ptx/registers.cuh"
#include "../../ptx/warp.cuh"
#include "../../ptx/wgmma.cuh"
#include "check.h"
#include "schedules.h"

using namespace brenier;

namespace {

struct Params {
	uint32_t *out;
	const uint32_t *in;
	uint32_t *counter;
	int which;
};

host::Outcome run(const char *name, dim3 grid, dim3 block, size_t shared, const Params &params,
                  const host::Options &options = options_of("random:5", 90)) {
	return host::launch(*host::find_kernel("instructions_test", name), grid, block, shared, &params, options);
}

void expect_refusal(const char *name, dim3 block, size_t shared, int which, host::Fault fault, const char *words,
                    const host::Options &options = options_of("random:5", 90)) {
	alignas(16) static uint32_t in[4096], out[4096], counter[4];
	memset(counter, 0, sizeof counter);
	const host::Outcome outcome = run(name, 1, block, shared, Params{out, in, counter, which}, options);
	check::that(outcome.fault == fault && outcome.message.find(words) != std::string::npos,
	            std::string(name) + " " + std::to_string(which) + " is refused with '" + words + "': '" + outcome.message + "'");
}

}  // namespace

// ---- Warps

constexpr int warp_results = 12;
BRENIER_KERNEL(brenier_cuda_test_warp, Params, 64, 1) {
	const uint32_t v = p.in[threadIdx.x];
	uint32_t *out = p.out + threadIdx.x * warp_results;
	out[0] = shuffle(v, (int)(threadIdx.x * 7) % 40);
	out[1] = shuffle_xor(v, 5);
	out[2] = shuffle_down(v, 3);
	out[3] = shuffle_up(v, 3);
	out[4] = ballot(v % 3 == 0);
	out[5] = any(v % 64 == 17);
	out[6] = all(v < 1000);
	out[7] = lane_id();
	const double wide = shuffle_xor((double)v + 0.25, 16);
	out[8] = (uint32_t)(wide * 4);
	out[9] = shuffle((int64_t)v << 33, 31) >> 33;
	sync_warp();
	out[10] = blockIdx.x + gridDim.x * 10 + blockDim.x * 1000;
	out[11] = float_bits(shuffle(float_value(v), 2));
}

static void test_warp() {
	uint32_t in[64], out[64 * warp_results];
	for (uint32_t i = 0; i < 64; i++) in[i] = (i * 37) % 64;
	check::that(run("brenier_cuda_test_warp", 1, 64, 0, Params{out, in, nullptr, 0}).ok(), "warp instructions run");
	for (int t = 0; t < 64; t++) {
		const int l = t % 32;
		const uint32_t *w = in + t / 32 * 32, *o = out + t * warp_results;
		uint32_t votes = 0;
		bool some = false, every = true;
		for (int i = 0; i < 32; i++) {
			if (w[i] % 3 == 0) votes |= 1u << i;
			some |= w[i] % 64 == 17;
			every &= w[i] < 1000;
		}
		const bool right = o[0] == w[(t * 7) % 40 % 32] && o[1] == w[l ^ 5] && o[2] == w[l + 3 < 32 ? l + 3 : l] &&
		                   o[3] == w[l >= 3 ? l - 3 : l] && o[4] == votes && o[5] == some && o[6] == every &&
		                   o[7] == (uint32_t)l && o[8] == w[l ^ 16] * 4 + 1 && o[9] == w[31] && o[10] == 64010 && o[11] == w[2];
		check::that(right, "warp instructions of thread " + std::to_string(t));
	}
}

BRENIER_KERNEL(brenier_cuda_test_warp_misuse, Params, 64, 1) {
	switch (p.which) {
	case 0:
		if (threadIdx.x == 5) return;
		p.out[threadIdx.x] = shuffle(1u, 0);
		break;
	case 1:
		if (threadIdx.x < 16) p.out[threadIdx.x] = shuffle(1u, 0);
		else p.out[threadIdx.x] = ballot(true);
		break;
	case 2: p.out[threadIdx.x] = shuffle_down(1u, -1); break;
	case 3: __trap(); break;
	}
}

static void test_warp_misuse() {
	const char *name = "brenier_cuda_test_warp_misuse";
	expect_refusal(name, 32, 0, 0, host::Fault::deadlock, "end");
	expect_refusal(name, 32, 0, 1, host::Fault::deadlock, "while others of its warp");
	expect_refusal(name, 32, 0, 2, host::Fault::illegal_instruction, "by -1 lanes");
	expect_refusal(name, 48, 0, 1, host::Fault::illegal_instruction, "only 16 from thread 32");
	expect_refusal(name, 32, 0, 3, host::Fault::trap, "traps");
}

// ---- Matrices

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

// ---- Barriers

// Warps 0 and 1 hand a word to warps 2 and 3 and take it back, by two named barriers.
BRENIER_KERNEL(brenier_cuda_test_named, Params, 128, 1) {
	__shared__ uint32_t words[64];
	const unsigned i = threadIdx.x % 64;
	uint32_t sum = 0;
	for (uint32_t round = 0; round < 20; round++) {
		if (threadIdx.x < 64) {
			words[i] = round * 100 + i;
			named_arrive(1, 128);
			named_sync(2, 128);
		} else {
			named_sync(1, 128);
			sum += words[i ^ 33];
			named_arrive(2, 128);
		}
	}
	p.out[threadIdx.x] = sum;
}

BRENIER_KERNEL(brenier_cuda_test_barrier_misuse, Params, 128, 1) {
	__shared__ uint64_t barriers[2];
	switch (p.which) {
	case 0: named_sync(0, 128); break;
	case 1: named_sync(16, 128); break;
	case 2: named_sync(1, 100); break;
	case 3: named_sync(1, threadIdx.x < 64 ? 128 : 96); break;
	case 4: named_sync(1, threadIdx.x % 2 ? 128 : 96); break;
	case 5:
		if (threadIdx.x < 96) named_sync(3, 128);
		break;
	case 6:
		if (threadIdx.x >= 32) sync_threads();
		break;
	case 7: named_arrive(1, 160); break;
	case 8:
		if (threadIdx.x < 32) named_arrive(4, 64);
		break;
	case 9: mbarrier_arrive(barriers); break;
	case 10: mbarrier_init(reinterpret_cast<uint64_t *>(reinterpret_cast<char *>(barriers) + 4), 1); break;
	case 11: mbarrier_init(barriers, 0); break;
	case 12: mbarrier_wait(barriers, 0); break;
	case 13: {
		uint64_t local;
		mbarrier_init(&local, 1);
		break;
	}
	case 14:
		if (threadIdx.x == 0) mbarrier_init(barriers, 2);
		sync_threads();
		if (threadIdx.x < 3) mbarrier_arrive(barriers);
		if (threadIdx.x == 3) mbarrier_wait(barriers, 0);
		if (threadIdx.x == 3) mbarrier_wait(barriers, 1);
		break;
	case 15:
		if (threadIdx.x == 0) mbarrier_init(barriers, 1), mbarrier_arrive_expect(barriers, 64);
		break;
	case 16:
		if (threadIdx.x == 0) mbarrier_init(barriers, 1), mbarrier_init(barriers, 1);
		break;
	}
}

static void test_barriers() {
	for (const std::string &schedule : all_schedules()) {
		uint32_t out[128] = {};
		bool right = run("brenier_cuda_test_named", 1, 128, 0, Params{out, nullptr, nullptr, 0}, options_of(schedule, 90)).ok();
		for (uint32_t i = 0; i < 64; i++) right &= out[64 + i] == 19 * 20 / 2 * 100 + 20 * (i ^ 33);
		check::that(right, "named barriers keep two halves in step under " + schedule);
	}
	const char *name = "brenier_cuda_test_barrier_misuse";
	const auto illegal = host::Fault::illegal_instruction, deadlock = host::Fault::deadlock;
	expect_refusal(name, 128, 0, 0, illegal, "barrier 0, not 1..15");
	expect_refusal(name, 128, 0, 1, illegal, "barrier 16");
	expect_refusal(name, 128, 0, 2, illegal, "100 threads");
	expect_refusal(name, 128, 0, 3, illegal, "which others have entered");
	expect_refusal(name, 128, 0, 4, illegal, "lanes of one warp");
	expect_refusal(name, 128, 0, 5, deadlock, "96 of 128 threads");
	expect_refusal(name, 128, 0, 6, deadlock, "sync_threads");
	expect_refusal(name, 128, 0, 7, illegal, "160 threads");
	expect_refusal(name, 128, 0, 8, illegal, "32 of 64 threads arrived at named barrier 4");
	expect_refusal(name, 128, 0, 9, illegal, "no mbarrier");
	expect_refusal(name, 128, 0, 10, host::Fault::misaligned_address, "multiple of 8");
	expect_refusal(name, 128, 0, 11, illegal, "0 arrivals");
	expect_refusal(name, 128, 0, 12, illegal, "no mbarrier");
	expect_refusal(name, 128, 0, 13, host::Fault::illegal_address, "outside");
	expect_refusal(name, 128, 0, 14, deadlock, "parity 1 of the mbarrier");
	expect_refusal(name, 128, 0, 15, illegal, "64 bytes outstanding");
	expect_refusal(name, 128, 0, 16, illegal, "in use");
}

// Phases as the manual has them: after init, the phase before (parity 1) counts as completed; each
// completion turns the parity. try_wait answers in the end, whatever it is asked.
BRENIER_KERNEL(brenier_cuda_test_phases, Params, 32, 1) {
	__shared__ uint64_t barrier;
	if (threadIdx.x == 0) {
		mbarrier_init(&barrier, 2);
		uint32_t *out = p.out;
		*out++ = mbarrier_try_wait(&barrier, 1);
		*out++ = mbarrier_try_wait(&barrier, 0);
		mbarrier_arrive(&barrier);
		*out++ = mbarrier_try_wait(&barrier, 0);
		mbarrier_arrive(&barrier);
		*out++ = mbarrier_try_wait(&barrier, 0);
		*out++ = mbarrier_try_wait(&barrier, 1);
		mbarrier_wait(&barrier, 0);
		mbarrier_arrive(&barrier);
		mbarrier_arrive(&barrier);
		*out++ = mbarrier_try_wait(&barrier, 1);
		*out++ = mbarrier_try_wait(&barrier, 0);
	}
}

static void test_phases() {
	uint32_t out[7];
	const host::Outcome outcome = run("brenier_cuda_test_phases", 1, 32, 0, Params{out, nullptr, nullptr, 0});
	const uint32_t want[7] = {1, 0, 0, 1, 0, 1, 0};
	check::that(outcome.ok() && memcmp(out, want, sizeof want) == 0, "mbarrier phases: " + outcome.message);
}

// ---- What the compiler checks: in = the numbers 0, 1, 2 ...

BRENIER_KERNEL(brenier_cuda_test_checks, Params, 32, 1) {
	__shared__ float values[8];
	const uint32_t n = p.in[threadIdx.x] + (uint32_t)p.which;
	switch (p.which) {
	case 0: p.out[0] = (uint32_t)reinterpret_cast<const float4 *>(p.in + n)->x; break;
	case 1: values[n] = 1; break;
	case 2: p.out[threadIdx.x] = 1u << (n + 30); break;
	case 3: p.out[threadIdx.x] = (uint32_t)(int)((float)n * 1e9f); break;
	case 4: p.out[threadIdx.x] = 100 / (n - 4); break;
	}
	sync_threads();
	if (p.which == 1) p.out[threadIdx.x] = float_bits(values[threadIdx.x % 8]);
}

static void test_checks() {
	alignas(16) uint32_t in[64], out[64];
	for (uint32_t i = 0; i < 64; i++) in[i] = i;
	const char *const words[] = {"no multiple of 16", "element ", "shifts", "out of range", "divides"};
	for (int which = 0; which < 5; which++) {
		const host::Outcome outcome = run("brenier_cuda_test_checks", 1, 32, 0, Params{out, in, nullptr, which});
		check::that(!outcome.ok() && outcome.message.find(words[which]) != std::string::npos, std::string(words[which]) + ": '" + outcome.message + "'");
	}
}

// ---- Copies

BRENIER_KERNEL(brenier_cuda_test_copies, Params, 64, 1) {
	unsigned char *shared = dynamic_shared();
	uint32_t *words = reinterpret_cast<uint32_t *>(shared);
	uint64_t *barrier = reinterpret_cast<uint64_t *>(shared + 4096);
	// Two groups of this thread, then one of single words, some of them zeros.
	cp_async_16(shared + threadIdx.x * 16, p.in + threadIdx.x * 4);
	cp_async_commit();
	cp_async_16(shared + 1024 + threadIdx.x * 16, p.in + threadIdx.x * 4, threadIdx.x % 2 == 0);
	cp_async_4(shared + 2048 + threadIdx.x * 4, p.in + 63 - threadIdx.x);
	cp_async_commit();
	cp_async_wait<1>();
	uint32_t sum = 0;
	for (int i = 0; i < 4; i++) sum += words[threadIdx.x * 4 + (unsigned)i];  // own copies need no barrier
	p.out[threadIdx.x] = sum;
	cp_async_wait<0>();
	if (threadIdx.x == 0) {
		mbarrier_init(barrier, 1);
		mbarrier_init_fence();
	}
	sync_threads();
	p.out[64 + threadIdx.x] = words[256 + (threadIdx.x ^ 9) * 4];
	p.out[128 + threadIdx.x] = words[512 + (threadIdx.x ^ 9)];
	if (threadIdx.x == 0) {
		mbarrier_arrive_expect(barrier, 512);
		for (int i = 0; i < 4; i++) bulk_copy(shared + 3072 + 128 * i, p.in + 32 * i, 128, barrier);
	}
	mbarrier_wait(barrier, 0);
	p.out[192 + threadIdx.x] = words[768 + threadIdx.x] + words[768 + 64 + threadIdx.x];
	const uint4 four = load_constant_16(p.in + threadIdx.x / 4 * 4);
	p.out[256 + threadIdx.x] = four.x + 10 * four.y + 100 * four.z + 1000 * four.w;
}

BRENIER_KERNEL(brenier_cuda_test_copy_misuse, Params, 32, 1) {
	unsigned char *shared = dynamic_shared();
	uint64_t *barrier = reinterpret_cast<uint64_t *>(shared + 512);
	if (threadIdx.x == 0) {
		mbarrier_init(barrier, 1);
		mbarrier_init_fence();
		mbarrier_arrive_expect(barrier, p.which == 8 ? 32 : 64);
	}
	sync_threads();
	const bool one = threadIdx.x == 7;
	switch (p.which) {
	case 0: cp_async_16(shared + 8, p.in); break;
	case 1: cp_async_16(shared, p.in + 1); break;
	case 2: cp_async_4(shared + 2, p.in); break;
	case 3: cp_async_16(shared + 1024, p.in); break;
	case 4: cp_async_16(shared, nullptr); break;
	case 5: p.out[0] = load_constant_16(p.in + 2).x; break;
	case 6:
		if (one) bulk_copy(shared, p.in, 24, barrier);
		break;
	case 7:
		if (one) bulk_copy(shared + 1008, p.in, 64, barrier);
		break;
	case 8:
		if (one) bulk_copy(shared, p.in, 64, barrier);
		mbarrier_wait(barrier, 0);
		break;
	case 9:
		if (one) bulk_copy(shared, p.in, 64, barrier);
		break;  // nobody waits
	case 10: shared[1024 + threadIdx.x] = 1; break;
	}
	cp_async_commit();
	cp_async_wait<0>();
}

static void test_copies() {
	alignas(16) uint32_t in[256];
	for (uint32_t i = 0; i < 256; i++) in[i] = i * 3 + 1;
	for (const std::string &schedule : all_schedules()) {
		uint32_t out[320] = {};
		const host::Outcome outcome = run("brenier_cuda_test_copies", 1, 64, 4104, Params{out, in, nullptr, 0}, options_of(schedule, 90));
		bool right = outcome.ok();
		for (uint32_t t = 0; t < 64; t++) {
			const uint32_t other = t ^ 9, quad = t / 4 * 4;
			right &= out[t] == in[4 * t] + in[4 * t + 1] + in[4 * t + 2] + in[4 * t + 3];
			right &= out[64 + t] == (other % 2 == 0 ? in[4 * other] : 0);
			right &= out[128 + t] == in[63 - other];
			right &= out[192 + t] == in[t] + in[64 + t];
			right &= out[256 + t] == in[quad] + 10 * in[quad + 1] + 100 * in[quad + 2] + 1000 * in[quad + 3];
		}
		check::that(right, "copies land under " + schedule + ": " + outcome.message);
	}
	const char *name = "brenier_cuda_test_copy_misuse";
	const auto illegal = host::Fault::illegal_instruction, misaligned = host::Fault::misaligned_address, address = host::Fault::illegal_address;
	const auto late = options_of("late:1", 90);
	expect_refusal(name, 32, 1024, 0, misaligned, "multiple of 16", late);
	expect_refusal(name, 32, 1024, 1, misaligned, "multiple of 16", late);
	expect_refusal(name, 32, 1024, 2, misaligned, "multiple of 4", late);
	expect_refusal(name, 32, 1024, 3, address, "outside the block's shared memory", late);
	expect_refusal(name, 32, 1024, 4, address, "no memory of the device", late);
	expect_refusal(name, 32, 1024, 5, misaligned, "load_constant_16", late);
	expect_refusal(name, 32, 1024, 6, illegal, "24 bytes", late);
	expect_refusal(name, 32, 1024, 7, address, "outside", late);
	expect_refusal(name, 32, 1024, 8, illegal, "32 bytes more than were announced", late);
	expect_refusal(name, 32, 1024, 9, illegal, "bulk copies under way", late);
	expect_refusal(name, 32, 1024, 10, address, "behind the 1024 bytes", late);
	auto elsewhere = late;
	elsewhere.is_device_memory = [](const void *, size_t) { return false; };
	expect_refusal("brenier_cuda_test_copies", 64, 4104, 0, address, "no memory of the device", elsewhere);
}

// ---- Atomics, and blocks

// The last block to come adds up what all have written.
BRENIER_KERNEL(brenier_cuda_test_last_block, Params, 32, 1) {
	__shared__ uint32_t last;
	p.out[blockIdx.x * 32 + threadIdx.x] = blockIdx.x * 1000 + threadIdx.x;
	thread_fence();
	sync_threads();
	if (threadIdx.x == 0) last = atomic_add(p.counter, 1) == gridDim.x - 1;
	sync_threads();
	atomic_max(p.counter + 1, blockIdx.x * 7 % 31);
	atomic_or(p.counter + 2, 1u << blockIdx.x % 32);
	if (!last || threadIdx.x) return;
	uint32_t sum = 0;
	for (uint32_t i = 0; i < gridDim.x * 32; i++) sum += load_volatile(p.out + i);
	p.counter[3] = sum;
	p.counter[0] = atomic_exchange(p.counter, 5) + 100;
}

// What a block finds in its shared memory, and in what the block before left.
BRENIER_KERNEL(brenier_cuda_test_poison, Params, 32, 1) {
	__shared__ float floats[32];
	__shared__ double doubles[32];
	const uint16_t half = reinterpret_cast<uint16_t *>(dynamic_shared())[threadIdx.x];
	const float f = floats[threadIdx.x], dynamic_float = reinterpret_cast<float *>(dynamic_shared())[threadIdx.x];
	const double d = doubles[threadIdx.x];
	p.out[blockIdx.x * 32 + threadIdx.x] = isnan(f) && isnan(d) && isnan(half_value(half)) && isnan(dynamic_float);
	sync_threads();
	floats[threadIdx.x] = 0;
	doubles[threadIdx.x] = 0;
	memset(dynamic_shared() + threadIdx.x * 4, 0, 4);
}

BRENIER_KERNEL(brenier_cuda_test_spin, Params, 32, 1) {
	while (load_volatile(p.counter) == 0) {
	}
}

// Notes the order in which its threads and blocks come.
BRENIER_KERNEL(brenier_cuda_test_order, Params, 64, 1) {
	p.out[atomic_add(p.counter, 1)] = blockIdx.x * 64 + threadIdx.x;
	sync_warp();
}

BRENIER_KERNEL(brenier_cuda_test_dependent, Params, 32, 1) {
	launch_dependents();
	if (p.which) wait_for_prerequisites();
}

BRENIER_KERNEL(brenier_cuda_test_registers, Params, 256, 1) {
	if (p.which == 0) {
		if (threadIdx.x < 128) registers_lower<40>();
		else registers_raise<240>();
	} else {
		registers_raise<264>();
	}
}

// All that a launch can hold: dimensions of threads and blocks, and a thousand stacks.
BRENIER_KERNEL(brenier_cuda_test_dimensions, Params, 1024, 1) {
	const uint32_t block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
	const uint32_t thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
	sync_threads();
	atomic_add(p.out + block * 1024 + thread, 1 + shuffle_xor(thread, 1) - (thread ^ 1));
}

static void test_blocks() {
	for (int workers : {1, 3}) {
		auto options = options_of("random:9", 90);
		options.workers = workers;
		std::vector<uint32_t> out(100 * 32);
		uint32_t counter[4] = {};
		const host::Outcome outcome = run("brenier_cuda_test_last_block", 100, 32, 0, Params{out.data(), nullptr, counter, 0}, options);
		uint32_t sum = 0, highest = 0;
		for (uint32_t b = 0; b < 100; b++) {
			highest = b * 7 % 31 > highest ? b * 7 % 31 : highest;
			for (uint32_t t = 0; t < 32; t++) sum += b * 1000 + t;
		}
		check::that(outcome.ok() && counter[0] == 200 && counter[1] == highest && counter[2] == 0xffffffffu && counter[3] == sum,
		            "atomics, with " + std::to_string(workers) + " workers: " + outcome.message);
	}

	std::vector<uint32_t> out(64 * 32);
	bool poisoned = run("brenier_cuda_test_poison", 64, 32, 128, Params{out.data(), nullptr, nullptr, 0}).ok();
	for (uint32_t v : out) poisoned &= v == 1;
	check::that(poisoned, "shared memory, static and dynamic, starts as NaN in every block");

	expect_refusal("brenier_cuda_test_spin", 32, 0, 0, host::Fault::deadlock, "waits for another block");
	expect_refusal("brenier_cuda_test_registers", 256, 0, 1, host::Fault::illegal_instruction, "264 registers");
	expect_refusal("brenier_cuda_test_registers", 256, 0, 0, host::Fault::none, "");
	expect_refusal("brenier_cuda_test_registers", 256, 0, 0, host::Fault::illegal_instruction, "sm_80", options_of("late", 80));
	auto dependent = options_of("late", 90);
	dependent.dependent = true;
	expect_refusal("brenier_cuda_test_dependent", 32, 0, 0, host::Fault::illegal_instruction, "never waits", dependent);
	expect_refusal("brenier_cuda_test_dependent", 32, 0, 1, host::Fault::none, "", dependent);

	const auto order_of = [&](const char *schedule) {
		std::vector<uint32_t> order(64 * 8);
		uint32_t counter = 0;
		check::that(run("brenier_cuda_test_order", 8, 64, 0, Params{order.data(), nullptr, &counter, 0}, options_of(schedule, 90)).ok(), "order runs");
		return order;
	};
	const auto first = order_of("random:1");
	check::that(first == order_of("random:1"), "the same seed, the same order");
	check::that(first != order_of("random:2"), "another seed, another order");
	std::vector<uint32_t> counted(first.size());
	for (uint32_t v : first) counted[v]++;
	check::that(counted == std::vector<uint32_t>(first.size(), 1), "each thread comes once");

	std::vector<uint32_t> grid(30 * 1024);
	check::that(run("brenier_cuda_test_dimensions", dim3(5, 3, 2), dim3(16, 8, 8), 0, Params{grid.data(), nullptr, nullptr, 0}).ok(), "three dimensions run");
	check::that(grid == std::vector<uint32_t>(grid.size(), 1), "each thread of each block has its own indices");
}

static void test_launch_limits() {
	const Params p{};
	const auto refused = [&](const char *what, const host::Outcome &outcome) {
		check::that(outcome.fault == host::Fault::configuration && !outcome.message.empty(), std::string(what) + ": " + outcome.message);
	};
	refused("too many threads", run("brenier_cuda_test_spin", 1, 33, 0, p));
	refused("no threads", run("brenier_cuda_test_spin", 1, 0, 0, p));
	refused("no blocks", run("brenier_cuda_test_spin", dim3(1, 0), 32, 0, p));
	refused("a grid too high", run("brenier_cuda_test_spin", dim3(1, 65536), 32, 0, p));
	refused("too much shared memory", run("brenier_cuda_test_spin", 1, 32, 227 * 1024 + 16, p));
	refused("an older card", run("brenier_cuda_test_spin", 1, 32, 0, p, options_of("late", 70)));

	const host::Kernel *kernel = host::find_kernel("instructions_test", "brenier_cuda_test_warp");
	check::that(kernel && kernel->params_bytes == sizeof(Params) && kernel->params_alignment == alignof(Params) &&
	                kernel->max_threads == 64 && kernel->least_capability == 75,
	            "a kernel's record");
	check::that(!host::find_kernel("another", "brenier_cuda_test_warp"), "a kernel is of its module");

	host::Schedule s;
	check::that(host::Schedule::parse("late", &s) && s.copies == host::When::late && s.products == host::When::late, "late");
	check::that(host::Schedule::parse("early-copies:7", &s) && s.copies == host::When::early && s.products == host::When::late && s.seed == 7, "early-copies:7");
	check::that(host::Schedule::parse("random:12", &s) && s.copies == host::When::random && s.seed == 12, "random:12");
	for (const char *wrong : {"", "sometimes", "random:", "random:x", "late:3x"})
		check::that(!host::Schedule::parse(wrong, &s), std::string("no schedule: ") + wrong);
}

int main() {
	test_warp();
	test_warp_misuse();
	test_ldmatrix();
	test_mma();
	test_wgmma();
	test_barriers();
	test_phases();
	test_checks();
	test_copies();
	test_blocks();
	test_launch_limits();
	return check::summary();
}
