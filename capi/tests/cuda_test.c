/* The CUDA backend from C: on the driver's double, or what else BRENIER_CUDA_DRIVER names, or the
 * machine's own GPU. What a host program would do with CUDA this one does through the driver's own
 * functions, found by their names: brenier needs no CUDA header. Exits with 77 where there is no
 * driver. */
#include <dlfcn.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>

#include "check.h"
#include "tiny_model.h"

enum { N = 6, SKIPPED = 77 };

typedef unsigned long long address; /* CUdeviceptr */

static int (*cu_init)(unsigned);
static int (*cu_retain)(void **context, int device);
static int (*cu_release)(int device);
static int (*cu_set_current)(void *context);
static int (*cu_alloc)(address *memory, size_t bytes);
static int (*cu_free)(address memory);
static int (*cu_to_host)(void *to, address from, size_t bytes);
static int (*cu_stream)(void **stream, unsigned flags);
static int (*cu_stream_destroy)(void *stream);
static int (*cu_synchronize)(void *stream);

static int find(void *driver, const char *name, void *function) {
    void *symbol = dlsym(driver, name);
    memcpy(function, &symbol, sizeof symbol); /* ISO C has no cast from data to function */
    return symbol != NULL;
}

/* Whether there is a driver that works. */
static int load_driver(void) {
    const char *name = getenv("BRENIER_CUDA_DRIVER");
    void *driver = dlopen(name && *name ? name : "libcuda.so.1", RTLD_NOW);
    if (!driver) return 0;
    CHECK(find(driver, "cuInit", &cu_init) && find(driver, "cuDevicePrimaryCtxRetain", &cu_retain) &&
          find(driver, "cuDevicePrimaryCtxRelease_v2", &cu_release) &&
          find(driver, "cuCtxSetCurrent", &cu_set_current) && find(driver, "cuMemAlloc_v2", &cu_alloc) &&
          find(driver, "cuMemFree_v2", &cu_free) && find(driver, "cuMemcpyDtoH_v2", &cu_to_host) &&
          find(driver, "cuStreamCreate", &cu_stream) && find(driver, "cuStreamDestroy_v2", &cu_stream_destroy) &&
          find(driver, "cuStreamSynchronize", &cu_synchronize));
    return cu_init && cu_init(0) == 0;
}

static brenier_engine *engine_on(const char *device, void *context, void *stream, size_t memory) {
    brenier_engine_options options;
    brenier_engine_options_init(&options);
    options.device = device;
    options.cuda_context = context;
    options.cuda_stream = stream;
    options.cuda_memory = memory;
    brenier_engine *engine = NULL;
    CHECK_OK(brenier_engine_create(&options, &engine));
    return engine;
}

static brenier_model *open_on(brenier_engine *engine) {
    uint8_t file[8192];
    const size_t bytes = tiny_model(file, sizeof file, 7);
    brenier_model *model = NULL;
    CHECK_OK(brenier_model_open_memory(engine, file, bytes, &model));
    return model;
}

static void info(brenier_engine *engine, brenier_model *model) {
    brenier_engine_properties e = {.struct_size = sizeof e};
    brenier_model_properties m = {.struct_size = sizeof m};
    CHECK_OK(brenier_engine_info(engine, &e));
    CHECK_OK(brenier_model_info(model, &m));
    CHECK(strcmp(e.device, "cuda:0") == 0 && strncmp(e.path, "sm_", 3) == 0 && e.threads == 0);
    CHECK(strstr(m.kernels, "\"part\":\"locate\"") && strstr(m.kernels, "\"notes\":[]"));
    printf("engine: %s, %s, %s; %s\nkernels: %s\n", e.device, e.device_name, e.path, e.note, m.kernels);
}

/* The same codes, bit for bit, and images as exact as their numbers are. */
static void as_the_cpu(brenier_model *cuda, brenier_model *cpu) {
    float codes[N][TINY_D], want[N][TINY_D], image[N][TINY_PIXELS];
    const brenier_buffer b_codes = F32_BUFFER(codes), b_want = F32_BUFFER(want), b_image = F32_BUFFER(image);
    CHECK_OK(brenier_codes(cuda, 7, 1ull << 40, N, NULL, &b_codes));
    CHECK_OK(brenier_codes(cpu, 7, 1ull << 40, N, NULL, &b_want));
    CHECK(memcmp(codes, want, sizeof codes) == 0);
    memset(codes, 0, sizeof codes);
    codes[1][0] = 0.5f, codes[2][1] = -0.75f, codes[3][0] = 1.125f;
    CHECK_OK(brenier_decode(cuda, &b_codes, N, &b_image));
    for (int i = 0; i < N; i++)
        for (int p = 0; p < TINY_PIXELS; p++) CHECK(image[i][p] == tiny_pixel(codes[i], p));
    CHECK_OK(brenier_encode(cuda, &b_image, N, &b_want));
    CHECK(memcmp(codes, want, sizeof codes) == 0);
}

