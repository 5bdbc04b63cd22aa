// Jobs as brenier.h has them: what a request says is checked here, in C and without a lock, and then
// put into the queue. The checks and their sentences are those of the functions that do the same at
// once (buffer.go, engine/decode.go, engine/extend.go); a test compares the two.
#define _GNU_SOURCE
#include <errno.h>
#include <math.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "_cgo_export.h"
#include "fenvironment.h"
#include "last_error.h"
#include "queue.h"

__attribute__((format(printf, 2, 3))) static brenier_status fail(brenier_status status, const char *format, ...) {
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    capi_set_last_error(text, strlen(text));
    return status;
}

// The shortest digits that are this number, as Go prints it.
static const char *shortest(char to[32], double x) {
    if (isnan(x)) return "NaN";
    if (isinf(x)) return x > 0 ? "+Inf" : "-Inf";
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(to, 32, "%.*g", digits, x);
        if (strtod(to, NULL) == x) break;
    }
    return to;
}

// The answer that a frame may meet often, and so without memory for its sentence.
static brenier_status busy(const char *marked) {
    capi_set_last_error_constant(marked);
    return BRENIER_BUSY;
}

#define INVALID(...) fail(BRENIER_INVALID_ARGUMENT, __VA_ARGS__)
#define TRY(call)                                        \
    do {                                                 \
        const brenier_status status_ = (call);           \
        if (status_ != BRENIER_OK) return status_;       \
    } while (0)

// ---- Structs and buffers of the caller

// The sizes in the first version that had them, and what a struct_size may claim: structs.go.
enum { BUFFER_FIRST = 40, EXTENSION_FIRST = 40, JOB_OPTIONS_FIRST = 40, MOST_STRUCT = 1024 };

// Copies a caller's struct, older or newer, to one of this version, as adopt of structs.go does.
static brenier_status adopt(const char *name, const void *from, size_t first, void *to, size_t size) {
    if (!from) return INVALID("%s: want a struct, got NULL", name);
    size_t theirs;
    memcpy(&theirs, from, sizeof theirs);
    if (theirs < first || theirs > MOST_STRUCT)
        return INVALID("%s: struct_size: want %zu, got %zu; set it to sizeof the struct", name, size, theirs);
    memset(to, 0, size);
    memcpy(to, from, theirs < size ? theirs : size);
    for (size_t i = size; i < theirs; i++)
        if (((const unsigned char *)from)[i] != 0)
            return INVALID("%s: a member is set that this version of the library does not know; load one as new as "
                           "the header", name);
    return BRENIER_OK;
}

static const struct {
    const char *name;
    size_t size;
} dtypes[] = {
    [BRENIER_F32] = {"F32", 4}, [BRENIER_F16] = {"F16", 2}, [BRENIER_U8] = {"U8", 1},
    [BRENIER_I64] = {"I64", 8}, [BRENIER_F64] = {"F64", 8},
};

// Checks a buffer of a known dtype for n rows of width elements.
static brenier_status memory(const char *name, const brenier_buffer *b, size_t n, size_t width) {
    const size_t size = dtypes[b->dtype].size;
    if (n == 0 || width == 0) return BRENIER_OK;
    if (n > (size_t)INT64_MAX / width / size || n * width * size > b->bytes)
        return fail(BRENIER_SHORT_BUFFER, "%s: %zu rows of %zu %s do not fit in %zu bytes", name, n, width,
                    dtypes[b->dtype].name, b->bytes);
    const uintptr_t address = (uintptr_t)b->data;
    if (!address) return INVALID("%s: want memory, got data NULL", name);
    if (address % size != 0)
        return INVALID("%s: want data aligned to its elements of %zu bytes, got %#zx", name, size, (size_t)address);
    if (n * width * size > UINTPTR_MAX - address)
        return INVALID("%s: %zu bytes at %#zx are beyond the end of memory", name, n * width * size, (size_t)address);
    return BRENIER_OK;
}

// memory for a buffer on the host that must have this dtype; *data is where it is.
static brenier_status array(const char *name, const brenier_buffer *from, brenier_dtype dtype, size_t n, size_t width,
                            void **data) {
    brenier_buffer b;
    TRY(adopt(name, from, BUFFER_FIRST, &b, sizeof b));
    if (b.dtype != dtype)
        return INVALID("%s: want dtype BRENIER_%s (%d), got %d", name, dtypes[dtype].name, (int)dtype, (int)b.dtype);
    if (b.location != BRENIER_HOST)
        return fail(BRENIER_UNSUPPORTED, "%s: want location BRENIER_HOST (0), got %d; images alone may be elsewhere",
                    name, (int)b.location);
    TRY(memory(name, &b, n, width));
    *data = b.data;
    return BRENIER_OK;
}

