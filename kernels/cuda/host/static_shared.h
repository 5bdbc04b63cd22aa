// The static shared memory of kernels: their `static thread_local` variables.
#pragma once
#include <stddef.h>

namespace brenier {
namespace host {

// The part of the calling OS thread's thread-local memory that starts as zeros, in the program or
// library that holds a function. On an OS thread of ours (launch.cpp), what lies there is shared memory
// of kernels and nothing else: what runs there must use no other thread-local variable of that
// program or library. Empty where the platform cannot tell (then it starts with
// zeros, and with what the block before left).
struct StaticShared {
	unsigned char *begin = nullptr;
	size_t bytes = 0;
};
StaticShared find_static_shared(const void *function);

}  // namespace host
}  // namespace brenier
