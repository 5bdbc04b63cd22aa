#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "queue.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

// ---- What a job is

// The state of a job is one word, changed by compare-and-swap alone:
//
//     bits 63..16   the generation: it differs for every job that the record has held
//     bits 15..8    the status that the job ended with
//     bits  7..4    the phase
//     bits  3..0    flags
//
// Its low half is what sleepers wait for a change of.
enum {
    WAITED = 1,    // somebody sleeps until the phase is ENDED
    CANCEL = 2,    // somebody asked for the end
    CLOSED = 4,    // the handle is stale; who set this gives the record back once it has ended
    DETACHED = 8,  // nobody ever had a handle; who ends it gives the record back
    FLAGS = 15,
};
enum { FREE, QUEUED, RUNNING, ENDED };

#define PHASE(state) ((int)((state) >> 4 & 15))
#define STATUS(state) ((brenier_status)((state) >> 8 & 255))
#define GENERATION(state) ((state) >> 16)
#define STATE(generation, status, phase, flags) \
    ((uint64_t)(generation) << 16 | (uint64_t)(status) << 8 | (uint64_t)(phase) << 4 | (uint64_t)(flags))

// A handle is a token like those of engines and models (handle.go), with more generations than these
// have, for jobs are many:
//
//     bits 63..56 the tag, 55..20 the generation, 19..0 the record
enum { TAG = 0xE3, INDEX_BITS = 20, MOST_JOBS = 1 << INDEX_BITS };
#define MOST_GENERATIONS ((UINT64_C(1) << 36) - 1)

// A sentence that one thread may write while another reads it: the reader then finds that the
// generation has changed.
typedef struct {
    _Atomic uint64_t words[JOB_TEXT / 8];
} sentence;

struct job {
    _Atomic uint64_t state;
    _Atomic uint32_t next;   // in a stack: 1 + the index of the record below, or 0
    uint32_t index;
    struct job_queue *_Atomic queue;
    _Atomic pid_t ending;  // the thread that is in the callback, or 0

    // Written before the job is queued.
    struct job_model *model;
    struct job_settings settings;
    struct job_work work;
    int32_t priority;
    uint64_t deadline;  // on the clock of jobs_now; UINT64_MAX: none
    uint64_t order;
    brenier_job_callback ended;
    void *user;

    // Under the queue's lock.
    size_t taken;      // samples that slices have been given
    uint32_t at_work;  // slices that have some
    size_t done;       // field: blocks of which nothing is left
    uint32_t left;     // field: blocks that were begun and are in no slice
    size_t left_at[JOB_BLOCKS];
    brenier_status failure;
    struct job *after;  // of several that end together
    sentence text;
};

struct job_queue {
    uint32_t limit;
    uint64_t slice_ns;
    clockid_t clock;  // that slices are measured by

    _Atomic uint32_t inbox;  // a stack
    _Atomic uint32_t live;   // from submit to close
    _Atomic uint32_t unfinished;
    _Atomic uint64_t orders;
    _Atomic uint32_t news;  // changed by every submit; what idle workers sleep on
    _Atomic uint32_t sleepers;
    _Atomic int stopped;
    _Atomic int poisoned;
    sentence reason;

    pthread_mutex_t lock;  // for what follows, and for changing jobs as their comments say
    struct job **pending;  // those with samples to take now or, of a field, later; in no order
    uint32_t pending_count;
    struct job_queue *next;  // among those to use again
};

// A model as the queue keeps it. The address of `public` is the address of this.
struct model {
    struct job_model public;
    _Atomic uint32_t users;  // calls and jobs; with CLOSING nobody new may come
    _Atomic uint64_t published;  // the token once more, for those who do not hold the model
    uint32_t allowance[JOB_KINDS];  // samples of a slice; under the queue's lock
    struct model *next;
};
#define CLOSING (UINT32_C(1) << 31)

static struct model *full(struct job_model *model) { return (struct model *)model; }

// ---- Sleeping

// What `word` points to may have been given back meanwhile, and is memory all the same.
static void sleep_on(void *word, uint32_t seen, const struct timespec *timeout) {
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, seen, timeout, NULL, 0);
}

