/* Jobs: the same bytes and the same errors as from the calls that block, ends of every kind, and who is
 * called on which thread. An engine without workers shows each step by itself. */
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "check.h"
#include "tiny_model.h"

static uint8_t file[8192];

static brenier_engine *idle; /* without workers */
static brenier_model *model;

static brenier_engine *open_engine(int32_t workers, uint32_t limit) {
    brenier_engine_options options;
    brenier_engine_options_init(&options);
    options.job_workers = workers;
    options.job_limit = limit;
    brenier_engine *engine = NULL;
    CHECK_OK(brenier_engine_create(&options, &engine));
    return engine;
}

static brenier_model *open_on(brenier_engine *engine, int parts) {
    const size_t bytes = tiny_model(file, sizeof file, parts);
    brenier_model *opened = NULL;
    CHECK_OK(brenier_model_open_memory(engine, file, bytes, &opened));
    return opened;
}

/* Does all that there is. */
static void run_all(brenier_engine *engine) {
    size_t left = 77;
    CHECK_OK(brenier_run(engine, BRENIER_FOREVER, &left));
    CHECK(left == 0);
}

static brenier_job_state state_of(brenier_job *job) {
    brenier_job_state state = -1;
    CHECK_OK(brenier_poll(job, &state));
    return state;
}

/* ---- The same bytes */

enum { MOST = 5000, SMALL = 40 };
static float x[MOST][TINY_D], z[MOST][TINY_D];
static uint8_t want[MOST * TINY_PIXELS * 4], got[MOST * TINY_PIXELS * 4];
static int64_t cells[2][MOST][3];
static double scores[2][MOST][3];

static brenier_buffer images_in(void *data, size_t bytes, brenier_dtype dtype, brenier_layout layout) {
    brenier_buffer b = buffer_of(data, bytes, dtype);
    b.layout = layout;
    return b;
}

static void jobs_do_what_the_calls_do(brenier_engine *engine, brenier_model *on) {
    const size_t sizes[] = {4, 2, 1}; /* of F32, F16, U8 */
    const brenier_buffer b_x = F32_BUFFER(x), b_z = F32_BUFFER(z);
    CHECK_OK(brenier_noise(on, 3, 0, MOST, &b_x));
    CHECK_OK(brenier_codes(on, 3, 0, MOST, NULL, &b_z));
    for (brenier_dtype dtype = BRENIER_F32; dtype <= BRENIER_U8; dtype++)
        for (brenier_layout layout = BRENIER_NCHW; layout <= BRENIER_NHWC; layout++)
            for (int decode = 0; decode < 2; decode++) {
                /* A large one and small ones of many sizes, one after another in one array. */
                const size_t stride = TINY_PIXELS * sizes[dtype];
                const brenier_buffer all = images_in(want, sizeof want, dtype, layout);
                CHECK_OK(decode ? brenier_decode(on, &b_z, MOST, &all) : brenier_generate(on, 3, 0, MOST, NULL, &all));
                memset(got, 0xAA, sizeof got);
                brenier_job *jobs[SMALL + 1];
                size_t at = 0;
                for (int i = 0; i <= SMALL; i++) {
                    const size_t n = i == SMALL ? MOST - at : (size_t)(1 + i * 7 % 11);
                    const brenier_buffer images = images_in(got + at * stride, n * stride, dtype, layout),
                                         codes = buffer_of(z[at], n * sizeof *z, BRENIER_F32);
                    CHECK_OK(decode ? brenier_submit_decode(on, &codes, n, &images, NULL, &jobs[i])
                                    : brenier_submit_generate(on, 3, at, n, NULL, &images, NULL, &jobs[i]));
                    at += n;
                }
                if (engine) run_all(engine);
                for (int i = 0; i <= SMALL; i++) {
                    CHECK_OK(brenier_wait(jobs[i], BRENIER_FOREVER));
                    CHECK(state_of(jobs[i]) == BRENIER_JOB_DONE);
                    CHECK_OK(brenier_job_close(jobs[i]));
                }
                CHECK(memcmp(got, want, MOST * stride) == 0);
            }

    const brenier_buffer b_cells = I64_BUFFER(cells[0]), b_scores = F64_BUFFER(scores[0]);
    CHECK_OK(brenier_locate(on, &b_x, MOST, 3, &b_cells, &b_scores));
    brenier_job *jobs[SMALL + 1];
    size_t at = 0;
    for (int i = 0; i <= SMALL; i++) {
        const size_t n = i == SMALL ? MOST - at : (size_t)(1 + i * 7 % 11);
        const brenier_buffer from = buffer_of(x[at], n * sizeof *x, BRENIER_F32),
                             to = buffer_of(cells[1][at], n * sizeof *cells[1], BRENIER_I64),
                             s = buffer_of(scores[1][at], n * sizeof *scores[1], BRENIER_F64);
        CHECK_OK(brenier_submit_locate(on, &from, n, 3, &to, i % 2 ? NULL : &s, NULL, &jobs[i]));
        if (i % 2) memcpy(scores[1][at], scores[0][at], n * sizeof *scores[1]);
        at += n;
    }
    if (engine) run_all(engine);
    for (int i = 0; i <= SMALL; i++) {
        CHECK_OK(brenier_wait(jobs[i], BRENIER_FOREVER));
        CHECK_OK(brenier_job_close(jobs[i]));
    }
    CHECK(memcmp(cells[0], cells[1], sizeof cells[0]) == 0);
    CHECK(memcmp(scores[0], scores[1], sizeof scores[0]) == 0);
}

