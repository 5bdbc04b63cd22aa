/* The compiled kernels as part of a program: libbrenier_kernels.a, written by embed.cmake. */
#ifndef BRENIER_KERNELS_CUDA_EMBED_H
#define BRENIER_KERNELS_CUDA_EMBED_H

#include <stdint.h>

/* One .cu file, compiled for every card of its family. */
struct brenier_image {
	const char *name; /* the file's stem: noise for noise.cu */
	const void *data; /* the fatbin, aligned to 64 bytes */
	uint64_t bytes;
};

/* In front of each image, at data - BRENIER_IMAGE_LABEL_BYTES, stands "BRENIER image <name>", padded with
 * zeros: a driver that is handed nothing but `data` can tell which module it is. The double of the driver
 * does; the real one never looks there. */
#define BRENIER_IMAGE_LABEL_BYTES 64
#define BRENIER_IMAGE_LABEL "BRENIER image "

/* In the order of the names. */
extern const struct brenier_image brenier_images[];
extern const uint64_t brenier_image_count;

#endif