static void wake(void *word, int how_many) { syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, how_many, NULL, NULL, 0); }

// The half of a state that changes from phase to phase.
static uint32_t *low_half(struct job *job) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    return (uint32_t *)&job->state;
#else
    return (uint32_t *)&job->state + 1;
#endif
}

static uint64_t clock_ns(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t jobs_now(void) { return clock_ns(CLOCK_MONOTONIC); }

static pid_t this_thread(void) { return (pid_t)syscall(SYS_gettid); }

// ---- Sentences

static void write_sentence(sentence *to, const char *text, size_t bytes) {
    char padded[JOB_TEXT] = {0};
    memcpy(padded, text, bytes < JOB_TEXT - 1 ? bytes : JOB_TEXT - 1);
    for (size_t i = 0; i < JOB_TEXT / 8; i++) {
        uint64_t word;
        memcpy(&word, padded + 8 * i, 8);
        atomic_store_explicit(&to->words[i], word, memory_order_release);
    }
}

static void read_sentence(const sentence *from, char text[JOB_TEXT]) {
    for (size_t i = 0; i < JOB_TEXT / 8; i++) {
        const uint64_t word = atomic_load_explicit(&from->words[i], memory_order_acquire);
        memcpy(text + 8 * i, &word, 8);
    }
    text[JOB_TEXT - 1] = '\0';
}

// ---- Records

// Jobs lie in blocks that are only ever added to; all else about records is under this lock, but for
// the stack of free jobs.
static pthread_mutex_t records = PTHREAD_MUTEX_INITIALIZER;

enum { BLOCK = 1024 };
static struct job *_Atomic blocks[MOST_JOBS / BLOCK];
static _Atomic uint32_t room;   // jobs that the blocks have room for
static _Atomic uint32_t fresh;  // the first job that has never been used
static _Atomic uint64_t unused; // the stack of those to use again: a count of changes, and 1 + the index
static uint64_t promised;       // the sum of the open queues' limits
static struct job_queue *spare_queues;
static struct model *spare_models;

static struct job *job_at(uint32_t index) {
    return atomic_load_explicit(&blocks[index / BLOCK], memory_order_acquire) + index % BLOCK;
}

static struct job *take_record(void) {
    for (;;) {
        uint64_t top = atomic_load_explicit(&unused, memory_order_acquire);
        while ((uint32_t)top != 0) {
            struct job *job = job_at((uint32_t)top - 1);
            const uint64_t below = atomic_load_explicit(&job->next, memory_order_relaxed);
            if (atomic_compare_exchange_weak_explicit(&unused, &top, ((top >> 32) + 1) << 32 | below,
                                                      memory_order_acquire, memory_order_acquire))
                return job;
        }
        uint32_t index = atomic_load_explicit(&fresh, memory_order_relaxed);
        while (index < atomic_load_explicit(&room, memory_order_acquire))
            if (atomic_compare_exchange_weak(&fresh, &index, index + 1)) {
                struct job *job = job_at(index);
                job->index = index;
                atomic_store_explicit(&job->state, STATE(1, 0, FREE, 0), memory_order_relaxed);
                return job;
            }
        // Queues never hold more than the blocks have room for, so one was given back meanwhile.
    }
}

// Gives the record of a job that has ended back; its handle is stale.
static void give_record(struct job *job) {
    struct job_queue *queue = atomic_load_explicit(&job->queue, memory_order_relaxed);
    const uint64_t state = atomic_load_explicit(&job->state, memory_order_relaxed);
    // After 2^36 jobs in one record, three months at 10,000 a second, generations begin anew.
    const uint64_t generation = GENERATION(state) < MOST_GENERATIONS ? GENERATION(state) + 1 : 1;
    atomic_store_explicit(&job->state, STATE(generation, 0, FREE, 0), memory_order_release);
    uint64_t top = atomic_load_explicit(&unused, memory_order_relaxed);
    do atomic_store_explicit(&job->next, (uint32_t)top, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&unused, &top, ((top >> 32) + 1) << 32 | (job->index + 1),
                                                  memory_order_release, memory_order_relaxed));
    if (atomic_fetch_sub(&queue->live, 1) == 1 && atomic_load(&queue->stopped)) wake(&queue->live, INT32_MAX);
}

