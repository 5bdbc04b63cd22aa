/* brenier: an embedded engine for optimal-transport generative models.
 *
 *     (seed, index) -> noise x -> locate -> extend -> code z -> decode -> image
 *
 * A model file holds N points y_i in R^d (the codes of a data set), N heights h_i and a decoder.
 * Noise x goes to the power cell that holds it, the i with the highest score <x,y_i> + h_i; the
 * points of that cell and of its admissible neighbours make a code z; the decoder makes z an image.
 * Where the file holds an encoder too, it makes codes of images.
 *
 * Rules that hold for every function
 *   Result     A brenier_status; BRENIER_OK is 0. On failure nothing was written to the outputs
 *              unless the function says so, and brenier_last_error() of the same thread tells why.
 *   Handles    Tokens, not addresses: a NULL, stale or foreign one is answered with
 *              BRENIER_INVALID_HANDLE. Destroying or closing NULL does nothing and succeeds.
 *   Structs    Start with struct_size; call the struct's _init function, or zero the struct and set
 *              struct_size = sizeof(it). Zero means the default in every other member, but for
 *              `blend`. Members are only ever added, at the end: a program built with an older
 *              header goes on working, and so does one built with a newer header as long as it
 *              leaves the newer members zero.
 *   Arrays     Dense and row-major, described by a brenier_buffer; the caller owns the memory, and
 *              it is not kept after the call. A buffer may be larger than what is written.
 *   Threads    Any function may be called from any thread at any time, and one model serves many
 *              threads at once, unless the function says otherwise.
 *              Closing or destroying what other threads use is safe: it waits for the calls at
 *              work, and later ones get BRENIER_INVALID_HANDLE.
 *   Memory     After the first calls of a size, the functions from brenier_noise to
 *              brenier_potential allocate nothing, and brenier_field_read only for a tile that comes
 *              into its cache where none of the same size goes.
 *   Strings    UTF-8. Those handed out live as long as the function says; nobody frees them.
 *   Bits       Noise, cells, scores and codes of noise depend on the model, seed and index alone: the
 *              same bits on every device, for any batch and thread count. Images, and codes of images,
 *              have the same bits from run to run and for any batch on one device and instruction
 *              set. The caller's
 *              floating-point environment (rounding, flush-to-zero, traps) changes none of them and
 *              is as it was after each call.
 *   Process    The library brings a runtime with threads and signal handlers of its own, and stays
 *              loaded until the process ends: dlclose does nothing. A process that has called
 *              brenier_engine_create must not use it in a forked child; start the child anew
 *              (spawn, exec).
 */
#ifndef BRENIER_H
#define BRENIER_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The version of this header: major * 1000000 + minor * 1000 + patch. While major is 0 the minor
 * version changes with the interface. */
#define BRENIER_VERSION_MAJOR 0
#define BRENIER_VERSION_MINOR 1
#define BRENIER_VERSION_PATCH 0
#define BRENIER_VERSION \
    (BRENIER_VERSION_MAJOR * 1000000 + BRENIER_VERSION_MINOR * 1000 + BRENIER_VERSION_PATCH)

/* ---- Status ---------------------------------------------------------------------------------- */

/* Numbers are never reused; new ones go last. */
typedef int32_t brenier_status;
enum {
    BRENIER_OK = 0,
    BRENIER_INVALID_ARGUMENT = 1, /* a size, a range, a NaN in the input, a wrong struct_size */
    BRENIER_INVALID_HANDLE = 2,   /* NULL, closed before, or not a handle of this kind */
    BRENIER_SHORT_BUFFER = 3,     /* the buffer holds fewer bytes than the result needs */
    BRENIER_BAD_MODEL = 4,        /* the model file is malformed */
    BRENIER_IO = 5,               /* a file could not be read or written */
    BRENIER_UNSUPPORTED = 6,      /* the model lacks the part asked for, or the device the ability */
    BRENIER_OUT_OF_MEMORY = 7,
    BRENIER_DEVICE = 8,           /* no such device, or it failed */
    BRENIER_CANCELLED = 9,        /* a progress callback asked to stop, or a job was cancelled */
    BRENIER_INTERNAL = 10,        /* a defect of the library. The engine refuses further work but
                                     can be destroyed; other engines are not touched */
    BRENIER_BUSY = 11,            /* not now: the engine holds as many jobs as it may, or the job has
                                     not ended in the time given */
    BRENIER_EXPIRED = 12          /* the job's deadline passed before all of it was begun */
};

