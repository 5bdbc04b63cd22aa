/* The queue of jobs by itself, with workers that do nothing: what is taken when, how a job ends at every
 * stage, and, in many threads (under ThreadSanitizer too), that each ends exactly once. */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include "../queue.h"
#include "check.h"

#define SECOND UINT64_C(1000000000)

static const struct job_facts facts = {.points = 5, .dimension = 2};

static struct job_slice slice; /* of the tests with one thread */

static uint64_t next_token = UINT64_C(0xE2) << 56;

static struct job_model *open_model(struct job_queue *queue) {
    struct job_model *model = jobs_model_open(queue, &facts);
    CHECK(model != NULL);
    CHECK(jobs_model_publish(model, next_token++));
    return model;
}

/* Submits n samples of a kind. */
static brenier_job *submit(struct job_model *model, int kind, size_t n, brenier_job_options options) {
    const struct job_settings settings = {.kind = kind};
    const struct job_work work = {.n = n};
    brenier_job *job = NULL;
    CHECK(jobs_model_use(model->token) == model);
    CHECK_OK(jobs_submit(model, &settings, &work, &options, &job));
    jobs_model_leave(model);
    return job;
}

static brenier_job *submit_plain(struct job_model *model, size_t n) {
    return submit(model, JOB_GENERATE, n, (brenier_job_options){0});
}

static brenier_job_state state_of(brenier_job *job) {
    brenier_job_state state = -1;
    CHECK_OK(jobs_poll(job, &state));
    return state;
}

static brenier_status result_of(brenier_job *job) {
    char text[JOB_TEXT];
    return jobs_wait(job, 0, text);
}

static int take(struct job_queue *queue, struct job_slice *to) { return jobs_take(queue, to, 0, 0); }

static void do_one(struct job_queue *queue) {
    CHECK(take(queue, &slice));
    jobs_finish(&slice);
}

/* A queue with one model, for one test. */
#define QUEUE(limit)                                               \
    struct job_queue *queue = jobs_queue_open(limit, SECOND, 0);   \
    struct job_model *model = open_model(queue)

#define CLOSE()                 \
    jobs_queue_stop(queue);     \
    jobs_model_close(model);    \
    jobs_queue_close(queue)

static void the_most_urgent_is_taken_first(void) {
    QUEUE(16);
    /* The kinds differ, so that no two share a slice; priority, then deadline, then order. */
    struct job_model *other = open_model(queue);
    brenier_job *last = submit(model, JOB_GENERATE, 1, (brenier_job_options){.priority = -7});
    brenier_job *third = submit(model, JOB_DECODE, 1, (brenier_job_options){0});
    brenier_job *fourth = submit(other, JOB_DECODE, 1, (brenier_job_options){0});
    brenier_job *second = submit(model, JOB_LOCATE, 1, (brenier_job_options){.deadline_us = 3600000000u});
    brenier_job *first = submit(other, JOB_LOCATE, 1, (brenier_job_options){.priority = 9});
    brenier_job *order[] = {first, second, third, fourth, last};
    for (int i = 0; i < 5; i++) {
        CHECK(state_of(order[i]) == BRENIER_JOB_QUEUED);
        do_one(queue);
        CHECK(state_of(order[i]) == BRENIER_JOB_DONE);
    }
    CHECK(!take(queue, &slice));
    CHECK(jobs_unfinished(queue) == 0);
    jobs_model_close(other);
    CLOSE();
    CHECK_STATUS(result_of(first), BRENIER_INVALID_HANDLE); /* stale with its queue */
}