/* Images as near as the engine was asked for, by kernels of that type. */
static void precisions(void) {
    static const struct {
        brenier_precision precision;
        const char *type;
        double within; /* as a share of the range */
    } cases[] = {{BRENIER_PRECISION_DEFAULT, "_f16", 2e-3},
                 {BRENIER_PRECISION_F16, "_f16", 2e-3},
                 {BRENIER_PRECISION_BF16, "_bf16", 1.6e-2},
                 {BRENIER_PRECISION_F32, "_f32", 1e-5}};
    float z[TINY_D] = {0.3f, -0.7f}, image[TINY_PIXELS];
    const brenier_buffer b_z = F32_BUFFER(z), b_image = F32_BUFFER(image);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        brenier_engine_options options;
        brenier_engine_options_init(&options);
        options.device = "cuda";
        options.precision = cases[i].precision;
        brenier_engine *engine = NULL;
        CHECK_OK(brenier_engine_create(&options, &engine));
        brenier_model *model = open_on(engine);
        brenier_model_properties m = {.struct_size = sizeof m};
        CHECK_OK(brenier_model_info(model, &m));
        const char *decoder = strstr(m.kernels, "\"part\":\"linear\"");
        CHECK(decoder && strstr(decoder, cases[i].type));
        CHECK_OK(brenier_decode(model, &b_z, 1, &b_image));
        for (int p = 0; p < TINY_PIXELS; p++)
            CHECK(fabs((double)image[p] - (double)tiny_pixel(z, p)) <= cases[i].within * (m.high - m.low));
        CHECK(strstr(m.kernels, "\"part\":\"encoder linear\""));
        CHECK_OK(brenier_encode(model, &b_image, 1, &b_z));
        for (int k = 0; k < TINY_D; k++)
            CHECK(fabs((double)z[k] - (double)tiny_code(image, k)) <= cases[i].within * 8);
        CHECK_OK(brenier_engine_destroy(engine));
    }
}

/* A device buffer is written, and read, in the order of the caller's stream. */
static void device_buffers(brenier_model *model, void *stream) {
    float host[N][TINY_PIXELS], device[N][TINY_PIXELS], codes[N][TINY_D], want[N][TINY_D];
    const brenier_buffer b_host = F32_BUFFER(host), b_codes = F32_BUFFER(codes), b_want = F32_BUFFER(want);
    address memory = 0;
    CHECK(cu_alloc(&memory, sizeof device) == 0);
    brenier_buffer b = buffer_of((void *)(uintptr_t)memory, sizeof device, BRENIER_F32);
    b.location = BRENIER_CUDA_DEVICE;
    for (uint64_t seed = 0; seed < 3; seed++) {
        CHECK_OK(brenier_generate(model, seed, 5, N, NULL, &b_host));
        CHECK_OK(brenier_generate(model, seed, 5, N, NULL, &b));
        CHECK_OK(brenier_encode(model, &b, N, &b_codes));
        CHECK_OK(brenier_encode(model, &b_host, N, &b_want));
        CHECK(memcmp(codes, want, sizeof codes) == 0);
        CHECK(cu_synchronize(stream) == 0 && cu_to_host(device, memory, sizeof device) == 0);
        CHECK(memcmp(host, device, sizeof host) == 0);
    }
    CHECK_STATUS(brenier_generate(model, 0, 0, N + 1, NULL, &b), BRENIER_SHORT_BUFFER);
    CHECK_STATUS(brenier_encode(model, &b, N + 1, &b_codes), BRENIER_SHORT_BUFFER);
    CHECK_FAILS(brenier_noise(model, 0, 0, 1, &b), BRENIER_UNSUPPORTED, "location");
    b.data = host;
    CHECK_FAILS(brenier_encode(model, &b, 1, &b_codes), BRENIER_INVALID_ARGUMENT, "no memory of a CUDA device");
    CHECK_FAILS(brenier_generate(model, 0, 0, 1, NULL, &b), BRENIER_INVALID_ARGUMENT, "no memory of a CUDA device");
    CHECK(cu_free(memory) == 0);
}

