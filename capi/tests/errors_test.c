/* Every kind of misuse is answered with a status and a sentence, and writes nothing. */
#include <math.h>
#include <pthread.h>
#include <stdlib.h>

#include "check.h"
#include "tiny_model.h"

static brenier_engine *engine;
static brenier_model *model;

static brenier_model *open_parts(int parts) {
    uint8_t file[8192];
    const size_t bytes = tiny_model(file, sizeof file, parts);
    brenier_model *opened = NULL;
    CHECK_OK(brenier_model_open_memory(engine, file, bytes, &opened));
    return opened;
}

/* All functions that take a model, on a handle that is none. */
static void model_functions(brenier_model *wrong) {
    brenier_model_properties properties = {.struct_size = sizeof properties};
    const char *text = "model: not the handle of an open model";
    CHECK_FAILS(brenier_model_info(wrong, &properties), BRENIER_INVALID_HANDLE, text);
    CHECK_FAILS(brenier_model_measure_images(wrong, 1), BRENIER_INVALID_HANDLE, text);
    CHECK_FAILS(brenier_model_save(wrong, "never_written"), BRENIER_INVALID_HANDLE, text);
    CHECK_FAILS(brenier_model_tensor(wrong, "ot.points", NULL), BRENIER_INVALID_HANDLE, text);
    CHECK_FAILS(brenier_noise(wrong, 0, 0, 1, NULL), BRENIER_INVALID_HANDLE, text);
    CHECK_FAILS(brenier_locate(wrong, NULL, 1, 1, NULL, NULL), BRENIER_INVALID_HANDLE, text);
    CHECK_FAILS(brenier_extend(wrong, NULL, NULL, 1, 1, NULL, NULL), BRENIER_INVALID_HANDLE, text);
    CHECK_FAILS(brenier_codes(wrong, 0, 0, 1, NULL, NULL), BRENIER_INVALID_HANDLE, text);
    CHECK_FAILS(brenier_decode(wrong, NULL, 1, NULL), BRENIER_INVALID_HANDLE, text);
    CHECK_FAILS(brenier_encode(wrong, NULL, 1, NULL), BRENIER_INVALID_HANDLE, text);
    CHECK_FAILS(brenier_generate(wrong, 0, 0, 1, NULL, NULL), BRENIER_INVALID_HANDLE, text);
    CHECK_FAILS(brenier_potential(wrong, NULL, 1, NULL, NULL), BRENIER_INVALID_HANDLE, text);
    brenier_field *field = NULL;
    CHECK_FAILS(brenier_field_create(wrong, NULL, &field), BRENIER_INVALID_HANDLE, text);
    CHECK(field == NULL);
    brenier_fit_options options;
    brenier_fit_options_init(&options);
    options.decoder = wrong;
    brenier_model *none = NULL;
    if (wrong) {
        CHECK_FAILS(brenier_model_close(wrong), BRENIER_INVALID_HANDLE, text);
        CHECK_FAILS(brenier_fit(engine, NULL, 1, 1, NULL, &options, &none), BRENIER_INVALID_HANDLE,
                    "decoder: not the handle");
    }
}

static void engine_functions(brenier_engine *wrong) {
    brenier_engine_properties properties = {.struct_size = sizeof properties};
    brenier_model *none = NULL;
    const char *text = "engine: not the handle of an open engine";
    CHECK_FAILS(brenier_engine_info(wrong, &properties), BRENIER_INVALID_HANDLE, text);
    CHECK_FAILS(brenier_model_open(wrong, "x", &none), BRENIER_INVALID_HANDLE, text);
    CHECK_FAILS(brenier_model_open_memory(wrong, "x", 1, &none), BRENIER_INVALID_HANDLE, text);
    CHECK_FAILS(brenier_fit(wrong, NULL, 1, 1, NULL, NULL, &none), BRENIER_INVALID_HANDLE, text);
    if (wrong) CHECK_FAILS(brenier_engine_destroy(wrong), BRENIER_INVALID_HANDLE, text);
    CHECK(none == NULL);
}