/* A more urgent job that comes while another is at work gets the next slice. */
static void work_yields_between_slices(void) {
    QUEUE(16);
    brenier_job *large = submit_plain(model, 10);
    CHECK(take(queue, &slice));
    CHECK(slice.parts == 1 && slice.part[0].at == 0 && slice.part[0].count == 1); /* nothing is known yet */
    brenier_job *urgent = submit(model, JOB_LOCATE, 1, (brenier_job_options){.priority = 1});
    CHECK(state_of(large) == BRENIER_JOB_RUNNING);
    jobs_finish(&slice);
    do_one(queue);
    CHECK(state_of(urgent) == BRENIER_JOB_DONE);
    CHECK(state_of(large) == BRENIER_JOB_RUNNING);
    /* Slices double while they take less than half of the bound: 2, 4 and the 3 that are left. Two
     * workers may have slices of one job at once. */
    struct job_slice two;
    CHECK(take(queue, &slice) && slice.part[0].at == 1 && slice.part[0].count == 2);
    CHECK(take(queue, &two) && two.part[0].at == 3 && two.part[0].count == 2);
    jobs_finish(&two);
    jobs_finish(&slice);
    CHECK(take(queue, &slice) && slice.part[0].at == 5 && slice.part[0].count == 4);
    CHECK(state_of(large) == BRENIER_JOB_RUNNING);
    CHECK(take(queue, &two) && two.part[0].at == 9 && two.part[0].count == 1);
    CHECK(!take(queue, &(struct job_slice){0}));
    jobs_finish(&slice);
    CHECK(state_of(large) == BRENIER_JOB_RUNNING); /* its last slice is not back */
    jobs_finish(&two);
    CHECK(state_of(large) == BRENIER_JOB_DONE);
    CLOSE();
}

/* A slice for a part of the bound has a part of the samples, and one at least. */
static void a_smaller_budget_takes_fewer(void) {
    QUEUE(16);
    submit_plain(model, 64);
    for (int i = 0; i < 4; i++) do_one(queue); /* 1 + 2 + 4 + 8: 16 are allowed now */
    CHECK(jobs_take(queue, &slice, SECOND / 4, 0) && slice.part[0].count == 4);
    jobs_finish(&slice);
    CHECK(jobs_take(queue, &slice, 1, 0) && slice.part[0].count == 1);
    jobs_finish(&slice);
    CHECK(jobs_take(queue, &slice, 0, 0) && slice.part[0].count == 16);
    jobs_finish(&slice);
    CLOSE();
}

static void do_block(struct job_queue *queue, size_t at, int done) {
    CHECK(take(queue, &slice) && slice.parts == 1 && slice.part[0].at == at && slice.part[0].count == 1);
    slice.done = done;
    jobs_finish(&slice);
}

