/* The time of calls as a program sees them, from the C call to its return, in microseconds:
 *
 *     latency MODEL [CALLS]
 *
 * One image at a time into device memory of the caller, into pinned and into ordinary host memory;
 * prints a JSON object of percentiles. The device is BRENIER_DEVICE's. */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "brenier.h"

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e6 * (double)t.tv_sec + 1e-3 * (double)t.tv_nsec;
}

static int ascending(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

#define CHECK(call) \
    if (call) return fprintf(stderr, "%s: %s\n", #call, brenier_last_error()), 1

/* The driver's own functions for the caller's memory, from the library that the engine uses. */
typedef struct driver {
    int (*retain)(void **context, int device);
    int (*current)(void *context);
    int (*allocate)(uint64_t *address, size_t bytes);
    int (*allocate_host)(void **data, size_t bytes);
} driver;

static int load_driver(driver *d) {
    const char *name = getenv("BRENIER_CUDA_DRIVER");
    void *library = dlopen(name ? name : "libcuda.so.1", RTLD_NOW);
    if (!library) return fprintf(stderr, "%s\n", dlerror()), 1;
    *(void **)&d->retain = dlsym(library, "cuDevicePrimaryCtxRetain");
    *(void **)&d->current = dlsym(library, "cuCtxSetCurrent");
    *(void **)&d->allocate = dlsym(library, "cuMemAlloc_v2");
    *(void **)&d->allocate_host = dlsym(library, "cuMemAllocHost_v2");
    return !(d->retain && d->current && d->allocate && d->allocate_host);
}

static int measure(brenier_model *model, const char *name, const brenier_buffer *image, int calls, int last) {
    double *took = malloc((size_t)calls * sizeof *took);
    if (!took) return 1;
    for (int i = 0; i < 200 && i < calls; i++) CHECK(brenier_generate(model, 1, (uint64_t)i, 1, NULL, image));
    for (int i = 0; i < calls; i++) {
        const double start = now();
        CHECK(brenier_generate(model, 1, (uint64_t)i, 1, NULL, image));
        took[i] = now() - start;
    }
    qsort(took, (size_t)calls, sizeof *took, ascending);
    printf("  \"%s\": {\"calls\": %d, \"median\": %.2f, \"p99\": %.2f, \"p99.9\": %.2f, \"worst\": %.2f}%s\n", name, calls,
           took[calls / 2], took[(int)(0.99 * calls)], took[(int)(0.999 * calls)], took[calls - 1], last ? "" : ",");
    free(took);
    return 0;
}

int main(int argc, char **argv) {
    if (argc < 2) return fprintf(stderr, "usage: %s MODEL [CALLS]\n", argv[0]), 2;
    const int calls = argc > 2 ? atoi(argv[2]) : 20000;
    if (calls < 1) return fprintf(stderr, "%s: want a number of calls, got %s\n", argv[0], argv[2]), 2;

    brenier_engine *engine = NULL;
    brenier_model *model = NULL;
    CHECK(brenier_engine_create(NULL, &engine));
    CHECK(brenier_model_open(engine, argv[1], &model));
    brenier_model_properties p = {.struct_size = sizeof p};
    CHECK(brenier_model_info(model, &p));
    const size_t bytes = (size_t)p.channels * (size_t)p.height * (size_t)p.width;

    driver d;
    void *context = NULL, *pinned = NULL, *ordinary = malloc(bytes);
    uint64_t device = 0;
    if (!ordinary || load_driver(&d) || d.retain(&context, 0) || d.current(context) || d.allocate(&device, bytes) ||
        d.allocate_host(&pinned, bytes))
        return fprintf(stderr, "the driver gave no memory\n"), 1;

    printf("{\n");
    brenier_buffer b = {.struct_size = sizeof b, .bytes = bytes, .dtype = BRENIER_U8};
    b.data = (void *)(uintptr_t)device, b.location = BRENIER_CUDA_DEVICE;
    if (measure(model, "device", &b, calls, 0)) return 1;
    b.data = pinned, b.location = BRENIER_HOST;
    if (measure(model, "pinned", &b, calls, 0)) return 1;
    b.data = ordinary;
    if (measure(model, "host", &b, calls, 1)) return 1;
    printf("}\n");
    free(ordinary);
    CHECK(brenier_engine_destroy(engine));
    return 0;
}
