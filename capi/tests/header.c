/* brenier.h needs nothing before it and may come twice; the sizes and places of its structs' members
 * are an interface too. */
#include "brenier.h"
#include "brenier.h"

#define PLACE(type, member, expected) \
    typedef char type##_##member##_at_##expected[offsetof(type, member) == (expected) ? 1 : -1]
#define SIZE(type, expected) typedef char type##_of_##expected[sizeof(type) == (expected) ? 1 : -1]

PLACE(brenier_buffer, struct_size, 0);
PLACE(brenier_buffer, data, 8);
PLACE(brenier_buffer, bytes, 16);
PLACE(brenier_buffer, location, 24);
PLACE(brenier_buffer, dtype, 28);
PLACE(brenier_buffer, layout, 32);
SIZE(brenier_buffer, 40);

PLACE(brenier_engine_options, device, 8);
PLACE(brenier_engine_options, threads, 16);
PLACE(brenier_engine_options, cuda_context, 24);
PLACE(brenier_engine_options, cuda_stream, 32);
PLACE(brenier_engine_options, cuda_memory, 40);
PLACE(brenier_engine_options, precision, 48);
PLACE(brenier_engine_options, job_processors, 56);
PLACE(brenier_engine_options, job_workers, 64);
PLACE(brenier_engine_options, job_niceness, 68);
PLACE(brenier_engine_options, job_slice_us, 72);
PLACE(brenier_engine_options, job_limit, 76);
SIZE(brenier_engine_options, 80);

PLACE(brenier_engine_properties, device, 8);
PLACE(brenier_engine_properties, device_name, 16);
PLACE(brenier_engine_properties, path, 24);
PLACE(brenier_engine_properties, threads, 32);
PLACE(brenier_engine_properties, note, 40);
SIZE(brenier_engine_properties, 48);

PLACE(brenier_model_properties, points, 8);
PLACE(brenier_model_properties, dimension, 16);
PLACE(brenier_model_properties, has_centroids, 20);
PLACE(brenier_model_properties, channels, 24);
PLACE(brenier_model_properties, height, 28);
PLACE(brenier_model_properties, width, 32);
PLACE(brenier_model_properties, low, 40);
PLACE(brenier_model_properties, high, 48);
PLACE(brenier_model_properties, source, 56);
PLACE(brenier_model_properties, metadata, 64);
PLACE(brenier_model_properties, kernels, 72);
PLACE(brenier_model_properties, has_encoder, 80);
SIZE(brenier_model_properties, 88);

PLACE(brenier_extension, mode, 8);
PLACE(brenier_extension, k, 12);
PLACE(brenier_extension, angle, 16);
PLACE(brenier_extension, theta, 24);
PLACE(brenier_extension, blend, 32);
SIZE(brenier_extension, 40);

PLACE(brenier_job_options, priority, 8);
PLACE(brenier_job_options, deadline_us, 16);
PLACE(brenier_job_options, ended, 24);
PLACE(brenier_job_options, user, 32);
SIZE(brenier_job_options, 40);

PLACE(brenier_fit_progress, samples, 8);
PLACE(brenier_fit_progress, samples_max, 16);
PLACE(brenier_fit_progress, chi_squared, 24);
PLACE(brenier_fit_progress, empty, 32);
PLACE(brenier_fit_progress, seconds, 40);
PLACE(brenier_fit_progress, energy, 48);
PLACE(brenier_fit_progress, seconds_left, 56);
PLACE(brenier_fit_progress, tested, 64);
PLACE(brenier_fit_progress, to_test, 72);
SIZE(brenier_fit_progress, 80);

PLACE(brenier_fit_options, source, 8);
PLACE(brenier_fit_options, tolerance, 16);
PLACE(brenier_fit_options, samples_max, 24);
PLACE(brenier_fit_options, seed, 32);
PLACE(brenier_fit_options, progress, 40);
PLACE(brenier_fit_options, user, 48);
PLACE(brenier_fit_options, decoder, 56);
PLACE(brenier_fit_options, start, 64);
PLACE(brenier_fit_options, checkpoint, 72);
PLACE(brenier_fit_options, rebalance, 80);
SIZE(brenier_fit_options, 88);