/* A block of a field is one slice's at a time, and others go on with it. */
static void a_block_is_left_and_taken_up(void) {
    QUEUE(16);
    brenier_job *read = submit(model, JOB_FIELD, 3, (brenier_job_options){0});
    struct job_slice two, none;
    CHECK(take(queue, &slice) && slice.part[0].at == 0 && slice.part[0].count == 1 && slice.tiles == 1);
    const uint64_t token = slice.part[0].token;
    CHECK(token == (uint64_t)(uintptr_t)read && !jobs_has_ended(token));
    CHECK(take(queue, &two) && two.part[0].at == 1);
    jobs_finish(&slice); /* nothing is done: it is left, and taken up before the third is begun */
    brenier_job *urgent = submit(model, JOB_LOCATE, 1, (brenier_job_options){.priority = 1});
    do_one(queue);
    CHECK(state_of(urgent) == BRENIER_JOB_DONE && state_of(read) == BRENIER_JOB_RUNNING);
    do_block(queue, 0, 0);
    do_block(queue, 0, 1);
    do_block(queue, 2, 1);
    CHECK(!take(queue, &none));
    CHECK(state_of(read) == BRENIER_JOB_RUNNING);
    jobs_finish(&two);
    do_block(queue, 1, 1);
    CHECK(state_of(read) == BRENIER_JOB_DONE);
    CHECK(jobs_has_ended(token));

    /* The tiles of a slice double as long as it has been quick with all of them, whoever takes it. */
    brenier_job *large = submit(model, JOB_FIELD, 1, (brenier_job_options){0});
    CHECK(take(queue, &slice));
    const uint32_t allowed = slice.tiles;
    CHECK(allowed > 1);
    jobs_finish(&slice);
    CHECK(take(queue, &slice) && slice.tiles == 2 * allowed);
    slice.tiles--; /* all that there were to make */
    jobs_finish(&slice);
    CHECK(jobs_take(queue, &slice, SECOND / 2, 0) && slice.tiles == allowed); /* half the time, half the tiles */
    slice.tiles = 0; /* all were in the cache */
    jobs_finish(&slice);
    CHECK(take(queue, &slice) && slice.tiles == 2 * allowed);

    /* It is cancelled while a slice has its only block, and while none has. */
    CHECK_OK(jobs_cancel(large));
    CHECK(!take(queue, &none));
    CHECK(state_of(large) == BRENIER_JOB_RUNNING);
    jobs_finish(&slice);
    CHECK(state_of(large) == BRENIER_JOB_CANCELLED);
    brenier_job *between = submit(model, JOB_FIELD, 1, (brenier_job_options){0});
    do_block(queue, 0, 0);
    CHECK_OK(jobs_close(between)); /* without a worker */
    CHECK(!take(queue, &slice));

    /* One that is whole is done, whoever asked for its end while it was in its last slice. */
    brenier_job *last = submit(model, JOB_FIELD, 1, (brenier_job_options){0});
    CHECK(take(queue, &slice));
    CHECK_OK(jobs_cancel(last));
    CHECK(!take(queue, &none));
    slice.done = 1;
    jobs_finish(&slice);
    CHECK(state_of(last) == BRENIER_JOB_DONE);

    /* No more of one read are begun than there is room for. */
    static struct job_slice many[JOB_BLOCKS];
    brenier_job *huge = submit(model, JOB_FIELD, 2 * JOB_BLOCKS, (brenier_job_options){0});
    for (int i = 0; i < JOB_BLOCKS; i++) CHECK(take(queue, &many[i]) && many[i].part[0].at == (size_t)i);
    CHECK(!take(queue, &none));
    for (int i = 0; i < JOB_BLOCKS; i++) jobs_finish(&many[i]);
    for (int i = 0; i < 2 * JOB_BLOCKS; i++) {
        CHECK(take(queue, &slice));
        slice.done = 1;
        jobs_finish(&slice);
    }
    CHECK(state_of(huge) == BRENIER_JOB_DONE);
    CLOSE();
}

static void small_jobs_share_a_slice(void) {
    QUEUE(64);
    struct job_model *other = open_model(queue);
    submit_plain(model, 63);
    for (int i = 0; i < 6; i++) do_one(queue); /* 64 are allowed now */
    brenier_job *small[5];
    for (int i = 0; i < 5; i++) small[i] = submit_plain(model, (size_t)(i + 1));
    brenier_job *elsewhere = submit_plain(other, 1), *otherwise = submit(model, JOB_DECODE, 1, (brenier_job_options){0});
    CHECK(take(queue, &slice) && slice.parts == 5);
    size_t samples = 0;
    for (uint32_t i = 0; i < slice.parts; i++) samples += slice.part[i].count;
    CHECK(samples == 15);
    for (int i = 0; i < 5; i++) CHECK(state_of(small[i]) == BRENIER_JOB_RUNNING);
    jobs_fail(&slice, 2, BRENIER_DEVICE, "the third", 9);
    jobs_finish(&slice);
    int failed = 0;
    for (int i = 0; i < 5; i++) failed += state_of(small[i]) == BRENIER_JOB_FAILED;
    CHECK(failed == 1); /* the others are done */
    CHECK(state_of(elsewhere) == BRENIER_JOB_QUEUED && state_of(otherwise) == BRENIER_JOB_QUEUED);
    do_one(queue), do_one(queue);

    /* Memory of the device is written by one job at a time. */
    const struct job_settings there = {.kind = JOB_GENERATE, .location = BRENIER_CUDA_DEVICE};
    for (int i = 0; i < 2; i++)
        CHECK_OK(jobs_submit(model, &there, &(struct job_work){.n = 1}, &(brenier_job_options){0}, NULL));
    CHECK(take(queue, &slice) && slice.parts == 1);
    jobs_finish(&slice);
    CHECK(take(queue, &slice) && slice.parts == 1);
    jobs_finish(&slice);
    jobs_model_close(other);
    CLOSE();
}

