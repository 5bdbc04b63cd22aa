/* After the first calls, no function of the hot path allocates: neither C, whose allocator this
 * program replaces to count, nor Go, which counts itself. */
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>

#include "check.h"
#include "check_hooks.h"
#include "tiny_model.h"

static atomic_long c_allocations;

void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *old, size_t bytes);
void *__libc_memalign(size_t alignment, size_t bytes);

/* The definitions of a program come before those of the C library, for the libraries too. */
void *malloc(size_t bytes) {
    atomic_fetch_add(&c_allocations, 1);
    return __libc_malloc(bytes);
}
void *calloc(size_t count, size_t bytes) {
    atomic_fetch_add(&c_allocations, 1);
    return __libc_calloc(count, bytes);
}
void *realloc(void *old, size_t bytes) {
    atomic_fetch_add(&c_allocations, 1);
    return __libc_realloc(old, bytes);
}
void *aligned_alloc(size_t alignment, size_t bytes) {
    atomic_fetch_add(&c_allocations, 1);
    return __libc_memalign(alignment, bytes);
}
int posix_memalign(void **to, size_t alignment, size_t bytes) {
    atomic_fetch_add(&c_allocations, 1);
    *to = __libc_memalign(alignment, bytes);
    return *to ? 0 : 12;
}

enum { N = 600, CALLS = 200 };

static brenier_model *model;
static brenier_field *field; /* whose cache is full */
static float x[N][TINY_D], z[N][TINY_D], image[N][TINY_PIXELS];
static int64_t cells[N][3];
static double scores[N][3], u[N], phi[N];

static void one_of_each(size_t n) {
    const brenier_buffer b_x = F32_BUFFER(x), b_z = F32_BUFFER(z), b_image = F32_BUFFER(image),
                         b_cells = I64_BUFFER(cells), b_scores = F64_BUFFER(scores),
                         b_u = F64_BUFFER(u), b_phi = F64_BUFFER(phi);
    brenier_extension e;
    brenier_extension_init(&e);
    e.k = 3;
    CHECK_OK(brenier_noise(model, 1, 2, n, &b_x));
    CHECK_OK(brenier_locate(model, &b_x, n, 3, &b_cells, &b_scores));
    CHECK_OK(brenier_extend(model, &b_x, &b_cells, n, 3, &e, &b_z));
    CHECK_OK(brenier_codes(model, 1, 2, n, &e, &b_z));
    CHECK_OK(brenier_decode(model, &b_z, n, &b_image));
    CHECK_OK(brenier_encode(model, &b_image, n, &b_z));
    CHECK_OK(brenier_generate(model, 1, 2, n, &e, &b_image));
    CHECK_OK(brenier_potential(model, &b_x, n, &b_u, &b_phi));
}

/* Two of them in one slice perhaps, and one cancelled. */
static void one_job_of_each(size_t n) {
    const brenier_buffer b_x = F32_BUFFER(x), b_z = F32_BUFFER(z), b_image = F32_BUFFER(image),
                         b_cells = I64_BUFFER(cells), b_scores = F64_BUFFER(scores);
    brenier_extension e;
    brenier_extension_init(&e);
    e.k = 3;
    brenier_job *jobs[5];
    brenier_job_state state;
    CHECK_OK(brenier_submit_generate(model, 1, 2, n, &e, &b_image, NULL, &jobs[0]));
    CHECK_OK(brenier_submit_generate(model, 1, 2, n, &e, &b_image, NULL, &jobs[1]));
    CHECK_OK(brenier_submit_decode(model, &b_z, n, &b_image, NULL, &jobs[2]));
    CHECK_OK(brenier_submit_locate(model, &b_x, n, 3, &b_cells, &b_scores, NULL, &jobs[3]));
    CHECK_OK(brenier_submit_field_read(field, 1, (int64_t)n, 0, (uint32_t)(n + 39) / 40, 40, 0, &b_image, NULL, &jobs[4]));
    CHECK_OK(brenier_cancel(jobs[3]));
    CHECK_STATUS(brenier_submit_decode(model, &b_z, n, &b_image, NULL, NULL), BRENIER_BUSY);
    brenier_wait(jobs[0], 0); /* done or busy */
    for (int i = 0; i < 5; i++) {
        CHECK_OK(brenier_poll(jobs[i], &state));
        if (i != 3) CHECK_OK(brenier_wait(jobs[i], BRENIER_FOREVER));
        CHECK_OK(brenier_job_close(jobs[i]));
    }
}

/* Calls a function with n of many sizes, and says how often C and Go allocated. Go's runtime has
 * allocations of its own, more of them where threads wait for each other on a busy machine: the least
 * of some tries is what the calls themselves do. */
static void count(const char *name, void (*function)(size_t), long *c) {
    for (int i = 0; i < 20; i++) { /* one sample, a few and many take memory of their own */
        function(1);
        function(20);
        function(N);
    }
    uint64_t go = UINT64_MAX;
    *c = 0;
    for (int try = 0; try < 5 && go >= 20; try++) {
        const long c_before = atomic_load(&c_allocations);
        const uint64_t go_before = brenier_check_go_allocations();
        for (int i = 0; i < CALLS; i++) function(1 + (size_t)(i * 37 % N));
        const uint64_t go_more = brenier_check_go_allocations() - go_before;
        const long c_more = atomic_load(&c_allocations) - c_before;
        printf("%d %s: %ld allocations in C, %llu in Go\n", CALLS, name, c_more, (unsigned long long)go_more);
        CHECK(c_before > 0); /* the counting works */
        if (go_more < go) go = go_more;
        if (c_more > *c) *c = c_more;
    }
    CHECK(go < 20); /* one a call would be 200, or 1,600 */
}

/* An engine with a number of job workers, and the model on it. */
static brenier_engine *start(int32_t workers) {
    uint8_t file[8192];
    const size_t bytes = tiny_model(file, sizeof file, 7);
    brenier_engine *engine = NULL;
    brenier_engine_options options;
    brenier_engine_options_init(&options);
    options.job_workers = workers;
    options.job_limit = 5;
    CHECK_OK(brenier_engine_create(&options, &engine));
    CHECK_OK(brenier_model_open_memory(engine, file, bytes, &model));
    const brenier_field_options few = {.struct_size = sizeof few, .cache_bytes = 20000};
    CHECK_OK(brenier_field_create(model, &few, &field));
    return engine;
}

int main(void) {
    long c;
    brenier_engine *engine = start(-1);
    count("calls of each function", one_of_each, &c);
    CHECK(c == 0);
    CHECK_OK(brenier_engine_destroy(engine));
    /* One worker: how many of several are at work at once, and take memory, is chance. Where it waits in
     * C, Go's runtime may find that it wants another thread, which takes two. */
    engine = start(1);
    count("jobs of each kind", one_job_of_each, &c);
    CHECK(c < CALLS / 2);
    CHECK_OK(brenier_engine_destroy(engine));
    return finish("allocation");
}
