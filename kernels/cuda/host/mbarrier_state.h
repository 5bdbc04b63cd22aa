// What an mbarrier holds (PTX ISA, "Contents of the mbarrier object").
#pragma once
#include <stdint.h>

namespace brenier {
namespace host {

struct MbarrierState {
	uint64_t *word;      // in shared memory; it holds a stamp of this entry
	unsigned expected;   // arrivals a phase
	unsigned pending;    // of them, still to come in the phase under way
	int64_t bytes;       // expected and not landed; below 0 while more have landed than were announced
	unsigned phase;      // parity of the phase under way
	unsigned initialiser;  // thread
	bool fenced;         // visible to the copy engine
	uint32_t waiting[32];  // lanes of each warp
};

class Block;

// The barrier whose stamp the word holds; an error of the running thread if there is none.
MbarrierState &find_mbarrier(Block &block, uint64_t *word, const char *instruction);
// Turns the phase if all arrivals were made and all bytes have landed.
void complete_if_full(Block &block, MbarrierState &barrier);

}  // namespace host
}  // namespace brenier
