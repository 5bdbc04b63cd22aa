// Twin of ptx/memory.cuh. Atomics are atomic among the OS threads too. A thread that reads global
// memory over and over waits for another block, which may never run: that ends in an error.
#pragma once
#include "device.h"

namespace brenier {

namespace host {
void check_load_constant_16(const void *global);
void before_volatile_load();
void before_atomic(const void *at, size_t bytes);
}  // namespace host

inline uint4 load_constant_16(const void *global) {
	host::check_load_constant_16(global);
	uint4 v;
	memcpy(&v, global, sizeof v);
	return v;
}

inline uint32_t load_volatile(const uint32_t *global) {
	host::before_volatile_load();
	return __atomic_load_n(global, __ATOMIC_RELAXED);
}
inline float load_volatile(const float *global) {
	host::before_volatile_load();
	return *(const volatile float *)global;
}

void thread_fence();

inline uint32_t atomic_add(uint32_t *at, uint32_t v) {
	host::before_atomic(at, sizeof *at);
	return __atomic_fetch_add(at, v, __ATOMIC_RELAXED);
}
inline unsigned long long atomic_add(unsigned long long *at, unsigned long long v) {
	host::before_atomic(at, sizeof *at);
	return __atomic_fetch_add(at, v, __ATOMIC_RELAXED);
}
inline uint32_t atomic_or(uint32_t *at, uint32_t v) {
	host::before_atomic(at, sizeof *at);
	return __atomic_fetch_or(at, v, __ATOMIC_RELAXED);
}
inline uint32_t atomic_exchange(uint32_t *at, uint32_t v) {
	host::before_atomic(at, sizeof *at);
	return __atomic_exchange_n(at, v, __ATOMIC_RELAXED);
}

namespace host {
template <class T>
inline T atomic_largest(T *at, T v) {
	before_atomic(at, sizeof *at);
	T old = __atomic_load_n(at, __ATOMIC_RELAXED);
	while (old < v && !__atomic_compare_exchange_n(at, &old, v, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
	}
	return old;
}
}  // namespace host
inline uint32_t atomic_max(uint32_t *at, uint32_t v) { return host::atomic_largest(at, v); }
inline unsigned long long atomic_max(unsigned long long *at, unsigned long long v) {
	return host::atomic_largest(at, v);
}

}  // namespace brenier
