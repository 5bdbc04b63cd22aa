/* The caller's floating-point environment changes no bit of a result, and comes back as it was:
 * rounding, flush-to-zero, traps, sticky flags. The library is loaded under it as well, and starts
 * threads meanwhile. */
#include <dlfcn.h>
#include <fenv.h>
#include <stdlib.h>
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#include "check.h"
#include "tiny_model.h"

enum { N = 300 };

/* Everything that a model says, in one piece of memory. */
typedef struct {
    float x[N][TINY_D], z[N][TINY_D], image[N][TINY_PIXELS], back[N][TINY_D], of_bytes[N][TINY_D];
    uint8_t bytes[N][TINY_PIXELS];
    int64_t cells[N][4];
    double scores[N][4], u[N], phi[N];
} answers;

typedef struct {
    __typeof__(brenier_engine_create) *engine_create;
    __typeof__(brenier_engine_destroy) *engine_destroy;
    __typeof__(brenier_model_open_memory) *model_open_memory;
    __typeof__(brenier_noise) *noise;
    __typeof__(brenier_locate) *locate;
    __typeof__(brenier_extend) *extend;
    __typeof__(brenier_decode) *decode;
    __typeof__(brenier_encode) *encode;
    __typeof__(brenier_potential) *potential;
} functions;

static void *function(void *library, const char *name) {
    void *found = dlsym(library, name);
    CHECK(found != NULL);
    return found;
}

static void ask(const functions *f, answers *a) {
    uint8_t file[8192];
    const size_t bytes = tiny_model(file, sizeof file, 7);
    brenier_engine *engine = NULL;
    brenier_model *model = NULL;
    const brenier_engine_options options = {.struct_size = sizeof options, .threads = 4};
    const brenier_extension e = {.struct_size = sizeof e, .mode = BRENIER_MODE_SIMPLEX, .k = 3,
                                 .angle = BRENIER_ANGLE_RADIANS, .theta = 1.1};
    const brenier_buffer b_x = F32_BUFFER(a->x), b_z = F32_BUFFER(a->z), b_image = F32_BUFFER(a->image),
                         b_cells = I64_BUFFER(a->cells), b_scores = F64_BUFFER(a->scores),
                         b_u = F64_BUFFER(a->u), b_phi = F64_BUFFER(a->phi), b_back = F32_BUFFER(a->back),
                         b_bytes = buffer_of(a->bytes, sizeof a->bytes, BRENIER_U8),
                         b_of_bytes = F32_BUFFER(a->of_bytes);
    CHECK(f->engine_create(&options, &engine) == BRENIER_OK);
    CHECK(f->model_open_memory(engine, file, bytes, &model) == BRENIER_OK);
    CHECK(f->noise(model, 3, 4, N, &b_x) == BRENIER_OK);
    a->x[1][0] = 1e-42f; /* a denormal; its products with the points are, too */
    a->x[1][1] = -1e-42f;
    CHECK(f->locate(model, &b_x, N, 4, &b_cells, &b_scores) == BRENIER_OK);
    CHECK(f->extend(model, &b_x, &b_cells, N, 4, &e, &b_z) == BRENIER_OK);
    a->z[2][0] = 1e-42f, a->z[2][1] = 0;
    CHECK(f->decode(model, &b_z, N, &b_image) == BRENIER_OK);
    CHECK(f->encode(model, &b_image, N, &b_back) == BRENIER_OK);
    CHECK(f->decode(model, &b_z, N, &b_bytes) == BRENIER_OK);
    CHECK(f->encode(model, &b_bytes, N, &b_of_bytes) == BRENIER_OK);
    CHECK(f->potential(model, &b_x, N, &b_u, &b_phi) == BRENIER_OK);
    CHECK(f->engine_destroy(engine) == BRENIER_OK);
}

int main(void) {
    static answers under_theirs, under_default;
#if defined(__x86_64__)
    /* Round to zero, flush to zero, denormals as zero; trap on anything but an inexact result. */
    const unsigned theirs = 0xE000 | 0x1000 | 0x40;
    _mm_setcsr(theirs);
#else
    fesetround(FE_TOWARDZERO);
#endif
    void *library = dlopen(BRENIER_LIBRARY_FILE, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    functions f;
    *(void **)&f.engine_create = function(library, "brenier_engine_create");
    *(void **)&f.engine_destroy = function(library, "brenier_engine_destroy");
    *(void **)&f.model_open_memory = function(library, "brenier_model_open_memory");
    *(void **)&f.noise = function(library, "brenier_noise");
    *(void **)&f.locate = function(library, "brenier_locate");
    *(void **)&f.extend = function(library, "brenier_extend");
    *(void **)&f.decode = function(library, "brenier_decode");
    *(void **)&f.encode = function(library, "brenier_encode");
    *(void **)&f.potential = function(library, "brenier_potential");
    ask(&f, &under_theirs);
#if defined(__x86_64__)
    CHECK(_mm_getcsr() == theirs);
    _mm_setcsr(0x1F80);
#else
    CHECK(fegetround() == FE_TOWARDZERO);
    fesetround(FE_TONEAREST);
#endif
    ask(&f, &under_default);
#if defined(__x86_64__)
    CHECK(_mm_getcsr() == 0x1F80); /* no flag was raised that the caller could see */
#endif
    CHECK(under_default.image[2][2] != 0); /* the denormal went through the decoder */
    CHECK(memcmp(&under_theirs, &under_default, sizeof under_default) == 0);
    return finish("fenvironment");
}
