/* Every function on its good path, on the tiny model whose answers are computed here. */
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "check.h"
#include "tiny_model.h"

enum { ROWS = 700 }; /* more than the engine takes in one batch */

static brenier_engine *engine;
static brenier_model *model;

static brenier_model *open_parts(int parts) {
    uint8_t file[8192];
    const size_t bytes = tiny_model(file, sizeof file, parts);
    brenier_model *opened = NULL;
    CHECK_OK(brenier_model_open_memory(engine, file, bytes, &opened));
    return opened;
}

static void versions(void) {
    char expected[32];
    CHECK(brenier_version() == BRENIER_VERSION);
    snprintf(expected, sizeof expected, "%d.%d.%d", BRENIER_VERSION_MAJOR, BRENIER_VERSION_MINOR,
             BRENIER_VERSION_PATCH);
    CHECK(strcmp(brenier_version_string(), expected) == 0);
    CHECK(strcmp(brenier_status_name(BRENIER_OK), "BRENIER_OK") == 0);
    CHECK(strcmp(brenier_status_name(BRENIER_INTERNAL), "BRENIER_INTERNAL") == 0);
    CHECK(strcmp(brenier_status_name(-1), "BRENIER_UNKNOWN_STATUS") == 0);
    CHECK(strcmp(brenier_status_name(13), "BRENIER_UNKNOWN_STATUS") == 0);
    CHECK(strcmp(brenier_last_error(), "") == 0);
}

static void info(void) {
    brenier_engine_properties e = {.struct_size = sizeof e};
    CHECK_OK(brenier_engine_info(engine, &e));
    CHECK(strcmp(e.device, "cpu") == 0 && e.threads == 2);
    CHECK(e.device_name[0] != '\0' && e.path[0] != '\0');
    printf("engine: %s, %s, %s, %d threads\n", e.device, e.device_name, e.path, (int)e.threads);

    brenier_model_properties m = {.struct_size = sizeof m};
    CHECK_OK(brenier_model_info(model, &m));
    CHECK(m.points == TINY_N && m.dimension == TINY_D && m.has_centroids == 1);
    CHECK(m.channels == 1 && m.height == 2 && m.width == 2 && m.low == -4 && m.high == 4);
    CHECK(strcmp(m.source, "uniform") == 0);
    CHECK(strstr(m.metadata, "Gemm") != NULL);

    CHECK(m.has_encoder == 1 && strstr(m.metadata, "Flatten") != NULL);

    brenier_model *map = open_parts(1), *decoder = open_parts(2);
    CHECK_OK(brenier_model_info(map, &m));
    CHECK(m.points == TINY_N && m.channels == 0);
    CHECK_OK(brenier_model_info(decoder, &m));
    CHECK(m.points == 0 && m.dimension == TINY_D && m.channels == 1 && m.has_encoder == 0);
    CHECK_OK(brenier_model_close(map));
    CHECK_OK(brenier_model_close(decoder));
}

static void tensors(void) {
    float values[TINY_N * TINY_D];
    const brenier_buffer b = F32_BUFFER(values);
    CHECK_OK(brenier_model_tensor(model, "ot.points", &b));
    CHECK(memcmp(values, tiny_points, sizeof tiny_points) == 0);
    CHECK_OK(brenier_model_tensor(model, "ot.centroids", &b));
    CHECK(memcmp(values, tiny_centroids, sizeof tiny_centroids) == 0);
    CHECK_OK(brenier_model_tensor(model, "ot.heights", &b));
    CHECK(memcmp(values, tiny_heights, sizeof tiny_heights) == 0);
    CHECK_OK(brenier_model_tensor(model, "ot.masses", &b));
    CHECK(memcmp(values, tiny_masses, sizeof tiny_masses) == 0);
}

