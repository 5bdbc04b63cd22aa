// Twin of ptx/warp.cuh. A warp instruction is a meeting of the 32 lanes: each lays its operand down,
// the last to arrive computes for all. A lane that has ended, or that is at another instruction, is
// an error.
#pragma once
#include "device.h"

namespace brenier {

namespace host {
enum class Shuffle { source, exclusive_or, down, up };
uint64_t shuffle_bits(uint64_t value, int operand, Shuffle how);

template <class T>
inline T shuffle_value(T value, int operand, Shuffle how) {
	static_assert(sizeof(T) == 4 || sizeof(T) == 8, "shuffles move 4 or 8 bytes");
	uint64_t bits = 0;
	memcpy(&bits, &value, sizeof value);
	bits = shuffle_bits(bits, operand, how);
	memcpy(&value, &bits, sizeof value);
	return value;
}
}  // namespace host

inline unsigned lane_id() { return host::place->linear % 32; }

template <class T>
inline T shuffle(T value, int source) { return host::shuffle_value(value, source, host::Shuffle::source); }
template <class T>
inline T shuffle_xor(T value, int mask) { return host::shuffle_value(value, mask, host::Shuffle::exclusive_or); }
template <class T>
inline T shuffle_down(T value, int delta) { return host::shuffle_value(value, delta, host::Shuffle::down); }
template <class T>
inline T shuffle_up(T value, int delta) { return host::shuffle_value(value, delta, host::Shuffle::up); }

uint32_t ballot(bool vote);
inline bool any(bool vote) { return ballot(vote) != 0; }
inline bool all(bool vote) { return ballot(vote) == 0xffffffffu; }
void sync_warp();

}  // namespace brenier