static void handles(void) {
    int foreign = 0;
    CHECK_OK(brenier_model_close(NULL));
    CHECK_OK(brenier_engine_destroy(NULL));

    model_functions(NULL);
    model_functions((brenier_model *)&foreign);
    model_functions((brenier_model *)(uintptr_t)42);
    model_functions((brenier_model *)(uintptr_t)UINTPTR_MAX);
    model_functions((brenier_model *)engine);
    model_functions((brenier_model *)((uintptr_t)model + 1)); /* a slot never used */
    brenier_model *stale = open_parts(3);
    CHECK_OK(brenier_model_close(stale));
    model_functions(stale);
    brenier_model *next = open_parts(3); /* takes the slot, not the token */
    CHECK(next != stale);
    model_functions(stale);
    CHECK_OK(brenier_model_close(next));

    engine_functions(NULL);
    engine_functions((brenier_engine *)&foreign);
    engine_functions((brenier_engine *)model);
    brenier_engine *second = NULL;
    CHECK_OK(brenier_engine_create(NULL, &second));
    CHECK_OK(brenier_engine_destroy(second));
    engine_functions(second);
}

static void engine_with_open_models(void) {
    brenier_engine *second = NULL;
    brenier_model *models[3];
    uint8_t file[8192];
    const size_t bytes = tiny_model(file, sizeof file, 3);
    CHECK_OK(brenier_engine_create(NULL, &second));
    for (int i = 0; i < 3; i++)
        CHECK_OK(brenier_model_open_memory(second, file, bytes, &models[i]));
    CHECK_OK(brenier_engine_destroy(second));
    for (int i = 0; i < 3; i++) model_functions(models[i]);
}

static void null_pointers(void) {
    float x[TINY_D] = {0};
    const brenier_buffer b = F32_BUFFER(x);
    brenier_model *none = NULL;
    const brenier_status invalid = BRENIER_INVALID_ARGUMENT;
    CHECK_FAILS(brenier_engine_create(NULL, NULL), invalid, "engine: want a place");
    CHECK_FAILS(brenier_engine_info(engine, NULL), invalid, "properties: want a struct, got NULL");
    CHECK_FAILS(brenier_model_open(engine, NULL, &none), invalid, "path");
    CHECK_FAILS(brenier_model_open(engine, "x", NULL), invalid, "model: want a place");
    CHECK_FAILS(brenier_model_open_memory(engine, NULL, 8, &none), invalid, "data: want 8 bytes, got NULL");
    CHECK_FAILS(brenier_model_open_memory(engine, x, SIZE_MAX, &none), invalid, "beyond the end of memory");
    CHECK_FAILS(brenier_model_info(model, NULL), invalid, "properties");
    CHECK_FAILS(brenier_model_save(model, NULL), invalid, "path");
    CHECK_FAILS(brenier_model_tensor(model, NULL, &b), invalid, "name");
    CHECK_FAILS(brenier_model_tensor(model, "ot.heights", NULL), invalid, "ot.heights: want a struct");
    CHECK_FAILS(brenier_noise(model, 0, 0, 1, NULL), invalid, "x: want a struct, got NULL");
    CHECK_FAILS(brenier_locate(model, &b, 1, 1, NULL, NULL), invalid, "cells");
    CHECK_FAILS(brenier_locate(model, NULL, 1, 1, NULL, NULL), invalid, "x: want a struct");
    CHECK_FAILS(brenier_extend(model, &b, NULL, 1, 1, NULL, &b), invalid, "cells");
    CHECK_FAILS(brenier_codes(model, 0, 0, 1, NULL, NULL), invalid, "codes");
    CHECK_FAILS(brenier_decode(model, &b, 1, NULL), invalid, "images");
    float image[TINY_PIXELS] = {0};
    const brenier_buffer b_image = F32_BUFFER(image);
    CHECK_FAILS(brenier_encode(model, NULL, 1, &b), invalid, "images: want a struct, got NULL");
    CHECK_FAILS(brenier_encode(model, &b_image, 1, NULL), invalid, "codes: want a struct, got NULL");
    CHECK_FAILS(brenier_generate(model, 0, 0, 1, NULL, NULL), invalid, "images");
    CHECK_FAILS(brenier_potential(model, NULL, 1, NULL, NULL), invalid, "x");
    CHECK_FAILS(brenier_fit(engine, NULL, 1, 1, NULL, NULL, &none), invalid, "points");
    CHECK_FAILS(brenier_fit(engine, &b, 1, 2, NULL, NULL, NULL), invalid, "model: want a place");
    CHECK(none == NULL);
    brenier_engine_options_init(NULL);
    brenier_extension_init(NULL);
    brenier_fit_options_init(NULL);
}