/* What the last callback was told. */
static int calls;
static brenier_job *told_job;
static brenier_status told_result;
static brenier_status own_wait, own_close;
static brenier_job_state own_state;

static void ended(void *user, brenier_job *job, brenier_status result) {
    char text[JOB_TEXT];
    calls += *(int *)user;
    told_job = job;
    told_result = result;
    if (job) {
        CHECK_OK(jobs_poll(job, &own_state));
        own_wait = jobs_wait(job, 1000000, text);
        own_close = jobs_close(job);
    }
}

static void a_callback_is_told_once(void) {
    QUEUE(16);
    int one = 1;
    const brenier_job_options options = {.ended = ended, .user = &one};
    brenier_job *job = submit(model, JOB_GENERATE, 1, options);
    calls = 0;
    do_one(queue);
    CHECK(calls == 1 && told_job == job && told_result == BRENIER_OK);
    CHECK(own_state == BRENIER_JOB_RUNNING); /* it is told before the others are */
    CHECK_STATUS(own_wait, BRENIER_INVALID_ARGUMENT);
    CHECK_STATUS(own_close, BRENIER_INVALID_ARGUMENT);
    CHECK_OK(result_of(job));
    CHECK_OK(jobs_close(job));
    CHECK_STATUS(jobs_close(job), BRENIER_INVALID_HANDLE);

    /* Without a handle. */
    CHECK_OK(jobs_submit(model, &(struct job_settings){0}, &(struct job_work){.n = 1}, &options, NULL));
    do_one(queue);
    CHECK(calls == 2 && told_job == NULL);
    CLOSE();
    CHECK(calls == 2);
}

static void a_job_is_cancelled_at_every_stage(void) {
    QUEUE(16);
    brenier_job *queued = submit_plain(model, 4);
    CHECK_OK(jobs_cancel(queued));
    CHECK_OK(jobs_cancel(queued));
    CHECK(state_of(queued) == BRENIER_JOB_QUEUED); /* nobody has looked */
    CHECK(!take(queue, &slice));
    CHECK(state_of(queued) == BRENIER_JOB_CANCELLED);
    CHECK_STATUS(result_of(queued), BRENIER_CANCELLED);

    brenier_job *between = submit_plain(model, 4);
    do_one(queue);
    CHECK_OK(jobs_cancel(between));
    CHECK(!take(queue, &slice));
    CHECK(state_of(between) == BRENIER_JOB_CANCELLED);

    brenier_job *within = submit_plain(model, 40);
    CHECK(take(queue, &slice));
    CHECK_OK(jobs_cancel(within));
    struct job_slice none;
    CHECK(!take(queue, &none));
    CHECK(state_of(within) == BRENIER_JOB_RUNNING); /* the slice still writes to the buffers */
    jobs_finish(&slice);
    CHECK(state_of(within) == BRENIER_JOB_CANCELLED);

    brenier_job *last = submit_plain(model, 1);
    CHECK(take(queue, &slice));
    CHECK_OK(jobs_cancel(last));
    jobs_finish(&slice);
    CHECK(state_of(last) == BRENIER_JOB_DONE); /* nothing was left to cancel */
    CHECK_OK(jobs_cancel(last));
    CHECK(state_of(last) == BRENIER_JOB_DONE);
    CLOSE();
}