/* ---- Field reads */

static brenier_field *field_on(brenier_model *on, int64_t cache_bytes, size_t row_pitch) {
    static const brenier_octave octaves[2] = {{sizeof octaves[0], 8, 1, 0}, {sizeof octaves[0], 1, 0.5, 1}};
    brenier_field_options o;
    brenier_field_options_init(&o);
    o.octaves = octaves;
    o.n_octaves = 2;
    o.cache_bytes = cache_bytes;
    o.row_pitch = row_pitch;
    brenier_field *field = NULL;
    CHECK_OK(brenier_field_create(on, &o, &field));
    return field;
}

/* Regions of one block and of several, of all formats, with a pitch, at the plane's far ends. */
static const struct place {
    int64_t x, y;
    uint32_t width, height, level;
    brenier_dtype dtype;
} places[] = {
    {-20, 7, 1, 1, 0, BRENIER_F32},           {-260, -40, 260, 60, 0, BRENIER_U8},
    {INT64_C(1) << 40, -99, 257, 3, 0, BRENIER_U16}, {5, 5, 40, 60, 2, BRENIER_F32},
    {-20, 7, 70, 30, 0, BRENIER_F16},         {-5, -(INT64_C(1) << 59), 256, 257, 3, BRENIER_F32},
    {(INT64_C(1) << 62) - 9, 0, 9, 9, 0, BRENIER_U16}, {0, 0, 33, 2, 1, BRENIER_U8},
};
enum { PLACES = sizeof places / sizeof *places, PITCH = 1440, PIXELS = 260 * PITCH };
static uint8_t read_at_once[PLACES][PIXELS], read_later[PLACES][PIXELS];

static brenier_buffer pixels_of(uint8_t *memory, const struct place *p) {
    brenier_buffer b = buffer_of(memory, PIXELS, p->dtype);
    b.layout = p->width % 2 ? BRENIER_NHWC : BRENIER_NCHW;
    return b;
}

static void field_jobs_read_what_the_call_reads(brenier_engine *engine, brenier_model *on) {
    brenier_field *field = field_on(on, 0, PITCH);
    for (int i = 0; i < PLACES; i++) {
        const struct place *p = &places[i];
        memset(read_at_once[i], 0xAA, PIXELS);
        const brenier_buffer b = pixels_of(read_at_once[i], p);
        CHECK_OK(brenier_field_read(field, 3, p->x, p->y, p->width, p->height, p->level, &b));
    }
    for (int64_t cache = -1; cache <= 3000; cache += 3001) { /* none, the default, a hundred tiles */
        brenier_field *other = cache == 0 ? field : field_on(on, cache, PITCH);
        brenier_job *jobs[PLACES];
        memset(read_later, 0xAA, sizeof read_later);
        for (int again = 0; again < 2; again++) {
            for (int i = 0; i < PLACES; i++) {
                const struct place *p = &places[i];
                const brenier_buffer b = pixels_of(read_later[i], p);
                brenier_job_options options;
                brenier_job_options_init(&options);
                options.priority = i % 3;
                CHECK_OK(brenier_submit_field_read(other, 3, p->x, p->y, p->width, p->height, p->level, &b, &options, &jobs[i]));
            }
            if (again) break;
            /* All are cancelled at first, some when they have been begun. */
            for (int i = 0; i < 20 && engine; i++) CHECK_OK(brenier_run(engine, 0, NULL));
            for (int i = 0; i < PLACES; i++) CHECK_OK(brenier_job_close(jobs[i]));
        }
        if (engine) run_all(engine);
        for (int i = 0; i < PLACES; i++) {
            CHECK_OK(brenier_wait(jobs[i], BRENIER_FOREVER));
            CHECK_OK(brenier_job_close(jobs[i]));
        }
        CHECK(memcmp(read_at_once, read_later, sizeof read_later) == 0);
        if (other != field) CHECK_OK(brenier_field_destroy(other));
    }
    CHECK_OK(brenier_field_destroy(field));
}

/* ---- The same errors */

/* A call that blocks and the job of it fail alike. */
#define ALIKE(call, submit)                                                                                  \
    do {                                                                                                     \
        char sentence_[512];                                                                                 \
        const brenier_status status_ = (call);                                                               \
        CHECK(status_ != BRENIER_OK);                                                                        \
        snprintf(sentence_, sizeof sentence_, "%s", brenier_last_error());                                   \
        brenier_job *none_ = NULL, **job = &none_;                                                           \
        CHECK_FAILS(submit, status_, sentence_);                                                             \
        CHECK(none_ == NULL && strlen(sentence_) == strlen(brenier_last_error()));                           \
    } while (0)