/* Philox4x32-10 from its definition (Salmon et al. 2011). */
static void philox(uint32_t c[4], uint32_t k0, uint32_t k1) {
    for (int round = 0; round < 10; round++) {
        const uint64_t p0 = (uint64_t)0xD2511F53 * c[0], p1 = (uint64_t)0xCD9E8D57 * c[2];
        const uint32_t next[4] = {(uint32_t)(p1 >> 32) ^ c[1] ^ k0, (uint32_t)p1,
                                  (uint32_t)(p0 >> 32) ^ c[3] ^ k1, (uint32_t)p0};
        memcpy(c, next, sizeof next);
        k0 += 0x9E3779B9, k1 += 0xBB67AE85;
    }
}

static void noise(float x[ROWS][TINY_D]) {
    const uint64_t seed = 0x123456789ABCDEF0, first = 0xFFFFFFF0; /* the index crosses 2^32 */
    const brenier_buffer b = buffer_of(x, sizeof(float) * ROWS * TINY_D, BRENIER_F32);
    CHECK_OK(brenier_noise(model, seed, first, ROWS, &b));
    for (uint64_t i = 0; i < ROWS; i++) {
        uint32_t block[4] = {(uint32_t)(first + i), (uint32_t)((first + i) >> 32), 0, 0};
        philox(block, (uint32_t)seed, (uint32_t)(seed >> 32));
        for (int k = 0; k < TINY_D; k++)
            CHECK(x[i][k] == (float)((block[k] + 0.5) / 4294967296.0 - 0.5));
    }
    float alone[TINY_D];
    const brenier_buffer one = F32_BUFFER(alone);
    CHECK_OK(brenier_noise(model, seed, first + 321, 1, &one));
    CHECK(memcmp(alone, x[321], sizeof alone) == 0);
}

static double score(const float *x, int cell) {
    double sum = tiny_heights[cell];
    for (int k = 0; k < TINY_D; k++) sum = fma((double)x[k], (double)tiny_points[cell][k], sum);
    return sum;
}

static void locate(float x[ROWS][TINY_D], int64_t cells[ROWS][TINY_N]) {
    double scores[ROWS][TINY_N];
    const brenier_buffer in = buffer_of(x, sizeof(float) * ROWS * TINY_D, BRENIER_F32),
                         out = buffer_of(cells, sizeof(int64_t) * ROWS * TINY_N, BRENIER_I64),
                         values = F64_BUFFER(scores);
    CHECK_OK(brenier_locate(model, &in, ROWS, TINY_N, &out, &values));
    for (int i = 0; i < ROWS; i++) {
        int seen = 0;
        for (int j = 0; j < TINY_N; j++) {
            const int cell = (int)cells[i][j];
            CHECK(cell >= 0 && cell < TINY_N && !(seen & 1 << cell));
            seen |= 1 << cell;
            CHECK(scores[i][j] == score(x[i], cell));
            if (j > 0)
                CHECK(scores[i][j] < scores[i][j - 1] ||
                      (scores[i][j] == scores[i][j - 1] && cell > cells[i][j - 1]));
        }
    }
    int64_t best[ROWS];
    const brenier_buffer one = I64_BUFFER(best);
    CHECK_OK(brenier_locate(model, &in, ROWS, 1, &one, NULL));
    for (int i = 0; i < ROWS; i++) CHECK(best[i] == cells[i][0]);

    /* At (1/8, 0) the planes of cells 0 and 1 meet: the lower index wins. */
    const float tie[TINY_D] = {0.125f, 0.0f};
    int64_t first_two[2];
    const brenier_buffer tie_in = F32_BUFFER(tie), tie_out = I64_BUFFER(first_two);
    CHECK_OK(brenier_locate(model, &tie_in, 1, 2, &tie_out, NULL));
    CHECK(score(tie, 0) == score(tie, 1) && first_two[0] == 0 && first_two[1] == 1);
}