static void struct_sizes(void) {
    struct {
        brenier_extension known;
        double later;
    } newer;
    float z[TINY_D];
    const brenier_buffer b = F32_BUFFER(z);
    const brenier_status invalid = BRENIER_INVALID_ARGUMENT;
    memset(&newer, 0, sizeof newer);
    brenier_extension_init(&newer.known);
    newer.known.struct_size = sizeof newer; /* from a newer header, with its new member unset */
    CHECK_OK(brenier_codes(model, 0, 0, 1, &newer.known, &b));
    newer.later = 1;
    CHECK_FAILS(brenier_codes(model, 0, 0, 1, &newer.known, &b), invalid, "does not know");
    const size_t wrong[] = {0, 1, 23, 1 << 20, SIZE_MAX};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        newer.known.struct_size = wrong[i];
        CHECK_FAILS(brenier_codes(model, 0, 0, 1, &newer.known, &b), invalid, "extension: struct_size: want 40");
        brenier_buffer bad = b;
        bad.struct_size = wrong[i];
        CHECK_FAILS(brenier_noise(model, 0, 0, 1, &bad), invalid, "x: struct_size: want 40");
        brenier_model_properties p = {.struct_size = wrong[i]};
        CHECK_FAILS(brenier_model_info(model, &p), invalid, "properties: struct_size: want 88");
        brenier_engine_properties q = {.struct_size = wrong[i]};
        CHECK_FAILS(brenier_engine_info(engine, &q), invalid, "properties: struct_size: want 48");
        brenier_engine_options o = {.struct_size = wrong[i]};
        brenier_engine *none = NULL;
        CHECK_FAILS(brenier_engine_create(&o, &none), invalid, "options: struct_size: want 80");
        brenier_fit_options f = {.struct_size = wrong[i]};
        brenier_model *fitted = NULL;
        CHECK_FAILS(brenier_fit(engine, &b, 1, 2, NULL, &f, &fitted), invalid, "options: struct_size: want 88");
    }
    for (size_t older = offsetof(brenier_model_properties, kernels); older < sizeof(brenier_model_properties); older += 8) {
        brenier_model_properties p = {.struct_size = older, .has_encoder = 7};
        CHECK_OK(brenier_model_info(model, &p)); /* of an older header: what it does not have is not written */
        CHECK(p.points == TINY_N && p.has_encoder == 7);
    }
    struct {
        brenier_model_properties known;
        double later;
    } longer = {.known = {.struct_size = sizeof longer}, .later = 1};
    CHECK_OK(brenier_model_info(model, &longer.known));
    CHECK(longer.later == 0 && longer.known.struct_size == sizeof longer && longer.known.points == TINY_N);
}

