/* A grid of images out of noise, as a PGM (grey) or PPM (colour) file:
 *
 *     generate MODEL OUTPUT [COLUMNS [ROWS [SEED]]]
 */
#include <brenier.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Copies images [n,H,W,C] to their places in a grid [rows*H, columns*W, C]. */
static void arrange(const uint8_t *images, uint8_t *grid, size_t rows, size_t columns, size_t height,
                    size_t image_line) {
    for (size_t row = 0; row < rows; row++)
        for (size_t y = 0; y < height; y++)
            for (size_t column = 0; column < columns; column++) {
                const size_t image = row * columns + column;
                memcpy(grid, images + (image * height + y) * image_line, image_line);
                grid += image_line;
            }
}

static int write_netpbm(const char *path, const uint8_t *pixels, size_t width, size_t height,
                        size_t channels) {
    FILE *file = fopen(path, "wb");
    if (!file) {
        perror(path);
        return 1;
    }
    fprintf(file, "P%d %zu %zu 255\n", channels == 1 ? 5 : 6, width, height);
    const int whole = fwrite(pixels, channels, width * height, file) == width * height;
    if (fclose(file) || !whole) {
        perror(path);
        return 1;
    }
    return 0;
}

static int failed(void) {
    fprintf(stderr, "generate: %s\n", brenier_last_error());
    return 1;
}

/* The grid of a model's samples 0, 1, ... of `seed`. */
static int generate(brenier_model *model, const char *path, size_t columns, size_t rows, uint64_t seed) {
    brenier_model_properties properties = {.struct_size = sizeof properties};
    if (brenier_model_info(model, &properties)) return failed();
    const size_t height = (size_t)properties.height, width = (size_t)properties.width,
                 channels = (size_t)properties.channels;
    if (channels != 1 && channels != 3) {
        fprintf(stderr, "generate: want a model of 1 or 3 channels, got %zu\n", channels);
        return 1;
    }
    const size_t bytes = rows * columns * height * width * channels;
    uint8_t *images = malloc(bytes), *grid = malloc(bytes);
    int status = 1;
    if (images && grid) {
        const brenier_buffer buffer = {.struct_size = sizeof buffer,
                                       .data = images,
                                       .bytes = bytes,
                                       .dtype = BRENIER_U8,
                                       .layout = BRENIER_NHWC};
        /* NULL: the model's own way from noise to code. brenier_extension has the choices. */
        if (brenier_generate(model, seed, 0, rows * columns, NULL, &buffer)) {
            status = failed();
        } else {
            arrange(images, grid, rows, columns, height, width * channels);
            status = write_netpbm(path, grid, columns * width, rows * height, channels);
        }
    }
    free(grid);
    free(images);
    return status;
}

/* A number from 1 to `most` of the command line. */
static size_t number(const char *text, size_t most) {
    char *end;
    const unsigned long long value = strtoull(text, &end, 10);
    if (*end || value < 1 || value > most) {
        fprintf(stderr, "generate: want a number from 1 to %zu, got \"%s\"\n", most, text);
        exit(2);
    }
    return (size_t)value;
}

int main(int argc, char **argv) {
    if (argc < 3) {
        fprintf(stderr, "usage: %s MODEL OUTPUT [COLUMNS [ROWS [SEED]]]\n", argv[0]);
        return 2;
    }
    const size_t columns = argc > 3 ? number(argv[3], 1000) : 16, rows = argc > 4 ? number(argv[4], 1000) : 8;
    const uint64_t seed = argc > 5 ? strtoull(argv[5], NULL, 10) : 1;

    brenier_engine *engine = NULL;
    brenier_model *model = NULL;
    if (brenier_engine_create(NULL, &engine)) return failed();
    const int status = brenier_model_open(engine, argv[1], &model)
                           ? failed()
                           : generate(model, argv[2], columns, rows, seed);
    brenier_model_close(model);
    brenier_engine_destroy(engine);
    return status;
}
