// The language of the device for g++: what nvcc knows by itself. A kernel's source sees this through
// device.cuh; how its threads run is said in launch.h.
#pragma once
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "launch.h"

#define __global__
#define __device__
#define __host__
#define __constant__ static __attribute__((unused))
#define __forceinline__ inline __attribute__((always_inline))
#define __align__(bytes) __attribute__((aligned(bytes)))
#define __launch_bounds__(...)

// One a block: all fibers of a block run on one OS thread, which fills its copy with NaN before each
// block (static_shared.h).
#define __shared__ static thread_local

// Vector types, with the alignment that a 16-byte load of them needs on the card.
#define BRENIER_VECTOR2(T, name, alignment) \
	struct __align__(alignment) name { T x, y; }; \
	static inline name make_##name(T x, T y) { return {x, y}; }
#define BRENIER_VECTOR3(T, name) \
	struct name { T x, y, z; }; \
	static inline name make_##name(T x, T y, T z) { return {x, y, z}; }
#define BRENIER_VECTOR4(T, name, alignment) \
	struct __align__(alignment) name { T x, y, z, w; }; \
	static inline name make_##name(T x, T y, T z, T w) { return {x, y, z, w}; }
BRENIER_VECTOR2(int, int2, 8)
BRENIER_VECTOR3(int, int3)
BRENIER_VECTOR4(int, int4, 16)
BRENIER_VECTOR2(unsigned, uint2, 8)
BRENIER_VECTOR4(unsigned, uint4, 16)
BRENIER_VECTOR2(float, float2, 8)
BRENIER_VECTOR3(float, float3)
BRENIER_VECTOR4(float, float4, 16)
BRENIER_VECTOR2(double, double2, 16)
BRENIER_VECTOR2(long long, longlong2, 16)
BRENIER_VECTOR2(unsigned long long, ulonglong2, 16)
BRENIER_VECTOR2(short, short2, 4)
BRENIER_VECTOR2(unsigned short, ushort2, 4)
BRENIER_VECTOR4(unsigned short, ushort4, 8)
BRENIER_VECTOR2(unsigned char, uchar2, 2)
BRENIER_VECTOR4(unsigned char, uchar4, 4)
#undef BRENIER_VECTOR2
#undef BRENIER_VECTOR3
#undef BRENIER_VECTOR4

#define threadIdx (::brenier::host::place->thread)
#define blockIdx (::brenier::host::place->block)
#define blockDim (::brenier::host::place->threads)
#define gridDim (::brenier::host::place->blocks)

namespace brenier {
namespace host {

// Of the running block; aligned to 1024 bytes.
inline unsigned char *dynamic_shared() { return place->dynamic_shared; }

// Ends the kernel with an error; never returns.
[[noreturn]] void trap();

template <class To, class From>
inline To same_bits(From from) {
	static_assert(sizeof(To) == sizeof(From), "sizes differ");
	To to;
	memcpy(&to, &from, sizeof to);
	return to;
}

}  // namespace host
}  // namespace brenier

// What device code calls without a header. min and max of floats ignore a NaN, as fmin and fmax do.
#define BRENIER_ORDER(T) \
	static inline T min(T a, T b) { return b < a ? b : a; } \
	static inline T max(T a, T b) { return a < b ? b : a; }
BRENIER_ORDER(int)
BRENIER_ORDER(unsigned)
BRENIER_ORDER(long)
BRENIER_ORDER(unsigned long)
BRENIER_ORDER(long long)
BRENIER_ORDER(unsigned long long)
#undef BRENIER_ORDER
static inline float min(float a, float b) { return fminf(a, b); }
static inline float max(float a, float b) { return fmaxf(a, b); }
static inline double min(double a, double b) { return fmin(a, b); }
static inline double max(double a, double b) { return fmax(a, b); }

static inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
static inline double __fma_rn(double a, double b, double c) { return fma(a, b, c); }
static inline float __fadd_rn(float a, float b) { return a + b; }
static inline float __fsub_rn(float a, float b) { return a - b; }
static inline float __fmul_rn(float a, float b) { return a * b; }
static inline float __fdiv_rn(float a, float b) { return a / b; }
static inline float __fsqrt_rn(float a) { return sqrtf(a); }
static inline double __dadd_rn(double a, double b) { return a + b; }
static inline double __dmul_rn(double a, double b) { return a * b; }
static inline double __ddiv_rn(double a, double b) { return a / b; }
static inline double __dsqrt_rn(double a) { return sqrt(a); }
static inline float __saturatef(float a) { return a > 0 ? (a < 1 ? a : 1) : 0; }

static inline unsigned __float_as_uint(float v) { return brenier::host::same_bits<unsigned>(v); }
static inline int __float_as_int(float v) { return brenier::host::same_bits<int>(v); }
static inline float __uint_as_float(unsigned v) { return brenier::host::same_bits<float>(v); }
static inline float __int_as_float(int v) { return brenier::host::same_bits<float>(v); }
static inline long long __double_as_longlong(double v) { return brenier::host::same_bits<long long>(v); }
static inline double __longlong_as_double(long long v) { return brenier::host::same_bits<double>(v); }
static inline int __float2int_rn(float v) { return (int)rintf(v); }
static inline int __float2int_rz(float v) { return (int)v; }

static inline int __vimax3_s32(int a, int b, int c) { return max(max(a, b), c); }
static inline int __popc(unsigned v) { return __builtin_popcount(v); }
static inline int __popcll(unsigned long long v) { return __builtin_popcountll(v); }
static inline int __ffs(int v) { return __builtin_ffs(v); }
static inline int __ffsll(long long v) { return __builtin_ffsll(v); }
static inline int __clz(int v) { return v ? __builtin_clz((unsigned)v) : 32; }
static inline int __clzll(long long v) { return v ? __builtin_clzll((unsigned long long)v) : 64; }
static inline unsigned __umulhi(unsigned a, unsigned b) { return (unsigned)((uint64_t)a * b >> 32); }
static inline unsigned __brev(unsigned v) {
	unsigned r = 0;
	for (int i = 0; i < 32; i++) r |= (v >> i & 1) << (31 - i);
	return r;
}

static inline void __trap() { brenier::host::trap(); }