static brenier_status images(const struct job_facts *model, const brenier_buffer *from, size_t n,
                             struct job_settings *settings, void **data) {
    brenier_buffer b;
    TRY(adopt("images", from, BUFFER_FIRST, &b, sizeof b));
    if (b.dtype != BRENIER_F32 && b.dtype != BRENIER_F16 && b.dtype != BRENIER_U8)
        return INVALID("images: want dtype BRENIER_F32 (0), BRENIER_F16 (1) or BRENIER_U8 (2), got %d", (int)b.dtype);
    if (b.layout != BRENIER_NCHW && b.layout != BRENIER_NHWC)
        return INVALID("images: want layout BRENIER_NCHW (0) or BRENIER_NHWC (1), got %d", (int)b.layout);
    if (b.location != BRENIER_HOST && b.location != BRENIER_CUDA_DEVICE)
        return INVALID("images: want location BRENIER_HOST (0) or BRENIER_CUDA_DEVICE (1), got %d", (int)b.location);
    TRY(memory("images", &b, n, (size_t)model->channels * (size_t)model->height * (size_t)model->width));
    settings->dtype = b.dtype;
    settings->layout = b.layout;
    settings->location = b.location;
    *data = b.data;
    return BRENIER_OK;
}

// ---- What the model must have

static brenier_status need_map(const struct job_facts *model) {
    if (model->points > 0) return BRENIER_OK;
    return fail(BRENIER_UNSUPPORTED, "the model has no map (no ot.points, ot.heights); fit one to its codes first");
}

static brenier_status need_decoder(const struct job_facts *model) {
    if (model->channels > 0) return BRENIER_OK;
    return fail(BRENIER_UNSUPPORTED, "the model has no decoder; import one, or ask for codes");
}

static int most_cells(const struct job_facts *model) { return model->points < 32 ? (int)model->points : 32; }

static brenier_status extension(const struct job_facts *model, const struct job_settings *s) {
    if (s->mode < BRENIER_MODE_DEFAULT || s->mode > BRENIER_MODE_PAIR)
        return INVALID("extension: want mode default, cell, simplex or pair (0 .. 3), got %d", (int)s->mode);
    const brenier_mode mode = s->mode == BRENIER_MODE_DEFAULT ? model->mode : s->mode;
    if (s->cells > (uint32_t)most_cells(model))
        return INVALID("extension: k: want 1 .. %d (the model has %lld cells), got %u", most_cells(model),
                       (long long)model->points, s->cells);
    if (mode == BRENIER_MODE_SIMPLEX && !model->has_centroids)
        return fail(BRENIER_UNSUPPORTED,
                    "extension: simplex needs ot.centroids, which the model lacks; fit again, or use cell or pair");
    char number[32];
    if (!(s->blend >= 0 && s->blend <= 1))
        return INVALID("extension: blend: want 0 .. 1, got %s", shortest(number, s->blend));
    switch (s->angle) {
        case BRENIER_ANGLE_DEFAULT: return BRENIER_OK;
        case BRENIER_ANGLE_QUANTILE:
            if (!(s->theta >= 0 && s->theta <= 1))
                return INVALID("extension: theta: want a quantile in 0 .. 1, got %s", shortest(number, s->theta));
            if (!model->has_angles && s->theta < 1 && mode != BRENIER_MODE_CELL)
                return fail(BRENIER_UNSUPPORTED, "extension: the model has no table of angles for a quantile; give "
                                                 "theta in radians, or fit again");
            return BRENIER_OK;
        case BRENIER_ANGLE_RADIANS:
            if (!(s->theta >= 0 && s->theta <= M_PI))
                return INVALID("extension: theta: want 0 .. pi radians, got %s", shortest(number, s->theta));
            return BRENIER_OK;
    }
    return INVALID("extension: want angle default, quantile or radians (0 .. 2), got %d", (int)s->angle);
}