static void sweep_and_end(struct job_queue *queue);

int jobs_has_ended(uint64_t token) {
    const uint64_t state = atomic_load_explicit(&job_at(token & (MOST_JOBS - 1))->state, memory_order_acquire);
    return GENERATION(state) != (token >> INDEX_BITS & MOST_GENERATIONS) || PHASE(state) == ENDED;
}

static brenier_job *handle_of(const struct job *job, uint64_t state) {
    return (brenier_job *)(uintptr_t)((uint64_t)TAG << 56 | GENERATION(state) << INDEX_BITS | job->index);
}

// Finds the job of a handle and the state it is in; NULL for a handle that is stale or no job's.
static struct job *find(const brenier_job *handle, uint64_t *state) {
    const uint64_t token = (uint64_t)(uintptr_t)handle;
    const uint32_t index = token & (MOST_JOBS - 1);
    if (token >> 56 != TAG || index >= atomic_load_explicit(&fresh, memory_order_acquire)) return NULL;
    struct job *job = job_at(index);
    *state = atomic_load_explicit(&job->state, memory_order_acquire);
    const int open = GENERATION(*state) == (token >> INDEX_BITS & MOST_GENERATIONS) && PHASE(*state) != FREE &&
                     !(*state & (CLOSED | DETACHED));
    return open ? job : NULL;
}

// ---- Queues

// Makes the blocks large enough for all that open queues may hold.
static int make_room(void) {
    while (atomic_load(&room) < promised) {
        const uint32_t block = atomic_load(&room) / BLOCK;
        struct job *jobs = block < MOST_JOBS / BLOCK ? calloc(BLOCK, sizeof *jobs) : NULL;
        if (!jobs) return 0;
        atomic_store_explicit(&blocks[block], jobs, memory_order_release);
        atomic_fetch_add(&room, BLOCK);
    }
    return 1;
}

struct job_queue *jobs_queue_open(uint32_t limit, uint64_t slice_ns, int wall_clock) {
    struct job **pending = calloc(limit, sizeof *pending);
    if (!pending) return NULL;
    pthread_mutex_lock(&records);
    promised += limit;
    struct job_queue *queue = NULL;
    if (make_room()) {
        if ((queue = spare_queues) != NULL)
            spare_queues = queue->next;
        else if ((queue = calloc(1, sizeof *queue)) != NULL)
            pthread_mutex_init(&queue->lock, NULL);
    }
    if (!queue) promised -= limit;
    pthread_mutex_unlock(&records);
    if (!queue) {
        free(pending);
        return NULL;
    }
    queue->limit = limit;
    queue->slice_ns = slice_ns;
    // The processor's own time is not longer where a busy machine lets the thread wait.
    queue->clock = wall_clock ? CLOCK_MONOTONIC : CLOCK_THREAD_CPUTIME_ID;
    queue->pending = pending;
    queue->pending_count = 0;
    atomic_store(&queue->stopped, 0);
    atomic_store(&queue->poisoned, 0);
    return queue;
}

static void tell_workers(struct job_queue *queue, int how_many) {
    atomic_fetch_add(&queue->news, 1);
    if (atomic_load(&queue->sleepers) > 0) wake(&queue->news, how_many);
}

void jobs_queue_stop(struct job_queue *queue) {
    atomic_store(&queue->stopped, 1);
    tell_workers(queue, INT32_MAX);
}

void jobs_queue_poison(struct job_queue *queue, const char *reason, size_t bytes) {
    pthread_mutex_lock(&queue->lock);
    if (!atomic_load(&queue->poisoned)) write_sentence(&queue->reason, reason, bytes);
    atomic_store(&queue->poisoned, 1);
    pthread_mutex_unlock(&queue->lock);
    sweep_and_end(queue);
}

int jobs_queue_poisoned(const struct job_queue *queue, char text[JOB_TEXT]) {
    if (!atomic_load(&queue->poisoned)) return 0;
    read_sentence(&queue->reason, text);
    return 1;
}

