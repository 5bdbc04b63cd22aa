// Jobs as brenier.h has them: what a request says is checked here, in C and without a lock, and then
// put into the queue. The checks and their sentences are those of the functions that do the same at
// once (buffer.go, export_field.go, engine/decode.go, engine/extend.go, engine/field_read.go); a test compares the two.
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
    [BRENIER_I64] = {"I64", 8}, [BRENIER_F64] = {"F64", 8}, [BRENIER_U16] = {"U16", 2},
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

static brenier_status layout(const char *name, const brenier_buffer *b) {
    if (b->layout == BRENIER_NCHW || b->layout == BRENIER_NHWC) return BRENIER_OK;
    return INVALID("%s: want layout BRENIER_NCHW (0) or BRENIER_NHWC (1), got %d", name, (int)b->layout);
}

static brenier_status images(const struct job_facts *model, const brenier_buffer *from, size_t n,
                             struct job_settings *settings, void **data) {
    brenier_buffer b;
    TRY(adopt("images", from, BUFFER_FIRST, &b, sizeof b));
    if (b.dtype != BRENIER_F32 && b.dtype != BRENIER_F16 && b.dtype != BRENIER_U8)
        return INVALID("images: want dtype BRENIER_F32 (0), BRENIER_F16 (1) or BRENIER_U8 (2), got %d", (int)b.dtype);
    TRY(layout("images", &b));
    if (b.location != BRENIER_HOST && b.location != BRENIER_CUDA_DEVICE)
        return INVALID("images: want location BRENIER_HOST (0) or BRENIER_CUDA_DEVICE (1), got %d", (int)b.location);
    TRY(memory("images", &b, n, (size_t)model->channels * (size_t)model->height * (size_t)model->width));
    settings->dtype = b.dtype;
    settings->layout = b.layout;
    settings->location = b.location;
    *data = b.data;
    return BRENIER_OK;
}

// A field's pixels: *data is where they go, and *bytes how many there may be.
static brenier_status pixels(const brenier_buffer *from, struct job_settings *settings, void **data, size_t *bytes) {
    brenier_buffer b;
    TRY(adopt("pixels", from, BUFFER_FIRST, &b, sizeof b));
    if (b.dtype != BRENIER_F32 && b.dtype != BRENIER_F16 && b.dtype != BRENIER_U8 && b.dtype != BRENIER_U16)
        return INVALID("pixels: want dtype BRENIER_F32 (0), BRENIER_F16 (1), BRENIER_U8 (2) or BRENIER_U16 (5), got %d",
                       (int)b.dtype);
    TRY(layout("pixels", &b));
    if (b.location != BRENIER_HOST)
        return fail(BRENIER_UNSUPPORTED, "pixels: want location BRENIER_HOST (0), got %d", (int)b.location);
    const size_t size = dtypes[b.dtype].size;
    TRY(memory("pixels", &b, b.bytes / size, 1));
    settings->dtype = b.dtype;
    settings->layout = b.layout;
    *data = b.data;
    *bytes = b.bytes / size * size;
    return BRENIER_OK;
}

// ---- What a field can read

enum { MAX_LEVEL = 30 };

static brenier_status region(const struct job_work *r) {
    if (r->level > MAX_LEVEL) return INVALID("level: want 0 .. %d, got %u", MAX_LEVEL, r->level);
    if (r->width < 1 || r->height < 1 || r->width > INT32_MAX || r->height > INT32_MAX)
        return INVALID("region: want a width and a height of 1 .. %d, got %u x %u", INT32_MAX, r->width, r->height);
    const int64_t end = (INT64_C(1) << 62) >> r->level;
    if (r->x < -end || r->y < -end || r->x > end - r->width || r->y > end - r->height)
        return INVALID("region: %u x %u at (%lld, %lld) of level %u is beyond the plane's end; want it within -%lld .. "
                       "%lld", r->width, r->height, (long long)r->x, (long long)r->y, r->level, (long long)end,
                       (long long)end - 1);
    return BRENIER_OK;
}