static void same_errors_of(brenier_model *on, size_t n, uint64_t first, uint32_t k, const brenier_extension *e,
                           const brenier_buffer *in, const brenier_buffer *images, const brenier_buffer *to_cells,
                           const brenier_buffer *to_scores, int which) {
    if (which & 1) ALIKE(brenier_generate(on, 1, first, n, e, images), brenier_submit_generate(on, 1, first, n, e, images, NULL, job));
    if (which & 2) ALIKE(brenier_decode(on, in, n, images), brenier_submit_decode(on, in, n, images, NULL, job));
    if (which & 4) ALIKE(brenier_locate(on, in, n, k, to_cells, to_scores), brenier_submit_locate(on, in, n, k, to_cells, to_scores, NULL, job));
}

static void errors_are_those_of_the_calls(void) {
    float in[4 * TINY_D] = {0}, images[4 * TINY_PIXELS];
    int64_t to_cells[4];
    double to_scores[4];
    const brenier_buffer i = F32_BUFFER(in), o = F32_BUFFER(images), c = I64_BUFFER(to_cells), s = F64_BUFFER(to_scores);
    brenier_extension e;
    brenier_extension_init(&e);
    enum { GENERATE = 1, DECODE = 2, LOCATE = 4, ALL = 7 };

    /* Handles. */
    brenier_model *stale = open_on(idle, 3), *decoder = open_on(idle, 2), *map = open_on(idle, 1);
    CHECK_OK(brenier_model_close(stale));
    brenier_model *wrong[] = {NULL, stale, (brenier_model *)idle, (brenier_model *)(uintptr_t)42,
                              (brenier_model *)((uintptr_t)model + 100), (brenier_model *)in};
    for (size_t w = 0; w < sizeof wrong / sizeof *wrong; w++) same_errors_of(wrong[w], 4, 0, 1, NULL, &i, &o, &c, &s, ALL);

    /* What the model lacks. */
    same_errors_of(decoder, 4, 0, 1, NULL, &i, &o, &c, &s, GENERATE | LOCATE);
    same_errors_of(map, 4, 0, 1, NULL, &i, &o, &c, &s, GENERATE | DECODE);

    /* Buffers: each member wrong in turn. */
    brenier_buffer bad[9] = {o, o, o, o, o, o, o, o, o};
    bad[0].struct_size = 8;
    bad[1].struct_size = 0;
    bad[2].dtype = BRENIER_I64;
    bad[3].layout = 2;
    bad[4].location = 2;
    bad[5].bytes--;
    bad[6].data = NULL;
    bad[7].data = (char *)images + 1;
    bad[8].data = (void *)(UINTPTR_MAX - 7), bad[8].bytes = SIZE_MAX;
    for (int b = 0; b < 9; b++) same_errors_of(model, 4, 0, 1, NULL, &i, &bad[b], &c, &s, GENERATE | DECODE);
    same_errors_of(model, 4, 0, 1, NULL, &i, NULL, &c, &s, GENERATE | DECODE);
    for (int b = 0; b < 9; b++) {
        if (b == 3) continue; /* only images have a layout */
        brenier_buffer in_bad = bad[b];
        if (b == 5) in_bad.bytes = sizeof in - 1;
        same_errors_of(model, 4, 0, 1, NULL, &in_bad, &o, &c, &s, DECODE | LOCATE);
        if (in_bad.dtype != BRENIER_I64) same_errors_of(model, 4, 0, 1, NULL, &i, &o, &in_bad, &s, LOCATE);
        same_errors_of(model, 4, 0, 1, NULL, &i, &o, &c, &in_bad, LOCATE);
    }
    same_errors_of(model, 4, 0, 1, NULL, NULL, &o, &c, &s, DECODE | LOCATE);
    same_errors_of(model, 4, 0, 1, NULL, &i, &o, NULL, &s, LOCATE);
    struct {
        brenier_buffer b;
        size_t unknown;
    } newer = {o, 1};
    newer.b.struct_size = sizeof newer;
    same_errors_of(model, 4, 0, 1, NULL, &i, &newer.b, &c, &s, GENERATE | DECODE);
    brenier_buffer there = o;
    there.location = BRENIER_CUDA_DEVICE;
    same_errors_of(model, 4, 0, 1, NULL, &i, &there, &c, &s, GENERATE | DECODE);
    same_errors_of(model, 4, 0, 1, NULL, &there, &o, &c, &s, DECODE | LOCATE);

    /* Sizes. */
    same_errors_of(model, SIZE_MAX, 0, 1, NULL, &i, &o, &c, &s, ALL);
    same_errors_of(model, SIZE_MAX / 8 + 2, 0, 1, NULL, &i, &o, &c, &s, ALL);
    same_errors_of(model, 4, UINT64_MAX - 2, 1, NULL, &i, &o, &c, &s, GENERATE);
    const uint32_t ks[] = {0, 6, 33, UINT32_MAX};
    for (int k = 0; k < 4; k++) same_errors_of(model, 1, 0, ks[k], NULL, &i, &o, &c, &s, LOCATE);
    brenier_job *none = NULL;
    CHECK_FAILS(brenier_submit_generate(model, 0, 0, 0, NULL, &o, NULL, &none), BRENIER_INVALID_ARGUMENT, "n: want 1 sample");
    CHECK_FAILS(brenier_submit_decode(model, &i, 0, &o, NULL, &none), BRENIER_INVALID_ARGUMENT, "n: want 1 sample");
    CHECK_FAILS(brenier_submit_locate(model, &i, 0, 1, &c, NULL, NULL, &none), BRENIER_INVALID_ARGUMENT, "n: want 1 sample");

    /* Extensions. */
    brenier_extension settings[14];
    for (int j = 0; j < 14; j++) settings[j] = e;
    settings[0].struct_size = 7;
    settings[1].mode = 4;
    settings[2].mode = -1;
    settings[3].k = 6;
    settings[4].blend = NAN;
    settings[5].blend = 1.5;
    settings[6].blend = -0.25;
    settings[7].angle = 3;
    settings[8].angle = BRENIER_ANGLE_QUANTILE, settings[8].theta = NAN;
    settings[9].angle = BRENIER_ANGLE_QUANTILE, settings[9].theta = 1.0000000000000002;
    settings[10].angle = BRENIER_ANGLE_RADIANS, settings[10].theta = -INFINITY;
    settings[11].angle = BRENIER_ANGLE_RADIANS, settings[11].theta = 3.5;
    settings[12].angle = BRENIER_ANGLE_QUANTILE, settings[12].theta = 0.5; /* the model has no table */
    settings[13].blend = INFINITY;
    for (int j = 0; j < 14; j++) same_errors_of(model, 4, 0, 1, &settings[j], &i, &o, &c, &s, GENERATE);

    /* The job's own options. */
    brenier_job_options options;
    brenier_job_options_init(&options);
    CHECK(options.struct_size == sizeof options && options.priority == 0 && options.deadline_us == 0 && !options.ended);
    brenier_job_options_init(NULL);
    options.struct_size = 4;
    CHECK_FAILS(brenier_submit_decode(model, &i, 4, &o, &options, &none), BRENIER_INVALID_ARGUMENT, "options: struct_size: want 40, got 4");
    CHECK(none == NULL);

    size_t left = 77;
    CHECK_OK(brenier_run(idle, 0, &left));
    CHECK(left == 0); /* nothing of all this was queued */
    CHECK_OK(brenier_model_close(decoder));
    CHECK_OK(brenier_model_close(map));
}