uint32_t jobs_unfinished(const struct job_queue *queue) { return atomic_load(&queue->unfinished); }

void jobs_queue_close(struct job_queue *queue) {
    const uint32_t used = atomic_load(&fresh);
    for (uint32_t i = 0; i < used; i++) {
        struct job *job = job_at(i);
        uint64_t state = atomic_load(&job->state);
        while (PHASE(state) == ENDED && !(state & (CLOSED | DETACHED)) && atomic_load(&job->queue) == queue)
            if (atomic_compare_exchange_weak(&job->state, &state, state | CLOSED)) {
                give_record(job);
                break;
            }
    }
    for (uint32_t live; (live = atomic_load(&queue->live)) > 0;) sleep_on(&queue->live, live, NULL); // others close theirs
    free(queue->pending);
    pthread_mutex_lock(&records);
    promised -= queue->limit;
    queue->next = spare_queues;
    spare_queues = queue;
    pthread_mutex_unlock(&records);
}

// ---- Models

// Models, and fields, by the record number of their tokens, in blocks that are only ever added to; a table
// for each kind of token.
enum { MODEL_BLOCK = 4096, MODEL_KINDS = 4 };
typedef struct model *_Atomic model_place;
static model_place *_Atomic model_blocks[MODEL_KINDS][(1 << 24) / MODEL_BLOCK];

static model_place *_Atomic *block_of(uint64_t token) {
    return &model_blocks[token >> 56 & (MODEL_KINDS - 1)][(token & ((1 << 24) - 1)) / MODEL_BLOCK];
}

struct job_model *jobs_model_open(struct job_queue *queue, const struct job_facts *facts) {
    pthread_mutex_lock(&records);
    struct model *model = spare_models;
    if (model) spare_models = model->next;
    pthread_mutex_unlock(&records);
    if (!model) {
        if (!(model = calloc(1, sizeof *model))) return NULL;
        atomic_store(&model->users, CLOSING);
    }
    model->public = (struct job_model){.facts = *facts, .queue = queue};
    for (int kind = 0; kind < JOB_KINDS; kind++) model->allowance[kind] = 1;
    return &model->public;
}

int jobs_model_publish(struct job_model *model, uint64_t token) {
    pthread_mutex_lock(&records);
    model_place *block = atomic_load(block_of(token));
    if (!block && (block = calloc(MODEL_BLOCK, sizeof *block))) atomic_store(block_of(token), block);
    if (block) {
        model->token = token;
        atomic_store(&full(model)->published, token);
        atomic_store(&block[token % MODEL_BLOCK], full(model));
        atomic_fetch_and(&full(model)->users, ~CLOSING);
    }
    pthread_mutex_unlock(&records);
    return block != NULL;
}

struct job_model *jobs_model_use(uint64_t token) {
    model_place *block = atomic_load_explicit(block_of(token), memory_order_acquire);
    struct model *model = block ? atomic_load_explicit(&block[token % MODEL_BLOCK], memory_order_acquire) : NULL;
    if (!model) return NULL;
    uint32_t users = atomic_load(&model->users);
    do
        if (users & CLOSING) return NULL;
    while (!atomic_compare_exchange_weak(&model->users, &users, users + 1));
    if (atomic_load(&model->published) == token) return &model->public;
    jobs_model_leave(&model->public);
    return NULL;
}

void jobs_model_leave(struct job_model *model) {
    if (atomic_fetch_sub(&full(model)->users, 1) == (CLOSING | 1)) wake(&full(model)->users, INT32_MAX);
}

void jobs_model_close(struct job_model *model) {
    atomic_fetch_or(&full(model)->users, CLOSING);
    sweep_and_end(model->queue);
    for (uint32_t users; (users = atomic_load(&full(model)->users)) != CLOSING;)
        sleep_on(&full(model)->users, users, NULL); // the last to leave wakes
    atomic_store(&full(model)->published, 0);
    pthread_mutex_lock(&records);
    full(model)->next = spare_models;
    spare_models = full(model);
    pthread_mutex_unlock(&records);
}

// ---- The caller's side

