/* How long jobs hold up the thread that draws frames, in microseconds, while the workers are saturated:
 *
 *     jobs_bench MODEL [workers] [frames]
 *
 * A frame submits, polls and closes; its time between is slept away, as a game waits for its display.
 * Each call is timed by itself; what is printed is the clock's own cost, then every quantile, in which
 * the clock's cost is contained. The maximum shows what the system's scheduler does to any thread that
 * shares two processors with others. */
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

static int compare(const void *a, const void *b) {
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static void print(struct times *t) {
    if (t->n == 0) return;
    qsort(t->us, t->n, sizeof *t->us, compare);
    const double quantiles[] = {0.5, 0.99, 0.999, 0.9999};
    printf("%-22s %9zu", t->name, t->n);
    for (int i = 0; i < 4; i++) printf(" %9.2f", (double)t->us[(size_t)((double)(t->n - 1) * quantiles[i])]);
    printf(" %9.1f\n", (double)t->us[t->n - 1]);
}

#define CHECK(call)                                                                          \
    do {                                                                                     \
        const brenier_status status_ = (call);                                               \
        if (status_) return fprintf(stderr, "%s: %s\n", #call, brenier_last_error()), 1;     \
    } while (0)

/* times += the call's time */
#define TIMED(times, call)                 \
    do {                                   \
        const double start_ = now();       \
        CHECK(call);                       \
        add(times, now() - start_);        \
    } while (0)

enum { WORK = 256, SMALL = 8, POLLS = 100 };

int main(int argc, char **argv) {
    if (argc < 2) return fprintf(stderr, "usage: %s MODEL [workers] [frames]\n", argv[0]), 2;
    brenier_engine_options options;
    brenier_engine_options_init(&options);
    options.job_workers = argc > 2 ? atoi(argv[2]) : 2;
    const int frames = argc > 3 ? atoi(argv[3]) : 1500;
    brenier_engine *engine = NULL;
    brenier_model *model = NULL;
    CHECK(brenier_engine_create(&options, &engine));
    CHECK(brenier_model_open(engine, argv[1], &model));
    brenier_model_properties p = {.struct_size = sizeof p};
    CHECK(brenier_model_info(model, &p));
    const size_t image = (size_t)p.channels * (size_t)p.height * (size_t)p.width;

    /* The work that saturates: two large jobs at any time, submitted anew as they end. */
    brenier_job *work[2] = {NULL, NULL}, *small[SMALL] = {NULL};
    unsigned char *to = malloc((2 * WORK + SMALL) * image);
    if (!to) return 1;
    struct times clock = {.name = "the clock"}, poll = {.name = "poll"}, submit = {.name = "submit"},
                 cancel = {.name = "cancel"}, finished = {.name = "close, ended"}, run = {.name = "run, nothing to do"};
    size_t images = 0;
    const double start = now();
    for (int frame = 0; frame < frames; frame++) {
        for (int i = 0; i < 2; i++) {
            brenier_job_state state = BRENIER_JOB_DONE;
            if (work[i]) CHECK(brenier_poll(work[i], &state));
            if (state < BRENIER_JOB_DONE) continue;
            if (work[i]) images += WORK;
            CHECK(brenier_job_close(work[i]));
            const brenier_buffer b = {.struct_size = sizeof b, .data = to + (size_t)i * WORK * image, .bytes = WORK * image, .dtype = BRENIER_U8};
            CHECK(brenier_submit_generate(model, 1, (uint64_t)frame * WORK, WORK, NULL, &b, NULL, &work[i]));
        }
        for (int i = 0; i < SMALL; i++) {
            if (small[i]) {
                /* The even ones are cancelled; each is closed once it has ended. */
                brenier_job_state state;
                TIMED(&poll, brenier_poll(small[i], &state));
                if (state < BRENIER_JOB_DONE) {
                    if (i % 2 == 0) TIMED(&cancel, brenier_cancel(small[i]));
                    continue;
                }
                images += state == BRENIER_JOB_DONE;
                TIMED(&finished, brenier_job_close(small[i]));
                small[i] = NULL;
            }
            const brenier_buffer b = {.struct_size = sizeof b, .data = to + (size_t)(2 * WORK + i) * image, .bytes = image, .dtype = BRENIER_U8};
            const brenier_job_options urgent = {.struct_size = sizeof urgent, .priority = 1};
            TIMED(&submit, brenier_submit_generate(model, 2, (uint64_t)frame, 1, NULL, &b, &urgent, &small[i]));
        }
        for (int i = 0; i < POLLS; i++) {
            brenier_job_state state;
            TIMED(&poll, brenier_poll(work[i % 2], &state));
            const double before = now();
            add(&clock, now() - before);
        }
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    }
    const double seconds = 1e-6 * (now() - start);
    for (int i = 0; i < SMALL; i++) CHECK(brenier_job_close(small[i]));
    for (int i = 0; i < 2; i++) CHECK(brenier_job_close(work[i]));
    for (int i = 0; i < 2000; i++) TIMED(&run, brenier_run(engine, 0, NULL));
    printf("%d workers, %.0f images/s meanwhile\n", (int)options.job_workers, (double)images / seconds);
    printf("%-22s %9s %9s %9s %9s %9s %9s\n", "microseconds", "calls", "p50", "p99", "p99.9", "p99.99", "max");
    struct times *all[] = {&clock, &poll, &submit, &cancel, &finished, &run};
    for (int i = 0; i < 6; i++) print(all[i]), free(all[i]->us);
    CHECK(brenier_engine_destroy(engine));
    free(to);
    return 0;
}
