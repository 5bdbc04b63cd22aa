/* Fields, from C: pixels that depend on their place alone, formats, lifetimes and misuse. */
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "check.h"
#include "tiny_model.h"

static brenier_engine *engine;

static brenier_model *open_tiny(int parts) {
    uint8_t file[8192];
    brenier_model *model = NULL;
    CHECK_OK(brenier_model_open_memory(engine, file, tiny_model(file, sizeof file, parts), &model));
    return model;
}

static const brenier_octave octaves[3] = {{sizeof(brenier_octave), 8, 1, 0},
                                          {sizeof(brenier_octave), 2, 0.5, 1},
                                          {sizeof(brenier_octave), 0, 0, 0.5}}; /* scale 1, amplitude 1 */

static brenier_field *make(brenier_model *model, int64_t cache_bytes) {
    brenier_field_options o;
    brenier_field *field = NULL;
    brenier_field_options_init(&o);
    CHECK(o.struct_size == sizeof o && !o.octaves && o.scale == 0);
    o.octaves = octaves;
    o.n_octaves = 3;
    o.cache_bytes = cache_bytes;
    CHECK_OK(brenier_field_create(model, &o, &field));
    return field;
}

enum { WIDTH = 60, HEIGHT = 48, THREADS = 16 };
static float whole[HEIGHT][WIDTH];

typedef struct {
    brenier_field *field;
    int first; /* row of this thread; it reads every THREADS-th, pixel by pixel and in pieces */
} reader;

static void *read_rows(void *argument) {
    const reader *r = argument;
    for (int y = r->first; y < HEIGHT; y += THREADS) {
        for (int x = WIDTH, n; x > 0; x -= n) {
            float pixels[7];
            n = x < 1 + y % 7 ? x : 1 + y % 7;
            const brenier_buffer b = F32_BUFFER(pixels);
            CHECK_OK(brenier_field_read(r->field, 5, ((int64_t)1 << 40) + x - n, -20 + y, (uint32_t)n, 1, 1, &b));
            CHECK(memcmp(pixels, &whole[y][x - n], (size_t)n * sizeof(float)) == 0);
        }
    }
    return NULL;
}

static void pixels_depend_on_their_place(void) {
    brenier_model *model = open_tiny(3);
    brenier_field *field = make(model, 0);
    const brenier_buffer b = F32_BUFFER(whole);
    CHECK_OK(brenier_field_read(field, 5, (int64_t)1 << 40, -20, WIDTH, HEIGHT, 1, &b));
    double sum = 0;
    for (int k = 0; k < WIDTH * HEIGHT; k++) sum += fabs((double)(&whole[0][0])[k]);
    CHECK(sum > 0.2 * WIDTH * HEIGHT && sum < 2.0 * WIDTH * HEIGHT);
    for (int64_t cache = -1; cache <= 200; cache += 201) {
        brenier_field *other = make(model, cache);
        pthread_t threads[THREADS];
        reader readers[THREADS];
        for (int i = 0; i < THREADS; i++) {
            readers[i] = (reader){other, i};
            CHECK(pthread_create(&threads[i], NULL, read_rows, &readers[i]) == 0);
        }
        for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
        CHECK_OK(brenier_field_destroy(other));
    }
    CHECK_OK(brenier_model_close(model));
}

static void formats(void) {
    brenier_model *model = open_tiny(3);
    brenier_field_options o;
    brenier_field *plain = NULL, *metres = NULL;
    brenier_field_options_init(&o);
    CHECK_OK(brenier_field_create(model, NULL, &plain));
    o.offset = 1000;
    o.scale = 100;
    o.row_pitch = 32;
    CHECK_OK(brenier_field_create(model, &o, &metres));
    float values[4][10];
    uint8_t bytes[4][10];
    uint16_t heights[4][16];
    memset(heights, 0xAA, sizeof heights);
    const brenier_buffer b_values = F32_BUFFER(values), b_bytes = buffer_of(bytes, sizeof bytes, BRENIER_U8),
                         b_heights = buffer_of(heights, sizeof heights, BRENIER_U16);
    CHECK_OK(brenier_field_read(plain, 1, -3, 2, 10, 4, 0, &b_values));
    CHECK_OK(brenier_field_read(plain, 1, -3, 2, 10, 4, 0, &b_bytes));
    CHECK_OK(brenier_field_read(metres, 1, -3, 2, 10, 4, 0, &b_heights));
    for (int y = 0; y < 4; y++) {
        for (int x = 0; x < 10; x++) {
            CHECK(fabs(bytes[y][x] - (127.5 + 31.875 * values[y][x])) <= 0.5001);
            CHECK(fabs(heights[y][x] - (1000 + 100.0 * values[y][x])) <= 0.5001);
        }
        for (int x = 10; x < 16; x++) CHECK(heights[y][x] == 0xAAAA);
    }
    CHECK_OK(brenier_model_close(model));
}

