/* A panic comes back as BRENIER_INTERNAL with its text, poisons its engine and nothing else. */
#include <stdlib.h>

#include "check.h"
#include "check_hooks.h"
#include "tiny_model.h"

static uint8_t file[8192];
static size_t file_bytes;

enum { FUNCTIONS = 18 };

/* Calls one of the functions that work on an engine or model. */
static brenier_status function(int which, brenier_engine *engine, brenier_model *model) {
    float x[TINY_D] = {0}, image[TINY_PIXELS] = {0}, points[TINY_N * TINY_D];
    int64_t cell[1] = {0};
    double u[1];
    brenier_engine_properties e = {.struct_size = sizeof e};
    brenier_model_properties m = {.struct_size = sizeof m};
    brenier_model *opened = NULL;
    brenier_field *field = NULL;
    const brenier_buffer b = F32_BUFFER(x), b_image = F32_BUFFER(image), b_cell = I64_BUFFER(cell),
                         b_u = F64_BUFFER(u), b_points = F32_BUFFER(points);
    brenier_extension own_cell;
    brenier_extension_init(&own_cell);
    own_cell.mode = BRENIER_MODE_CELL;
    switch (which) {
        case 0: return brenier_engine_info(engine, &e);
        case 1: return brenier_model_open(engine, "no/such/file", &opened);
        case 2: return brenier_model_open_memory(engine, file, file_bytes, &opened);
        case 3: return brenier_model_save(model, "no/such/directory/file");
        case 4: return brenier_model_info(model, &m);
        case 5: return brenier_model_tensor(model, "ot.points", &b_points);
        case 6: return brenier_noise(model, 0, 0, 1, &b);
        case 7: return brenier_locate(model, &b, 1, 1, &b_cell, NULL);
        case 8: return brenier_extend(model, &b, &b_cell, 1, 1, &own_cell, &b);
        case 9: return brenier_codes(model, 0, 0, 1, NULL, &b);
        case 10: return brenier_decode(model, &b, 1, &b_image);
        case 11: return brenier_generate(model, 0, 0, 1, NULL, &b_image);
        case 12: return brenier_potential(model, &b, 1, &b_u, NULL);
        case 13: return brenier_field_create(model, NULL, &field);
        case 14: return brenier_run(engine, 0, NULL);
        case 15: return brenier_model_measure_images(model, 1);
        case 16: return brenier_encode(model, &b_image, 1, &b);
        default: return brenier_fit(engine, &b, 1, TINY_D, NULL, NULL, &opened);
    }
}

/* A panic in a slice fails its jobs, and those that wait, and is as loud afterwards. */
static void in_a_slice(int32_t where, const char *text, int of_field) {
    brenier_engine_options options;
    brenier_engine_options_init(&options);
    options.job_workers = 1;
    brenier_engine *engine = NULL;
    brenier_model *model = NULL;
    CHECK_OK(brenier_engine_create(&options, &engine));
    CHECK_OK(brenier_model_open_memory(engine, file, file_bytes, &model));
    float images[TINY_PIXELS];
    const brenier_buffer b = F32_BUFFER(images);
    brenier_job *job = NULL, *none = NULL;
    brenier_field *field = NULL;
    CHECK_OK(brenier_field_create(model, NULL, &field));
    brenier_check_plant_panic(where);
    CHECK_OK(of_field ? brenier_submit_field_read(field, 0, 0, 0, 2, 2, 0, &b, NULL, &job)
                      : brenier_submit_generate(model, 0, 0, 1, NULL, &b, NULL, &job));
    CHECK_FAILS(brenier_wait(job, BRENIER_FOREVER), BRENIER_INTERNAL, text);
    CHECK(strstr(brenier_last_error(), ".go:") != NULL);
    CHECK_FAILS(brenier_submit_generate(model, 0, 0, 1, NULL, &b, NULL, &none), BRENIER_INTERNAL, "the engine refuses work");
    CHECK_FAILS(brenier_submit_field_read(field, 0, 0, 0, 2, 2, 0, &b, NULL, &none), BRENIER_INTERNAL, "the engine refuses work");
    CHECK_FAILS(brenier_generate(model, 0, 0, 1, NULL, &b), BRENIER_INTERNAL, "the engine refuses work");
    CHECK_OK(brenier_job_close(job));
    CHECK_OK(brenier_engine_destroy(engine));
}