/* The images that encode reads are checked as those that decode writes. */
static void encoded_buffers(void) {
    _Alignas(8) uint8_t memory[64] = {0};
    float z[2][TINY_D] = {{7, 7}, {7, 7}};
    const brenier_status invalid = BRENIER_INVALID_ARGUMENT;
    brenier_buffer codes = F32_BUFFER(z), images = buffer_of(memory, 2 * TINY_PIXELS - 1, BRENIER_U8);
    CHECK_FAILS(brenier_encode(model, &images, 2, &codes), BRENIER_SHORT_BUFFER, "images: 2 rows of 4 U8 do not fit in 7 bytes");
    CHECK_FAILS(brenier_encode(model, &images, SIZE_MAX, &codes), BRENIER_SHORT_BUFFER, "images:");
    const brenier_dtype dtypes[] = {BRENIER_I64, BRENIER_F64, BRENIER_U16, -1, 99};
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++) {
        images = buffer_of(memory, sizeof memory, dtypes[i]);
        CHECK_FAILS(brenier_encode(model, &images, 1, &codes), invalid, "images: want dtype BRENIER_F32 (0), BRENIER_F16 (1) or BRENIER_U8 (2)");
    }
    images = buffer_of(memory, sizeof memory, BRENIER_U8);
    images.layout = 2;
    CHECK_FAILS(brenier_encode(model, &images, 1, &codes), invalid, "images: want layout");
    images.layout = BRENIER_NCHW;
    images.location = 2;
    CHECK_FAILS(brenier_encode(model, &images, 1, &codes), invalid, "images: want location");
    images.location = BRENIER_CUDA_DEVICE;
    CHECK_FAILS(brenier_encode(model, &images, 1, &codes), BRENIER_UNSUPPORTED, "location");
    images = buffer_of(memory + 1, sizeof memory - 1, BRENIER_F16);
    CHECK_FAILS(brenier_encode(model, &images, 1, &codes), invalid, "images: want data aligned to its elements of 2 bytes");
    images = buffer_of(NULL, 64, BRENIER_F32);
    CHECK_FAILS(brenier_encode(model, &images, 1, &codes), invalid, "images: want memory, got data NULL");
    images.struct_size = 1;
    CHECK_FAILS(brenier_encode(model, &images, 1, &codes), invalid, "images: struct_size: want 40");
    images = buffer_of(memory, sizeof memory, BRENIER_F32);
    codes.bytes--;
    CHECK_FAILS(brenier_encode(model, &images, 2, &codes), BRENIER_SHORT_BUFFER, "codes: 2 rows of 2 F32 do not fit in 15 bytes");
    codes = F32_BUFFER(z);
    codes.dtype = BRENIER_F16;
    CHECK_FAILS(brenier_encode(model, &images, 1, &codes), invalid, "codes: want dtype BRENIER_F32 (0), got 1");
    codes = F32_BUFFER(z);
    codes.location = BRENIER_CUDA_DEVICE;
    CHECK_FAILS(brenier_encode(model, &images, 1, &codes), BRENIER_UNSUPPORTED, "codes: want location");
    codes = F32_BUFFER(z);
    const float bad[] = {NAN, INFINITY, -INFINITY};
    for (int i = 0; i < 3; i++) {
        memcpy(memory + sizeof(float) * (TINY_PIXELS + 2), &bad[i], sizeof *bad);
        CHECK_FAILS(brenier_encode(model, &images, 2, &codes), invalid, "images: element 2 of image 1 is a NaN or an infinity; want finite values");
    }
    for (int i = 0; i < 2; i++)
        for (int k = 0; k < TINY_D; k++) CHECK(z[i][k] == 7); /* nothing was written */
    CHECK_OK(brenier_encode(model, &images, 1, &codes)); /* the one before it is sound */
}