static void lifetimes(void) {
    brenier_model *model = open_tiny(3);
    brenier_field *field = make(model, 0), *stale = make(model, 0);
    float pixel[1];
    const brenier_buffer b = F32_BUFFER(pixel);
    const char *text = "field: not the handle of an open field";
    CHECK_OK(brenier_field_destroy(NULL));
    CHECK_OK(brenier_field_read(stale, 0, 0, 0, 1, 1, 0, &b));
    CHECK_OK(brenier_field_destroy(stale));
    int foreign = 0;
    brenier_field *wrong[] = {NULL, stale, (brenier_field *)model, (brenier_field *)(void *)&foreign};
    for (int i = 0; i < 4; i++) {
        CHECK_FAILS(brenier_field_read(wrong[i], 0, 0, 0, 1, 1, 0, &b), BRENIER_INVALID_HANDLE, text);
        if (wrong[i]) CHECK_FAILS(brenier_field_destroy(wrong[i]), BRENIER_INVALID_HANDLE, text);
    }
    CHECK_STATUS(brenier_model_close((brenier_model *)field), BRENIER_INVALID_HANDLE);
    CHECK_OK(brenier_model_close(model)); /* and its fields */
    CHECK_FAILS(brenier_field_read(field, 0, 0, 0, 1, 1, 0, &b), BRENIER_INVALID_HANDLE, text);
    CHECK_FAILS(brenier_field_destroy(field), BRENIER_INVALID_HANDLE, text);

    uint8_t file[8192];
    brenier_engine *other = NULL;
    CHECK_OK(brenier_engine_create(NULL, &other));
    CHECK_OK(brenier_model_open_memory(other, file, tiny_model(file, sizeof file, 3), &model));
    CHECK_OK(brenier_field_create(model, NULL, &field));
    CHECK_OK(brenier_engine_destroy(other));
    CHECK_FAILS(brenier_field_read(field, 0, 0, 0, 1, 1, 0, &b), BRENIER_INVALID_HANDLE, text);
}

static atomic_int reads;

/* Reads ever new places until the field is no more. */
static void *read_on(void *field) {
    float pixels[64];
    const brenier_buffer b = F32_BUFFER(pixels);
    brenier_status status;
    for (int64_t x = 0; (status = brenier_field_read(field, 1, 8 * x, 0, 8, 8, 0, &b)) == BRENIER_OK; x++)
        atomic_fetch_add(&reads, 1);
    CHECK(status == BRENIER_INVALID_HANDLE);
    return NULL;
}

/* What is closed under its readers: the field, its model, its engine. */
static void closing_under_readers(void) {
    for (int what = 0; what < 3; what++) {
        uint8_t file[8192];
        brenier_engine *other = NULL;
        brenier_model *model = NULL;
        CHECK_OK(brenier_engine_create(NULL, &other));
        CHECK_OK(brenier_model_open_memory(other, file, tiny_model(file, sizeof file, 3), &model));
        brenier_field *field = make(model, 0);
        pthread_t threads[8];
        atomic_store(&reads, 0);
        for (int i = 0; i < 8; i++) CHECK(pthread_create(&threads[i], NULL, read_on, field) == 0);
        while (atomic_load(&reads) < 100) sched_yield();
        if (what == 0) CHECK_OK(brenier_field_destroy(field));
        if (what == 1) CHECK_OK(brenier_model_close(model));
        CHECK_OK(brenier_engine_destroy(other));
        for (int i = 0; i < 8; i++) pthread_join(threads[i], NULL);
    }
}

