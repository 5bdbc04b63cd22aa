// Runs one kernel of a test with the parameters that all of them take.
#pragma once
#include <string.h>

#include <string>
#include <vector>

#include "../../device.cuh"
#include "check.h"
#include "schedules.h"

struct Params {
	uint32_t *out;
	const uint32_t *in;
	uint32_t *counter;
	int which;  // case of the kernel
};

inline brenier::host::Outcome run(const char *name, dim3 grid, dim3 block, size_t shared, const Params &params,
                                  const brenier::host::Options &options = options_of("random:5", 90)) {
	return brenier::host::launch(*brenier::host::find_kernel(BRENIER_MODULE, name), grid, block, shared, &params, options);
}

// One block of the kernel ends with the fault and with a message that has the words.
inline void expect_refusal(const char *name, dim3 block, size_t shared, int which, brenier::host::Fault fault,
                           const char *words, const brenier::host::Options &options = options_of("random:5", 90)) {
	alignas(16) static uint32_t in[4096], out[4096], counter[4];
	memset(counter, 0, sizeof counter);
	const brenier::host::Outcome outcome = run(name, 1, block, shared, Params{out, in, counter, which}, options);
	check::that(outcome.fault == fault && outcome.message.find(words) != std::string::npos,
	            std::string(name) + " " + std::to_string(which) + " is refused with '" + words + "': '" + outcome.message + "'");
}