/* A panic in a call fails the jobs that wait. */
static void beside_a_queue(int32_t where, const char *text) {
    brenier_engine_options options;
    brenier_engine_options_init(&options);
    options.job_workers = -1;
    brenier_engine *engine = NULL;
    brenier_model *model = NULL;
    CHECK_OK(brenier_engine_create(&options, &engine));
    CHECK_OK(brenier_model_open_memory(engine, file, file_bytes, &model));
    float images[TINY_PIXELS];
    const brenier_buffer b = F32_BUFFER(images);
    brenier_job *job = NULL;
    brenier_job_state state = -1;
    CHECK_OK(brenier_submit_generate(model, 0, 0, 1, NULL, &b, NULL, &job));
    brenier_check_plant_panic(where);
    CHECK_FAILS(brenier_generate(model, 0, 0, 1, NULL, &b), BRENIER_INTERNAL, text);
    CHECK_OK(brenier_poll(job, &state));
    CHECK(state == BRENIER_JOB_FAILED);
    CHECK_FAILS(brenier_wait(job, 0), BRENIER_INTERNAL, text);
    CHECK_OK(brenier_engine_destroy(engine));
    CHECK_FAILS(brenier_poll(job, &state), BRENIER_INVALID_HANDLE, "job");
}

int main(void) {
    file_bytes = tiny_model(file, sizeof file, 7);
    brenier_engine *bystander = NULL;
    brenier_model *sound = NULL;
    CHECK_OK(brenier_engine_create(NULL, &bystander));
    CHECK_OK(brenier_model_open_memory(bystander, file, file_bytes, &sound));
    for (int32_t where = PANIC_IN_EXPORT; where <= PANIC_IN_WORKER; where++) {
        const char *text = where == PANIC_IN_EXPORT ? "planted in an export" : "planted in a worker";
        for (int which = 0; which < FUNCTIONS; which++) {
            brenier_engine *engine = NULL;
            brenier_model *model = NULL, *other = NULL;
            CHECK_OK(brenier_engine_create(NULL, &engine));
            CHECK_OK(brenier_model_open_memory(engine, file, file_bytes, &model));
            CHECK_OK(brenier_model_open_memory(engine, file, file_bytes, &other));
            brenier_check_plant_panic(where);
            CHECK_FAILS(function(which, engine, model), BRENIER_INTERNAL, text);
            CHECK(strstr(brenier_last_error(), ".go:") != NULL); /* where, for whoever mends it */
            for (int later = 0; later < FUNCTIONS; later++)
                CHECK_FAILS(function(later, engine, other), BRENIER_INTERNAL, "the engine refuses work");
            CHECK(function(which, bystander, sound) != BRENIER_INTERNAL);
            CHECK_OK(brenier_model_close(model));
            CHECK_FAILS(brenier_model_close(model), BRENIER_INVALID_HANDLE, "model");
            CHECK_OK(brenier_engine_destroy(engine)); /* `other` is still open */
            CHECK_FAILS(brenier_engine_destroy(engine), BRENIER_INVALID_HANDLE, "engine");
        }
        in_a_slice(where, text, 0);
        in_a_slice(where, text, 1);
        beside_a_queue(where, text);
        brenier_engine *none = NULL;
        brenier_check_plant_panic(where);
        CHECK_FAILS(brenier_engine_create(NULL, &none), BRENIER_INTERNAL, text);
        CHECK(none == NULL);
    }
    CHECK_OK(brenier_engine_destroy(bystander));
    return finish("panic");
}