static void buffers(void) {
    _Alignas(8) uint8_t memory[64];
    float x[2][TINY_D] = {{0}};
    int64_t cells[2] = {0};
    double scores[2];
    const brenier_status invalid = BRENIER_INVALID_ARGUMENT;
    brenier_buffer b = F32_BUFFER(x), b_cells = I64_BUFFER(cells), b_scores = F64_BUFFER(scores);

    b.bytes--;
    CHECK_FAILS(brenier_noise(model, 0, 0, 2, &b), BRENIER_SHORT_BUFFER, "x: 2 rows of 2 F32 do not fit in 15 bytes");
    CHECK_FAILS(brenier_locate(model, &b, 2, 1, &b_cells, NULL), BRENIER_SHORT_BUFFER, "x:");
    CHECK_FAILS(brenier_noise(model, 0, 0, SIZE_MAX, &b), BRENIER_SHORT_BUFFER, "x:");
    CHECK_FAILS(brenier_noise(model, 0, 0, SIZE_MAX / 8 + 2, &b), BRENIER_SHORT_BUFFER, "x:"); /* wraps to 8 */
    b = F32_BUFFER(x);
    CHECK_FAILS(brenier_locate(model, &b, 2, 2, &b_cells, NULL), BRENIER_SHORT_BUFFER, "cells: 2 rows of 2 I64");
    b_scores.bytes = 8;
    CHECK_FAILS(brenier_locate(model, &b, 2, 1, &b_cells, &b_scores), BRENIER_SHORT_BUFFER, "scores:");
    CHECK_FAILS(brenier_potential(model, &b, 2, &b_scores, NULL), BRENIER_SHORT_BUFFER, "brenier:");
    CHECK_FAILS(brenier_potential(model, &b, 2, NULL, &b_scores), BRENIER_SHORT_BUFFER, "kantorovich:");
    CHECK_FAILS(brenier_model_tensor(model, "ot.points", &b), BRENIER_SHORT_BUFFER, "ot.points");

    brenier_buffer images = buffer_of(memory, 2 * TINY_PIXELS - 1, BRENIER_U8);
    CHECK_FAILS(brenier_generate(model, 0, 0, 2, NULL, &images), BRENIER_SHORT_BUFFER, "images:");
    images = buffer_of(memory, sizeof memory, BRENIER_I64);
    CHECK_FAILS(brenier_generate(model, 0, 0, 1, NULL, &images), invalid, "images: want dtype");
    images.dtype = -1;
    CHECK_FAILS(brenier_decode(model, &b, 1, &images), invalid, "images: want dtype");
    images = buffer_of(memory, sizeof memory, BRENIER_U8);
    images.layout = 2;
    CHECK_FAILS(brenier_generate(model, 0, 0, 1, NULL, &images), invalid, "images: want layout");
    images.layout = BRENIER_NCHW;
    images.location = BRENIER_CUDA_DEVICE;
    CHECK_FAILS(brenier_generate(model, 0, 0, 1, NULL, &images), BRENIER_UNSUPPORTED, "location");
    images = buffer_of(memory + 1, sizeof memory - 1, BRENIER_F32);
    CHECK_FAILS(brenier_generate(model, 0, 0, 1, NULL, &images), invalid, "aligned");
    images = buffer_of(NULL, 64, BRENIER_F32);
    CHECK_FAILS(brenier_generate(model, 0, 0, 1, NULL, &images), invalid, "data NULL");
    images = buffer_of((void *)(UINTPTR_MAX - 7), SIZE_MAX, BRENIER_F32);
    CHECK_FAILS(brenier_generate(model, 0, 0, 1, NULL, &images), invalid, "beyond the end of memory");
    encoded_buffers();
    b.dtype = BRENIER_F64;
    CHECK_FAILS(brenier_noise(model, 0, 0, 1, &b), invalid, "x: want dtype BRENIER_F32 (0), got 4");
    b.dtype = 99;
    CHECK_FAILS(brenier_noise(model, 0, 0, 1, &b), invalid, "x: want dtype BRENIER_F32 (0), got 99");
}

