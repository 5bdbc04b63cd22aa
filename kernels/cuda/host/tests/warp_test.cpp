// What the lanes of a warp do together, against its definition written down a second time; and what is
// refused.
#include "../../ptx/half.cuh"
#include "../../ptx/warp.cuh"
#include "runner.h"

using namespace brenier;

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

int main() {
	test_warp();
	test_warp_misuse();
	return check::summary();
}
