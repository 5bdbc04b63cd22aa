// What a test asks of the double beside the driver's own functions. Plain C; every function is
// exported by libcudadouble.so and may be called from any thread.
#ifndef BRENIER_CUDADOUBLE_H
#define BRENIER_CUDADOUBLE_H
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What is alive in the process, in this order. Device and pinned memory in bytes as asked for. */
struct cudadouble_counts {
	uint64_t contexts, modules, functions, streams, events, graphs, execs;
	uint64_t device_allocations, device_bytes, pinned_allocations, pinned_bytes;
};

/* The version of this interface. Only the double has this function: so it is known. */
int cudadouble_version(void);

/* Sets an option by name from now on: capability (75, 80, 86, 89, 90, 120), memory (bytes),
 * schedule (late, early, random:<seed> and what host/launch.h adds), multiprocessors, workers,
 * devices. At start each comes from BRENIER_DOUBLE_<NAME>; an empty value puts that back. 0 if done,
 * -1 for an unknown name or value. */
int cudadouble_configure(const char *name, const char *value);

/* Orders the nth call from now (1 is the next) of `function`, or of any where it is NULL, to fail
 * with a CUresult. The name has no version: cuMemAlloc. A sticky failure also loses the context that
 * is current then, as a failed kernel does. A function that releases something does release it. */
void cudadouble_fail(const char *function, int nth, int code, int sticky);
/* Takes back every order that has not come due; gives their number. */
int cudadouble_clear_failures(void);

/* The GPU falls off the bus: every context is lost, none can be made. restore undoes the second. */
void cudadouble_lose_device(void);
void cudadouble_restore_device(void);

/* Begins to note the names of calls, forgetting those noted before (on != 0), or stops. */
void cudadouble_record(int on);
/* The names noted, one a line, in order. Writes what fits in `bytes`, the closing 0 included;
 * gives the number of bytes that all of it needs. */
size_t cudadouble_calls(char *buffer, size_t bytes);

void cudadouble_objects(struct cudadouble_counts *counts);

/* The text of the last failure that the double itself found (a fault of a kernel, a lost context).
 * Same buffer rules. */
size_t cudadouble_last_message(char *buffer, size_t bytes);

#ifdef __cplusplus
}
#endif
#endif