/* Codes of every mode, from the definition in double. */
static void extend(float x[ROWS][TINY_D], int64_t cells[ROWS][TINY_N]) {
    float codes[ROWS][TINY_D];
    const brenier_buffer in = buffer_of(x, sizeof(float) * ROWS * TINY_D, BRENIER_F32),
                         found = buffer_of(cells, sizeof(int64_t) * ROWS * TINY_N, BRENIER_I64),
                         out = F32_BUFFER(codes);
    brenier_extension e;
    brenier_extension_init(&e);
    CHECK(e.struct_size == sizeof e && e.blend == 0.5 && e.mode == BRENIER_MODE_DEFAULT);

    e.mode = BRENIER_MODE_CELL;
    CHECK_OK(brenier_extend(model, &in, &found, ROWS, TINY_N, &e, &out));
    for (int i = 0; i < ROWS; i++)
        CHECK(memcmp(codes[i], tiny_points[cells[i][0]], sizeof codes[i]) == 0);

    e.mode = BRENIER_MODE_PAIR;
    e.k = 2;
    e.angle = BRENIER_ANGLE_QUANTILE;
    e.theta = 1; /* leaves none out */
    e.blend = 0.25;
    CHECK_OK(brenier_extend(model, &in, &found, ROWS, TINY_N, &e, &out));
    for (int i = 0; i < ROWS; i++)
        for (int k = 0; k < TINY_D; k++)
            CHECK(codes[i][k] == 0.75f * tiny_points[cells[i][0]][k] + 0.25f * tiny_points[cells[i][1]][k]);

    e.mode = BRENIER_MODE_SIMPLEX;
    e.k = 3;
    CHECK_OK(brenier_extend(model, &in, &found, ROWS, TINY_N, &e, &out));
    for (int i = 0; i < ROWS; i++) {
        double sum[TINY_D] = {0}, weights = 0;
        for (int j = 0; j < 3; j++) {
            const float *c = tiny_centroids[cells[i][j]], *y = tiny_points[cells[i][j]];
            const double weight = 1 / hypot((double)x[i][0] - c[0], (double)x[i][1] - c[1]);
            weights += weight;
            for (int k = 0; k < TINY_D; k++) sum[k] += weight * y[k];
        }
        for (int k = 0; k < TINY_D; k++) CHECK(fabs(codes[i][k] - sum[k] / weights) < 1e-5);
    }

    e.angle = BRENIER_ANGLE_RADIANS;
    e.theta = 0; /* all other planes are at an angle: only the cell itself is left */
    CHECK_OK(brenier_extend(model, &in, &found, ROWS, TINY_N, &e, &out));
    for (int i = 0; i < ROWS; i++)
        CHECK(memcmp(codes[i], tiny_points[cells[i][0]], sizeof codes[i]) == 0);
}

static void decode(void) {
    enum { CODES = 600 };
    static float z[CODES][TINY_D], image[CODES][TINY_PIXELS];
    static uint8_t bytes[CODES][TINY_PIXELS];
    static uint16_t halves[CODES][TINY_PIXELS];
    for (int i = 0; i < CODES; i++) z[i][0] = (float)(i % 17 - 8) / 8, z[i][1] = (float)(i % 11 - 5) / 8;
    const brenier_buffer in = F32_BUFFER(z), out = F32_BUFFER(image);
    CHECK_OK(brenier_decode(model, &in, CODES, &out));
    const brenier_buffer small = buffer_of(bytes, sizeof bytes, BRENIER_U8);
    CHECK_OK(brenier_decode(model, &in, CODES, &small));
    const brenier_buffer half = buffer_of(halves, sizeof halves, BRENIER_F16);
    CHECK_OK(brenier_decode(model, &in, CODES, &half));
    for (int i = 0; i < CODES; i++)
        for (int p = 0; p < TINY_PIXELS; p++) {
            const float expected = tiny_pixel(z[i], p);
            CHECK(image[i][p] == expected);
            CHECK(bytes[i][p] == (uint8_t)lrint((expected + 4.0) / 8 * 255));
            /* A float16 of this size: sign, 5 bits of exponent biased by 15, 10 of fraction. */
            const int exponent = (halves[i][p] >> 10 & 31), fraction = halves[i][p] & 1023;
            const double value = exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24);
            CHECK((halves[i][p] >> 15 ? -value : value) == expected);
        }
}

