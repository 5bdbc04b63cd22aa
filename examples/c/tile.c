/* Prints the first image of a seed as text: tile MODEL [SEED]. */
#include <brenier.h>
#include <stdio.h>
#include <stdlib.h>

static int failed(void) { return fprintf(stderr, "tile: %s\n", brenier_last_error()), 1; }

int main(int argc, char **argv) {
    brenier_engine *engine = NULL;
    brenier_model *model = NULL;
    brenier_model_properties properties = {.struct_size = sizeof properties};
    if (argc < 2) return fprintf(stderr, "usage: %s MODEL [SEED]\n", argv[0]), 2;
    if (brenier_engine_create(NULL, &engine) || brenier_model_open(engine, argv[1], &model) ||
        brenier_model_info(model, &properties))
        return failed();

    const size_t width = (size_t)properties.width, height = (size_t)properties.height;
    const size_t bytes = width * height * (size_t)properties.channels; /* planes; the first is printed */
    unsigned char *image = malloc(bytes);
    if (!image) return perror("tile"), 1;
    const brenier_buffer buffer = {sizeof buffer, image, bytes, BRENIER_HOST, BRENIER_U8, BRENIER_NCHW};
    if (brenier_generate(model, argc > 2 ? strtoull(argv[2], NULL, 10) : 1, 0, 1, NULL, &buffer)) return failed();

    /* A character is two pixels high. */
    for (size_t y = 0; y + 1 < height; y += 2) {
        for (size_t x = 0; x < width; x++)
            putchar(" .:-=+*#%@"[(image[y * width + x] + image[(y + 1) * width + x]) * 10 / 511]);
        putchar('\n');
    }
    free(image);
    return brenier_engine_destroy(engine); /* and its model */
}
