/* Nothing grows and nothing leaks: 10,000 models opened and closed, 100,000 calls of generate. Under
 * AddressSanitizer, which keeps freed memory, its own search for leaks at the end is what counts. */
#include <malloc.h>
#include <stdlib.h>
#include <unistd.h>

#include "check.h"
#include "tiny_model.h"

/* Resident memory of the process, in bytes. */
static long resident(void) {
#if defined(__SANITIZE_ADDRESS__)
    return 0;
#endif
    long pages = 0;
    FILE *statm = fopen("/proc/self/statm", "r");
    CHECK(statm && fscanf(statm, "%*d %ld", &pages) == 1);
    if (statm) fclose(statm);
    return pages * sysconf(_SC_PAGESIZE);
}

/* Bytes that C's allocator has handed out. */
static long allocated(void) { return (long)mallinfo2().uordblks; }

enum { MEGABYTE = 1 << 20 };

int main(void) {
    const int opens = 10000, calls = 100000;
    uint8_t file[8192];
    const size_t bytes = tiny_model(file, sizeof file, 3);
    float image[4][TINY_PIXELS];
    const brenier_buffer b = F32_BUFFER(image);
    brenier_engine *engine = NULL;
    brenier_model *model = NULL;
    CHECK_OK(brenier_engine_create(NULL, &engine));

    long resident_before = 0, allocated_before = 0;
    for (int i = 0; i < opens; i++) {
        if (i == opens / 2) resident_before = resident(), allocated_before = allocated();
        CHECK_OK(brenier_model_open_memory(engine, file, bytes, &model));
        CHECK_OK(brenier_generate(model, (uint64_t)i, 0, 1, NULL, &b));
        CHECK_OK(brenier_model_close(model));
    }
    long more = resident() - resident_before, more_allocated = allocated() - allocated_before;
    printf("%d opened and closed: %ld KB more resident, %ld bytes more allocated in C\n", opens / 2,
           more / 1024, more_allocated);
    CHECK(more < 4 * MEGABYTE);
    /* Go starts a thread now and then, for which C keeps a few hundred bytes; a model's smallest
     * string has nine. */
    CHECK(more_allocated < 4L * opens / 2);

    CHECK_OK(brenier_model_open_memory(engine, file, bytes, &model));
    for (int i = 0; i < 1000; i++) CHECK_OK(brenier_generate(model, (uint64_t)i, 0, 4, NULL, &b));
    resident_before = resident(), allocated_before = allocated();
    for (int i = 0; i < calls; i++) CHECK_OK(brenier_generate(model, (uint64_t)i, 0, 4, NULL, &b));
    more = resident() - resident_before, more_allocated = allocated() - allocated_before;
    printf("%d calls of generate: %ld KB more resident, %ld bytes more allocated in C\n", calls,
           more / 1024, more_allocated);
    CHECK(more < MEGABYTE);
    CHECK(more_allocated < calls);
    CHECK_OK(brenier_model_close(model));

    /* Engines too, with models left open in them. */
    for (int i = 0; i < opens / 100; i++) {
        if (i == opens / 200) allocated_before = allocated();
        brenier_engine *one = NULL;
        CHECK_OK(brenier_engine_create(NULL, &one));
        CHECK_OK(brenier_model_open_memory(one, file, bytes, &model));
        CHECK_OK(brenier_engine_destroy(one));
    }
    CHECK(allocated() - allocated_before <= 64 * 1024); /* the threads' own, kept by Go for the next */
    CHECK_OK(brenier_engine_destroy(engine));
    return finish("memory");
}