static void same_field_errors_of(brenier_field *field, int64_t px, int64_t py, uint32_t width, uint32_t height, uint32_t level,
                                 const brenier_buffer *pixels) {
    ALIKE(brenier_field_read(field, 1, px, py, width, height, level, pixels),
          brenier_submit_field_read(field, 1, px, py, width, height, level, pixels, NULL, job));
}

static void field_errors_are_those_of_the_call(void) {
    float pixels[12];
    const brenier_buffer b = F32_BUFFER(pixels);
    brenier_field *stale = field_on(model, 0, 0), *field = field_on(model, 0, 0), *pitched = field_on(model, 0, 20);
    CHECK_OK(brenier_field_destroy(stale));
    brenier_field *wrong[] = {NULL, stale, (brenier_field *)model, (brenier_field *)idle, (brenier_field *)(uintptr_t)42,
                              (brenier_field *)((uintptr_t)field + 100), (brenier_field *)pixels};
    for (size_t w = 0; w < sizeof wrong / sizeof *wrong; w++) same_field_errors_of(wrong[w], 0, 0, 2, 2, 0, &b);
    /* A field is not a model. */
    ALIKE(brenier_generate((brenier_model *)field, 1, 0, 1, NULL, &b),
          brenier_submit_generate((brenier_model *)field, 1, 0, 1, NULL, &b, NULL, job));

    brenier_buffer bad[10] = {b, b, b, b, b, b, b, b, b, b};
    bad[0].struct_size = 8;
    bad[1].dtype = BRENIER_I64;
    bad[2].layout = 2;
    bad[3].layout = -1;
    bad[4].location = BRENIER_CUDA_DEVICE;
    bad[5].bytes = 15;
    bad[6].data = NULL;
    bad[7].data = (char *)pixels + 1;
    bad[8].data = (void *)(UINTPTR_MAX - 7), bad[8].bytes = SIZE_MAX;
    bad[9].bytes = 0;
    for (int i = 0; i < 10; i++) same_field_errors_of(field, 0, 0, 2, 2, 0, &bad[i]);
    same_field_errors_of(field, 0, 0, 2, 2, 0, NULL);

    const uint32_t sizes[][2] = {{0, 1}, {1, 0}, {UINT32_MAX, 1}, {1, 1u << 31}, {3, 5}, {1u << 30, 1u << 30}, {INT32_MAX, INT32_MAX}};
    for (int i = 0; i < 7; i++) same_field_errors_of(field, 0, 0, sizes[i][0], sizes[i][1], 0, &b);
    same_field_errors_of(field, 0, 0, 1, 1, 31, &b);
    same_field_errors_of(field, 0, 0, 1, 1, UINT32_MAX, &b);
    const int64_t end = INT64_C(1) << 62, beyond[][2] = {{INT64_MIN, 0}, {0, INT64_MIN}, {INT64_MAX, 0}, {0, INT64_MAX},
                                                         {-end - 1, 0}, {0, end - 1}};
    for (int i = 0; i < 6; i++) same_field_errors_of(field, beyond[i][0], beyond[i][1], 2, 2, 0, &b);
    for (uint32_t level = 1; level <= 30; level++) same_field_errors_of(field, end >> level, 0, 1, 1, level, &b);
    same_field_errors_of(pitched, 0, 0, 6, 1, 0, &b);
    same_field_errors_of(pitched, 0, 0, 3, 3, 0, &b);
    brenier_field *odd = field_on(model, 0, 21);
    same_field_errors_of(odd, 0, 0, 2, 2, 0, &b);

    brenier_job_options options;
    brenier_job_options_init(&options);
    options.struct_size = 4;
    brenier_job *none = NULL;
    CHECK_FAILS(brenier_submit_field_read(field, 1, 0, 0, 2, 2, 0, &b, &options, &none), BRENIER_INVALID_ARGUMENT, "options: struct_size");
    CHECK(none == NULL);
    size_t left = 77;
    CHECK_OK(brenier_run(idle, 0, &left));
    CHECK(left == 0); /* nothing of all this was queued */
    CHECK_OK(brenier_field_destroy(field));
    CHECK_OK(brenier_field_destroy(pitched));
    CHECK_OK(brenier_field_destroy(odd));
}