static void misuse(void) {
    const brenier_status invalid = BRENIER_INVALID_ARGUMENT;
    brenier_model *model = open_tiny(3), *map = open_tiny(1), *decoder = open_tiny(2);
    brenier_field *none = NULL;
    CHECK_STATUS(brenier_field_create(map, NULL, &none), BRENIER_UNSUPPORTED);
    CHECK_STATUS(brenier_field_create(decoder, NULL, &none), BRENIER_UNSUPPORTED);
    CHECK_FAILS(brenier_field_create(model, NULL, NULL), invalid, "field: want a place");
    brenier_octave octave[2] = {{sizeof octave[0], 4, 1, 0}, {sizeof octave[0], 2, 1, 0}};
#define REFUSED(member, value, text)                                      \
    do {                                                                  \
        brenier_field_options o;                                          \
        brenier_field_options_init(&o);                                   \
        o.octaves = octave;                                               \
        o.n_octaves = 2;                                                  \
        o.member = value;                                                 \
        CHECK_FAILS(brenier_field_create(model, &o, &none), invalid, text); \
    } while (0)
    REFUSED(struct_size, 8, "options: struct_size");
    REFUSED(octaves, NULL, "octaves: want 2 of them, got NULL");
    REFUSED(n_octaves, 17, "octaves: want at most 16");
    REFUSED(channel, 1, "channel: want 0 .. 0");
    REFUSED(channels, 2, "channels");
    REFUSED(scale, NAN, "offset and scale");
    REFUSED(offset, 3, "scale");
    REFUSED(row_pitch, SIZE_MAX, "row_pitch");
#undef REFUSED
#define REFUSED(member, value, text)                                                                    \
    do {                                                                                                \
        brenier_octave changed[2] = {octave[0], octave[1]};                                             \
        brenier_field_options o;                                                                        \
        brenier_field_options_init(&o);                                                                 \
        o.octaves = changed;                                                                            \
        o.n_octaves = 2;                                                                                \
        changed[1].member = value;                                                                      \
        CHECK_FAILS(brenier_field_create(model, &o, &none), invalid, text);                             \
    } while (0)
    REFUSED(struct_size, 0, "octaves: 1: struct_size: want 32");
    REFUSED(struct_size, sizeof octave[0] + 8, "octaves: 1: struct_size: want 32");
    REFUSED(scale, 3, "octaves: 1: scale: want a power of two");
    REFUSED(scale, 8, "octaves: 1: scale 8 comes after a smaller one");
    REFUSED(amplitude, INFINITY, "octaves: 1: amplitude");
    REFUSED(modulation, -0.5, "octaves: 1: modulation");
#undef REFUSED
    CHECK(none == NULL);

    brenier_field *field = make(model, 0);
    float pixels[4] = {7, 7, 7, 7};
    brenier_buffer b = F32_BUFFER(pixels);
    CHECK_FAILS(brenier_field_read(field, 0, 0, 0, 0, 1, 0, &b), invalid, "region: want a width");
    CHECK_FAILS(brenier_field_read(field, 0, 0, 0, 1, UINT32_MAX, 0, &b), invalid, "region: want a width");
    CHECK_FAILS(brenier_field_read(field, 0, 0, 0, 2, 2, 31, &b), invalid, "level: want 0 .. 30, got 31");
    CHECK_FAILS(brenier_field_read(field, 0, INT64_MAX, 0, 2, 2, 0, &b), invalid, "beyond the plane's end");
    CHECK_FAILS(brenier_field_read(field, 0, 0, INT64_MIN, 2, 2, 0, &b), invalid, "beyond the plane's end");
    CHECK_FAILS(brenier_field_read(field, 0, 0, 0, 3, 2, 0, &b), BRENIER_SHORT_BUFFER, "pixels: 2 rows of 12 bytes");
    CHECK_FAILS(brenier_field_read(field, 0, 0, 0, 1u << 30, 1u << 30, 0, &b), BRENIER_SHORT_BUFFER, "pixels");
    CHECK_FAILS(brenier_field_read(field, 0, 0, 0, 2, 2, 0, NULL), invalid, "pixels: want a struct");
    brenier_buffer wrong = b;
    wrong.dtype = BRENIER_F64;
    CHECK_FAILS(brenier_field_read(field, 0, 0, 0, 1, 1, 0, &wrong), invalid, "pixels: want dtype");
    wrong = b;
    wrong.layout = 5;
    CHECK_FAILS(brenier_field_read(field, 0, 0, 0, 1, 1, 0, &wrong), invalid, "pixels: want layout");
    wrong = b;
    wrong.data = NULL;
    CHECK_FAILS(brenier_field_read(field, 0, 0, 0, 1, 1, 0, &wrong), invalid, "pixels: want memory");
    wrong = b;
    wrong.data = (char *)pixels + 1;
    CHECK_FAILS(brenier_field_read(field, 0, 0, 0, 1, 1, 0, &wrong), invalid, "pixels: want data aligned");
    wrong = b;
    wrong.location = BRENIER_CUDA_DEVICE;
    CHECK_STATUS(brenier_field_read(field, 0, 0, 0, 1, 1, 0, &wrong), BRENIER_UNSUPPORTED);
    for (int i = 0; i < 4; i++) CHECK(pixels[i] == 7);
    /* A dtype that images do not have. */
    wrong = b;
    wrong.dtype = BRENIER_U16;
    CHECK_FAILS(brenier_generate(model, 0, 0, 1, NULL, &wrong), invalid, "images: want dtype");
    CHECK_OK(brenier_model_close(model));
    CHECK_OK(brenier_model_close(map));
    CHECK_OK(brenier_model_close(decoder));
}

int main(void) {
    CHECK_OK(brenier_engine_create(NULL, &engine));
    pixels_depend_on_their_place();
    formats();
    lifetimes();
    closing_under_readers();
    misuse();
    CHECK_OK(brenier_engine_destroy(engine));
    return finish("field");
}