brenier_status jobs_submit(struct job_model *model, const struct job_settings *settings,
                           const struct job_work *work, const brenier_job_options *options, brenier_job **handle) {
    struct job_queue *queue = model->queue;
    if (atomic_load(&queue->stopped)) return BRENIER_INVALID_HANDLE;
    if (atomic_fetch_add(&queue->live, 1) >= queue->limit) {
        atomic_fetch_sub(&queue->live, 1);
        return BRENIER_BUSY;
    }
    struct job *job = take_record();
    atomic_store_explicit(&job->queue, queue, memory_order_relaxed);
    atomic_store_explicit(&job->ending, 0, memory_order_relaxed);
    job->model = model;
    job->settings = *settings;
    job->work = *work;
    job->priority = options->priority;
    job->deadline = UINT64_MAX;
    if (options->deadline_us > 0 && options->deadline_us < UINT64_MAX / 2000)
        job->deadline = jobs_now() + 1000 * options->deadline_us;
    job->order = atomic_fetch_add_explicit(&queue->orders, 1, memory_order_relaxed);
    job->ended = options->ended;
    job->user = options->user;
    job->taken = 0;
    job->at_work = 0;
    job->done = 0;
    job->left = 0;
    job->failure = BRENIER_OK;
    atomic_fetch_add(&queue->unfinished, 1);
    atomic_fetch_add(&full(model)->users, 1);
    const uint64_t state = STATE(GENERATION(atomic_load_explicit(&job->state, memory_order_relaxed)), 0, QUEUED,
                                 handle ? 0 : DETACHED);
    atomic_store_explicit(&job->state, state, memory_order_release);
    if (handle) *handle = handle_of(job, state); // before a callback can look for it

    uint32_t top = atomic_load_explicit(&queue->inbox, memory_order_relaxed);
    do atomic_store_explicit(&job->next, top, memory_order_relaxed);
    while (!atomic_compare_exchange_weak(&queue->inbox, &top, job->index + 1));
    tell_workers(queue, 1);
    // Who closes the model has swept, perhaps before this job was there to see.
    if (atomic_load(&full(model)->users) & CLOSING) sweep_and_end(queue);
    return BRENIER_OK;
}

brenier_status jobs_poll(const brenier_job *handle, brenier_job_state *to) {
    uint64_t state;
    if (!find(handle, &state)) return BRENIER_INVALID_HANDLE;
    if (PHASE(state) != ENDED)
        *to = PHASE(state) == RUNNING ? BRENIER_JOB_RUNNING : BRENIER_JOB_QUEUED;
    else
        switch (STATUS(state)) {
            case BRENIER_OK: *to = BRENIER_JOB_DONE; break;
            case BRENIER_CANCELLED: *to = BRENIER_JOB_CANCELLED; break;
            case BRENIER_EXPIRED: *to = BRENIER_JOB_EXPIRED; break;
            default: *to = BRENIER_JOB_FAILED;
        }
    return BRENIER_OK;
}

// Waits until a job that `state` was read of has ended or, where the deadline passes, not; 0 in that
// case. The job may be another by then.
static int wait_for_end(struct job *job, uint64_t state, uint64_t deadline) {
    const uint64_t generation = GENERATION(state);
    while (PHASE(state) != ENDED && GENERATION(state) == generation) {
        const uint64_t now = deadline == UINT64_MAX ? 0 : jobs_now();
        if (now >= deadline) return 0;
        if (!(state & WAITED) && !atomic_compare_exchange_strong(&job->state, &state, state | WAITED)) continue;
        const uint64_t left = deadline - now;
        const struct timespec timeout = {(time_t)(left / 1000000000u), (long)(left % 1000000000u)};
        sleep_on(low_half(job), (uint32_t)(state | WAITED), deadline == UINT64_MAX ? NULL : &timeout);
        state = atomic_load(&job->state);
    }
    return 1;
}

// Whether this thread is in the callback of a job that has not ended.
static int in_own_callback(struct job *job, uint64_t state) {
    return PHASE(state) != ENDED && atomic_load_explicit(&job->ending, memory_order_relaxed) == this_thread();
}

