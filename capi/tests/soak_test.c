/* 100,000 submits with polls, waits, cancels and closes from 16 threads, random priorities and deadlines,
 * every fourth a field read, one model and one field closed and the engine destroyed in the middle, again
 * and again: no job is lost or ends twice, none that is done has a wrong byte, and nobody waits for
 * ever. */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include "check.h"
#include "tiny_model.h"

enum { THREADS = 16, SUBMITS = 100000, SAMPLES = 256, MOST = 8, AT_ONCE = 4, ENGINES = 10 };

static float expected[SAMPLES + MOST][TINY_PIXELS]; /* of seed 5 */

/* Field reads are SIDE x SIDE pixels at the columns that samples would have. */
enum { SIDE = 5 };
static float plane[SIDE][SAMPLES + SIDE];

static int pixels_are_right(const float *pixels, size_t x) {
    for (int y = 0; y < SIDE; y++)
        if (memcmp(pixels + y * SIDE, plane[y] + x, SIDE * sizeof(float)) != 0) return 0;
    return 1;
}

static struct stage { /* an engine's time */
    brenier_model *models[2];
    brenier_field *fields[2]; /* of the second model */
    pthread_barrier_t set, struck;
    atomic_long tried;
} stage;

static atomic_long submitted, refused, busy, ends[13];
static _Atomic(brenier_job *) shown; /* of whichever thread was here last */

/* A job and what its callback was told. */
struct slot {
    brenier_job *job;
    size_t first, n; /* n of 0: a field read */
    atomic_int endings;
    atomic_int result;
    float images[MOST][TINY_PIXELS];
};

static void note(void *user, brenier_job *job, brenier_status result) {
    struct slot *slot = user;
    (void)job;
    atomic_store(&slot->result, result);
    atomic_fetch_add(&slot->endings, 1);
    atomic_fetch_add(&ends[result], 1);
}

static uint32_t drawn(uint32_t *random) { return *random = *random * 1664525u + 1013904223u, *random >> 8; }

/* Ends a slot's job, if it has one, and looks at what came of it. */
static void settle(struct slot *slot, uint32_t *random) {
    if (!slot->job) return;
    brenier_job_state state;
    brenier_status status = BRENIER_OK;
    switch (drawn(random) % 4) {
        case 0: brenier_cancel(slot->job); break;
        case 1: status = brenier_wait(slot->job, drawn(random) % 2000); break;
        case 2: status = brenier_wait(slot->job, BRENIER_FOREVER); break;
        default: status = brenier_poll(slot->job, &state);
    }
    const brenier_status closed = brenier_job_close(slot->job);
    if (closed != BRENIER_OK) CHECK_STATUS(closed, BRENIER_INVALID_HANDLE); /* with its engine */
    if (atomic_load(&slot->endings) != 1) CHECK(!"a job ended once");
    if (atomic_load(&slot->result) == BRENIER_OK) {
        if (slot->n == 0 && !pixels_are_right(slot->images[0], slot->first)) CHECK(!"the pixels of a job that is done");
        if (memcmp(slot->images, expected[slot->first], slot->n * sizeof *expected) != 0)
            CHECK(!"the images of a job that is done");
    }
    if (status == BRENIER_OK || status == BRENIER_BUSY || status == BRENIER_CANCELLED || status == BRENIER_EXPIRED)
        ;
    else
        CHECK_STATUS(status, BRENIER_INVALID_HANDLE);
    slot->job = NULL;
}

static void *play(void *argument) {
    uint32_t random = (uint32_t)(uintptr_t)argument;
    static _Thread_local struct slot slots[AT_ONCE];
    brenier_extension three;
    brenier_extension_init(&three);
    three.k = 3;
    for (int engine = 0; engine < ENGINES; engine++) {
        pthread_barrier_wait(&stage.set);
        for (int i = 0; i < SUBMITS / ENGINES / THREADS; i++) {
            atomic_fetch_add(&stage.tried, 1);
            struct slot *slot = &slots[drawn(&random) % AT_ONCE];
            settle(slot, &random);
            slot->n = drawn(&random) % 4 ? 1 + drawn(&random) % MOST : 0;
            slot->first = drawn(&random) % SAMPLES;
            atomic_store(&slot->endings, 0);
            const brenier_buffer images = F32_BUFFER(slot->images);
            const brenier_job_options options = {.struct_size = sizeof options, .priority = (int32_t)(drawn(&random) % 5) - 2,
                                                 .deadline_us = drawn(&random) % 3 ? 0 : 1 + drawn(&random) % 3000,
                                                 .ended = note, .user = slot};
            const uint32_t which = drawn(&random) % 2;
            const brenier_status status =
                slot->n == 0 ? brenier_submit_field_read(stage.fields[which], 5, (int64_t)slot->first, 0, SIDE, SIDE, 0, &images,
                                                         &options, &slot->job)
                             : brenier_submit_generate(stage.models[which], 5, slot->first, slot->n, &three, &images,
                                                       &options, &slot->job);
            if (status == BRENIER_OK) {
                atomic_fetch_add(&submitted, 1);
            } else if (status == BRENIER_BUSY) {
                atomic_fetch_add(&busy, 1);
            } else {
                CHECK_STATUS(status, BRENIER_INVALID_HANDLE);
                atomic_fetch_add(&refused, 1);
            }
            /* Somebody else's job, which may be stale by now. */
            brenier_job_state state;
            brenier_job *others = atomic_exchange(&shown, slot->job);
            brenier_poll(others, &state);
            if (drawn(&random) % 8 == 0) brenier_cancel(others);
            if (drawn(&random) % 8 == 0) brenier_wait(others, 1);
        }
        for (int i = 0; i < AT_ONCE; i++) settle(&slots[i], &random);
        pthread_barrier_wait(&stage.struck);
    }
    return NULL;
}