/* The name of a status, "BRENIER_OK" and so on; "BRENIER_UNKNOWN_STATUS" for any other number.
 * Never NULL; lives for ever. */
const char *brenier_status_name(brenier_status status);

/* The sentence for the last call on this thread that failed: what is wrong, where, and what to do.
 * "" if none has failed. Never NULL; lives until the next failing call on this thread. */
const char *brenier_last_error(void);

/* The version of the library that is loaded, as a number like BRENIER_VERSION and as "0.1.0".
 * The header and the library fit when their major and, while major is 0, minor versions agree. */
uint32_t brenier_version(void);
const char *brenier_version_string(void);

/* ---- Buffers --------------------------------------------------------------------------------- */

typedef int32_t brenier_dtype;
enum {
    BRENIER_F32 = 0,
    BRENIER_F16 = 1,
    BRENIER_U8 = 2,  /* images: the output's range scaled to 0..255 */
    BRENIER_I64 = 3, /* cells */
    BRENIER_F64 = 4, /* scores, potentials */
    BRENIER_U16 = 5  /* a field's pixels alone */
};

typedef int32_t brenier_layout; /* the order of an image's axes; other arrays ignore it */
enum { BRENIER_NCHW = 0, BRENIER_NHWC = 1 };

typedef int32_t brenier_location;
enum {
    BRENIER_HOST = 0,
    BRENIER_CUDA_DEVICE = 1 /* a device pointer of the engine's CUDA device */
};

/* Memory of the caller. `data` must be aligned to the element. */
typedef struct brenier_buffer {
    size_t struct_size;
    void *data;
    size_t bytes;
    brenier_location location;
    brenier_dtype dtype;
    brenier_layout layout;
} brenier_buffer;

/* ---- Engine: one device ---------------------------------------------------------------------- */

typedef struct brenier_engine brenier_engine;

/* The type of the networks' activations on a CUDA device; sums are float32 in all. It decides how far an
 * element of an image may lie from a float64 decode, as a share of the output's range, and an element
 * of an image's code from a float64 encoding, as a share of the codes' range; noise, cells, scores and
 * codes of noise do not depend on it. The CPU computes in float32 always, within 1e-5, and takes any of
 * these. */
typedef int32_t brenier_precision;
enum {
    BRENIER_PRECISION_DEFAULT = 0, /* F16 */
    BRENIER_PRECISION_F16 = 1,     /* within 2e-3 */
    BRENIER_PRECISION_BF16 = 2,    /* within 1.6e-2, and 6e-3 on the trained decoders of the tests:
                                      three bits less, for activations beyond F16's +-65504 */
    BRENIER_PRECISION_F32 = 3      /* within 1e-5, by plain kernels: without tensor cores, slower */
};

typedef struct brenier_engine_options {
    size_t struct_size;
    const char *device; /* "auto", "cpu", "cuda", "cuda:1"; NULL: BRENIER_DEVICE, else "auto" */
    int32_t threads;    /* worker threads on the CPU; 0: BRENIER_THREADS, else all processors */
    void *cuda_context; /* a CUcontext of that device, which outlives the engine; NULL: the device's
                           primary context, which the CUDA runtime uses too */
    void *cuda_stream;  /* a CUstream that all work of the engine is ordered in; NULL: its own */
    size_t cuda_memory; /* bytes that the engine may allocate on the device; 0: what is free, less a
                           reserve */
    brenier_precision precision; /* of decoders and encoders on a CUDA device */
    uint64_t job_processors; /* bit i lets job workers run on processor i; 0: on all */
    int32_t job_workers;     /* threads that do jobs; 0: as many as `threads`, one on a CUDA device;
                                -1: none, jobs wait for brenier_run */
    int32_t job_niceness;    /* 1 .. 19: how far job workers stand back behind the thread that creates
                                the engine; 20: they run only while a processor has nothing else to
                                do, and stop at once for what has; 0: 10; -1: not at all */
    uint32_t job_slice_us;   /* microseconds of work between two looks at what is urgent or cancelled,
                                10 .. 1000000; 0: 2000 */
    uint32_t job_limit;      /* jobs at a time, from submit to close, 1 .. 65536; 0: 1024 */
} brenier_engine_options;