brenier_status jobs_wait(brenier_job *handle, uint64_t timeout_us, char text[JOB_TEXT]) {
    uint64_t state;
    struct job *job = find(handle, &state);
    if (!job) return BRENIER_INVALID_HANDLE;
    if (PHASE(state) != ENDED) {
        if (timeout_us == 0) return BRENIER_BUSY;
        if (in_own_callback(job, state)) return BRENIER_INVALID_ARGUMENT;
        const uint64_t deadline = timeout_us < UINT64_MAX / 2000 ? jobs_now() + 1000 * timeout_us : UINT64_MAX;
        if (!wait_for_end(job, state, deadline)) return BRENIER_BUSY;
    }
    if (!(job = find(handle, &state))) return BRENIER_INVALID_HANDLE;
    read_sentence(&job->text, text);
    if (find(handle, &state)) return STATUS(state);
    text[0] = '\0'; // it may be another's
    return BRENIER_INVALID_HANDLE;
}

brenier_status jobs_cancel(brenier_job *handle) {
    uint64_t state;
    struct job *job = find(handle, &state);
    if (!job) return BRENIER_INVALID_HANDLE;
    while (PHASE(state) != ENDED && !(state & CANCEL)) {
        if (atomic_compare_exchange_weak(&job->state, &state, state | CANCEL)) break;
        if (!find(handle, &state)) return BRENIER_INVALID_HANDLE;
    }
    return BRENIER_OK;
}

brenier_status jobs_close(brenier_job *handle) {
    uint64_t state;
    struct job *job = find(handle, &state);
    if (!job) return BRENIER_INVALID_HANDLE;
    if (in_own_callback(job, state)) return BRENIER_INVALID_ARGUMENT;
    while (!atomic_compare_exchange_weak(&job->state, &state, state | CLOSED | (PHASE(state) == ENDED ? 0 : CANCEL)))
        if (!find(handle, &state)) return BRENIER_INVALID_HANDLE;
    if (PHASE(state) != ENDED) {
        sweep_and_end(atomic_load(&job->queue)); // there may be no worker
        wait_for_end(job, atomic_load(&job->state), UINT64_MAX);
    }
    give_record(job);
    return BRENIER_OK;
}

// ---- The workers' side

// Ends jobs, linked by `after`, that are in no list and no slice. Called without the lock.
static void end_all(struct job *job) {
    while (job) {
        struct job *after = job->after;
        struct job_model *model = job->model;
        struct job_queue *queue = atomic_load_explicit(&job->queue, memory_order_relaxed);
        uint64_t state = atomic_load(&job->state);
        if (job->ended) {
            atomic_store_explicit(&job->ending, this_thread(), memory_order_relaxed);
            job->ended(job->user, state & (DETACHED | CLOSED) ? NULL : handle_of(job, state), job->failure);
        }
        const brenier_status status = job->failure;
        while (!atomic_compare_exchange_weak(&job->state, &state,
                                             STATE(GENERATION(state), status, ENDED, state & (CLOSED | DETACHED)))) {
        }
        // From here on whoever closes the job may give the record back; a futex is an address alone.
        if (state & WAITED) wake(low_half(job), INT32_MAX);
        atomic_fetch_sub(&queue->unfinished, 1);
        if (state & DETACHED) give_record(job);
        jobs_model_leave(model);
        job = after;
    }
}

// Moves what was submitted to the pending jobs.
static void empty_inbox(struct job_queue *queue) {
    for (uint32_t next = atomic_exchange(&queue->inbox, 0); next != 0;) {
        struct job *job = job_at(next - 1);
        next = atomic_load_explicit(&job->next, memory_order_relaxed);
        queue->pending[queue->pending_count++] = job;
    }
}

// Why no more of a job is to be begun; BRENIER_OK: there is no reason.
static brenier_status reason_to_end(struct job_queue *queue, struct job *job, uint64_t now) {
    if (job->failure) return job->failure;
    if (atomic_load_explicit(&queue->poisoned, memory_order_relaxed)) return BRENIER_INTERNAL;
    if (atomic_load_explicit(&queue->stopped, memory_order_relaxed) ||
        atomic_load_explicit(&full(job->model)->users, memory_order_relaxed) & CLOSING ||
        atomic_load_explicit(&job->state, memory_order_relaxed) & CANCEL)
        return BRENIER_CANCELLED;
    return job->deadline <= now ? BRENIER_EXPIRED : BRENIER_OK;
}

