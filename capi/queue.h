// The queue of an engine's jobs: what was submitted and has not ended, the handles, and who may take
// what next. It knows nothing of Go, so that a thread that submits, polls or cancels never meets its
// scheduler or its collector.
//
//     submit -> inbox -> pending -> slices, taken and finished by workers -> ended -> closed
//
// The caller's side (jobs_submit, jobs_poll, jobs_cancel) takes no lock and allocates nothing: a job
// comes from a stack of free ones, goes to the inbox by one compare-and-swap, and its whole state is
// one word. The lock of a queue is between those who do work, for as long as it takes to look
// through the pending jobs once.
//
// Queues, models and jobs are records that are used again and never given back to the system, so a
// stale handle finds one of another generation and never foreign memory.
#ifndef BRENIER_CAPI_QUEUE_H
#define BRENIER_CAPI_QUEUE_H

#include <stddef.h>
#include <stdint.h>

#include "brenier.h"

// The samples of a field read are the blocks that its region is cut into. They are the only ones that a
// slice need not finish: where a block has more tiles to make than a slice has time for, later slices,
// on any thread, go on with it.
enum { JOB_GENERATE, JOB_DECODE, JOB_LOCATE, JOB_FIELD, JOB_KINDS };

// What the samples of one batch must have in common; compared as bytes, so without padding.
struct job_settings {
    int32_t kind;
    uint32_t k;  // locate
    brenier_dtype dtype;  // images
    brenier_layout layout;
    brenier_location location;
    brenier_mode mode;  // generate: the extension
    brenier_angle angle;
    uint32_t cells;
    double theta, blend;
};
_Static_assert(sizeof(struct job_settings) == 8 * 4 + 2 * 8, "there is no padding");

// What one job adds: how many samples, and the caller's memory.
struct job_work {
    size_t n;
    uint64_t seed;         // generate, field
    uint64_t first;        // generate
    int64_t x, y;          // field: the region
    uint32_t width, height, level;
    const float *input;    // decode: codes; locate: x
    void *output;          // images; cells; pixels
    size_t bytes;          // field: of the output
    double *scores;        // or NULL
};

// What is needed to know of a model, or of a field, to check a request; written once.
struct job_facts {
    int64_t points;
    int32_t dimension, channels, height, width;
    brenier_mode mode;  // the extension's default
    int32_t has_centroids, has_angles;
    int32_t has_device;  // images may be on the engine's CUDA device
    // A field has these, and in `channels` how many it reads.
    size_t row_pitch;
    uint32_t block;  // the side of its blocks
};

struct job;
struct job_queue;

// What jobs are done on: a model or a field.
struct job_model {
    struct job_facts facts;
    uint64_t token;  // that it was published by
    struct job_queue *queue;
};

// A piece of work that is about a slice bound long: samples of one job or, where jobs are small, of
// several that have model and settings in common.
enum { JOB_PARTS = 32 };
struct job_part {
    struct job *job;
    uint64_t token;  // of the job, whether or not anybody has its handle
    struct job_work work;
    size_t at, count;  // samples of the job
};
struct job_slice {
    struct job_model *model;
    struct job_settings settings;
    uint64_t began;
    int32_t full;  // as many samples as were allowed
    // One block of a field: how many tiles the slice may make, then how many it has made, and whether
    // the block is done.
    uint32_t tiles;
    int32_t done;
    uint32_t parts;
    struct job_part part[JOB_PARTS];
};

// ---- An engine's queue

// At most limit jobs at a time, from submit to close. Slices take about slice_ns, of the processor
// time of their thread or, with wall_clock, of the time that passes. NULL: no memory.
struct job_queue *jobs_queue_open(uint32_t limit, uint64_t slice_ns, int wall_clock);

// Makes every job that has not ended end as cancelled or, with the reason of a defect, as failed with
// BRENIER_INTERNAL; jobs_take answers 0 and jobs_submit refuses from now on. May be called often.
void jobs_queue_stop(struct job_queue *queue);
void jobs_queue_poison(struct job_queue *queue, const char *reason, size_t bytes);

// Makes the handles of the jobs stale and gives the queue back. Its workers have ended, its models
// are closed.
void jobs_queue_close(struct job_queue *queue);

// Why the queue refuses work: copies the reason to `text` and returns 1, or returns 0.
enum { JOB_TEXT = 256 };
int jobs_queue_poisoned(const struct job_queue *queue, char text[JOB_TEXT]);

// How many blocks of one field read may be begun at a time.
enum { JOB_BLOCKS = 32 };

// Jobs that have not ended.
uint32_t jobs_unfinished(const struct job_queue *queue);

// ---- A model's place in it

struct job_model *jobs_model_open(struct job_queue *queue, const struct job_facts *facts);

// From now on jobs_model_use finds it by this number. 0: no memory.
int jobs_model_publish(struct job_model *model, uint64_t token);

// Cancels the model's jobs, waits until they have ended and no call uses it, and gives it back.
void jobs_model_close(struct job_model *model);

// Finds an open model and holds it open until jobs_model_leave; NULL if there is none.
struct job_model *jobs_model_use(uint64_t token);
void jobs_model_leave(struct job_model *model);

// ---- Jobs, for the caller

// Submits to a model that the caller holds; the job then holds it too. `job` may be NULL.
// Errors: BUSY, INVALID_HANDLE (the queue was stopped).
brenier_status jobs_submit(struct job_model *model, const struct job_settings *settings,
                           const struct job_work *work, const brenier_job_options *options,
                           brenier_job **job);

// As in brenier.h. A text is written where the status is that of a job that failed.
brenier_status jobs_poll(const brenier_job *job, brenier_job_state *state);
brenier_status jobs_wait(brenier_job *job, uint64_t timeout_us, char text[JOB_TEXT]);
brenier_status jobs_cancel(brenier_job *job);
brenier_status jobs_close(brenier_job *job);

// ---- Slices, for those who do the work

// Takes the most urgent work, of about bound_ns (0: the queue's own bound), and ends on the way what
// was cancelled or has expired. 0: there is none, and the caller asked not to wait for it, or the
// queue was stopped.
int jobs_take(struct job_queue *queue, struct job_slice *slice, uint64_t bound_ns, int wait);

// Says that a part of a slice failed, before jobs_finish.
void jobs_fail(struct job_slice *slice, uint32_t part, brenier_status status, const char *text, size_t bytes);

// Gives a slice back, its work done, and ends the jobs of which it was the last.
void jobs_finish(struct job_slice *slice);

// Says that the calling thread, which had slices, takes no more: somebody who sleeps may go on with a
// block that it left.
void jobs_leave(struct job_queue *queue);

// Whether the job of a part's token has ended.
int jobs_has_ended(uint64_t token);

// Now, on the clock of deadlines.
uint64_t jobs_now(void);

#endif
