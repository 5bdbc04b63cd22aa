// The frame of rotated draws, the same bits as kernels/cpu/rotated.c and rotated_kernel.h: sums of
// float64 in their order, which is one after another. So a column is a thread's, and what it takes is
// the latency of its longest chain of additions, some d^2/2 of them.
#include "rotated.h"

#include "device.cuh"
#include "ptx/dependent.cuh"

namespace brenier {
namespace {

enum { COLUMNS = BRENIER_ROTATED_FRAME_COLUMNS, AT_ONCE = 8 };

// Where reflector k begins in the normals, and in the reflectors.
__device__ __forceinline__ int64_t reflector_at(int64_t k, int64_t d) {
	return k < (d + 1) / 2 ? k * (d + 1) : (d - k - 1) * (d + 1) + k + 1;
}

// What one pass over the coordinates below k does to a column x [d][COLUMNS]: the reflection of k + 1,
// I - u u^T, is carried out, and the dot product with the vector w of the next one is summed up. x, u
// and w begin at coordinate k + 1.
struct Pass {
	double *x;
	const double *u, *w;
	double last, dot;  // <u, x before>, <w, x after> so far

	template <int count>
	__device__ __forceinline__ void take(int i) {
		double value[count], ui[count], wi[count];
#pragma unroll
		for (int j = 0; j < count; j++) {
			value[j] = x[(i + j) * COLUMNS];
			ui[j] = u[i + j];
			wi[j] = w[i + j];
		}
#pragma unroll
		for (int j = 0; j < count; j++) value[j] = value[j] - ui[j] * last;
#pragma unroll
		for (int j = 0; j < count; j++) {
			dot = dot + wi[j] * value[j];
			x[(i + j) * COLUMNS] = value[j];
		}
	}
	__device__ __forceinline__ void run(int count) {
		int i = 0;
#pragma unroll 1
		for (; i + AT_ONCE <= count; i += AT_ONCE) take<AT_ONCE>(i);
#pragma unroll 1
		for (; i < count; i++) take<1>(i);
	}
};

}  // namespace

BRENIER_KERNEL(brenier_cuda_rotated_reflectors, brenier_rotated_frame_params, COLUMNS, 1) {
	launch_dependents();
	wait_for_prerequisites();
	const int k = blockIdx.x * COLUMNS + threadIdx.x;
	if (k >= p.d) return;
	const float *const g = p.normals + reflector_at(k, p.d);
	double *const w = p.reflectors + reflector_at(k, p.d);
	const int m = p.d - k;
	double square = 0.0;
#pragma unroll 8
	for (int i = 0; i < m; i++) square = square + (double)g[i] * (double)g[i];
	const double first = g[0], length = sqrt(square), sign = first < 0.0 ? -1.0 : 1.0;
	const double scale = 1.0 / sqrt(length * (length + sign * first));
	w[0] = (first + sign * length) * scale;
#pragma unroll 8
	for (int i = 1; i < m; i++) w[i] = (double)g[i] * scale;
	p.signs[k] = (float)-sign;
}

BRENIER_KERNEL(brenier_cuda_rotated_frame, brenier_rotated_frame_params, COLUMNS, 1) {
	launch_dependents();
	wait_for_prerequisites();
	const int first = blockIdx.x * COLUMNS, lane = threadIdx.x, d = p.d;
	const int end = min(first + (int)COLUMNS, d);
	double *const x = (p.columns ? p.columns + (int64_t)blockIdx.x * d * COLUMNS : (double *)dynamic_shared()) + lane;
	for (int i = 0; i < d; i++) x[i * COLUMNS] = 0.0;
	if (first + lane < end) x[(first + lane) * COLUMNS] = (double)p.signs[first + lane];

	// Reflector k leaves the first k coordinates alone, so columns before k are unit vectors to it. The
	// first pass has nothing to carry out: u is multiplied by 0.
	const double *u = p.reflectors + reflector_at(end - 1, d);
	double last = 0.0;
#pragma unroll 1
	for (int k = end - 1; k >= 0; k--) {
		const double *const w = p.reflectors + reflector_at(k, d);
		Pass pass = {x + (k + 1) * COLUMNS, u, w + 1, last, 0.0 + w[0] * x[k * COLUMNS]};
		pass.run(d - k - 1);
		u = w;
		last = pass.dot;
	}
	if (first + lane >= end) return;
#pragma unroll 4
	for (int a = 0; a < d; a++) p.frame[(int64_t)a * d + first + lane] = (float)(x[a * COLUMNS] - u[a] * last);
}

}  // namespace brenier