static brenier_status on_device(const struct job_facts *model, const struct job_settings *s) {
    if (s->location == BRENIER_HOST || model->has_device) return BRENIER_OK;
    return fail(BRENIER_UNSUPPORTED, "images: their location is a CUDA device, and this engine runs on the CPU; give "
                                     "memory of the host");
}

// ---- Submitting

// Finds the model, and refuses what no model would do.
static brenier_status use_model(brenier_model *handle, size_t n, struct job_model **model) {
    if (!(*model = jobs_model_use((uint64_t)(uintptr_t)handle)))
        return fail(BRENIER_INVALID_HANDLE, "model: not the handle of an open model; open one with brenier_model_open");
    char reason[JOB_TEXT];
    brenier_status status = BRENIER_OK;
    if (jobs_queue_poisoned((*model)->queue, reason))
        status = fail(BRENIER_INTERNAL, "the engine refuses work since a defect of the library showed (%s); destroy it",
                      reason);
    else if (n == 0)
        status = INVALID("n: want 1 sample or more, got 0");
    if (status != BRENIER_OK) jobs_model_leave(*model);
    return status;
}

// Puts a checked request into the queue.
static brenier_status submit(struct job_model *model, const struct job_settings *settings, const struct job_work *work,
                             const brenier_job_options *from, brenier_job **job) {
    brenier_job_options options = {0};
    if (from) TRY(adopt("options", from, JOB_OPTIONS_FIRST, &options, sizeof options));
    const brenier_status status = jobs_submit(model, settings, work, &options, job);
    if (status == BRENIER_BUSY)
        return busy(CONSTANT_SENTENCE("the engine holds as many jobs as it may; close those that have ended, submit "
                                      "later, or raise job_limit"));
    if (status == BRENIER_INVALID_HANDLE) return fail(status, "model: its engine is being destroyed");
    return status;
}

static brenier_status submit_generate(struct job_model *model, uint64_t seed, uint64_t first, size_t n,
                                      const brenier_extension *from, const brenier_buffer *to,
                                      const brenier_job_options *options, brenier_job **job) {
    struct job_settings s = {.kind = JOB_GENERATE, .blend = 0.5};
    struct job_work work = {.n = n, .seed = seed, .first = first};
    if (from) {
        brenier_extension e;
        TRY(adopt("extension", from, EXTENSION_FIRST, &e, sizeof e));
        s.mode = e.mode, s.angle = e.angle, s.cells = e.k, s.theta = e.theta, s.blend = e.blend;
    }
    TRY(images(&model->facts, to, n, &s, &work.output));
    TRY(need_decoder(&model->facts));
    TRY(need_map(&model->facts));
    if (first > UINT64_MAX - n)
        return INVALID("samples %llu and %zu more: the index does not fit 64 bits", (unsigned long long)first, n);
    TRY(extension(&model->facts, &s));
    TRY(on_device(&model->facts, &s));
    return submit(model, &s, &work, options, job);
}

static brenier_status submit_decode(struct job_model *model, const brenier_buffer *codes, size_t n,
                                    const brenier_buffer *to, const brenier_job_options *options, brenier_job **job) {
    struct job_settings s = {.kind = JOB_DECODE};
    struct job_work work = {.n = n};
    TRY(array("codes", codes, BRENIER_F32, n, (size_t)model->facts.dimension, (void **)&work.input));
    TRY(images(&model->facts, to, n, &s, &work.output));
    TRY(need_decoder(&model->facts));
    TRY(on_device(&model->facts, &s));
    return submit(model, &s, &work, options, job);
}

static brenier_status submit_locate(struct job_model *model, const brenier_buffer *x, size_t n, uint32_t k,
                                    const brenier_buffer *cells, const brenier_buffer *scores,
                                    const brenier_job_options *options, brenier_job **job) {
    const struct job_facts *facts = &model->facts;
    struct job_settings s = {.kind = JOB_LOCATE, .k = k};
    struct job_work work = {.n = n};
    TRY(array("x", x, BRENIER_F32, n, (size_t)facts->dimension, (void **)&work.input));
    if (facts->points > 0 && (k < 1 || k > (uint32_t)most_cells(facts)))
        return INVALID("k: want 1 .. %d (the model has %lld cells), got %u", most_cells(facts),
                       (long long)facts->points, k);
    TRY(array("cells", cells, BRENIER_I64, n, k, &work.output));
    if (scores) TRY(array("scores", scores, BRENIER_F64, n, k, (void **)&work.scores));
    TRY(need_map(facts));
    return submit(model, &s, &work, options, job);
}

