/* A test program's assertions: each failed one is printed with its place and counted, and finish()
 * prints the totals and gives the exit status. */
#ifndef BRENIER_TESTS_CHECK_H
#define BRENIER_TESTS_CHECK_H

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "brenier.h"

static atomic_long checks_made, checks_failed;

#define CHECK(condition)                                                        \
    do {                                                                        \
        atomic_fetch_add(&checks_made, 1);                                      \
        if (!(condition)) {                                                     \
            atomic_fetch_add(&checks_failed, 1);                                \
            fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #condition); \
        }                                                                       \
    } while (0)

/* Expects a status; prints the one that came with its sentence. */
#define CHECK_STATUS(call, expected)                                                          \
    do {                                                                                      \
        const brenier_status got_ = (call);                                                   \
        atomic_fetch_add(&checks_made, 1);                                                    \
        if (got_ != (expected)) {                                                             \
            atomic_fetch_add(&checks_failed, 1);                                              \
            fprintf(stderr, "%s:%d: %s: want %s, got %s: %s\n", __FILE__, __LINE__, #call,    \
                    brenier_status_name(expected), brenier_status_name(got_),                 \
                    got_ ? brenier_last_error() : "");                                        \
        }                                                                                     \
    } while (0)

#define CHECK_OK(call) CHECK_STATUS(call, BRENIER_OK)

/* Expects a failure whose sentence contains a text. */
#define CHECK_FAILS(call, expected, text)                                                       \
    do {                                                                                        \
        CHECK_STATUS(call, expected);                                                           \
        atomic_fetch_add(&checks_made, 1);                                                      \
        if (!strstr(brenier_last_error(), text)) {                                              \
            atomic_fetch_add(&checks_failed, 1);                                                \
            fprintf(stderr, "%s:%d: %s: want a sentence with \"%s\", got \"%s\"\n", __FILE__,   \
                    __LINE__, #call, text, brenier_last_error());                               \
        }                                                                                       \
    } while (0)

static inline int finish(const char *program) {
    printf("%s: %ld checks, %ld failed\n", program, atomic_load(&checks_made),
           atomic_load(&checks_failed));
    return atomic_load(&checks_failed) ? 1 : 0;
}

/* A buffer over an array. */
static inline brenier_buffer buffer_of(void *data, size_t bytes, brenier_dtype dtype) {
    brenier_buffer b;
    memset(&b, 0, sizeof b);
    b.struct_size = sizeof b;
    b.data = data;
    b.bytes = bytes;
    b.dtype = dtype;
    return b;
}

#define F32_BUFFER(array) buffer_of((void *)(array), sizeof(array), BRENIER_F32)
#define F64_BUFFER(array) buffer_of((void *)(array), sizeof(array), BRENIER_F64)
#define I64_BUFFER(array) buffer_of((void *)(array), sizeof(array), BRENIER_I64)

#endif