static void handles_and_places(void) {
    brenier_job_state state = 77;
    brenier_job *wrong[] = {NULL, (brenier_job *)model, (brenier_job *)idle, (brenier_job *)(uintptr_t)1,
                            (brenier_job *)&state, (brenier_job *)(uintptr_t)UINTPTR_MAX};
    for (size_t w = 0; w < sizeof wrong / sizeof *wrong; w++) {
        CHECK_FAILS(brenier_poll(wrong[w], &state), BRENIER_INVALID_HANDLE, "job: not the handle of a job");
        CHECK_FAILS(brenier_wait(wrong[w], 0), BRENIER_INVALID_HANDLE, "job: not the handle");
        CHECK_FAILS(brenier_cancel(wrong[w]), BRENIER_INVALID_HANDLE, "job: not the handle");
        if (wrong[w]) CHECK_FAILS(brenier_job_close(wrong[w]), BRENIER_INVALID_HANDLE, "job: not the handle");
    }
    CHECK(state == 77);
    CHECK_OK(brenier_job_close(NULL));
    CHECK_FAILS(brenier_poll(NULL, NULL), BRENIER_INVALID_ARGUMENT, "state: want a place");
    CHECK_FAILS(brenier_run(NULL, 0, NULL), BRENIER_INVALID_HANDLE, "engine");
    CHECK_FAILS(brenier_run((brenier_engine *)model, 0, NULL), BRENIER_INVALID_HANDLE, "engine");
}

