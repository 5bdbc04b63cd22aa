/* Many threads at one model, every result compared; and handles that are closed while they are in
 * use: each call either does its work or says that the handle is stale. */
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "check.h"
#include "tiny_model.h"

enum { THREADS = 16, CALLS = 200, MOST = 40 };

static brenier_engine *engine;
static brenier_model *model;
static uint8_t file[8192];
static size_t file_bytes;

static float expected[1024][TINY_PIXELS]; /* images of samples 0 .. 1023 of seed 5 */

static void *generate_and_compare(void *argument) {
    const unsigned thread = (unsigned)(uintptr_t)argument;
    float image[MOST][TINY_PIXELS], codes[MOST][TINY_D], x[MOST][TINY_D];
    int64_t cells[MOST][3];
    const brenier_buffer b_image = F32_BUFFER(image), b_codes = F32_BUFFER(codes), b_x = F32_BUFFER(x),
                         b_cells = I64_BUFFER(cells);
    brenier_extension three;
    brenier_extension_init(&three);
    three.k = 3;
    for (unsigned call = 0; call < CALLS; call++) {
        const size_t n = 1 + (thread * 7 + call * 13) % MOST;
        const uint64_t first = (thread * 131 + call * 17) % (1024 - MOST);
        if ((thread + call) % 2) {
            CHECK_OK(brenier_generate(model, 5, first, n, &three, &b_image));
        } else {
            CHECK_OK(brenier_noise(model, 5, first, n, &b_x));
            CHECK_OK(brenier_locate(model, &b_x, n, 3, &b_cells, NULL));
            CHECK_OK(brenier_extend(model, &b_x, &b_cells, n, 3, &three, &b_codes));
            CHECK_OK(brenier_decode(model, &b_codes, n, &b_image));
            CHECK_OK(brenier_encode(model, &b_image, n, &b_x));
            for (size_t i = 0; i < n; i++)
                for (int k = 0; k < TINY_D; k++) CHECK(fabsf(x[i][k] - codes[i][k]) <= 2e-2f); /* F16 on a GPU */
        }
        CHECK(memcmp(image, expected[first], n * sizeof *image) == 0);
        /* An error of one thread is no business of the others. */
        if (call % 16 == thread)
            CHECK_FAILS(brenier_locate(model, &b_x, n, thread + 6, &b_cells, NULL), BRENIER_INVALID_ARGUMENT, "k:");
    }
    return NULL;
}

static void one_model_serves_many(void) {
    pthread_t threads[THREADS];
    for (uintptr_t t = 0; t < THREADS; t++)
        CHECK(pthread_create(&threads[t], NULL, generate_and_compare, (void *)t) == 0);
    for (int t = 0; t < THREADS; t++) pthread_join(threads[t], NULL);
}

/* The race: workers use whatever is in `shared`, while the main thread closes and reopens it. */
static _Atomic(brenier_model *) shared;
static atomic_int stop;
static atomic_long worked, refused;

static void *use_what_may_be_closed(void *unused) {
    (void)unused;
    float image[4][TINY_PIXELS];
    const brenier_buffer b = F32_BUFFER(image);
    brenier_extension three;
    brenier_extension_init(&three);
    three.k = 3;
    while (!atomic_load(&stop)) {
        const brenier_status status = brenier_generate(atomic_load(&shared), 5, 0, 4, &three, &b);
        if (status == BRENIER_OK) {
            if (memcmp(image, expected, sizeof image) != 0) CHECK(!"the image of a call that succeeded");
            atomic_fetch_add(&worked, 1);
        } else {
            if (status != BRENIER_INVALID_HANDLE) CHECK_STATUS(status, BRENIER_INVALID_HANDLE);
            atomic_fetch_add(&refused, 1);
            sched_yield();
        }
    }
    return NULL;
}

static void closing_waits_for_calls(void) {
    pthread_t threads[4];
    brenier_model *current = NULL;
    for (int t = 0; t < 4; t++) CHECK(pthread_create(&threads[t], NULL, use_what_may_be_closed, NULL) == 0);
    for (int round = 0; round < 200; round++) {
        brenier_engine *second = NULL;
        if (round % 8 == 0) CHECK_OK(brenier_engine_create(NULL, &second));
        CHECK_OK(brenier_model_open_memory(second ? second : engine, file, file_bytes, &current));
        atomic_store(&shared, current);
        const long before = atomic_load(&worked);
        while (atomic_load(&worked) == before) {
        }
        if (second)
            CHECK_OK(brenier_engine_destroy(second)); /* with its model open and in use */
        else
            CHECK_OK(brenier_model_close(current));
    }
    const long before = atomic_load(&refused);
    while (atomic_load(&refused) == before) {
    }
    atomic_store(&stop, 1);
    for (int t = 0; t < 4; t++) pthread_join(threads[t], NULL);
    printf("closed while in use: %ld calls done, %ld refused\n", atomic_load(&worked), atomic_load(&refused));
}

/* Two threads close the same handle: one of them does. */
static pthread_barrier_t barrier;
static brenier_model *contested;

static void *close_contested(void *unused) {
    (void)unused;
    pthread_barrier_wait(&barrier);
    return (void *)(uintptr_t)brenier_model_close(contested);
}

static void a_model_is_closed_once(void) {
    pthread_barrier_init(&barrier, NULL, 2);
    for (int round = 0; round < 100; round++) {
        pthread_t threads[2];
        void *results[2];
        CHECK_OK(brenier_model_open_memory(engine, file, file_bytes, &contested));
        for (int t = 0; t < 2; t++) pthread_create(&threads[t], NULL, close_contested, NULL);
        for (int t = 0; t < 2; t++) pthread_join(threads[t], &results[t]);
        CHECK((uintptr_t)results[0] + (uintptr_t)results[1] == BRENIER_INVALID_HANDLE);
    }
    pthread_barrier_destroy(&barrier);
}

int main(void) {
    brenier_extension three;
    brenier_extension_init(&three);
    three.k = 3;
    file_bytes = tiny_model(file, sizeof file, 7);
    CHECK_OK(brenier_engine_create(NULL, &engine));
    CHECK_OK(brenier_model_open_memory(engine, file, file_bytes, &model));
    file_bytes = tiny_model(file, sizeof file, 3); /* those that are opened often have no encoder */
    const brenier_buffer b = F32_BUFFER(expected);
    CHECK_OK(brenier_generate(model, 5, 0, 1024, &three, &b));
    one_model_serves_many();
    closing_waits_for_calls();
    a_model_is_closed_once();
    CHECK_OK(brenier_engine_destroy(engine));
    return finish("threads");
}