/* Sets every option to its default, and struct_size. */
void brenier_engine_options_init(brenier_engine_options *options);

/* Makes an engine on a device. `options` may be NULL. The caller destroys *engine. A process may
 * have several; each has threads of its own. "auto" is the first CUDA device if the library can use
 * one, else the CPU; brenier_engine_info says which, and why.
 * A device that is lost (BRENIER_DEVICE, said so by brenier_last_error) answers no later call; the
 * engine can still be destroyed.
 * Errors: INVALID_ARGUMENT (an unknown device or precision, a bad variable of the environment, job
 * options out of range or without a processor that this process may use), DEVICE, OUT_OF_MEMORY. */
brenier_status brenier_engine_create(const brenier_engine_options *options,
                                     brenier_engine **engine);

/* Cancels the jobs and joins their workers, waits for the calls at work on the engine and its models,
 * closes the models, gives back the device and threads. The handles of models and jobs are stale
 * afterwards. Not to be called from a callback of the same engine, which would wait for itself.
 * Errors: INVALID_HANDLE. */
brenier_status brenier_engine_destroy(brenier_engine *engine);

typedef struct brenier_engine_properties {
    size_t struct_size;
    const char *device;      /* "cpu", "cuda:0" */
    const char *device_name; /* "AMD EPYC ..." */
    const char *path;        /* the instruction set in use: "avx512", "avx2", "portable", "sm_90a" */
    int32_t threads;         /* 0 on a CUDA device */
    const char *note;        /* what is out of the ordinary, as why "auto" took the CPU; else "" */
} brenier_engine_properties;

/* Describes the engine. The strings live until it is destroyed.
 * Errors: INVALID_HANDLE, INVALID_ARGUMENT. */
brenier_status brenier_engine_info(brenier_engine *engine, brenier_engine_properties *properties);

/* ---- Model ----------------------------------------------------------------------------------- */

typedef struct brenier_model brenier_model;

/* Reads, checks and prepares a model file; the file is not needed afterwards. The caller closes
 * *model.
 * Errors: INVALID_HANDLE, INVALID_ARGUMENT, IO, BAD_MODEL, OUT_OF_MEMORY. */
brenier_status brenier_model_open(brenier_engine *engine, const char *path, brenier_model **model);

/* The same for a model file in memory, which is not needed afterwards.
 * Errors: INVALID_HANDLE, INVALID_ARGUMENT, BAD_MODEL, OUT_OF_MEMORY. */
brenier_status brenier_model_open_memory(brenier_engine *engine, const void *data, size_t bytes,
                                         brenier_model **model);

/* Cancels the model's jobs, waits for them and for the calls at work on the model, then frees it.
 * Errors: INVALID_HANDLE. */
brenier_status brenier_model_close(brenier_model *model);

/* Takes the mean and the standard deviation, pixel by pixel, of n of the model's images, which fields
 * need: those made from now on use them. n of 0: 2,048. brenier_fit with a decoder does this itself.
 * The images are of the model's own extension and of a seed that follows from the fit's, so that the
 * same model and n give the same numbers, on one device and instruction set.
 * Errors: INVALID_HANDLE, INVALID_ARGUMENT, BAD_MODEL (images that are not finite), UNSUPPORTED (no
 * map, no decoder), OUT_OF_MEMORY, DEVICE. */
brenier_status brenier_model_measure_images(brenier_model *model, size_t n);

/* Writes the model to a file, by way of a temporary file that is renamed: the file is either whole
 * or as it was before. The mean and the deviation of the model's images are in it if they were in the
 * model's own file or have been taken, by brenier_model_measure_images, brenier_fit or
 * brenier_field_create.
 * Errors: INVALID_HANDLE, INVALID_ARGUMENT, IO. */
brenier_status brenier_model_save(brenier_model *model, const char *path);

typedef struct brenier_model_properties {
    size_t struct_size;
    int64_t points;         /* N; 0: the model has no map (no locate, extend, potential) */
    int32_t dimension;      /* d, of noise and codes */
    int32_t has_centroids;  /* 1: `simplex` can be asked for */
    int32_t channels;       /* of an image; 0: the model has no decoder */
    int32_t height;
    int32_t width;
    double low;             /* the range of an image's values */
    double high;
    const char *source;     /* "gaussian": N(0,I), or "uniform": on [-1/2,1/2]^d */
    const char *metadata;   /* all of the file's metadata as JSON: graph, extension, output, fit,
                               encoder */
    const char *kernels;    /* JSON: which kernel serves each part where the device has several,
                               {"kernels": [{"part": .., "kernel": ..}], "notes": [..]}; a note is on
                               a kernel that failed its self-check */
    int32_t has_encoder;    /* 1: brenier_encode makes codes of images */
} brenier_model_properties;

