// Modules and functions: host-compiled kernels under the names of the embedded images.
#pragma once
#include "../launch.h"
#include "driver.h"
#include "stream.h"

namespace brenier::cudadouble {

struct Module {
	CUmodule handle = nullptr;
	Context *context = nullptr;
	std::string name;  // the stem of its source file
	std::map<std::string, CUfunction> functions;
};

struct Function {
	CUfunction handle = nullptr;
	Context *context = nullptr;
	CUmodule module = nullptr;
	const host::Kernel *kernel = nullptr;
	int dynamic_shared_limit = 48 * 1024;
	int carveout = -1;
};

constexpr int shared_per_block = 48 * 1024;
constexpr int reserved_shared = 1024;

// The most dynamic shared memory that a block may ask for, and what a multiprocessor has.
int shared_per_block_opt_in(int capability);
int shared_per_multiprocessor(int capability);
int threads_per_multiprocessor(int capability);

// Checks a launch as the driver does when it is asked for, and packs it; parameters are copied now.
KernelWork make_launch(Context &context, CUfunction function, std::array<unsigned, 3> grid,
                       std::array<unsigned, 3> block, unsigned shared, void **params, void **extra, bool dependent);
Fault perform_kernel(const KernelWork &work, host::Prerequisite *prerequisite = nullptr);

// Whether a kernel that is launched to overlap the one before it does so this time, as the schedule
// has it, when already `length` kernels do.
bool overlaps(const Work &work, size_t length);
// Runs kernels of which each overlaps the one before it: every one begins, and comes to its wait, before
// the one ahead of it has begun. (On a card a chain of them does that as well, since kernels let
// their dependents start at once.)
Fault perform_overlapping(const std::vector<const KernelWork *> &chain);

}  // namespace brenier::cudadouble