static void *run_too(void *engine) {
    const brenier_status status = brenier_run(engine, BRENIER_FOREVER, NULL);
    if (status != BRENIER_OK) CHECK_STATUS(status, BRENIER_INVALID_HANDLE);
    return NULL;
}

int main(void) {
    uint8_t file[8192];
    const size_t bytes = tiny_model(file, sizeof file, 3);
    pthread_t threads[THREADS];
    pthread_barrier_init(&stage.set, NULL, THREADS + 1);
    pthread_barrier_init(&stage.struck, NULL, THREADS + 1);
    for (uintptr_t t = 0; t < THREADS; t++) CHECK(pthread_create(&threads[t], NULL, play, (void *)(t + 1)) == 0);
    for (int round = 0; round < ENGINES; round++) {
        brenier_engine_options options;
        brenier_engine_options_init(&options);
        options.job_workers = 1 + round % 3;
        options.job_limit = round % 2 ? 24 : 0; /* 16 threads would like to have 64 */
        brenier_engine *engine = NULL;
        CHECK_OK(brenier_engine_create(&options, &engine));
        for (int m = 0; m < 2; m++) CHECK_OK(brenier_model_open_memory(engine, file, bytes, &stage.models[m]));
        /* No cache; one that holds few; and the default. */
        const brenier_field_options cached = {.struct_size = sizeof cached, .cache_bytes = (int64_t)(round % 3) * 3000 - 3000};
        for (int f = 0; f < 2; f++) CHECK_OK(brenier_field_create(stage.models[1], &cached, &stage.fields[f]));
        if (round == 0) {
            const brenier_buffer b_plane = F32_BUFFER(plane);
            CHECK_OK(brenier_field_read(stage.fields[0], 5, 0, 0, SAMPLES + SIDE, SIDE, 0, &b_plane));
            brenier_extension three;
            brenier_extension_init(&three);
            three.k = 3;
            const brenier_buffer b = F32_BUFFER(expected);
            CHECK_OK(brenier_generate(stage.models[0], 5, 0, SAMPLES + MOST, &three, &b));
        }
        atomic_store(&stage.tried, 0);
        pthread_barrier_wait(&stage.set);
        pthread_t host;
        CHECK(pthread_create(&host, NULL, run_too, engine) == 0);
        const long share = SUBMITS / ENGINES;
        while (atomic_load(&stage.tried) < share * 3 / 4) sched_yield();
        CHECK_OK(brenier_model_close(stage.models[0]));
        CHECK_OK(brenier_field_destroy(stage.fields[0]));
        while (atomic_load(&stage.tried) < share * 7 / 8) sched_yield();
        CHECK_OK(brenier_engine_destroy(engine)); /* in the middle */
        pthread_barrier_wait(&stage.struck);
        pthread_join(host, NULL);
    }
    for (int t = 0; t < THREADS; t++) pthread_join(threads[t], NULL);
    long all = 0;
    for (int i = 0; i < 13; i++) all += atomic_load(&ends[i]);
    CHECK(all == atomic_load(&submitted));
    CHECK(all + atomic_load(&refused) + atomic_load(&busy) == SUBMITS / ENGINES / THREADS * THREADS * ENGINES);
    CHECK(atomic_load(&ends[BRENIER_OK]) > 0 && atomic_load(&ends[BRENIER_CANCELLED]) > 0 && atomic_load(&refused) > 0);
    printf("%ld submitted: %ld done, %ld cancelled, %ld expired; %ld refused, %ld busy\n", all, atomic_load(&ends[BRENIER_OK]),
           atomic_load(&ends[BRENIER_CANCELLED]), atomic_load(&ends[BRENIER_EXPIRED]), atomic_load(&refused), atomic_load(&busy));
    return finish("soak");
}
