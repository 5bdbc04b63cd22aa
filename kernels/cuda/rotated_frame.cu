// The frames of rotated draws, the same bits as kernels/cpu/rotated.c and rotated_kernel.h: sums of
// float64 in their order, which is one after another. So a column is a thread's, and what it takes is
// the latency of its longest chain of additions, some d^2/2 of them.
#include "rotated.h"

#include "device.cuh"
#include "ptx/block.cuh"
#include "ptx/dependent.cuh"

namespace brenier {
namespace {

enum { COLUMNS = BRENIER_ROTATED_FRAME_COLUMNS, THREADS = BRENIER_ROTATED_FRAME_THREADS, AT_ONCE = 8 };

// Where reflector k begins in the normals, and in the reflectors.
__device__ __forceinline__ int64_t reflector_at(int64_t k, int64_t d) {
	return k < (d + 1) / 2 ? k * (d + 1) : (d - k - 1) * (d + 1) + k + 1;
}

// Some coordinates of a column, and of the two reflectors of a pass.
template <int count>
struct Part {
	double value[count], u[count], w[count];

	__device__ __forceinline__ void load(const double *x, const double *us, const double *ws, int at) {
#pragma unroll
		for (int j = 0; j < count; j++) {
			value[j] = x[(at + j) * COLUMNS];
			u[j] = us[at + j];
			w[j] = ws[at + j];
		}
	}
	// The reflection of u, I - u u^T, is carried out, `last` being <u, x>, and <w, x> summed up on `dot`.
	__device__ __forceinline__ void reflect(double *x, int at, double last, double &dot) {
#pragma unroll
		for (int j = 0; j < count; j++) value[j] = value[j] - u[j] * last;
#pragma unroll
		for (int j = 0; j < count; j++) {
			dot = dot + w[j] * value[j];
			x[(at + j) * COLUMNS] = value[j];
		}
	}
};

// One pass over `count` coordinates of a column x [count][COLUMNS]: see Part. The next part is on its way
// while the sum goes on.
__device__ __forceinline__ double pass(double *x, const double *u, const double *w, int count, double last, double dot) {
	int i = 0;
	if (count >= AT_ONCE) {
		Part<AT_ONCE> part;
		part.load(x, u, w, 0);
#pragma unroll 1
		for (; i + 2 * AT_ONCE <= count; i += AT_ONCE) {
			Part<AT_ONCE> next;
			next.load(x, u, w, i + AT_ONCE);
			part.reflect(x, i, last, dot);
			part = next;
		}
		part.reflect(x, i, last, dot);
		i += AT_ONCE;
	}
#pragma unroll 1
	for (; i < count; i++) {
		Part<1> part;
		part.load(x, u, w, i);
		part.reflect(x, i, last, dot);
	}
	return dot;
}

// The values of a group's normals, and of its reflectors.
__device__ __forceinline__ int64_t reflector_values(int64_t d) { return (d + 1) / 2 * (d + 1); }

// A block of a frame's columns, by its first warp: x [d][COLUMNS] is theirs.
__device__ __forceinline__ void columns(const brenier_rotated_frame_params &p, const double *reflectors, double *x) {
	const int first = blockIdx.x * COLUMNS, lane = threadIdx.x, d = p.d;
	const int end = min(first + (int)COLUMNS, d);
	const float *const signs = p.signs + (int64_t)blockIdx.y * d;
	float *const frame = p.frame + (int64_t)blockIdx.y * d * d;
	x += lane;
	for (int i = 0; i < d; i++) x[i * COLUMNS] = 0.0;
	if (first + lane < end) x[(first + lane) * COLUMNS] = (double)signs[first + lane];

	// Reflector k leaves the first k coordinates alone, so columns before k are unit vectors to it. A pass
	// carries out the reflection k + 1 and begins that of k; the first has nothing to carry out, and
	// multiplies u by 0.
	const double *u = reflectors + reflector_at(end - 1, d);
	double last = 0.0;
#pragma unroll 1
	for (int k = end - 1; k >= 0; k--) {
		const double *const w = reflectors + reflector_at(k, d);
		last = pass(x + (k + 1) * COLUMNS, u, w + 1, d - k - 1, last, 0.0 + w[0] * x[k * COLUMNS]);
		u = w;
	}
	if (first + lane >= end) return;
#pragma unroll 4
	for (int a = 0; a < d; a++) frame[(int64_t)a * d + first + lane] = (float)(x[a * COLUMNS] - u[a] * last);
}

}  // namespace

BRENIER_KERNEL(brenier_cuda_rotated_reflectors, brenier_rotated_frame_params, COLUMNS, 1) {
	launch_dependents();
	wait_for_prerequisites();
	const int k = blockIdx.x * COLUMNS + threadIdx.x;
	if (k >= p.d) return;
	const int64_t at = blockIdx.y * reflector_values(p.d) + reflector_at(k, p.d);
	const float *const g = p.normals + at;
	double *const w = p.reflectors + at;
	const int m = p.d - k;
	double square = 0.0;
#pragma unroll 8
	for (int i = 0; i < m; i++) square = square + (double)g[i] * (double)g[i];
	const double first = g[0], length = sqrt(square), sign = first < 0.0 ? -1.0 : 1.0;
	const double scale = 1.0 / sqrt(length * (length + sign * first));
	w[0] = (first + sign * length) * scale;
#pragma unroll 8
	for (int i = 1; i < m; i++) w[i] = (double)g[i] * scale;
	p.signs[(int64_t)blockIdx.y * p.d + k] = (float)-sign;
}

// Columns and reflectors in shared memory, which all threads fill.
BRENIER_KERNEL(brenier_cuda_rotated_frame, brenier_rotated_frame_params, THREADS, 1) {
	launch_dependents();
	wait_for_prerequisites();
	double *const x = (double *)dynamic_shared(), *const reflectors = x + p.d * COLUMNS;
#pragma unroll 4
	for (int i = threadIdx.x; i < reflector_values(p.d); i += THREADS) reflectors[i] = p.reflectors[blockIdx.y * reflector_values(p.d) + i];
	sync_threads();
	if (threadIdx.x < COLUMNS) columns(p, reflectors, x);
}

// Both in global memory: for frames that shared memory does not hold.
BRENIER_KERNEL(brenier_cuda_rotated_frame_wide, brenier_rotated_frame_params, COLUMNS, 1) {
	launch_dependents();
	wait_for_prerequisites();
	const int64_t block = (int64_t)blockIdx.y * gridDim.x + blockIdx.x;
	columns(p, p.reflectors + blockIdx.y * reflector_values(p.d), p.columns + block * p.d * COLUMNS);
}

}  // namespace brenier
