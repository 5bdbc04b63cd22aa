/* A piece of an endless world: world MODEL > world.pgm, for a model of one channel. */
#include <brenier.h>
#include <stdio.h>

static unsigned char map[512 * 512];

int main(int argc, char **argv) {
    const brenier_octave octaves[] = {{sizeof octaves[0], 8, 1, 0}, {sizeof octaves[0], 1, 0.2, 1}};
    const brenier_field_options options = {sizeof options, octaves, 2, 0, 1, 0, 0, 0, 0};
    const brenier_buffer pixels = {sizeof pixels, map, sizeof map, BRENIER_HOST, BRENIER_U8, BRENIER_NCHW};
    brenier_engine *engine = NULL;
    brenier_model *model = NULL;
    brenier_field *world = NULL;
    if (brenier_engine_create(NULL, &engine) ||
        brenier_model_open(engine, argc > 1 ? argv[1] : "terrain.safetensors", &model) ||
        brenier_field_create(model, &options, &world) ||
        brenier_field_read(world, /* seed */ 7, /* x */ -256, /* y */ -256, 512, 512, /* level */ 0, &pixels))
        return fprintf(stderr, "world: %s\n", brenier_last_error()), 1;
    printf("P5 512 512 255\n");
    fwrite(map, 1, sizeof map, stdout);
    return brenier_engine_destroy(engine); /* with its model and its field */
}