brenier_status brenier_submit_generate(brenier_model *handle, uint64_t seed, uint64_t first, size_t n,
                                       const brenier_extension *extension, const brenier_buffer *images,
                                       const brenier_job_options *options, brenier_job **job) {
    struct job_model *model;
    TRY(use_model(handle, n, &model));
    const brenier_status status = submit_generate(model, seed, first, n, extension, images, options, job);
    jobs_model_leave(model);
    return status;
}

brenier_status brenier_submit_decode(brenier_model *handle, const brenier_buffer *codes, size_t n,
                                     const brenier_buffer *images, const brenier_job_options *options,
                                     brenier_job **job) {
    struct job_model *model;
    TRY(use_model(handle, n, &model));
    const brenier_status status = submit_decode(model, codes, n, images, options, job);
    jobs_model_leave(model);
    return status;
}

brenier_status brenier_submit_locate(brenier_model *handle, const brenier_buffer *x, size_t n, uint32_t k,
                                     const brenier_buffer *cells, const brenier_buffer *scores,
                                     const brenier_job_options *options, brenier_job **job) {
    struct job_model *model;
    TRY(use_model(handle, n, &model));
    const brenier_status status = submit_locate(model, x, n, k, cells, scores, options, job);
    jobs_model_leave(model);
    return status;
}

// ---- Handles of jobs

void brenier_job_options_init(brenier_job_options *options) {
    _Static_assert(sizeof *options == 40, "version 0.1");
    if (options) *options = (brenier_job_options){.struct_size = sizeof *options};
}

// The sentence for the status that a job function met, which is that of a failed job where it left a
// text.
static brenier_status explained(brenier_status status, const char *text) {
    switch (status) {
        case BRENIER_OK: return status;
        case BRENIER_INVALID_HANDLE:
            if (*text) break;
            return fail(status, "job: not the handle of a job; brenier_submit_* gives one, until it is closed");
        case BRENIER_INVALID_ARGUMENT:
            if (*text) break;
            return fail(status, "job: its own callback cannot wait for it or close it");
        case BRENIER_BUSY: return busy(CONSTANT_SENTENCE("the job has not ended"));
        case BRENIER_CANCELLED: return fail(status, "the job was cancelled");
        case BRENIER_EXPIRED: return fail(status, "the job's deadline passed before all of it was begun");
        default: break;
    }
    return fail(status, "%s", text);
}

brenier_status brenier_poll(const brenier_job *job, brenier_job_state *state) {
    if (!state) return INVALID("state: want a place for it, got NULL");
    return explained(jobs_poll(job, state), "");
}

brenier_status brenier_wait(brenier_job *job, uint64_t timeout_us) {
    char text[JOB_TEXT] = "";
    const brenier_status status = jobs_wait(job, timeout_us, text);
    return explained(status, text);
}

brenier_status brenier_cancel(brenier_job *job) { return explained(jobs_cancel(job), ""); }

brenier_status brenier_job_close(brenier_job *job) {
    if (!job) return BRENIER_OK;
    return explained(jobs_close(job), "");
}

brenier_status brenier_run(brenier_engine *engine, uint64_t budget_us, size_t *left) {
    const fenvironment callers = fenvironment_default();
    const brenier_status status = capiRun((uintptr_t)engine, budget_us, left);
    fenvironment_restore(callers);
    return status;
}

// ---- Threads of workers

// Places and ranks the calling thread. What the system refuses is left as it is: the bits of a result
// do not depend on it.
void capi_worker_thread(uint64_t processors, int32_t niceness) {
    cpu_set_t set;
    CPU_ZERO(&set);
    for (int i = 0; i < 64; i++)
        if (processors >> i & 1) CPU_SET(i, &set);
    if (processors) sched_setaffinity(0, sizeof set, &set);
    errno = 0;
    const int own = getpriority(PRIO_PROCESS, 0);
    if (niceness > 0 && errno == 0) setpriority(PRIO_PROCESS, 0, own + niceness);
}

// The processors that this process may use, of the first 64.
uint64_t capi_usable_processors(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0) return ~UINT64_C(0);
    uint64_t usable = 0;
    for (int i = 0; i < 64; i++)
        if (CPU_ISSET(i, &set)) usable |= UINT64_C(1) << i;
    return usable;
}