/* Images of every kind, one channel of which both layouts order alike. */
static void encode(void) {
    static float z[ROWS][TINY_D], codes[ROWS][TINY_D], image[ROWS][TINY_PIXELS];
    static uint8_t bytes[ROWS][TINY_PIXELS];
    static uint16_t halves[ROWS][TINY_PIXELS];
    for (int i = 0; i < ROWS; i++) z[i][0] = (float)(i % 17 - 8) / 8, z[i][1] = (float)(i % 11 - 5) / 8;
    const brenier_buffer in = F32_BUFFER(z), out = F32_BUFFER(codes);
    brenier_buffer images[] = {F32_BUFFER(image), buffer_of(halves, sizeof halves, BRENIER_F16),
                               buffer_of(bytes, sizeof bytes, BRENIER_U8)};
    for (int layout = BRENIER_NCHW; layout <= BRENIER_NHWC; layout++) {
        for (int kind = 0; kind < 3; kind++) {
            images[kind].layout = layout;
            CHECK_OK(brenier_decode(model, &in, ROWS, &images[kind]));
            memset(codes, 0, sizeof codes);
            CHECK_OK(brenier_encode(model, &images[kind], ROWS, &out));
            for (int i = 0; i < ROWS; i++)
                for (int k = 0; k < TINY_D; k++)
                    if (kind < 2) {
                        CHECK(codes[i][k] == z[i][k]); /* exact in floats of either width */
                    } else {
                        float pixels[TINY_PIXELS];
                        for (int p = 0; p < TINY_PIXELS; p++) pixels[p] = (float)(bytes[i][p] * 8.0 / 255 - 4);
                        CHECK(fabs(codes[i][k] - tiny_code(pixels, k)) <= 4e-6);
                    }
        }
    }
    /* Of images that are nobody's decode; one alone; no further than it must be; none at all. */
    for (int i = 0; i < ROWS; i++)
        for (int p = 0; p < TINY_PIXELS; p++) image[i][p] = (float)((i * 7 + p * 13) % 65 - 32) / 8;
    CHECK_OK(brenier_encode(model, &images[0], ROWS, &out));
    for (int i = 0; i < ROWS; i++)
        for (int k = 0; k < TINY_D; k++) CHECK(codes[i][k] == tiny_code(image[i], k));
    float few[2][TINY_D] = {{0}, {7, 7}};
    const brenier_buffer b_few = F32_BUFFER(few), one = buffer_of(image[321], sizeof image[321], BRENIER_F32),
                         nothing = buffer_of(NULL, 0, BRENIER_F32);
    CHECK_OK(brenier_encode(model, &one, 1, &b_few));
    CHECK(memcmp(few[0], codes[321], sizeof few[0]) == 0 && few[1][0] == 7 && few[1][1] == 7);
    CHECK_OK(brenier_encode(model, &nothing, 0, &nothing));
}

