/* Fit, from C: heights of the wanted masses, progress on the caller's thread, and stopping. */
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "check.h"
#include "tiny_model.h"

static brenier_engine *engine;

typedef struct {
    pthread_t caller;
    int calls, stop_at;
    uint64_t samples;
} watch;

static int progress(void *user, const brenier_fit_progress *p) {
    watch *w = user;
    w->calls++;
    CHECK(p->struct_size == sizeof *p);
    CHECK(pthread_equal(pthread_self(), w->caller));
    CHECK(p->samples >= w->samples && (p->samples_max > 0 || p->samples == 0) && p->seconds >= 0);
    w->samples = p->samples;
    return w->stop_at && w->calls >= w->stop_at;
}

/* Uniform noise on the square, points on a line: the cells are strips, and those of masses 1/4, 1/4
 * and 1/2 end at x = -1/4 and 0. Where neighbours' scores meet, h_i - h_j = x (y_j - y_i). */
static void heights_of_strips(void) {
    float points[3][2] = {{-1, 0}, {0, 0}, {1, 0}}, masses[3] = {1, 1, 2}, heights[3];
    brenier_fit_options o;
    brenier_model *model = NULL;
    watch w = {.caller = pthread_self()};
    brenier_fit_options_init(&o);
    o.source = "uniform";
    o.tolerance = 1e-5;
    o.progress = progress;
    o.user = &w;
    const brenier_buffer b = F32_BUFFER(points), b_masses = F32_BUFFER(masses), b_heights = F32_BUFFER(heights);
    CHECK_OK(brenier_fit(engine, &b, 3, 2, &b_masses, &o, &model));
    CHECK(w.calls > 0);
    CHECK_OK(brenier_model_tensor(model, "ot.heights", &b_heights));
    CHECK(fabs((double)heights[0] - heights[1] - -0.25) < 0.01);
    CHECK(fabs((double)heights[1] - heights[2] - 0.0) < 0.01);

    brenier_model_properties p = {.struct_size = sizeof p};
    CHECK_OK(brenier_model_info(model, &p));
    CHECK(p.points == 3 && p.dimension == 2 && p.has_centroids == 1 && p.channels == 0);
    CHECK(strcmp(p.source, "uniform") == 0 && strstr(p.metadata, "\"fit\"") != NULL);
    CHECK_OK(brenier_model_close(model));

    /* Begun from these heights, and with a checkpoint that is not there, it comes to the same. */
    o.start = &b_heights;
    o.checkpoint = "fit_test.state";
    w.samples = 0;
    CHECK_OK(brenier_fit(engine, &b, 3, 2, &b_masses, &o, &model));
    CHECK_OK(brenier_model_close(model));
    remove(o.checkpoint); /* written where the fit took long */
    brenier_buffer short_start = b_heights;
    short_start.bytes = 8;
    o.start = &short_start;
    CHECK_STATUS(brenier_fit(engine, &b, 3, 2, &b_masses, &o, &model), BRENIER_SHORT_BUFFER);
    o.start = NULL;
    o.checkpoint = NULL;

    /* Half precision holds these points exactly: the same heights. */
    uint16_t halves[3][2] = {{0xBC00, 0}, {0, 0}, {0x3C00, 0}};
    float again[3];
    w.samples = 0;
    const brenier_buffer b_halves = buffer_of(halves, sizeof halves, BRENIER_F16), b_again = F32_BUFFER(again);
    CHECK_OK(brenier_fit(engine, &b_halves, 3, 2, &b_masses, &o, &model));
    CHECK_OK(brenier_model_tensor(model, "ot.heights", &b_again));
    CHECK(memcmp(heights, again, sizeof heights) == 0);
    CHECK_OK(brenier_model_close(model));
}

/* Whether the model's file has a tensor of this name. */
static int file_has(brenier_model *model, const char *name) {
    char path[] = "brenier_fit_XXXXXX", start[1 << 16] = {0};
    const int descriptor = mkstemp(path);
    CHECK(descriptor >= 0);
    close(descriptor);
    CHECK_OK(brenier_model_save(model, path));
    FILE *saved = fopen(path, "rb");
    CHECK(saved && fread(start, 1, sizeof start, saved) > 8);
    if (saved) fclose(saved);
    remove(path);
    start[sizeof start - 1] = '\0';
    return strstr(start + 8, name) != NULL; /* behind the header's length */
}