// Whether a region's pixels fit in their memory.
static brenier_status fits(const struct job_facts *field, const struct job_settings *s, const struct job_work *r) {
    const size_t size = dtypes[s->dtype].size, channels = (size_t)field->channels;
    const size_t row = (s->layout == BRENIER_NHWC ? channels : 1) * r->width * size;
    const size_t rows = (s->layout == BRENIER_NHWC ? 1 : channels) * r->height;
    const size_t pitch = field->row_pitch ? field->row_pitch : row;
    if (pitch < row || pitch % size != 0)
        return INVALID("row pitch: a row of %u pixels takes %zu bytes in elements of %zu; got %zu", r->width, row, size,
                       field->row_pitch);
    if (pitch > ((size_t)INT64_MAX - row) / rows || (rows - 1) * pitch + row > r->bytes)
        return fail(BRENIER_SHORT_BUFFER, "pixels: %zu rows of %zu bytes at a pitch of %zu do not fit in %zu bytes",
                    rows, row, pitch, r->bytes);
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

// Finds what jobs are done on, and refuses it where its engine refuses all work.
static brenier_status use(const void *handle, uint64_t tag, const char *refusal, struct job_model **model) {
    const uint64_t token = (uint64_t)(uintptr_t)handle;
    *model = token >> 56 == tag ? jobs_model_use(token) : NULL;
    if (!*model) return fail(BRENIER_INVALID_HANDLE, "%s", refusal);
    char reason[JOB_TEXT];
    if (!jobs_queue_poisoned((*model)->queue, reason)) return BRENIER_OK;
    jobs_model_leave(*model);
    return fail(BRENIER_INTERNAL, "the engine refuses work since a defect of the library showed (%s); destroy it",
                reason);
}

// The tags of their tokens: handle.go.
enum { MODEL_TAG = 0xE2, FIELD_TAG = 0xE4 };

static brenier_status use_model(brenier_model *handle, size_t n, struct job_model **model) {
    TRY(use(handle, MODEL_TAG, "model: not the handle of an open model; open one with brenier_model_open", model));
    if (n > 0) return BRENIER_OK;
    jobs_model_leave(*model);
    return INVALID("n: want 1 sample or more, got 0");
}

static brenier_status use_field(brenier_field *handle, struct job_model **field) {
    return use(handle, FIELD_TAG, "field: not the handle of an open field; make one with brenier_field_create", field);
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
    if (status == BRENIER_INVALID_HANDLE)
        return fail(status, "%s: its engine is being destroyed", settings->kind == JOB_FIELD ? "field" : "model");
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

static brenier_status submit_field_read(struct job_model *field, struct job_work work, const brenier_buffer *to,
                                        const brenier_job_options *options, brenier_job **job) {
    const struct job_facts *facts = &field->facts;
    struct job_settings s = {.kind = JOB_FIELD};
    TRY(pixels(to, &s, &work.output, &work.bytes));
    TRY(region(&work));
    TRY(fits(facts, &s, &work));
    work.n = (size_t)((work.width - 1) / facts->block + 1) * ((work.height - 1) / facts->block + 1);
    return submit(field, &s, &work, options, job);
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

brenier_status brenier_submit_field_read(brenier_field *handle, uint64_t seed, int64_t x, int64_t y, uint32_t width,
                                         uint32_t height, uint32_t level, const brenier_buffer *pixels,
                                         const brenier_job_options *options, brenier_job **job) {
    struct job_model *field;
    TRY(use_field(handle, &field));
    const struct job_work work = {.seed = seed, .x = x, .y = y, .width = width, .height = height, .level = level};
    const brenier_status status = submit_field_read(field, work, pixels, options, job);
    jobs_model_leave(field);
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
// do not depend on it. Any niceness still has its turn, of some milliseconds, before a thread that has just
// woken; SCHED_IDLE alone gives way at once.
void capi_worker_thread(uint64_t processors, int32_t niceness) {
    cpu_set_t set;
    CPU_ZERO(&set);
    for (int i = 0; i < 64; i++)
        if (processors >> i & 1) CPU_SET(i, &set);
    if (processors) sched_setaffinity(0, sizeof set, &set);
    const struct sched_param none = {0};
    if (niceness == 20 && sched_setscheduler(0, SCHED_IDLE, &none) == 0) return;
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