static void closing_cancels_without_a_worker(void) {
    QUEUE(2);
    brenier_job *job = submit_plain(model, 4), *second = submit_plain(model, 4);
    CHECK_OK(jobs_close(job));
    CHECK_STATUS(jobs_cancel(job), BRENIER_INVALID_HANDLE);
    CHECK_STATUS(result_of(job), BRENIER_INVALID_HANDLE);
    CHECK(jobs_unfinished(queue) == 1);
    jobs_model_close(model);
    CHECK(state_of(second) == BRENIER_JOB_CANCELLED); /* with its model */
    CHECK(jobs_model_use(model->token) == NULL);
    jobs_queue_stop(queue);
    jobs_queue_close(queue);
    CHECK_STATUS(jobs_cancel(second), BRENIER_INVALID_HANDLE);
}

static void a_deadline_passes(void) {
    QUEUE(16);
    const brenier_job_options soon = {.deadline_us = 1000};
    brenier_job *queued = submit(model, JOB_GENERATE, 4, soon), *within = submit(model, JOB_DECODE, 4, soon);
    const uint64_t submitted = jobs_now();
    struct job_slice own;
    const int begun = jobs_take(queue, &own, 0, 0); /* unless the machine slept for the whole of it */
    while (jobs_now() < submitted + 1000000) {
    }
    CHECK(!take(queue, &slice));
    if (begun) jobs_finish(&own);
    CHECK(state_of(queued) == BRENIER_JOB_EXPIRED);
    CHECK(state_of(within) == BRENIER_JOB_EXPIRED);
    CHECK_STATUS(result_of(within), BRENIER_EXPIRED);

    brenier_job *last = submit(model, JOB_LOCATE, 1, (brenier_job_options){.deadline_us = 3600000000u});
    do_one(queue);
    CHECK(state_of(last) == BRENIER_JOB_DONE);
    CLOSE();
}

static void a_full_queue_is_busy(void) {
    QUEUE(3);
    brenier_job *jobs[3], *more = NULL;
    for (int i = 0; i < 3; i++) jobs[i] = submit_plain(model, 1);
    const struct job_settings settings = {0};
    const struct job_work work = {.n = 1};
    const brenier_job_options options = {0};
    CHECK_STATUS(jobs_submit(model, &settings, &work, &options, &more), BRENIER_BUSY);
    for (int i = 0; i < 3 && take(queue, &slice); i++) jobs_finish(&slice);
    CHECK_STATUS(jobs_submit(model, &settings, &work, &options, &more), BRENIER_BUSY); /* none is closed */
    CHECK_OK(jobs_close(jobs[1]));
    CHECK_OK(jobs_submit(model, &settings, &work, &options, &more));
    CHECK_STATUS(result_of(jobs[1]), BRENIER_INVALID_HANDLE); /* though the record is in use again */
    CHECK_OK(jobs_poll(more, &own_state));
    jobs_queue_stop(queue);
    CHECK_STATUS(jobs_submit(model, &settings, &work, &options, &more), BRENIER_INVALID_HANDLE);
    CLOSE();
}

static void a_defect_fails_what_is_left(void) {
    QUEUE(16);
    brenier_job *first = submit_plain(model, 1), *second = submit(model, JOB_DECODE, 1, (brenier_job_options){0});
    char text[JOB_TEXT];
    CHECK(!jobs_queue_poisoned(queue, text));
    CHECK(take(queue, &slice));
    jobs_queue_poison(queue, "the reason", 10);
    jobs_queue_poison(queue, "a later one", 11);
    CHECK(jobs_queue_poisoned(queue, text) && strcmp(text, "the reason") == 0);
    CHECK_STATUS(jobs_wait(second, 0, text), BRENIER_INTERNAL);
    CHECK(strcmp(text, "the reason") == 0);
    jobs_fail(&slice, 0, BRENIER_INTERNAL, "its own", 7);
    jobs_finish(&slice);
    CHECK_STATUS(jobs_wait(first, 0, text), BRENIER_INTERNAL);
    CHECK(strcmp(text, "its own") == 0);
    CHECK(state_of(first) == BRENIER_JOB_FAILED);
    CLOSE();
}

