// The public functions of brenier.h. Those that work on an engine forward to the Go function of the
// same name in export_*.go, with the floating-point environment that results are defined in; the
// rest is here, and works whether or not anything else does.
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "_cgo_export.h"
#include "fenvironment.h"
#include "last_error.h"

_Static_assert(sizeof(void *) == 8, "a handle needs the 64 bits of a token");

// ---- Status

const char *brenier_status_name(brenier_status status) {
    switch (status) {
#define NAME(s) \
    case s: return #s
        NAME(BRENIER_OK);
        NAME(BRENIER_INVALID_ARGUMENT);
        NAME(BRENIER_INVALID_HANDLE);
        NAME(BRENIER_SHORT_BUFFER);
        NAME(BRENIER_BAD_MODEL);
        NAME(BRENIER_IO);
        NAME(BRENIER_UNSUPPORTED);
        NAME(BRENIER_OUT_OF_MEMORY);
        NAME(BRENIER_DEVICE);
        NAME(BRENIER_CANCELLED);
        NAME(BRENIER_INTERNAL);
        NAME(BRENIER_BUSY);
        NAME(BRENIER_EXPIRED);
#undef NAME
    }
    return "BRENIER_UNKNOWN_STATUS";
}

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)

uint32_t brenier_version(void) { return BRENIER_VERSION; }

const char *brenier_version_string(void) {
    return TEXT(BRENIER_VERSION_MAJOR) "." TEXT(BRENIER_VERSION_MINOR) "." TEXT(BRENIER_VERSION_PATCH);
}

// ---- Defaults
//
// A caller's struct may be older, and shorter, than this library's, and these functions cannot know.
// So each writes for ever the struct of the version that introduced it; when a struct grows, the
// header maps the name to a new function.

void brenier_engine_options_init(brenier_engine_options *options) {
    _Static_assert(sizeof *options == 80, "version 0.1");
    if (options) *options = (brenier_engine_options){.struct_size = sizeof *options};
}

void brenier_extension_init(brenier_extension *extension) {
    _Static_assert(sizeof *extension == 40, "version 0.1");
    if (extension) *extension = (brenier_extension){.struct_size = sizeof *extension, .blend = 0.5};
}

void brenier_field_options_init(brenier_field_options *options) {
    _Static_assert(sizeof *options == 64, "version 0.1");
    _Static_assert(sizeof *options->octaves == 32, "version 0.1");
    if (options) *options = (brenier_field_options){.struct_size = sizeof *options};
}

void brenier_fit_options_init(brenier_fit_options *options) {
    _Static_assert(sizeof *options == 88, "version 0.1");
    if (options) *options = (brenier_fit_options){.struct_size = sizeof *options};
}

// ---- Last error
//
// One string a thread, behind a pthread key: the few bytes of static thread-local storage that a
// process keeps for libraries loaded late are left to others. A thread that meets no error has none.
// A sentence is kept behind a byte that says whether it is a constant or the heap's (last_error.h).

static pthread_key_t last_error;
static int last_error_works;

static void free_text(void *text) {
    if (text && *(char *)text != *CONSTANT_SENTENCE("")) free(text);
}

static void make_last_error(void) { last_error_works = pthread_key_create(&last_error, free_text) == 0; }

static int have_last_error(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_last_error);
    return last_error_works;
}

const char *brenier_last_error(void) {
    const char *text = have_last_error() ? pthread_getspecific(last_error) : NULL;
    return text ? text + 1 : "";
}

static void replace_last_error(const char *text) {
    void *old = pthread_getspecific(last_error);
    free_text(pthread_setspecific(last_error, text) == 0 ? old : (void *)text);
}

void capi_set_last_error(const char *text, size_t bytes) {
    if (!have_last_error()) return;
    char *copy = malloc(bytes + 2);
    if (copy) {
        copy[0] = ' ';
        memcpy(copy + 1, text, bytes);
        copy[bytes + 1] = '\0';
    }
    replace_last_error(copy ? copy : CONSTANT_SENTENCE("the reason of the failure did not fit in memory"));
}

void capi_set_last_error_constant(const char *marked) {
    if (have_last_error()) replace_last_error(marked);
}

// ---- Forwarding

#define FORWARD(call)                                   \
    const fenvironment callers = fenvironment_default(); \
    const brenier_status status = (call);               \
    fenvironment_restore(callers)

#define ENGINE(handle) ((uintptr_t)(handle))
#define MODEL(handle) ((uintptr_t)(handle))
#define FIELD(handle) ((uintptr_t)(handle))
#define BUFFER(b) ((brenier_buffer *)(b))  // cgo knows no const
#define EXTENSION(e) ((brenier_extension *)(e))

brenier_status brenier_engine_create(const brenier_engine_options *options,
                                     brenier_engine **engine) {
    uintptr_t token = 0;
    FORWARD(capiEngineCreate((brenier_engine_options *)options, engine ? &token : NULL));
    if (status == BRENIER_OK) *engine = (brenier_engine *)token;
    return status;
}

brenier_status brenier_engine_destroy(brenier_engine *engine) {
    if (!engine) return BRENIER_OK;
    FORWARD(capiEngineDestroy(ENGINE(engine)));
    return status;
}

brenier_status brenier_engine_info(brenier_engine *engine, brenier_engine_properties *properties) {
    FORWARD(capiEngineInfo(ENGINE(engine), properties));
    return status;
}

brenier_status brenier_model_open(brenier_engine *engine, const char *path, brenier_model **model) {
    uintptr_t token = 0;
    FORWARD(capiModelOpen(ENGINE(engine), (char *)path, model ? &token : NULL));
    if (status == BRENIER_OK) *model = (brenier_model *)token;
    return status;
}