static void generate(void) {
    static float x[ROWS][TINY_D], codes[ROWS][TINY_D], again[ROWS][TINY_D];
    static float image[ROWS][TINY_PIXELS], expected[ROWS][TINY_PIXELS], nhwc[ROWS][TINY_PIXELS];
    static int64_t cells[ROWS][TINY_N];
    brenier_buffer b_x = F32_BUFFER(x), b_codes = F32_BUFFER(codes), b_again = F32_BUFFER(again),
                   b_image = F32_BUFFER(image), b_expected = F32_BUFFER(expected),
                   b_nhwc = F32_BUFFER(nhwc), b_cells = I64_BUFFER(cells);
    b_nhwc.layout = BRENIER_NHWC;
    brenier_extension e;
    brenier_extension_init(&e);
    for (brenier_mode mode = BRENIER_MODE_DEFAULT; mode <= BRENIER_MODE_PAIR; mode++) {
        e.mode = mode;
        CHECK_OK(brenier_noise(model, 7, 1000, ROWS, &b_x));
        CHECK_OK(brenier_locate(model, &b_x, ROWS, TINY_N, &b_cells, NULL));
        CHECK_OK(brenier_extend(model, &b_x, &b_cells, ROWS, TINY_N, &e, &b_codes));
        CHECK_OK(brenier_codes(model, 7, 1000, ROWS, &e, &b_again));
        CHECK(memcmp(codes, again, sizeof codes) == 0);
        CHECK_OK(brenier_decode(model, &b_codes, ROWS, &b_expected));
        CHECK_OK(brenier_generate(model, 7, 1000, ROWS, &e, &b_image));
        CHECK(memcmp(image, expected, sizeof image) == 0);
        CHECK_OK(brenier_generate(model, 7, 1000, ROWS, &e, &b_nhwc));
        CHECK(memcmp(nhwc, image, sizeof image) == 0); /* one channel: the layouts agree */
    }
    CHECK_OK(brenier_generate(model, 7, 1000, ROWS, NULL, &b_image));
    e.mode = BRENIER_MODE_DEFAULT;
    CHECK_OK(brenier_generate(model, 7, 1000, ROWS, &e, &b_expected));
    CHECK(memcmp(image, expected, sizeof image) == 0);

    /* A larger buffer is written no further than it must be; no sample, no write at all. */
    memset(image, 0x5A, sizeof image);
    CHECK_OK(brenier_generate(model, 7, 1000, 3, NULL, &b_image));
    CHECK(memcmp(image, expected, 3 * sizeof *image) == 0);
    for (size_t i = 3 * sizeof *image; i < sizeof image; i++) CHECK(((uint8_t *)image)[i] == 0x5A);
    const brenier_buffer nothing = buffer_of(NULL, 0, BRENIER_F32);
    CHECK_OK(brenier_generate(model, 7, 1000, 0, NULL, &nothing));
    CHECK_OK(brenier_noise(model, 7, 1000, 0, &nothing));
}

static void potential(float x[ROWS][TINY_D]) {
    double u[ROWS], phi[ROWS];
    const brenier_buffer in = buffer_of(x, sizeof(float) * ROWS * TINY_D, BRENIER_F32),
                         b_u = F64_BUFFER(u), b_phi = F64_BUFFER(phi);
    CHECK_OK(brenier_potential(model, &in, ROWS, &b_u, &b_phi));
    for (int i = 0; i < ROWS; i++) {
        double best = score(x[i], 0);
        for (int j = 1; j < TINY_N; j++) best = fmax(best, score(x[i], j));
        CHECK(u[i] == best);
        const double square = (double)x[i][0] * x[i][0] + (double)x[i][1] * x[i][1];
        CHECK(fabs(phi[i] - (square / 2 - best)) <= 1e-15);
    }
    double alone[ROWS];
    const brenier_buffer b_alone = F64_BUFFER(alone);
    CHECK_OK(brenier_potential(model, &in, ROWS, NULL, &b_alone));
    CHECK(memcmp(alone, phi, sizeof phi) == 0);
    CHECK_OK(brenier_potential(model, &in, ROWS, NULL, NULL));
}