static void engine_options_are_checked(void) {
    const struct {
        int32_t workers, niceness;
        uint32_t slice, limit;
        uint64_t processors;
        const char *sentence;
    } bad[] = {
        {-2, 0, 0, 0, 0, "options: job_workers: want 1 .. 1024"}, {1025, 0, 0, 0, 0, "job_workers"},
        {0, -2, 0, 0, 0, "options: job_niceness: want 1 .. 20"},  {0, 21, 0, 0, 0, "job_niceness"},
        {0, 0, 9, 0, 0, "options: job_slice_us: want 10 .. 1000000"}, {0, 0, 1000001, 0, 0, "job_slice_us"},
        {0, 0, 0, 65537, 0, "options: job_limit: want 1 .. 65536"},
        {0, 0, 0, 0, UINT64_C(1) << 63, "options: job_processors: want a bit of"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        brenier_engine_options o;
        brenier_engine_options_init(&o);
        o.job_workers = bad[i].workers;
        o.job_niceness = bad[i].niceness;
        o.job_slice_us = bad[i].slice;
        o.job_limit = bad[i].limit;
        o.job_processors = bad[i].processors;
        brenier_engine *none = NULL;
        CHECK_FAILS(brenier_engine_create(&o, &none), BRENIER_INVALID_ARGUMENT, bad[i].sentence);
        CHECK(none == NULL);
    }
}

/* ---- Steps, one by one */

static int told; /* callbacks */
static brenier_status told_result;
static int order[8];

struct ending {
    int number;
    brenier_job *job;
};

static void note(void *user, brenier_job *job, brenier_status result) {
    struct ending *e = user;
    brenier_job_state state;
    if (job) {
        CHECK_OK(brenier_poll(job, &state));
        CHECK(state < BRENIER_JOB_DONE);
        CHECK_FAILS(brenier_wait(job, BRENIER_FOREVER), BRENIER_INVALID_ARGUMENT, "its own callback");
        CHECK_FAILS(brenier_job_close(job), BRENIER_INVALID_ARGUMENT, "its own callback");
    }
    e->job = job;
    order[told++ % 8] = e->number;
    told_result = result;
}

static void the_most_urgent_comes_first(void) {
    static float to[3][TINY_PIXELS];
    static struct ending endings[3] = {{0, NULL}, {1, NULL}, {2, NULL}};
    brenier_job *jobs[3];
    told = 0;
    for (int i = 0; i < 3; i++) {
        brenier_job_options options;
        brenier_job_options_init(&options);
        options.priority = i == 1 ? 5 : 0;
        options.deadline_us = i == 2 ? 3600000000u : 0;
        options.ended = note;
        options.user = &endings[i];
        brenier_extension e;
        brenier_extension_init(&e);
        e.mode = BRENIER_MODE_PAIR, e.k = 2, e.angle = BRENIER_ANGLE_RADIANS, e.theta = 3, e.blend = 0.1 * i; /* of its own */
        const brenier_buffer b = F32_BUFFER(to[i]);
        CHECK_OK(brenier_submit_generate(model, 1, 0, 1, &e, &b, &options, &jobs[i]));
        CHECK(state_of(jobs[i]) == BRENIER_JOB_QUEUED);
        CHECK_FAILS(brenier_wait(jobs[i], 0), BRENIER_BUSY, "the job has not ended");
        CHECK_FAILS(brenier_wait(jobs[i], 1), BRENIER_BUSY, "the job has not ended");
    }
    for (int step = 1; step <= 3; step++) {
        size_t left = 77;
        CHECK_OK(brenier_run(idle, 0, &left)); /* one slice */
        CHECK(told == step && left == (size_t)(3 - step));
    }
    CHECK(order[0] == 1 && order[1] == 2 && order[2] == 0);
    for (int i = 0; i < 3; i++) {
        CHECK(endings[i].job == jobs[i]);
        CHECK_OK(brenier_job_close(jobs[i]));
        CHECK_FAILS(brenier_job_close(jobs[i]), BRENIER_INVALID_HANDLE, "job");
    }
}

static void every_end_has_its_status(void) {
    static float to[200][TINY_PIXELS], in[200][TINY_D];
    const brenier_buffer b = F32_BUFFER(to), b_in = F32_BUFFER(in);
    struct ending ending = {0, NULL};
    brenier_job_options options;
    brenier_job_options_init(&options);
    options.ended = note;
    options.user = &ending;
    brenier_job *job = NULL;

    CHECK_OK(brenier_submit_generate(model, 1, 0, 200, NULL, &b, &options, &job));
    CHECK_OK(brenier_cancel(job));
    run_all(idle);
    CHECK(state_of(job) == BRENIER_JOB_CANCELLED && told_result == BRENIER_CANCELLED);
    CHECK_FAILS(brenier_wait(job, BRENIER_FOREVER), BRENIER_CANCELLED, "the job was cancelled");
    CHECK_OK(brenier_cancel(job));
    CHECK_OK(brenier_job_close(job));

    options.deadline_us = 1;
    CHECK_OK(brenier_submit_generate(model, 1, 0, 200, NULL, &b, &options, &job));
    sched_yield();
    for (size_t left = 1; left > 0;) CHECK_OK(brenier_run(idle, 0, &left));
    if (state_of(job) != BRENIER_JOB_DONE) { /* all of it begun within a microsecond */
        CHECK(state_of(job) == BRENIER_JOB_EXPIRED && told_result == BRENIER_EXPIRED);
        CHECK_FAILS(brenier_wait(job, 0), BRENIER_EXPIRED, "deadline");
    }
    CHECK_OK(brenier_job_close(job));
    options.deadline_us = 0;

    /* The row is the job's own, wherever its slice began, and others in the slice are done. */
    brenier_job *good = NULL;
    in[150][1] = NAN;
    CHECK_OK(brenier_submit_decode(model, &b_in, 100, &b, NULL, &good));
    CHECK_OK(brenier_submit_decode(model, &b_in, 200, &b, &options, &job));
    run_all(idle);
    CHECK_OK(brenier_wait(good, 0));
    CHECK(state_of(job) == BRENIER_JOB_FAILED && told_result == BRENIER_INVALID_ARGUMENT);
    CHECK_FAILS(brenier_wait(job, 0), BRENIER_INVALID_ARGUMENT, "codes: row 150, column 1 is NaN");
    CHECK_OK(brenier_job_close(job));
    CHECK_OK(brenier_job_close(good));

    /* Closing one that has not ended cancels it; so do its model and its engine. */
    told = 0;
    CHECK_OK(brenier_submit_generate(model, 1, 0, 200, NULL, &b, &options, &job));
    CHECK_OK(brenier_run(idle, 0, NULL));
    CHECK(state_of(job) == BRENIER_JOB_RUNNING);
    options.ended = NULL;
    CHECK_OK(brenier_job_close(job));
    CHECK(told == 1 && told_result == BRENIER_CANCELLED);
    CHECK_FAILS(brenier_cancel(job), BRENIER_INVALID_HANDLE, "job");

    brenier_engine *engine = open_engine(-1, 0);
    brenier_model *first = open_on(engine, 3), *second = open_on(engine, 3);
    brenier_job *other = NULL;
    CHECK_OK(brenier_submit_generate(first, 1, 0, 9, NULL, &b, NULL, &job));
    CHECK_OK(brenier_submit_generate(second, 1, 0, 9, NULL, &b, NULL, &other));
    CHECK_OK(brenier_model_close(first));
    CHECK(state_of(job) == BRENIER_JOB_CANCELLED && state_of(other) == BRENIER_JOB_QUEUED);
    CHECK_OK(brenier_engine_destroy(engine));
    CHECK_FAILS(brenier_wait(job, 0), BRENIER_INVALID_HANDLE, "job");
    CHECK_FAILS(brenier_wait(other, 0), BRENIER_INVALID_HANDLE, "job");

    /* Without a handle. */
    told = 0;
    options.ended = note;
    CHECK_OK(brenier_submit_generate(model, 1, 0, 3, NULL, &b, &options, NULL));
    run_all(idle);
    CHECK(told == 1 && ending.job == NULL && told_result == BRENIER_OK);
}

/* A read is left between slices for what is more urgent, and ends with its field, its model or by itself. */
static void a_field_read_is_left_and_ends(void) {
    static float pixels[2][40 * 40], whole[40 * 40];
    float image[TINY_PIXELS];
    const brenier_buffer b = F32_BUFFER(pixels[0]), b_second = F32_BUFFER(pixels[1]), b_whole = F32_BUFFER(whole),
                         b_image = F32_BUFFER(image);
    brenier_job *read = NULL, *urgent = NULL, *second = NULL;
    brenier_field *field = field_on(model, -1, 0);
    CHECK_OK(brenier_field_read(field, 1, 0, 0, 40, 40, 0, &b_whole));
    CHECK_OK(brenier_submit_field_read(field, 1, 0, 0, 40, 40, 0, &b, NULL, &read));
    CHECK_OK(brenier_run(idle, 0, NULL));
    CHECK(state_of(read) == BRENIER_JOB_RUNNING);
    brenier_job_options options;
    brenier_job_options_init(&options);
    options.priority = 1;
    CHECK_OK(brenier_submit_generate(model, 1, 0, 1, NULL, &b_image, &options, &urgent));
    options.priority = 2;
    CHECK_OK(brenier_submit_field_read(field, 1, 0, 0, 40, 40, 0, &b_second, &options, &second));
    while (state_of(second) < BRENIER_JOB_DONE) CHECK_OK(brenier_run(idle, 0, NULL));
    CHECK(state_of(second) == BRENIER_JOB_DONE && state_of(urgent) == BRENIER_JOB_QUEUED && state_of(read) == BRENIER_JOB_RUNNING);
    CHECK_OK(brenier_run(idle, 0, NULL));
    CHECK(state_of(urgent) == BRENIER_JOB_DONE && state_of(read) == BRENIER_JOB_RUNNING);
    run_all(idle);
    CHECK(state_of(read) == BRENIER_JOB_DONE);
    CHECK(memcmp(pixels[0], whole, sizeof whole) == 0 && memcmp(pixels[1], whole, sizeof whole) == 0);
    CHECK_OK(brenier_job_close(read));
    CHECK_OK(brenier_job_close(urgent));
    CHECK_OK(brenier_job_close(second));

    for (int what = 0; what < 3; what++) {
        brenier_engine *engine = open_engine(-1, 0);
        brenier_model *on = open_on(engine, 3);
        field = field_on(on, 0, 0);
        CHECK_OK(brenier_submit_field_read(field, 1, 0, 0, 40, 40, 0, &b, NULL, &read));
        CHECK_OK(brenier_submit_generate(on, 1, 0, 1, NULL, &b_image, NULL, &urgent));
        CHECK_OK(brenier_run(engine, 0, NULL));
        CHECK(state_of(read) == BRENIER_JOB_RUNNING);
        if (what == 0) CHECK_OK(brenier_field_destroy(field));
        if (what == 1) CHECK_OK(brenier_model_close(on));
        if (what == 2) CHECK_OK(brenier_engine_destroy(engine));
        if (what < 2) {
            CHECK(state_of(read) == BRENIER_JOB_CANCELLED);
            CHECK(state_of(urgent) == (what ? BRENIER_JOB_CANCELLED : BRENIER_JOB_QUEUED));
            CHECK_OK(brenier_engine_destroy(engine));
        }
        CHECK_FAILS(brenier_wait(read, 0), BRENIER_INVALID_HANDLE, "job");
    }
}

static void a_full_queue_is_busy(void) {
    brenier_engine *engine = open_engine(-1, 2);
    brenier_model *on = open_on(engine, 3);
    float to[TINY_PIXELS];
    const brenier_buffer b = F32_BUFFER(to);
    brenier_job *jobs[2], *more = NULL;
    for (int i = 0; i < 2; i++) CHECK_OK(brenier_submit_generate(on, 1, 0, 1, NULL, &b, NULL, &jobs[i]));
    CHECK_FAILS(brenier_submit_generate(on, 1, 0, 1, NULL, &b, NULL, &more), BRENIER_BUSY, "as many jobs as it may");
    CHECK(more == NULL);
    CHECK_OK(brenier_job_close(jobs[0]));
    CHECK_OK(brenier_submit_generate(on, 1, 0, 1, NULL, &b, NULL, &more));
    CHECK_OK(brenier_engine_destroy(engine));
}

/* ---- Workers */

static void look_around(void *user, brenier_job *job, brenier_status result) {
    (void)job, (void)result;
    int *seen = user;
    cpu_set_t set;
    seen[0] = getpriority(PRIO_PROCESS, 0);
    seen[2] = sched_getscheduler(0);
    seen[1] = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : -1;
}

static void workers_stand_where_they_are_told(void) {
    cpu_set_t set;
    CHECK(sched_getaffinity(0, sizeof set, &set) == 0);
    int processor = 0;
    while (processor < 63 && !CPU_ISSET(processor, &set)) processor++;
    const int32_t niceness[] = {0, 3, -1, 20}, expected[] = {10, 3, 0, 0};
    for (int i = 0; i < 4; i++) {
        brenier_engine_options o;
        brenier_engine_options_init(&o);
        o.job_niceness = niceness[i];
        o.job_processors = UINT64_C(1) << processor;
        o.job_workers = 1;
        brenier_engine *engine = NULL;
        CHECK_OK(brenier_engine_create(&o, &engine));
        brenier_model *on = open_on(engine, 3);
        float to[TINY_PIXELS];
        const brenier_buffer b = F32_BUFFER(to);
        int seen[3] = {-77, -77, -77};
        brenier_job_options options;
        brenier_job_options_init(&options);
        options.ended = look_around;
        options.user = seen;
        brenier_job *job = NULL;
        CHECK_OK(brenier_submit_generate(on, 1, 0, 1, NULL, &b, &options, &job));
        CHECK_OK(brenier_wait(job, BRENIER_FOREVER));
        const int own = getpriority(PRIO_PROCESS, 0);
        CHECK(seen[0] == (own + expected[i] < 19 ? own + expected[i] : 19));
        CHECK(seen[1] == 1);
        CHECK(seen[2] == (niceness[i] == 20 ? SCHED_IDLE : SCHED_OTHER));
        CHECK_OK(brenier_engine_destroy(engine));
    }
}

static atomic_int endings[64];

static void count(void *user, brenier_job *job, brenier_status result) {
    (void)job;
    CHECK(result == BRENIER_OK || result == BRENIER_CANCELLED);
    atomic_fetch_add((atomic_int *)user, 1);
}

static void *run_for_ever(void *engine) {
    const brenier_status status = brenier_run(engine, BRENIER_FOREVER, NULL);
    if (status != BRENIER_OK) CHECK_STATUS(status, BRENIER_INVALID_HANDLE);
    return NULL;
}

/* An engine goes with 64 jobs queued and running, on workers and on threads of the host. */
static void an_engine_goes_in_the_middle(void) {
    static float to[64][500][TINY_PIXELS]; /* or 40 x 40 pixels of a field */
    for (int round = 0; round < 20; round++) {
        brenier_engine *engine = open_engine(round % 3 ? round % 3 : -1, 0);
        brenier_model *on = open_on(engine, 3);
        brenier_field *field = field_on(on, 0, 0);
        memset((void *)endings, 0, sizeof endings);
        for (int i = 0; i < 64; i++) {
            const brenier_buffer b = F32_BUFFER(to[i]);
            brenier_job_options options;
            brenier_job_options_init(&options);
            options.ended = count;
            options.user = (void *)&endings[i];
            brenier_job *job = NULL, **handle = i % 2 ? NULL : &job;
            CHECK_OK(i % 3 ? brenier_submit_generate(on, 1, 0, 500, NULL, &b, &options, handle)
                           : brenier_submit_field_read(field, 1, 40 * i, 0, 40, 40, 0, &b, &options, handle));
        }
        pthread_t hosts[2];
        for (int i = 0; i < 2; i++) CHECK(pthread_create(&hosts[i], NULL, run_for_ever, engine) == 0);
        for (int i = 0; i < round * 50; i++) sched_yield();
        CHECK_OK(brenier_engine_destroy(engine));
        for (int i = 0; i < 64; i++) CHECK(atomic_load(&endings[i]) == 1);
        for (int i = 0; i < 2; i++) pthread_join(hosts[i], NULL);
    }
}

int main(void) {
    idle = open_engine(-1, 0);
    model = open_on(idle, 3);
    jobs_do_what_the_calls_do(idle, model);
    field_jobs_read_what_the_call_reads(idle, model);
    brenier_engine *busy = open_engine(2, 0);
    brenier_model *on = open_on(busy, 3);
    jobs_do_what_the_calls_do(NULL, on);
    field_jobs_read_what_the_call_reads(NULL, on);
    CHECK_OK(brenier_engine_destroy(busy));
    errors_are_those_of_the_calls();
    field_errors_are_those_of_the_call();
    handles_and_places();
    engine_options_are_checked();
    the_most_urgent_comes_first();
    every_end_has_its_status();
    a_field_read_is_left_and_ends();
    a_full_queue_is_busy();
    workers_stand_where_they_are_told();
    an_engine_goes_in_the_middle();
    CHECK_OK(brenier_engine_destroy(idle));
    return finish("jobs");
}