static void wrong_handles_are_refused(void) {
    QUEUE(4);
    brenier_job *job = submit_plain(model, 1);
    const uint64_t token = (uint64_t)(uintptr_t)job;
    const uint64_t wrong[] = {0,         1,         ~UINT64_C(0),           token + 1,        token - 1,
                              token + 7, token ^ 1, token + (1u << 20),     token + (1u << 19), token ^ UINT64_C(1) << 63,
                              next_token - 1};
    brenier_job_state state = 77;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        brenier_job *other = (brenier_job *)(uintptr_t)wrong[i];
        CHECK_STATUS(jobs_poll(other, &state), BRENIER_INVALID_HANDLE);
        CHECK_STATUS(jobs_cancel(other), BRENIER_INVALID_HANDLE);
        CHECK_STATUS(jobs_close(other), BRENIER_INVALID_HANDLE);
        CHECK_STATUS(result_of(other), BRENIER_INVALID_HANDLE);
    }
    CHECK(state == 77);
    CHECK(jobs_model_use(token) == NULL && jobs_model_use(0) == NULL && jobs_model_use(~UINT64_C(0)) == NULL);
    CLOSE();
}

/* ---- Many threads */

enum { SUBMITTERS = 6, WORKERS = 3, JOBS = 4000, ROUNDS = 2 };

static struct job_queue *crowd;
static struct job_model *crowd_models[2];
static _Atomic int endings[SUBMITTERS * JOBS]; /* of each job */
static atomic_long results[13];
static _Atomic(brenier_job *) shown; /* of whichever thread was here last */

static void count_ending(void *user, brenier_job *job, brenier_status result) {
    (void)job;
    atomic_fetch_add((_Atomic int *)user, 1);
    atomic_fetch_add(&results[result], 1);
}

static uint32_t drawn(uint32_t *random) { return *random = *random * 1664525u + 1013904223u, *random >> 8; }

static void *work(void *unused) {
    (void)unused;
    struct job_slice own;
    uint32_t random = 5;
    while (jobs_take(crowd, &own, 0, 1)) {
        if (drawn(&random) % 16 == 0) jobs_fail(&own, 0, BRENIER_DEVICE, "planted", 7);
        if (drawn(&random) % 4 == 0) sched_yield();
        if (own.settings.kind == JOB_FIELD) {
            CHECK(own.parts == 1 && own.part[0].count == 1 && !jobs_has_ended(own.part[0].token));
            own.done = drawn(&random) % 3 == 0;
        }
        jobs_finish(&own);
    }
    return NULL;
}

static atomic_long tried;
static int all_are_closed; /* or some stay until the queue is */

static void *submit_many(void *argument) {
    const unsigned thread = (unsigned)(uintptr_t)argument;
    uint32_t random = thread;
    char text[JOB_TEXT];
    for (unsigned i = 0; i < JOBS; i++) {
        atomic_fetch_add(&tried, 1);
        struct job_model *model = crowd_models[drawn(&random) % 2];
        const struct job_settings settings = {.kind = (int)(drawn(&random) % JOB_KINDS)};
        const struct job_work work = {.n = 1 + drawn(&random) % 5};
        const brenier_job_options options = {.priority = (int)(drawn(&random) % 3), .ended = count_ending,
                                             .deadline_us = drawn(&random) % 4 ? 0 : drawn(&random) % 300,
                                             .user = (void *)&endings[thread * JOBS + i]};
        brenier_job *job = NULL;
        const int detached = drawn(&random) % 8 == 0;
        if (!jobs_model_use(model->token)) {
            atomic_fetch_add(&endings[thread * JOBS + i], 1); /* the model is being closed */
            continue;
        }
        const brenier_status status = jobs_submit(model, &settings, &work, &options, detached ? NULL : &job);
        jobs_model_leave(model);
        if (status != BRENIER_OK) {
            if (status != BRENIER_INVALID_HANDLE) CHECK_STATUS(status, BRENIER_BUSY);
            atomic_fetch_add(&endings[thread * JOBS + i], 1);
            sched_yield();
            continue;
        }
        if (detached) continue;
        brenier_job_state state;
        brenier_job *others = atomic_exchange(&shown, job);
        jobs_poll(others, &state); /* stale or not */
        jobs_wait(others, 1, text);
        if (drawn(&random) % 3 == 0) jobs_cancel(others);
        if (drawn(&random) % 3 == 0) CHECK_OK(jobs_cancel(job));
        if (drawn(&random) % 2 == 0) jobs_wait(job, 1 + drawn(&random) % 200, text);
        if (all_are_closed || drawn(&random) % 16) {
            const brenier_status closed = jobs_close(job);
            if (closed != BRENIER_OK) CHECK_STATUS(closed, BRENIER_INVALID_HANDLE);
            CHECK(atomic_load(&endings[thread * JOBS + i]) == 1); /* its buffers are the caller's again */
        }
    }
    return NULL;
}

