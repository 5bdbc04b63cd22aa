/* The time from dlopen to the first picture, and to each step on the way, in milliseconds:
 *
 *     first_picture LIBRARY MODEL
 *
 * A process can measure it once; run it several times and take the best, with the files in the
 * system's cache. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "brenier.h"

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e3 * (double)t.tv_sec + 1e-6 * (double)t.tv_nsec;
}

static void *library;

static void *function(const char *name) {
    void *found = dlsym(library, name);
    if (!found) fprintf(stderr, "%s\n", dlerror()), exit(1);
    return found;
}

#define FUNCTION(name) \
    __extension__ __typeof__(brenier_##name) *name; \
    *(void **)&name = function("brenier_" #name)
#define CHECK(call) \
    if (call) return fprintf(stderr, "%s: %s\n", #call, last_error()), 1

int main(int argc, char **argv) {
    if (argc != 3) return fprintf(stderr, "usage: %s LIBRARY MODEL\n", argv[0]), 2;
    const double start = now();
    library = dlopen(argv[1], RTLD_NOW);
    if (!library) return fprintf(stderr, "%s\n", dlerror()), 1;
    FUNCTION(last_error);
    FUNCTION(engine_create);
    FUNCTION(model_open);
    FUNCTION(model_info);
    FUNCTION(generate);
    const double loaded = now();

    brenier_engine *engine = NULL;
    CHECK(engine_create(NULL, &engine));
    const double created = now();

    brenier_model *model = NULL;
    CHECK(model_open(engine, argv[2], &model));
    const double opened = now();

    brenier_model_properties p = {.struct_size = sizeof p};
    CHECK(model_info(model, &p));
    const size_t bytes = (size_t)p.channels * (size_t)p.height * (size_t)p.width;
    unsigned char *image = malloc(bytes);
    if (!image) return 1;
    const brenier_buffer b = {.struct_size = sizeof b, .data = image, .bytes = bytes, .dtype = BRENIER_U8};
    CHECK(generate(model, 1, 0, 1, NULL, &b));
    const double first = now();
    CHECK(generate(model, 1, 1, 1, NULL, &b));
    const double second = now();
    printf("load %.2f  engine %.2f  model %.2f  first picture %.2f  total %.2f ms  (the next picture %.2f)\n",
           loaded - start, created - loaded, opened - created, first - opened, first - start, second - first);
    free(image);
    return 0;
}