/* Describes the model. The strings live until it is closed.
 * Errors: INVALID_HANDLE, INVALID_ARGUMENT. */
brenier_status brenier_model_info(brenier_model *model, brenier_model_properties *properties);

/* Copies a tensor of the map, "ot.points" [N,d], "ot.heights" [N], "ot.masses" [N] or "ot.centroids"
 * [N,d], or of what is known of the model's images, "output.mean" [C,H,W] or "output.deviation" [C,H,W],
 * as F32.
 * Errors: INVALID_HANDLE, INVALID_ARGUMENT (no such name), SHORT_BUFFER, UNSUPPORTED (the model has
 * none). */
brenier_status brenier_model_tensor(brenier_model *model, const char *name,
                                    const brenier_buffer *tensor);

/* ---- The stages ------------------------------------------------------------------------------ */

/* Noise of samples first .. first+n-1 of `seed`, from the model's source.
 *   x  [n,d] F32, written
 * Errors: INVALID_HANDLE, INVALID_ARGUMENT, SHORT_BUFFER. */
brenier_status brenier_noise(brenier_model *model, uint64_t seed, uint64_t first, size_t n,
                             const brenier_buffer *x);

/* The k cells of highest score <x,y_i> + h_i for each row of x, best first, ties by the lowest
 * index. Scores are exact: a float64 fma chain over the dimensions that starts at h_i.
 *   x       [n,d] F32, finite
 *   k       1 .. min(32, N)
 *   cells   [n,k] I64, written
 *   scores  [n,k] F64, written; may be NULL
 * Errors: INVALID_HANDLE, INVALID_ARGUMENT (names the row of a NaN or infinity), SHORT_BUFFER,
 * UNSUPPORTED. */
brenier_status brenier_locate(brenier_model *model, const brenier_buffer *x, size_t n, uint32_t k,
                              const brenier_buffer *cells, const brenier_buffer *scores);

typedef int32_t brenier_mode;
enum {
    BRENIER_MODE_DEFAULT = 0, /* the model's own */
    BRENIER_MODE_CELL = 1,    /* the point of x's cell */
    BRENIER_MODE_SIMPLEX = 2, /* the admissible cells' points, weighted by 1/|x - centroid| */
    BRENIER_MODE_PAIR = 3     /* the cell's point and the best admissible neighbour's, blended */
};

typedef int32_t brenier_angle;
enum {
    BRENIER_ANGLE_DEFAULT = 0,  /* the model's own; `theta` is not read */
    BRENIER_ANGLE_QUANTILE = 1, /* theta in [0,1]: a share of the angles between neighbours */
    BRENIER_ANGLE_RADIANS = 2   /* theta in [0,pi] */
};

/* How points of neighbouring cells make a code. Neighbours at an angle above theta lie across the
 * singular set of the map and are left out; quantile 1 leaves none out. */
typedef struct brenier_extension {
    size_t struct_size;
    brenier_mode mode;
    uint32_t k;          /* cells considered, the best one included; 0: the model's own */
    brenier_angle angle;
    double theta;
    double blend;        /* pair: (1-blend) * cell's point + blend * neighbour's, in [0,1]; 0 is the
                            cell's point alone, and 0.5 what _init sets and NULL means */
} brenier_extension;

/* Sets everything to the model's own, blend to 0.5, and struct_size. */
void brenier_extension_init(brenier_extension *extension);

/* Codes from noise and the cells that locate found for it.
 *   x      [n,d] F32, finite
 *   cells  [n,k] I64, best first; k >= the extension's k, of which the first are used
 *   codes  [n,d] F32, written
 * `extension` may be NULL. Errors: INVALID_HANDLE, INVALID_ARGUMENT (names the row of a cell out of
 * range), SHORT_BUFFER, UNSUPPORTED. */
brenier_status brenier_extend(brenier_model *model, const brenier_buffer *x,
                              const brenier_buffer *cells, size_t n, uint32_t k,
                              const brenier_extension *extension, const brenier_buffer *codes);