static void each_ends_once(void) {
    for (int round = 0; round < ROUNDS; round++) {
        pthread_t submitters[SUBMITTERS], workers[WORKERS];
        memset((void *)endings, 0, sizeof endings);
        atomic_store(&tried, 0);
        all_are_closed = round;
        crowd = jobs_queue_open(round ? 64 : SUBMITTERS * JOBS / 8, 50000, 0);
        for (int m = 0; m < 2; m++) crowd_models[m] = open_model(crowd);
        for (int i = 0; i < WORKERS; i++) CHECK(pthread_create(&workers[i], NULL, work, NULL) == 0);
        for (uintptr_t i = 0; i < SUBMITTERS; i++) CHECK(pthread_create(&submitters[i], NULL, submit_many, (void *)i) == 0);
        while (atomic_load(&tried) < JOBS) sched_yield();
        jobs_model_close(crowd_models[0]); /* in the middle */
        while (atomic_load(&tried) < SUBMITTERS * JOBS / 2) sched_yield();
        jobs_queue_stop(crowd);
        for (int i = 0; i < WORKERS; i++) pthread_join(workers[i], NULL);
        jobs_model_close(crowd_models[1]);
        for (int i = 0; i < SUBMITTERS; i++) pthread_join(submitters[i], NULL);
        CHECK(jobs_unfinished(crowd) == 0);
        jobs_queue_close(crowd);
        for (int i = 0; i < SUBMITTERS * JOBS; i++)
            if (atomic_load(&endings[i]) != 1) CHECK(!"a job ended once");
    }
    printf("ended: %ld done, %ld cancelled, %ld expired, %ld failed\n", atomic_load(&results[BRENIER_OK]),
           atomic_load(&results[BRENIER_CANCELLED]), atomic_load(&results[BRENIER_EXPIRED]),
           atomic_load(&results[BRENIER_DEVICE]));
    CHECK(atomic_load(&results[BRENIER_OK]) > 0 && atomic_load(&results[BRENIER_CANCELLED]) > 0);
}

/* Here the library is not, which keeps the sentences that CHECK_STATUS prints. */
const char *brenier_last_error(void) { return ""; }
const char *brenier_status_name(brenier_status status) {
    static char names[13][4];
    snprintf(names[status % 13], sizeof *names, "%d", (int)status % 13);
    return names[status % 13];
}

int main(void) {
    the_most_urgent_is_taken_first();
    work_yields_between_slices();
    a_smaller_budget_takes_fewer();
    a_block_is_left_and_taken_up();
    small_jobs_share_a_slice();
    a_callback_is_told_once();
    a_job_is_cancelled_at_every_stage();
    closing_cancels_without_a_worker();
    a_deadline_passes();
    a_full_queue_is_busy();
    a_defect_fails_what_is_left();
    wrong_handles_are_refused();
    each_ends_once();
    return finish("queue");
}
