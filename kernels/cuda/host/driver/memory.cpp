#include "memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace brenier::cudadouble {

namespace {

constexpr unsigned char poison = 0xff;   // inside a new allocation
constexpr unsigned char margin = 0xb5;   // around it
constexpr size_t quarantine_limit = size_t(64) << 30;  // of address space, which costs no memory

size_t page_bytes() {
	static const size_t bytes = static_cast<size_t>(sysconf(_SC_PAGESIZE));
	return bytes;
}

size_t round_up(size_t value, size_t multiple) { return (value + multiple - 1) / multiple * multiple; }

bool is_margin(uintptr_t begin, uintptr_t end) {
	const auto *bytes = reinterpret_cast<const unsigned char *>(begin);
	return std::all_of(bytes, bytes + (end - begin), [](unsigned char byte) { return byte == margin; });
}

void fill(uintptr_t begin, uintptr_t end, unsigned char value) {
	std::memset(reinterpret_cast<void *>(begin), value, end - begin);
}

}  // namespace

uintptr_t Memory::allocate(Context *context, int device, MemoryKind kind, size_t bytes, unsigned flags) {
	const size_t page = page_bytes();
	const size_t payload = round_up(bytes, allocation_granularity);
	const size_t body = round_up(payload, page);
	const size_t mapped = body + 2 * page;
	void *mapping = mmap(nullptr, mapped, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (mapping == MAP_FAILED) return 0;
	const uintptr_t first_page = reinterpret_cast<uintptr_t>(mapping) + page;
	if (mprotect(reinterpret_cast<void *>(first_page), body, PROT_READ | PROT_WRITE) != 0) {
		munmap(mapping, mapped);
		return 0;
	}
	const uintptr_t address = first_page + body - payload;
	fill(first_page, address, margin);
	fill(address, address + bytes, poison);
	fill(address + bytes, first_page + body, margin);
	allocations_[address] = {address, bytes, reinterpret_cast<uintptr_t>(mapping), mapped, context, device, kind, flags};
	return address;
}

bool Memory::release(uintptr_t address, MemoryKind kind) {
	const auto found = allocations_.find(address);
	if (found == allocations_.end() || found->second.kind != kind) return false;
	unmap(found->second);
	allocations_.erase(found);
	return true;
}

void Memory::release_all(const Context *context) {
	for (auto it = allocations_.begin(); it != allocations_.end();) {
		if (it->second.context == context) {
			unmap(it->second);
			it = allocations_.erase(it);
		} else {
			++it;
		}
	}
}

void Memory::unmap(const Allocation &allocation) {
	// The pages go back to the system; the addresses stay reserved, so that a late use faults.
	mmap(reinterpret_cast<void *>(allocation.mapping), allocation.mapped, PROT_NONE,
	     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
	quarantine_.push_back({allocation.mapping, allocation.mapped, allocation.address, allocation.bytes});
	quarantined_ += allocation.mapped;
	while (quarantined_ > quarantine_limit || quarantine_.size() > 4096) {
		const Freed oldest = quarantine_.front();
		munmap(reinterpret_cast<void *>(oldest.mapping), oldest.mapped);
		quarantined_ -= oldest.mapped;
		quarantine_.pop_front();
	}
}

const Allocation *Memory::find(uintptr_t address, size_t bytes) const {
	auto after = allocations_.upper_bound(address);
	if (after == allocations_.begin()) return nullptr;
	const Allocation &candidate = std::prev(after)->second;
	const size_t offset = address - candidate.address;
	if (offset > candidate.bytes || bytes > candidate.bytes - offset) return nullptr;
	if (offset == candidate.bytes && bytes == 0) return nullptr;
	return &candidate;
}

const Allocation *Memory::damaged() {
	const size_t page = page_bytes();
	for (auto &entry : allocations_) {
		const Allocation &allocation = entry.second;
		const uintptr_t first = allocation.mapping + page;
		const uintptr_t last = allocation.mapping + allocation.mapped - page;
		const uintptr_t end = allocation.address + allocation.bytes;
		if (is_margin(first, allocation.address) && is_margin(end, last)) continue;
		fill(first, allocation.address, margin);
		fill(end, last, margin);
		return &allocation;
	}
	return nullptr;
}

std::string Memory::describe(uintptr_t address) const {
	const auto relative = [address](uintptr_t begin, size_t bytes, const char *state) {
		const std::string what = std::string(state) + " allocation of " + std::to_string(bytes) + " bytes";
		if (address < begin) return std::to_string(begin - address) + " bytes before the start of a " + what;
		if (address >= begin + bytes) return std::to_string(address - begin - bytes) + " bytes past the end of a " + what;
		return "byte " + std::to_string(address - begin) + " of a " + what;
	};
	for (const auto &entry : allocations_) {
		const Allocation &a = entry.second;
		if (address >= a.mapping && address < a.mapping + a.mapped) return relative(a.address, a.bytes, "live");
	}
	for (auto freed = quarantine_.rbegin(); freed != quarantine_.rend(); ++freed) {
		if (address >= freed->mapping && address < freed->mapping + freed->mapped)
			return relative(freed->address, freed->bytes, "freed");
	}
	return "no allocation is near";
}

size_t Memory::used(int device) const {
	size_t total = 0;
	for (const auto &entry : allocations_) {
		if (entry.second.kind == MemoryKind::device && entry.second.device == device)
			total += round_up(entry.second.bytes, allocation_granularity);
	}
	return total;
}

size_t Memory::live(MemoryKind kind) const {
	size_t total = 0;
	for (const auto &entry : allocations_) {
		if (entry.second.kind == kind) total += entry.second.bytes;
	}
	return total;
}

size_t Memory::count(MemoryKind kind) const {
	return static_cast<size_t>(std::count_if(allocations_.begin(), allocations_.end(),
	                                         [kind](const auto &entry) { return entry.second.kind == kind; }));
}

}  // namespace brenier::cudadouble