static void decoder_is_handed_on(void) {
    uint8_t file[8192];
    const size_t bytes = tiny_model(file, sizeof file, 2);
    float points[TINY_N][TINY_D], z[TINY_D] = {0.5f, -0.25f}, image[TINY_PIXELS];
    memcpy(points, tiny_points, sizeof points);
    brenier_fit_options o;
    brenier_model *model = NULL;
    brenier_fit_options_init(&o);
    o.tolerance = 0.1;
    const brenier_buffer b = F32_BUFFER(points), b_z = F32_BUFFER(z), b_image = F32_BUFFER(image);
    CHECK_OK(brenier_model_open_memory(engine, file, bytes, &o.decoder));
    CHECK_OK(brenier_fit(engine, &b, TINY_N, TINY_D, NULL, &o, &model));
    CHECK_OK(brenier_model_close(o.decoder));
    CHECK_OK(brenier_decode(model, &b_z, 1, &b_image));
    for (int p = 0; p < TINY_PIXELS; p++) CHECK(image[p] == tiny_pixel(z, p));
    CHECK_OK(brenier_generate(model, 1, 0, 1, NULL, &b_image));
    CHECK(file_has(model, "\"output.mean\"") && file_has(model, "\"output.deviation\"")); /* for fields */
    CHECK_OK(brenier_model_close(model));
}

static void stopping_and_refusing(void) {
    float points[TINY_N][TINY_D];
    memcpy(points, tiny_points, sizeof points);
    watch w = {.caller = pthread_self(), .stop_at = 1};
    brenier_fit_options o;
    brenier_model *none = NULL;
    const brenier_buffer b = F32_BUFFER(points);
    brenier_fit_options_init(&o);
    o.progress = progress;
    o.user = &w;
    o.tolerance = 1e-12;
    CHECK_STATUS(brenier_fit(engine, &b, TINY_N, TINY_D, NULL, &o, &none), BRENIER_CANCELLED);
    CHECK(w.calls == 1 && none == NULL);

    const brenier_status invalid = BRENIER_INVALID_ARGUMENT;
    brenier_fit_options_init(&o);
    CHECK_FAILS(brenier_fit(engine, &b, 0, TINY_D, NULL, &o, &none), invalid, "points: want [N,d]");
    CHECK_FAILS(brenier_fit(engine, &b, TINY_N, 0, NULL, &o, &none), invalid, "points: want [N,d]");
    CHECK_FAILS(brenier_fit(engine, &b, TINY_N, (size_t)1 << 40, NULL, &o, &none), invalid, "points: want [N,d]");
    CHECK_STATUS(brenier_fit(engine, &b, TINY_N + 1, TINY_D, NULL, &o, &none), BRENIER_SHORT_BUFFER);
    float masses[TINY_N] = {1, 1, 0, 1, 1};
    const brenier_buffer b_masses = F32_BUFFER(masses);
    CHECK_FAILS(brenier_fit(engine, &b, TINY_N, TINY_D, &b_masses, &o, &none), invalid, "masses");
    points[3][1] = NAN;
    CHECK_FAILS(brenier_fit(engine, &b, TINY_N, TINY_D, NULL, &o, &none), invalid, "points: row 3");
    points[3][1] = 0;
    o.source = "cauchy";
    CHECK_FAILS(brenier_fit(engine, &b, TINY_N, TINY_D, NULL, &o, &none), invalid, "source");
    brenier_fit_options_init(&o);
    o.tolerance = -1;
    CHECK_FAILS(brenier_fit(engine, &b, TINY_N, TINY_D, NULL, &o, &none), invalid, "tolerance");
    brenier_buffer wrong = b;
    wrong.dtype = BRENIER_U8;
    CHECK_FAILS(brenier_fit(engine, &wrong, TINY_N, TINY_D, NULL, NULL, &none), invalid, "points: want dtype");
    CHECK(none == NULL);
}

int main(void) {
    CHECK_OK(brenier_engine_create(NULL, &engine));
    heights_of_strips();
    decoder_is_handed_on();
    stopping_and_refusing();
    CHECK_OK(brenier_engine_destroy(engine));
    return finish("fit");
}