/* The mean and the deviation of images agree with those of other samples, by as much as chance allows. */
static void measure_images(void) {
    enum { N = 2048, OTHERS = 1 << 14 };
    static float images[OTHERS][TINY_PIXELS];
    float mean[TINY_PIXELS], deviation[TINY_PIXELS], again[TINY_PIXELS];
    const brenier_buffer b_images = F32_BUFFER(images), b_mean = F32_BUFFER(mean),
                         b_deviation = F32_BUFFER(deviation), b_again = F32_BUFFER(again);
    CHECK_FAILS(brenier_model_tensor(model, "output.mean", &b_mean), BRENIER_UNSUPPORTED, "no output.mean");
    CHECK_OK(brenier_model_measure_images(model, 0));
    CHECK_OK(brenier_model_tensor(model, "output.mean", &b_mean));
    CHECK_OK(brenier_model_tensor(model, "output.deviation", &b_deviation));
    CHECK_OK(brenier_generate(model, 3, 0, OTHERS, NULL, &b_images));
    for (int p = 0; p < TINY_PIXELS; p++) {
        double sum = 0, squares = 0;
        for (int i = 0; i < OTHERS; i++) {
            sum += images[i][p];
            squares += (double)images[i][p] * images[i][p];
        }
        const double spread = sqrt(squares / OTHERS - sum / OTHERS * (sum / OTHERS));
        CHECK(fabs(mean[p] - sum / OTHERS) <= 5 * spread / sqrt(N) && fabs(deviation[p] / spread - 1) <= 0.15);
    }
    CHECK_OK(brenier_model_measure_images(model, 100));
    CHECK_OK(brenier_model_tensor(model, "output.mean", &b_again));
    CHECK(memcmp(mean, again, sizeof mean) != 0);
    CHECK_OK(brenier_model_measure_images(model, N));
    CHECK_OK(brenier_model_tensor(model, "output.mean", &b_again));
    CHECK(memcmp(mean, again, sizeof mean) == 0);
    CHECK_FAILS(brenier_model_measure_images(model, SIZE_MAX), BRENIER_INVALID_ARGUMENT, "images: want at most");
}

static void save(void) {
    char path[] = "brenier_stages_XXXXXX";
    const int descriptor = mkstemp(path);
    CHECK(descriptor >= 0);
    close(descriptor);
    CHECK_OK(brenier_model_save(model, path));
    brenier_model *copy = NULL;
    CHECK_OK(brenier_model_open(engine, path, &copy));
    float image[9][TINY_PIXELS], expected[9][TINY_PIXELS];
    const brenier_buffer b_image = F32_BUFFER(image), b_expected = F32_BUFFER(expected);
    CHECK_OK(brenier_generate(copy, 1, 2, 9, NULL, &b_image));
    CHECK_OK(brenier_generate(model, 1, 2, 9, NULL, &b_expected));
    CHECK(memcmp(image, expected, sizeof image) == 0);
    float z[9][TINY_D], encoded[9][TINY_D];
    const brenier_buffer b_z = F32_BUFFER(z), b_encoded = F32_BUFFER(encoded);
    CHECK_OK(brenier_codes(copy, 1, 2, 9, NULL, &b_z));
    CHECK_OK(brenier_encode(copy, &b_image, 9, &b_encoded));
    for (int i = 0; i < 9; i++)
        for (int k = 0; k < TINY_D; k++) CHECK(fabsf(encoded[i][k] - z[i][k]) <= 1e-6f);
    float mean[TINY_PIXELS], kept[TINY_PIXELS];
    const brenier_buffer b_mean = F32_BUFFER(mean), b_kept = F32_BUFFER(kept);
    CHECK_OK(brenier_model_tensor(model, "output.mean", &b_mean));
    CHECK_OK(brenier_model_tensor(copy, "output.mean", &b_kept));
    CHECK(memcmp(mean, kept, sizeof mean) == 0);
    CHECK_OK(brenier_model_close(copy));
    remove(path);
}

int main(void) {
    static float x[ROWS][TINY_D];
    static int64_t cells[ROWS][TINY_N];
    versions();
    brenier_engine_options options;
    brenier_engine_options_init(&options);
    options.device = "cpu";
    options.threads = 2;
    CHECK_OK(brenier_engine_create(&options, &engine));
    model = open_parts(7);
    info();
    tensors();
    noise(x);
    locate(x, cells);
    extend(x, cells);
    decode();
    encode();
    generate();
    potential(x);
    measure_images();
    save();
    CHECK_OK(brenier_model_close(model));
    CHECK_OK(brenier_engine_destroy(engine));
    return finish("stages");
}