/* Codes of samples first .. first+n-1 of `seed`: noise, locate and extend in one.
 *   codes  [n,d] F32, written
 * `extension` may be NULL. Errors: as brenier_noise and brenier_extend. */
brenier_status brenier_codes(brenier_model *model, uint64_t seed, uint64_t first, size_t n,
                             const brenier_extension *extension, const brenier_buffer *codes);

/* Images of codes.
 *   codes   [n,d] F32, finite
 *   images  [n,C,H,W] or [n,H,W,C] by its layout; F32, F16 or U8; written. Images alone may be on
 *           the engine's CUDA device; if the engine was given a stream, then the images are there
 *           in the stream's order, which the call does not wait for
 * Errors: INVALID_HANDLE, INVALID_ARGUMENT (names the row), SHORT_BUFFER, UNSUPPORTED. */
brenier_status brenier_decode(brenier_model *model, const brenier_buffer *codes, size_t n,
                              const brenier_buffer *images);

/* Codes of images: what the model's encoder makes of them.
 *   images  [n,C,H,W] or [n,H,W,C] by its layout, of the decoder's size, as brenier_decode writes them:
 *           U8 stands for the output's range; F32 and F16 are finite. Images may be on the engine's CUDA
 *           device, where NaN and infinities are not looked for; if the engine was given a stream, they
 *           are read in the stream's order
 *   codes   [n,d] F32, written
 * Errors: INVALID_HANDLE, INVALID_ARGUMENT (names the image), SHORT_BUFFER, UNSUPPORTED. */
brenier_status brenier_encode(brenier_model *model, const brenier_buffer *images, size_t n,
                              const brenier_buffer *codes);

/* Images of samples first .. first+n-1 of `seed`: every stage in one.
 *   images  as in brenier_decode
 * `extension` may be NULL.
 * Errors: INVALID_HANDLE, INVALID_ARGUMENT, SHORT_BUFFER, UNSUPPORTED. */
brenier_status brenier_generate(brenier_model *model, uint64_t seed, uint64_t first, size_t n,
                                const brenier_extension *extension, const brenier_buffer *images);

/* The potentials at each row of x.
 *   x            [n,d] F32, finite
 *   brenier      [n] F64, written: u(x) = max_i <x,y_i> + h_i; may be NULL
 *   kantorovich  [n] F64, written: |x|^2/2 - u(x); may be NULL
 * The dual of the latter at point i is |y_i|^2/2 + h_i: the two sum to at most |x-y_i|^2/2, and to that
 * where x is in cell i.
 * Errors: INVALID_HANDLE, INVALID_ARGUMENT, SHORT_BUFFER, UNSUPPORTED. */
brenier_status brenier_potential(brenier_model *model, const brenier_buffer *x, size_t n,
                                 const brenier_buffer *brenier, const brenier_buffer *kantorovich);

/* ---- Field: an unbounded plane of images ------------------------------------------------------ */

typedef struct brenier_field brenier_field;

/* A layer of a field: the model's images, blended without a seam into a plane of zero mean and unit
 * deviation. */
typedef struct brenier_octave {
    size_t struct_size;
    uint32_t scale;    /* the field's pixels in one of its own, along an axis: a power of two up to
                          65536; 0: 1. Read between its pixels by bicubic interpolation */
    double amplitude;  /* what it is multiplied by; 0: 1 */
    double modulation; /* 0 .. 1: how far the slope of the octave before it decides on its amplitude,
                          which is multiplied by 1 - modulation + modulation * min(2, slope over its
                          root mean square): smooth plains, rough mountains */
} brenier_octave;

typedef struct brenier_field_options {
    size_t struct_size;
    const brenier_octave *octaves; /* from coarse to fine, at most 16; NULL: one of scale 1 */
    size_t n_octaves;
    uint32_t channel;    /* the first of the image's channels that is read */
    uint32_t channels;   /* how many; 0: from `channel` to the last */
    double offset;       /* a value is offset + scale * the sum of the octaves. A scale of 0, with an */
    double scale;        /* offset of 0, is what suits the dtype: floats are the sum as it is, integers
                            have the mean in the middle and four deviations to either end */
    int64_t cache_bytes; /* for tiles to be used again; 0: 64 MiB, below 0: none. Changes no pixel */
    size_t row_pitch;    /* bytes from a row of pixels to the next; 0: without a gap */
} brenier_field_options;