// Takes pending jobs that are to end out of the list, and returns those that no slice holds up.
static struct job *sweep(struct job_queue *queue) {
    const uint64_t now = jobs_now();
    struct job *ended = NULL;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < queue->pending_count; i++) {
        struct job *job = queue->pending[i];
        const brenier_status reason = reason_to_end(queue, job, now);
        if (reason == BRENIER_OK) {
            queue->pending[kept++] = job;
            continue;
        }
        if (reason == BRENIER_INTERNAL && !job->failure) {
            char text[JOB_TEXT];
            read_sentence(&queue->reason, text);
            write_sentence(&job->text, text, strlen(text));
        }
        job->failure = reason;
        if (job->at_work == 0) {
            job->after = ended;
            ended = job;
        }
    }
    queue->pending_count = kept;
    return ended;
}

static void sweep_and_end(struct job_queue *queue) {
    pthread_mutex_lock(&queue->lock);
    empty_inbox(queue);
    struct job *ended = sweep(queue);
    pthread_mutex_unlock(&queue->lock);
    end_all(ended);
}

static int more_urgent(const struct job *a, const struct job *b) {
    if (a->priority != b->priority) return a->priority > b->priority;
    if (a->deadline != b->deadline) return a->deadline < b->deadline;
    return a->order < b->order;
}

static int of_field(const struct job *job) { return job->settings.kind == JOB_FIELD; }

// Whether a slice may have samples of a pending job.
static int has_samples(const struct job *job) {
    return !of_field(job) || job->left > 0 || (job->taken < job->work.n && job->at_work < JOB_BLOCKS);
}

// Whether all of a job was begun and, of a field, done.
static int is_through(const struct job *job) {
    return of_field(job) ? job->done == job->work.n : job->taken == job->work.n;
}

static void add_part(struct job_slice *slice, struct job *job, size_t most) {
    size_t at = job->taken, count = job->work.n - job->taken;
    if (count > most) count = most;
    if (of_field(job)) {
        count = 1;
        if (job->left > 0) at = job->left_at[--job->left];
        else job->taken++;
    } else {
        job->taken += count;
    }
    job->at_work++;
    uint64_t state = atomic_load_explicit(&job->state, memory_order_relaxed);
    const uint64_t token = (uint64_t)(uintptr_t)handle_of(job, state);
    slice->part[slice->parts++] = (struct job_part){job, token, job->work, at, count};
    while (PHASE(state) == QUEUED &&
           !atomic_compare_exchange_weak(&job->state, &state,
                                         STATE(GENERATION(state), 0, RUNNING, state & FLAGS))) {
    }
}

// Makes a slice of the most urgent pending job, and of others like it while there is room.
static int fill(struct job_queue *queue, struct job_slice *slice, uint64_t bound_ns) {
    struct job *lead = NULL;
    for (uint32_t i = 0; i < queue->pending_count; i++)
        if (has_samples(queue->pending[i]) && (!lead || more_urgent(queue->pending[i], lead))) lead = queue->pending[i];
    if (!lead) return 0;

    size_t allowed = full(lead->model)->allowance[lead->settings.kind];
    const int whole = bound_ns >= queue->slice_ns;
    if (!whole) allowed = allowed * bound_ns / queue->slice_ns;
    if (allowed == 0) allowed = 1;
    slice->model = lead->model;
    slice->settings = lead->settings;
    slice->parts = 0;
    slice->tiles = (uint32_t)allowed;
    slice->done = 0;
    add_part(slice, lead, allowed);
    allowed -= slice->part[0].count;
    const int alone = of_field(lead) || lead->settings.location != BRENIER_HOST;
    for (uint32_t i = 0; i < queue->pending_count && allowed > 0 && !alone && slice->parts < JOB_PARTS; i++) {
        struct job *job = queue->pending[i];
        if (job == lead || job->model != lead->model || memcmp(&job->settings, &lead->settings, sizeof job->settings))
            continue;
        add_part(slice, job, allowed);
        allowed -= slice->part[slice->parts - 1].count;
    }
    slice->full = whole && (allowed == 0 || of_field(lead));

    uint32_t kept = 0;
    for (uint32_t i = 0; i < queue->pending_count; i++)
        if (!is_through(queue->pending[i])) queue->pending[kept++] = queue->pending[i];
    queue->pending_count = kept;
    return 1;
}