/* Jobs have the bits of the calls, one by one, as one batch, and in memory of the device. */
static void jobs(void) {
    brenier_engine_options options;
    brenier_engine_options_init(&options);
    options.device = "cuda";
    options.job_workers = -1;
    options.job_slice_us = 1000000; /* the driver's double is slow, and slices are to grow */
    brenier_engine *engine = NULL;
    CHECK_OK(brenier_engine_create(&options, &engine));
    brenier_model *model = open_on(engine);
    float want[15][TINY_PIXELS], got[15][TINY_PIXELS];
    const brenier_buffer b_want = F32_BUFFER(want), b_got = F32_BUFFER(got);
    CHECK_OK(brenier_generate(model, 9, 0, 15, NULL, &b_want));
    brenier_job *job = NULL;
    CHECK_OK(brenier_submit_generate(model, 9, 0, 15, NULL, &b_got, NULL, &job));
    CHECK_OK(brenier_run(engine, BRENIER_FOREVER, NULL));
    CHECK_OK(brenier_wait(job, 0));
    CHECK(memcmp(want, got, sizeof want) == 0);

    memset(got, 0, sizeof got);
    for (size_t i = 0; i < N; i++) {
        const brenier_buffer one = F32_BUFFER(got[i]);
        CHECK_OK(brenier_submit_generate(model, 9, i, 1, NULL, &one, NULL, NULL));
    }
    CHECK_OK(brenier_run(engine, BRENIER_FOREVER, NULL));
    CHECK(memcmp(want, got, N * sizeof *want) == 0);

    address memory = 0;
    CHECK(cu_alloc(&memory, sizeof want) == 0);
    brenier_buffer b = buffer_of((void *)(uintptr_t)memory, sizeof want, BRENIER_F32);
    b.location = BRENIER_CUDA_DEVICE;
    CHECK_OK(brenier_submit_generate(model, 9, 0, 15, NULL, &b, NULL, NULL));
    CHECK_OK(brenier_run(engine, BRENIER_FOREVER, NULL));
    CHECK(cu_to_host(got, memory, sizeof got) == 0);
    CHECK(memcmp(want, got, sizeof want) == 0);
    CHECK(cu_free(memory) == 0);
    CHECK_OK(brenier_engine_destroy(engine));
}

static void memory_limit(void) {
    uint8_t file[8192];
    const size_t bytes = tiny_model(file, sizeof file, 3);
    brenier_engine *small = engine_on("cuda", NULL, NULL, 8192);
    brenier_model *none = NULL;
    CHECK_FAILS(brenier_model_open_memory(small, file, bytes, &none), BRENIER_OUT_OF_MEMORY, "budget");
    CHECK(none == NULL);
    CHECK_OK(brenier_engine_destroy(small));
}

static brenier_model *shared;
static float expected[N][TINY_PIXELS];

static void *generate_often(void *unused) {
    (void)unused;
    for (size_t i = 0; i < 20; i++) {
        float image[TINY_PIXELS];
        const brenier_buffer b = F32_BUFFER(image);
        CHECK_OK(brenier_generate(shared, 3, i % N, 1, NULL, &b));
        CHECK(memcmp(image, expected[i % N], sizeof image) == 0);
    }
    return NULL;
}

static void eight_threads(brenier_model *model) {
    pthread_t threads[8];
    const brenier_buffer b = F32_BUFFER(expected);
    shared = model;
    CHECK_OK(brenier_generate(model, 3, 0, N, NULL, &b));
    for (int i = 0; i < 8; i++) CHECK(pthread_create(&threads[i], NULL, generate_often, NULL) == 0);
    for (int i = 0; i < 8; i++) pthread_join(threads[i], NULL);
}

int main(void) {
    if (!load_driver()) {
        printf("cuda: no CUDA driver and no double of it: skipped\n");
        return SKIPPED;
    }
    brenier_engine *cpu = engine_on("cpu", NULL, NULL, 0), *cuda = engine_on("cuda", NULL, NULL, 0);
    brenier_model *on_cpu = open_on(cpu), *on_cuda = open_on(cuda);
    info(cuda, on_cuda);
    as_the_cpu(on_cuda, on_cpu);
    eight_threads(on_cuda);
    memory_limit();
    precisions();

    void *context = NULL, *stream = NULL;
    CHECK(cu_retain(&context, 0) == 0 && cu_set_current(context) == 0 && cu_stream(&stream, 0) == 0);
    device_buffers(on_cuda, NULL);
    jobs();
    brenier_engine *ours = engine_on("cuda:0", context, stream, 0);
    brenier_model *on_ours = open_on(ours);
    as_the_cpu(on_ours, on_cpu);
    device_buffers(on_ours, stream);
    CHECK_OK(brenier_engine_destroy(ours)); /* with its model open */
    CHECK(cu_stream_destroy(stream) == 0 && cu_release(0) == 0);

    CHECK_OK(brenier_model_close(on_cuda));
    CHECK_OK(brenier_engine_destroy(cuda));
    CHECK_OK(brenier_engine_destroy(cpu));
    return finish("cuda");
}
