/* How long jobs hold up the thread that draws frames, in microseconds, while the workers are saturated:
 *
 *     jobs_bench MODEL [workers] [frames]
 *
 * A frame submits, polls, cancels and closes, each call timed by itself; the time between frames is slept
 * away, as a game waits for its display. The clock's own cost stands first and is contained in the rest.
 * It is done three times: with workers that make images, with workers that read ever new places of a field,
 * and again with images while another thread opens and closes the model, which keeps the library's garbage
 * collector at work. brenier_engine_info, which enters the library's runtime,
 * stands beside for scale: what it takes more is what the others are spared. A maximum is one call, and
 * on a machine that others use the system's scheduler makes it. */
#include <pthread.h>
#include <stdatomic.h>
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

#define CHECK(call)                                                                              \
    do {                                                                                         \
        if (call) fprintf(stderr, "%s: %s\n", #call, brenier_last_error()), exit(1);             \
    } while (0)

struct times {
    const char *name;
    float *us;
    size_t n, room;
};

static void add(struct times *t, double us) {
    if (t->n == t->room) {
        t->room = t->room ? 2 * t->room : 1 << 20;
        t->us = realloc(t->us, t->room * sizeof *t->us);
        if (!t->us) exit(1);
    }
    t->us[t->n++] = (float)us;
}

#define TIMED(times, call)           \
    do {                             \
        const double start_ = now(); \
        CHECK(call);                 \
        add(times, now() - start_);  \
    } while (0)

static int compare(const void *a, const void *b) {
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static void print(struct times *t) {
    const double quantiles[] = {0.5, 0.99, 0.999};
    printf("%-22s %8zu", t->name, t->n);
    if (t->n > 0) {
        qsort(t->us, t->n, sizeof *t->us, compare);
        for (int i = 0; i < 3; i++) printf(" %8.2f", (double)t->us[(size_t)((double)(t->n - 1) * quantiles[i])]);
        printf(" %8.1f", (double)t->us[t->n - 1]);
    }
    printf("\n");
    free(t->us);
}

enum { WORK = 256, SMALL = 8, POLLS = 100, RUNTIME = 4, SIDE = 512 };

static brenier_engine *engine;
static const char *path;
static atomic_int stop;
static atomic_long opened;

static void *open_models(void *unused) {
    (void)unused;
    while (!atomic_load(&stop)) {
        brenier_model *model = NULL;
        CHECK(brenier_model_open(engine, path, &model));
        CHECK(brenier_model_close(model));
        atomic_fetch_add(&opened, 1);
    }
    return NULL;
}

static brenier_buffer u8_images(unsigned char *to, size_t bytes) {
    return (brenier_buffer){.struct_size = sizeof(brenier_buffer), .data = to, .bytes = bytes, .dtype = BRENIER_U8};
}

/* Submits what saturates a worker: images, or a region of a field that was never read. */
static void submit_work(brenier_model *model, brenier_field *field, int i, int frame, unsigned char *to, size_t bytes,
                        brenier_job **job) {
    const brenier_buffer b = u8_images(to, bytes);
    if (!field)
        CHECK(brenier_submit_generate(model, 1, (uint64_t)frame * WORK, WORK, NULL, &b, NULL, job));
    else
        CHECK(brenier_submit_field_read(field, 1, ((int64_t)frame * 2 + i) * SIDE, 0, SIDE, SIDE, 0, &b, NULL, job));
}

/* `field` may be NULL. */
static void measure(brenier_model *model, brenier_field *field, int frames) {
    brenier_model_properties p = {.struct_size = sizeof p};
    brenier_engine_properties e = {.struct_size = sizeof e};
    CHECK(brenier_model_info(model, &p));
    const size_t image = (size_t)p.channels * (size_t)p.height * (size_t)p.width;
    size_t bytes = WORK * image; /* of one work */
    if (field && bytes < (size_t)p.channels * SIDE * SIDE) bytes = (size_t)p.channels * SIDE * SIDE;
    unsigned char *to = malloc(2 * bytes + SMALL * image);
    if (!to) exit(1);
    struct times clock = {.name = "the clock"}, poll = {.name = "poll"}, submit = {.name = "submit"},
                 cancel = {.name = "cancel"}, finished = {.name = "close, ended"},
                 runtime = {.name = "engine_info, for scale"};
    /* What saturates the workers: two large jobs at any time, submitted anew as they end. */
    brenier_job *work[2] = {NULL, NULL}, *small[SMALL] = {NULL};
    size_t images = 0;
    const double start = now();
    for (int frame = 0; frame < frames; frame++) {
        for (int i = 0; i < 2; i++) {
            brenier_job_state state = BRENIER_JOB_DONE;
            if (work[i]) CHECK(brenier_poll(work[i], &state));
            if (state < BRENIER_JOB_DONE) continue;
            if (work[i] && !field) images += WORK;
            CHECK(brenier_job_close(work[i]));
            submit_work(model, field, i, frame, to + (size_t)i * bytes, bytes, &work[i]);
        }
        for (int i = 0; i < SMALL; i++) {
            brenier_job_state state = BRENIER_JOB_DONE;
            if (small[i]) TIMED(&poll, brenier_poll(small[i], &state));
            if (state < BRENIER_JOB_DONE) {
                if (i % 2 == 0) TIMED(&cancel, brenier_cancel(small[i]));
                continue;
            }
            if (small[i]) {
                images += state == BRENIER_JOB_DONE;
                TIMED(&finished, brenier_job_close(small[i]));
            }
            if (field && (frame + i) % 32 != 0) { /* half of the time is for the reads */
                small[i] = NULL;
                continue;
            }
            const brenier_buffer b = u8_images(to + 2 * bytes + (size_t)i * image, image);
            const brenier_job_options urgent = {.struct_size = sizeof urgent, .priority = 1};
            TIMED(&submit, brenier_submit_generate(model, 2, (uint64_t)frame, 1, NULL, &b, &urgent, &small[i]));
        }
        for (int i = 0; i < POLLS; i++) {
            brenier_job_state state;
            TIMED(&poll, brenier_poll(work[i % 2], &state));
            const double before = now();
            add(&clock, now() - before);
        }
        for (int i = 0; i < RUNTIME; i++) TIMED(&runtime, brenier_engine_info(engine, &e));
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    }
    const double seconds = 1e-6 * (now() - start);
    for (int i = 0; i < SMALL; i++) CHECK(brenier_job_close(small[i]));
    for (int i = 0; i < 2; i++) CHECK(brenier_job_close(work[i]));
    printf(", %.0f images/s\n%-22s %8s %8s %8s %8s %8s\n", (double)images / seconds, "microseconds", "calls", "p50",
           "p99", "p99.9", "max");
    struct times *all[] = {&clock, &poll, &submit, &cancel, &finished, &runtime};
    for (int i = 0; i < 6; i++) print(all[i]);
    free(to);
}

int main(int argc, char **argv) {
    if (argc < 2) return fprintf(stderr, "usage: %s MODEL [workers] [frames]\n", argv[0]), 2;
    path = argv[1];
    brenier_engine_options options;
    brenier_engine_options_init(&options);
    options.job_workers = argc > 2 ? atoi(argv[2]) : 2;
    const int frames = argc > 3 ? atoi(argv[3]) : 1500;
    brenier_model *model = NULL;
    CHECK(brenier_engine_create(&options, &engine));
    CHECK(brenier_model_open(engine, path, &model));
    printf("%d workers saturated", (int)options.job_workers);
    measure(model, NULL, frames);

    brenier_field *field = NULL;
    CHECK(brenier_field_create(model, NULL, &field));
    printf("\nthe same, by field reads");
    measure(model, field, frames);
    CHECK(brenier_field_destroy(field));

    pthread_t opener;
    if (pthread_create(&opener, NULL, open_models, NULL)) return 1;
    printf("\nby images, and models opened and closed");
    measure(model, NULL, frames);
    atomic_store(&stop, 1);
    pthread_join(opener, NULL);
    printf("%ld models opened meanwhile\n", atomic_load(&opened));
    CHECK(brenier_engine_destroy(engine));
    return 0;
}