/* Sets every option to its default, and struct_size. */
void brenier_field_options_init(brenier_field_options *options);

/* Makes a field of a model's images, whose height and width must be even. Tile (i, j) of octave o under
 * a seed is the image of noise of its own, for i and j of 64 bits; tiles overlap by half, weighted so
 * that mean and deviation are the same everywhere; docs/worlds.md has the definition. `options` may be
 * NULL. The caller destroys *field; closing the model or destroying the engine destroys it too.
 * Where an octave is modulated some images are made to measure what is needed; where the model lacks the
 * mean of its images (brenier_model_measure_images), 4,096 are, once for all of its fields.
 * Errors: INVALID_HANDLE, INVALID_ARGUMENT (names the option), UNSUPPORTED (no map, no decoder, odd
 * images), OUT_OF_MEMORY, DEVICE. */
brenier_status brenier_field_create(brenier_model *model, const brenier_field_options *options,
                                    brenier_field **field);

/* Cancels the field's jobs, waits for them and for the reads at work on it, then frees it.
 * Errors: INVALID_HANDLE. */
brenier_status brenier_field_destroy(brenier_field *field);

/* The pixels of columns x .. x+width-1 and rows y .. y+height-1 of a level. Pixel (x, y) of level l is
 * the mean of those of level 0 from (x 2^l, y 2^l) to the next one's: exact for octaves of scale 2^l or
 * more, estimated without decoding for finer ones, which are left out where they are finer still. So
 * a pixel costs about the same at every level. The first read that needs the estimate makes it, which
 * takes some seconds on a CPU.
 *   level   0 .. 30; the pixels must lie within -2^62 .. 2^62-1 of level 0
 *   pixels  [height,width,C] or [C,height,width] by its layout, rows row_pitch bytes apart; F32, F16,
 *           U8 or U16 (the value rounded and clamped); on the host; written, by a failing read partly
 * A pixel depends on model, options, seed and place alone, bit for bit on one device and instruction
 * set: not on how a region is cut into reads, nor on their order, the threads or the cache.
 * Errors: INVALID_HANDLE, INVALID_ARGUMENT, SHORT_BUFFER, UNSUPPORTED, OUT_OF_MEMORY, DEVICE. */
brenier_status brenier_field_read(brenier_field *field, uint64_t seed, int64_t x, int64_t y,
                                  uint32_t width, uint32_t height, uint32_t level,
                                  const brenier_buffer *pixels);

/* ---- Jobs: work that does not block the caller ------------------------------------------------ */

/* A job is a call of brenier_generate, brenier_decode, brenier_locate or brenier_field_read that is done
 * later, by workers of the engine or in brenier_run, with the same bits. For the thread that draws
 * frames there are brenier_submit_*, brenier_poll and brenier_cancel, and brenier_job_close of a job that
 * has ended: they take no lock, allocate nothing and never enter the library's runtime, so neither a
 * worker nor a collection of garbage can hold them up; docs/jobs.md has what they were measured to take.
 *   Slices     Work is done in slices of about job_slice_us, as many samples as have been seen to take
 *              that long and never less than one. Between slices a worker looks at what is new,
 *              cancelled, expired or more urgent. Several workers may do slices of one job at once.
 *              A field read is cut into blocks of 256 x 256 pixels, each of which one worker at a time
 *              has, for as many tiles as fit a slice.
 *   Batches    Small jobs of one model that ask for the same (extension, k, dtype, layout; memory of
 *              the host) share a slice, but for field reads. Nothing shows it but the time.
 *   Order      Higher priority first, then the earlier deadline, then the earlier submit; where one
 *              job shares a slice, less urgent ones may come along.
 *   Buffers    What a request points to must stay, and its outputs must not be touched, until the job
 *              has ended; the structs themselves are not kept. The outputs of a job that did not end
 *              with BRENIER_OK hold anything.
 *   End        Every job ends once: done, failed, cancelled or expired. On a CUDA device the work runs
 *              on streams of the engine, or the one that it was given, in whose order images in
 *              device memory are then written, as by brenier_generate. */
typedef struct brenier_job brenier_job;

