// The memory of the pretended GPU: every allocation is a mapping of its own between two guard pages,
// its end (rounded up to 256 bytes, the alignment that the driver promises) at the upper one.
//
// A read or write past the end faults; so does one before the page that holds the start, and any use
// after the free, for as long as the address is in quarantine. Bytes of the mapping outside the
// allocation hold a pattern and are compared after every kernel. New memory is full of 0xff: NaN as
// float16, float32 and float64, -1 as an integer.
#pragma once
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <string>

namespace brenier::cudadouble {

struct Context;

enum class MemoryKind { device, pinned };

struct Allocation {
	uintptr_t address;   // of the first byte handed out
	size_t bytes;        // as asked for
	uintptr_t mapping;   // lower guard page
	size_t mapped;       // both guard pages included
	Context *context;
	int device;
	MemoryKind kind;
	unsigned flags;      // of cuMemHostAlloc
};

class Memory {
public:
	// 0 when the system has no memory left.
	uintptr_t allocate(Context *context, int device, MemoryKind kind, size_t bytes, unsigned flags);
	// False if no allocation of this kind begins at address.
	bool release(uintptr_t address, MemoryKind kind);
	void release_all(const Context *context);

	// The allocation that holds [address, address + bytes), or null.
	const Allocation *find(uintptr_t address, size_t bytes) const;
	// An allocation of which something outside its bounds was overwritten, or null. The pattern is
	// restored, so that each damage is told once.
	const Allocation *damaged();
	// What lies at an address at which a kernel faulted, in words.
	std::string describe(uintptr_t address) const;

	size_t used(int device) const;       // device memory, in the driver's granularity
	size_t live(MemoryKind kind) const;  // bytes as asked for, on all devices
	size_t count(MemoryKind kind) const;

private:
	struct Freed {
		uintptr_t mapping;
		size_t mapped;
		uintptr_t address;
		size_t bytes;
	};
	void unmap(const Allocation &allocation);

	std::map<uintptr_t, Allocation> allocations_;  // by address
	std::deque<Freed> quarantine_;                 // addresses not handed out again yet
	size_t quarantined_ = 0;
};

constexpr size_t allocation_granularity = 256;

}  // namespace brenier::cudadouble