static void values(void) {
    float x[3][TINY_D] = {{0}};
    int64_t cells[3][2] = {{0, 1}, {1, 0}, {2, 5}};
    uint8_t image[3 * TINY_PIXELS];
    const brenier_status invalid = BRENIER_INVALID_ARGUMENT;
    const brenier_buffer b = F32_BUFFER(x), b_cells = I64_BUFFER(cells), b_image = buffer_of(image, sizeof image, BRENIER_U8);
    const float bad[] = {NAN, INFINITY, -INFINITY};
    for (int i = 0; i < 3; i++) {
        x[2][1] = bad[i];
        CHECK_FAILS(brenier_locate(model, &b, 3, 1, &b_cells, NULL), invalid, "x: row 2");
        CHECK_FAILS(brenier_decode(model, &b, 3, &b_image), invalid, "codes: row 2");
        CHECK_FAILS(brenier_potential(model, &b, 3, NULL, NULL), invalid, "x: row 2");
    }
    x[2][1] = 0;
    CHECK(cells[2][1] == 5); /* nothing was written */
    CHECK_FAILS(brenier_extend(model, &b, &b_cells, 3, 2, NULL, &b), invalid, "cells: row 2, column 1 is 5");
    cells[2][1] = -1;
    CHECK_FAILS(brenier_extend(model, &b, &b_cells, 3, 2, NULL, &b), invalid, "cells: row 2");
    cells[2][1] = 0;
    CHECK_FAILS(brenier_extend(model, &b, &b_cells, 3, 0, NULL, &b), invalid, "cells");

    CHECK_FAILS(brenier_locate(model, &b, 1, 0, &b_cells, NULL), invalid, "k: want 1 .. 5 (the model has 5 cells), got 0");
    CHECK_FAILS(brenier_locate(model, &b, 1, 6, &b_cells, NULL), invalid, "got 6");
    CHECK_FAILS(brenier_locate(model, &b, 1, UINT32_MAX, &b_cells, NULL), invalid, "got 4294967295");
    CHECK_FAILS(brenier_noise(model, 0, UINT64_MAX, 2, &b), invalid, "64 bits");

    brenier_extension e;
    const struct {
        brenier_mode mode;
        uint32_t k;
        brenier_angle angle;
        double theta, blend;
        const char *text;
    } wrong[] = {{4, 0, 0, 0, 0.5, "mode"},     {-1, 0, 0, 0, 0.5, "mode"},   {0, 6, 0, 0, 0.5, "k:"},
                 {0, 0, 3, 0, 0.5, "angle"},    {0, 0, 1, 1.5, 0.5, "theta"}, {0, 0, 1, NAN, 0.5, "theta"},
                 {0, 0, 2, 3.2, 0.5, "theta"},  {0, 0, 2, -1, 0.5, "theta"},  {3, 0, 0, 0, 1.5, "blend"},
                 {3, 0, 0, 0, NAN, "blend"}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        brenier_extension_init(&e);
        e.mode = wrong[i].mode, e.k = wrong[i].k, e.angle = wrong[i].angle;
        e.theta = wrong[i].theta, e.blend = wrong[i].blend;
        CHECK_FAILS(brenier_codes(model, 0, 0, 1, &e, &b), invalid, wrong[i].text);
    }
}

static void parts_that_are_missing(void) {
    float x[TINY_D] = {0}, image[TINY_PIXELS];
    int64_t cell;
    brenier_model *map = open_parts(1), *decoder = open_parts(2);
    const brenier_buffer b = F32_BUFFER(x), b_image = F32_BUFFER(image), b_cell = buffer_of(&cell, 8, BRENIER_I64);
    CHECK_FAILS(brenier_decode(map, &b, 1, &b_image), BRENIER_UNSUPPORTED, "no decoder");
    CHECK_FAILS(brenier_generate(map, 0, 0, 1, NULL, &b_image), BRENIER_UNSUPPORTED, "no decoder");
    CHECK_FAILS(brenier_generate(map, 0, 0, SIZE_MAX, NULL, &b_image), BRENIER_UNSUPPORTED, "no decoder");
    CHECK_FAILS(brenier_encode(map, &b_image, 1, &b), BRENIER_UNSUPPORTED, "no encoder");
    CHECK_FAILS(brenier_encode(decoder, &b_image, 1, &b), BRENIER_UNSUPPORTED, "no encoder");
    CHECK_FAILS(brenier_locate(decoder, &b, 1, 1, &b_cell, NULL), BRENIER_UNSUPPORTED, "no map");
    CHECK_FAILS(brenier_extend(decoder, &b, &b_cell, 1, 1, NULL, &b), BRENIER_UNSUPPORTED, "no map");
    CHECK_FAILS(brenier_codes(decoder, 0, 0, 1, NULL, &b), BRENIER_UNSUPPORTED, "no map");
    CHECK_FAILS(brenier_generate(decoder, 0, 0, 1, NULL, &b_image), BRENIER_UNSUPPORTED, "no map");
    CHECK_FAILS(brenier_potential(decoder, &b, 1, NULL, NULL), BRENIER_UNSUPPORTED, "no map");
    CHECK_FAILS(brenier_model_tensor(decoder, "ot.points", &b), BRENIER_UNSUPPORTED, "no ot.points");
    CHECK_FAILS(brenier_model_measure_images(map, 1), BRENIER_UNSUPPORTED, "no decoder");
    CHECK_FAILS(brenier_model_measure_images(decoder, 1), BRENIER_UNSUPPORTED, "no map");
    CHECK_FAILS(brenier_model_tensor(map, "decoder.weight", &b), BRENIER_INVALID_ARGUMENT, "name: want ot.points");
    CHECK_FAILS(brenier_model_tensor(model, "encoder.weight", &b), BRENIER_INVALID_ARGUMENT, "name: want ot.points");
    uint8_t file[8192];
    brenier_model *none = NULL;
    const size_t bytes = tiny_model(file, sizeof file, 5);
    CHECK_FAILS(brenier_model_open_memory(engine, file, bytes, &none), BRENIER_BAD_MODEL, "encoder: there is no decoder whose images it would read");
    CHECK_OK(brenier_model_close(map));
    CHECK_OK(brenier_model_close(decoder));
}