int jobs_take(struct job_queue *queue, struct job_slice *slice, uint64_t bound_ns, int wait) {
    if (bound_ns == 0) bound_ns = queue->slice_ns;
    for (;;) {
        const uint32_t news = atomic_load(&queue->news);
        pthread_mutex_lock(&queue->lock);
        empty_inbox(queue);
        struct job *ended = sweep(queue);
        const int found = fill(queue, slice, bound_ns);
        int more = 0;
        for (uint32_t i = 0; i < queue->pending_count && !more; i++) more = has_samples(queue->pending[i]);
        pthread_mutex_unlock(&queue->lock);
        end_all(ended);
        if (found) {
            // A submit wakes one worker, which may find that it holds only a part of what is there.
            if (more) tell_workers(queue, 1);
            slice->began = clock_ns(queue->clock);
            return 1;
        }
        if (atomic_load(&queue->stopped) || !wait) return 0;
        if (ended) continue;
        atomic_fetch_add(&queue->sleepers, 1);
        sleep_on(&queue->news, news, NULL);
        atomic_fetch_sub(&queue->sleepers, 1);
    }
}

void jobs_fail(struct job_slice *slice, uint32_t part, brenier_status status, const char *text, size_t bytes) {
    struct job *job = slice->part[part].job;
    struct job_queue *queue = slice->model->queue;
    pthread_mutex_lock(&queue->lock);
    if (!job->failure) {
        job->failure = status;
        write_sentence(&job->text, text, bytes);
    }
    pthread_mutex_unlock(&queue->lock);
}

// Learns from a slice how many samples, or tiles of a field, one may have.
static void learn(struct job_queue *queue, const struct job_slice *slice, uint64_t took) {
    enum { MOST = 1 << 16 };
    uint32_t *allowance = &full(slice->model)->allowance[slice->settings.kind];
    uint64_t samples = 0;
    for (uint32_t i = 0; i < slice->parts; i++) samples += slice->part[i].count;
    if (slice->settings.kind == JOB_FIELD && (samples = slice->tiles) == 0) return; // all was there
    if (took > queue->slice_ns) {
        const uint64_t fit = samples * queue->slice_ns / took;
        if (fit < *allowance) *allowance = fit > 0 ? (uint32_t)fit : 1;
    } else if (slice->full && took < queue->slice_ns / 2 && samples == *allowance && samples < MOST) {
        *allowance *= 2;
    }
}

void jobs_finish(struct job_slice *slice) {
    struct job_queue *queue = slice->model->queue;
    const uint64_t took = clock_ns(queue->clock) - slice->began;
    pthread_mutex_lock(&queue->lock);
    learn(queue, slice, took);
    struct job *ended = NULL;
    for (uint32_t i = 0; i < slice->parts; i++) {
        struct job *job = slice->part[i].job;
        job->at_work--;
        if (of_field(job)) {
            if (slice->done) job->done++;
            else job->left_at[job->left++] = slice->part[i].at;
        }
        // What still has samples to take is pending, unless a sweep has taken it out.
        if (job->at_work > 0 || (!is_through(job) && !job->failure)) continue;
        // What is whole is done, whatever was asked meanwhile.
        if (of_field(job) && is_through(job) && (job->failure == BRENIER_CANCELLED || job->failure == BRENIER_EXPIRED))
            job->failure = BRENIER_OK;
        uint32_t at = 0;
        while (at < queue->pending_count && queue->pending[at] != job) at++;
        if (at < queue->pending_count) queue->pending[at] = queue->pending[--queue->pending_count];
        job->after = ended;
        ended = job;
    }
    pthread_mutex_unlock(&queue->lock);
    end_all(ended);
}

void jobs_leave(struct job_queue *queue) { tell_workers(queue, 1); }