/* Every state from BRENIER_JOB_DONE on is an end. */
typedef int32_t brenier_job_state;
enum {
    BRENIER_JOB_QUEUED = 0,
    BRENIER_JOB_RUNNING = 1,   /* some of it has been begun */
    BRENIER_JOB_DONE = 2,      /* the outputs are written */
    BRENIER_JOB_CANCELLED = 3, /* by brenier_cancel, or with its field, model or engine */
    BRENIER_JOB_EXPIRED = 4,   /* the deadline passed before all of it was begun */
    BRENIER_JOB_FAILED = 5     /* brenier_wait says why */
};

/* Called once, when a job has ended and just before brenier_poll says so, with what brenier_wait will
 * return: on a thread of the engine, or in a call that ends jobs: brenier_run, brenier_job_close,
 * brenier_field_destroy, brenier_model_close, brenier_engine_destroy. `job` is the handle, or NULL if
 * nobody has one or it is being closed. It must return (no longjmp, no exception) and soon, for it holds
 * a worker; it may submit, poll and cancel, and must not wait for or close its own job, its field, model
 * or engine. */
typedef void (*brenier_job_callback)(void *user, brenier_job *job, brenier_status result);

typedef struct brenier_job_options {
    size_t struct_size;
    int32_t priority;           /* any number; higher is more urgent */
    uint64_t deadline_us;       /* microseconds from now after which nothing more of it is begun; 0: none */
    brenier_job_callback ended; /* may be NULL */
    void *user;                 /* for `ended` */
} brenier_job_options;

/* Sets every option to its default, and struct_size. */
void brenier_job_options_init(brenier_job_options *options);

/* Submits what brenier_generate, brenier_decode, brenier_locate or brenier_field_read would do, with n
 * of 1 or more. What is wrong with the arguments is said at once, but for NaN and infinities among codes
 * or x, for which the job fails. `options` may be NULL. The caller closes *job; where `job` is NULL the job closes
 * itself. The buffers belong to the job until it has ended.
 * Errors: as of those functions; BUSY (job_limit jobs are there; close some, or submit later). */
brenier_status brenier_submit_generate(brenier_model *model, uint64_t seed, uint64_t first, size_t n,
                                       const brenier_extension *extension, const brenier_buffer *images,
                                       const brenier_job_options *options, brenier_job **job);
brenier_status brenier_submit_decode(brenier_model *model, const brenier_buffer *codes, size_t n,
                                     const brenier_buffer *images, const brenier_job_options *options,
                                     brenier_job **job);
brenier_status brenier_submit_locate(brenier_model *model, const brenier_buffer *x, size_t n, uint32_t k,
                                     const brenier_buffer *cells, const brenier_buffer *scores,
                                     const brenier_job_options *options, brenier_job **job);
brenier_status brenier_submit_field_read(brenier_field *field, uint64_t seed, int64_t x, int64_t y,
                                         uint32_t width, uint32_t height, uint32_t level,
                                         const brenier_buffer *pixels,
                                         const brenier_job_options *options, brenier_job **job);

/* Says where a job is, without waiting.
 * Errors: INVALID_HANDLE, INVALID_ARGUMENT (`state` is NULL). */
brenier_status brenier_poll(const brenier_job *job, brenier_job_state *state);

#define BRENIER_FOREVER UINT64_MAX

/* Waits at most timeout_us microseconds for a job to end, and returns how it did; any number of threads
 * may. With a timeout of 0 it is how to ask an ended job. In an engine without workers nothing ends
 * unless another thread is in brenier_run.
 * Returns OK (done), CANCELLED, EXPIRED, the status the job failed with, BUSY (it has not ended).
 * Errors: INVALID_HANDLE, INVALID_ARGUMENT (a callback waits for its own job). */
brenier_status brenier_wait(brenier_job *job, uint64_t timeout_us);

/* Asks a job to end, and does not wait. What is in a slice goes on to the slice's end; a job in its last
 * slice is done all the same. Nothing happens to one that has ended.
 * Errors: INVALID_HANDLE. */
brenier_status brenier_cancel(brenier_job *job);

/* Makes the handle stale. A job that has not ended is cancelled and waited for, about a slice at most;
 * afterwards the buffers are the caller's again in any case.
 * Errors: INVALID_HANDLE, INVALID_ARGUMENT (a callback closes its own job). */
brenier_status brenier_job_close(brenier_job *job);