static void files(void) {
    uint8_t file[8192];
    const size_t bytes = tiny_model(file, sizeof file, 7);
    brenier_model *none = NULL;
    CHECK_FAILS(brenier_model_open(engine, "no/such/file", &none), BRENIER_IO, "no/such/file");
    CHECK_FAILS(brenier_model_save(model, "no/such/directory/file"), BRENIER_IO, "no/such/directory");
    /* Cut anywhere, it is no model; the sentence is never empty. */
    for (size_t cut = 0; cut < bytes; cut += cut < 16 ? 1 : 97)
        CHECK_STATUS(brenier_model_open_memory(engine, file, cut, &none), BRENIER_BAD_MODEL);
    file[9] ^= 0x20;
    CHECK_STATUS(brenier_model_open_memory(engine, file, bytes, &none), BRENIER_BAD_MODEL);
    file[9] ^= 0x20;
    memset(file, 0xFF, 8);
    CHECK_STATUS(brenier_model_open_memory(engine, file, bytes, &none), BRENIER_BAD_MODEL);
    CHECK(none == NULL && brenier_last_error()[0] != '\0');
}

/* A program built with an older header has a shorter struct, and what lies behind it is not its. */
static void older_options(void) {
    const size_t older[] = {24, offsetof(brenier_engine_options, precision)};
    for (size_t i = 0; i < sizeof older / sizeof *older; i++) {
        brenier_engine_options o;
        brenier_engine_options_init(&o);
        memset((unsigned char *)&o + older[i], 0xA5, sizeof o - older[i]);
        o.struct_size = older[i];
        o.device = "cpu";
        brenier_engine *made = NULL;
        CHECK_OK(brenier_engine_create(&o, &made));
        CHECK_OK(brenier_engine_destroy(made));
    }
}

static void older_fit_options(void) {
    float values[] = {-1, 1};
    const brenier_buffer points = {sizeof points, values, sizeof values, BRENIER_HOST, BRENIER_F32, BRENIER_NCHW};
    brenier_fit_options o;
    brenier_fit_options_init(&o);
    const size_t older = offsetof(brenier_fit_options, start);
    memset((unsigned char *)&o + older, 0xA5, sizeof o - older);
    o.struct_size = older;
    o.tolerance = 0.1;
    brenier_model *fitted = NULL;
    CHECK_OK(brenier_fit(engine, &points, 2, 1, NULL, &o, &fitted));
    CHECK_OK(brenier_model_close(fitted));

    brenier_fit_options_init(&o);
    const brenier_fit_method unknown[] = {-1, 3, INT32_MAX};
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
        o.method = unknown[i];
        CHECK_FAILS(brenier_fit(engine, &points, 2, 1, NULL, &o, &fitted), BRENIER_INVALID_ARGUMENT, "options: want method auto, sampled or exact (0 .. 2), got");
    }
    for (o.method = BRENIER_FIT_AUTO; o.method <= BRENIER_FIT_EXACT; o.method++) {
        CHECK_OK(brenier_fit(engine, &points, 2, 1, NULL, &o, &fitted));
        CHECK_OK(brenier_model_close(fitted));
    }
}