brenier_status brenier_model_open_memory(brenier_engine *engine, const void *data, size_t bytes,
                                         brenier_model **model) {
    uintptr_t token = 0;
    FORWARD(capiModelOpenMemory(ENGINE(engine), (void *)data, bytes, model ? &token : NULL));
    if (status == BRENIER_OK) *model = (brenier_model *)token;
    return status;
}

brenier_status brenier_model_close(brenier_model *model) {
    if (!model) return BRENIER_OK;
    FORWARD(capiModelClose(MODEL(model)));
    return status;
}

brenier_status brenier_model_measure_images(brenier_model *model, size_t n) {
    FORWARD(capiModelMeasureImages(MODEL(model), n));
    return status;
}

brenier_status brenier_model_save(brenier_model *model, const char *path) {
    FORWARD(capiModelSave(MODEL(model), (char *)path));
    return status;
}

brenier_status brenier_model_info(brenier_model *model, brenier_model_properties *properties) {
    FORWARD(capiModelInfo(MODEL(model), properties));
    return status;
}

brenier_status brenier_model_tensor(brenier_model *model, const char *name,
                                    const brenier_buffer *tensor) {
    FORWARD(capiModelTensor(MODEL(model), (char *)name, BUFFER(tensor)));
    return status;
}

brenier_status brenier_noise(brenier_model *model, uint64_t seed, uint64_t first, size_t n,
                             const brenier_buffer *x) {
    FORWARD(capiNoise(MODEL(model), seed, first, n, BUFFER(x)));
    return status;
}

brenier_status brenier_locate(brenier_model *model, const brenier_buffer *x, size_t n, uint32_t k,
                              const brenier_buffer *cells, const brenier_buffer *scores) {
    FORWARD(capiLocate(MODEL(model), BUFFER(x), n, k, BUFFER(cells), BUFFER(scores)));
    return status;
}

brenier_status brenier_extend(brenier_model *model, const brenier_buffer *x,
                              const brenier_buffer *cells, size_t n, uint32_t k,
                              const brenier_extension *extension, const brenier_buffer *codes) {
    FORWARD(capiExtend(MODEL(model), BUFFER(x), BUFFER(cells), n, k, EXTENSION(extension),
                       BUFFER(codes)));
    return status;
}

brenier_status brenier_codes(brenier_model *model, uint64_t seed, uint64_t first, size_t n,
                             const brenier_extension *extension, const brenier_buffer *codes) {
    FORWARD(capiCodes(MODEL(model), seed, first, n, EXTENSION(extension), BUFFER(codes)));
    return status;
}

brenier_status brenier_decode(brenier_model *model, const brenier_buffer *codes, size_t n,
                              const brenier_buffer *images) {
    FORWARD(capiDecode(MODEL(model), BUFFER(codes), n, BUFFER(images)));
    return status;
}

brenier_status brenier_encode(brenier_model *model, const brenier_buffer *images, size_t n,
                              const brenier_buffer *codes) {
    FORWARD(capiEncode(MODEL(model), BUFFER(images), n, BUFFER(codes)));
    return status;
}

brenier_status brenier_generate(brenier_model *model, uint64_t seed, uint64_t first, size_t n,
                                const brenier_extension *extension, const brenier_buffer *images) {
    FORWARD(capiGenerate(MODEL(model), seed, first, n, EXTENSION(extension), BUFFER(images)));
    return status;
}

brenier_status brenier_potential(brenier_model *model, const brenier_buffer *x, size_t n,
                                 const brenier_buffer *brenier, const brenier_buffer *kantorovich) {
    FORWARD(capiPotential(MODEL(model), BUFFER(x), n, BUFFER(brenier), BUFFER(kantorovich)));
    return status;
}

brenier_status brenier_field_create(brenier_model *model, const brenier_field_options *options,
                                    brenier_field **field) {
    uintptr_t token = 0;
    FORWARD(capiFieldCreate(MODEL(model), (brenier_field_options *)options, field ? &token : NULL));
    if (status == BRENIER_OK) *field = (brenier_field *)token;
    return status;
}

brenier_status brenier_field_destroy(brenier_field *field) {
    if (!field) return BRENIER_OK;
    FORWARD(capiFieldDestroy(FIELD(field)));
    return status;
}

brenier_status brenier_field_read(brenier_field *field, uint64_t seed, int64_t x, int64_t y,
                                  uint32_t width, uint32_t height, uint32_t level,
                                  const brenier_buffer *pixels) {
    FORWARD(capiFieldRead(FIELD(field), seed, x, y, width, height, level, BUFFER(pixels)));
    return status;
}

brenier_status brenier_fit(brenier_engine *engine, const brenier_buffer *points, size_t n_points,
                           size_t dimension, const brenier_buffer *masses,
                           const brenier_fit_options *options, brenier_model **model) {
    uintptr_t token = 0;
    FORWARD(capiFit(ENGINE(engine), BUFFER(points), n_points, dimension, BUFFER(masses),
                    (brenier_fit_options *)options, model ? &token : NULL));
    if (status == BRENIER_OK) *model = (brenier_model *)token;
    return status;
}

// Calls the caller's function, on C's own memory.
int capi_call_progress(brenier_progress_callback progress, void *user, uint64_t samples,
                       uint64_t samples_max, double chi_squared, int64_t empty, double seconds,
                       double energy, double seconds_left, uint64_t tested, uint64_t to_test) {
    const brenier_fit_progress report = {
        .struct_size = sizeof report,
        .samples = samples,
        .samples_max = samples_max,
        .chi_squared = chi_squared,
        .empty = empty,
        .seconds = seconds,
        .energy = energy,
        .seconds_left = seconds_left,
        .tested = tested,
        .to_test = to_test,
    };
    return progress(user, &report);
}