/* Does jobs on the calling thread for about budget_us microseconds, with slices as long as the rest of
 * the budget at most but at least one slice if there is work, and returns earlier where there is none.
 * For hosts that have threads of their own; any number of them may call at once, with or without
 * workers in the engine.
 *   left  written: how many jobs have not ended, those in other threads' slices included; may be NULL
 * Errors: INVALID_HANDLE. */
brenier_status brenier_run(brenier_engine *engine, uint64_t budget_us, size_t *left);

/* ---- Fit: heights from points ---------------------------------------------------------------- */

typedef struct brenier_fit_progress {
    size_t struct_size;
    uint64_t samples;    /* drawn so far */
    uint64_t samples_max; /* 0 while integrals are solved, where none are drawn */
    double chi_squared;  /* sum_i (m_i - nu_i)^2 / nu_i on samples the fit never saw; NaN: not yet */
    int64_t empty;       /* cells that these samples missed beyond what chance misses; -1: not yet */
    double seconds;      /* since the start; of a fit taken up again, with the time before */
    double energy;       /* E[max_i <x,y_i> + h_i] - sum_i nu_i h_i on those samples; NaN: not yet */
    double seconds_left; /* a prediction, the certificate included; NaN: none yet */
    uint64_t tested;     /* samples of the certificate so far; 0: it has not begun */
    uint64_t to_test;    /* that it takes; 0: it has not begun */
} brenier_fit_progress;

/* Called on the thread that called brenier_fit, a few times a second. Not 0: stop. `progress` lives
 * as long as the call. It must return (no longjmp, no exception) and must not destroy the engine or
 * close the decoder's model, which would wait for it. */
typedef int (*brenier_progress_callback)(void *user, const brenier_fit_progress *progress);

/* How heights are found. */
typedef int32_t brenier_fit_method;
enum {
    BRENIER_FIT_AUTO = 0,    /* exact on the line and, up to 200,000 points, in the plane; else sampled */
    BRENIER_FIT_SAMPLED = 1, /* descent on fresh samples, in any dimension */
    BRENIER_FIT_EXACT = 2    /* integrals over the cells themselves; dimensions 1 and 2 only, and no
                                samples_max and checkpoint, which AUTO does without where it is exact */
};

typedef struct brenier_fit_options {
    size_t struct_size;
    const char *source;   /* "gaussian" (NULL too) or "uniform" */
    double tolerance;     /* stop at this chi-squared; 0: 1e-3 */
    uint64_t samples_max; /* give up after this many samples; 0: chosen from N */
    uint64_t seed;        /* same seed, same points: same heights */
    brenier_progress_callback progress; /* may be NULL */
    void *user;
    brenier_model *decoder; /* its decoder, output and encoder go into the result, and the mean and
                               deviation of 2,048 of the result's images, for fields; may be NULL, and
                               of any engine */
    const brenier_buffer *start; /* heights [N] F32 to start from; may be NULL */
    const char *checkpoint; /* a file that the state is kept in, every 20 s and whole at any time, and
                               taken up from where it is there; NULL: none */
    uint32_t rebalance;     /* not 0: where the samples run out first, lift cells that are still empty */
    brenier_fit_method method;
} brenier_fit_options;

/* Sets every option to its default, and struct_size. */
void brenier_fit_options_init(brenier_fit_options *options);

/* Finds heights so that cell i has mass nu_i, and the cells' mass centres, and makes them a model.
 *   points  [N,d] F32 or F16, finite
 *   masses  [N] F32, each > 0; scaled to sum 1; NULL: all equal
 * It stops when chi-squared and twice its standard error, on samples that the fit never saw, are within
 * the tolerance and no cell is empty but by chance. The caller closes *model, which keeps the points
 * in the dtype they came in. Its metadata holds the report, "fit": whether that was met included; an
 * unmet one is not an error. `options` may be NULL.
 * Errors: INVALID_HANDLE, INVALID_ARGUMENT (names the row; a checkpoint of another problem),
 * SHORT_BUFFER, OUT_OF_MEMORY, IO (the checkpoint), CANCELLED. */
brenier_status brenier_fit(brenier_engine *engine, const brenier_buffer *points, size_t n_points,
                           size_t dimension, const brenier_buffer *masses,
                           const brenier_fit_options *options, brenier_model **model);

#ifdef __cplusplus
}
#endif

#endif /* BRENIER_H */