static void engines(void) {
    brenier_engine_options o;
    brenier_engine *none = NULL;
    brenier_engine_options_init(&o);
    o.device = "tpu";
    CHECK_FAILS(brenier_engine_create(&o, &none), BRENIER_INVALID_ARGUMENT, "device: want auto, cpu, cuda or cuda:N, got \"tpu\"");
    o.device = "cuda:99";
    CHECK_STATUS(brenier_engine_create(&o, &none), BRENIER_DEVICE);
    o.device = "cpu";
    o.threads = -1;
    CHECK_FAILS(brenier_engine_create(&o, &none), BRENIER_INVALID_ARGUMENT, "threads");
    o.threads = 0;
    const brenier_precision unknown[] = {-1, 4, INT32_MIN, INT32_MAX};
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
        o.precision = unknown[i];
        CHECK_FAILS(brenier_engine_create(&o, &none), BRENIER_INVALID_ARGUMENT, "options: want precision default, f16, bf16 or f32 (0 .. 3), got");
    }
    for (o.precision = BRENIER_PRECISION_DEFAULT; o.precision <= BRENIER_PRECISION_F32; o.precision++) { /* all one to the CPU */
        brenier_engine *made = NULL;
        CHECK_OK(brenier_engine_create(&o, &made));
        CHECK_OK(brenier_engine_destroy(made));
    }
    o.precision = BRENIER_PRECISION_DEFAULT;
    setenv("BRENIER_THREADS", "many", 1); /* seen although the library was loaded before */
    CHECK_FAILS(brenier_engine_create(&o, &none), BRENIER_INVALID_ARGUMENT, "BRENIER_THREADS: want a whole number");
    unsetenv("BRENIER_THREADS");
    setenv("BRENIER_DEVICE", "tpu", 1);
    CHECK_FAILS(brenier_engine_create(NULL, &none), BRENIER_INVALID_ARGUMENT, "got \"tpu\"");
    unsetenv("BRENIER_DEVICE");
    CHECK(none == NULL);
}

static void *other_thread(void *text) {
    CHECK(strcmp(brenier_last_error(), "") == 0);
    CHECK_FAILS(brenier_engine_info(NULL, NULL), BRENIER_INVALID_HANDLE, "engine");
    strcpy(text, brenier_last_error());
    return NULL;
}

static void last_error_belongs_to_a_thread(void) {
    char theirs[512];
    pthread_t thread;
    CHECK_FAILS(brenier_model_info(NULL, NULL), BRENIER_INVALID_HANDLE, "model");
    CHECK(pthread_create(&thread, NULL, other_thread, theirs) == 0);
    pthread_join(thread, NULL);
    CHECK(strstr(theirs, "engine:") == theirs);
    CHECK(strstr(brenier_last_error(), "model:") == brenier_last_error());
    brenier_model_properties p = {.struct_size = sizeof p};
    CHECK_OK(brenier_model_info(model, &p)); /* a success leaves it */
    CHECK(strstr(brenier_last_error(), "model:") == brenier_last_error());
}

int main(void) {
    brenier_engine_options options;
    brenier_engine_options_init(&options);
    options.device = "cpu";
    CHECK_OK(brenier_engine_create(&options, &engine));
    model = open_parts(7);
    handles();
    engine_with_open_models();
    null_pointers();
    struct_sizes();
    buffers();
    values();
    parts_that_are_missing();
    files();
    older_options();
    older_fit_options();
    engines();
    last_error_belongs_to_a_thread();
    CHECK_OK(brenier_model_close(model));
    CHECK_OK(brenier_engine_destroy(engine));
    return finish("errors");
}
