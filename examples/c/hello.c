/* A picture out of noise: hello MODEL > digit.pgm, for a model of grey images of 28 x 28. */
#include <brenier.h>
#include <stdio.h>

int main(int argc, char **argv) {
    unsigned char digit[28 * 28];
    const brenier_buffer image = {sizeof image, digit, sizeof digit, BRENIER_HOST, BRENIER_U8, BRENIER_NCHW};
    brenier_engine *engine = NULL;
    brenier_model *model = NULL;
    if (brenier_engine_create(NULL, &engine) ||
        brenier_model_open(engine, argc > 1 ? argv[1] : "mnist.safetensors", &model) ||
        brenier_generate(model, /* seed */ 7, /* first */ 0, /* n */ 1, NULL, &image))
        return fprintf(stderr, "%s\n", brenier_last_error()), 1;
    printf("P5 28 28 255\n");
    fwrite(digit, 1, sizeof digit, stdout);
    return brenier_engine_destroy(engine); /* and its models */
}
