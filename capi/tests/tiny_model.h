/* A model file made by hand, small enough that every answer can be worked out beside it.
 *
 * The map has five points in the plane and the uniform source; the decoder is one matrix with a
 * bias, [2] -> [1,2,2], range [-4,4], and the encoder another, [1,2,2] -> [2], which undoes the decoder:
 * the code of a code's image is that code. All numbers are multiples of 1/8, so that float32 holds
 * every sum and product exactly. */
#ifndef BRENIER_TESTS_TINY_MODEL_H
#define BRENIER_TESTS_TINY_MODEL_H

#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { TINY_N = 5, TINY_D = 2, TINY_PIXELS = 4 };

static const float tiny_points[TINY_N][TINY_D] = {
    {0.0f, 0.0f}, {1.0f, 0.0f}, {0.0f, 1.0f}, {-1.0f, -0.5f}, {0.5f, -1.0f}};
static const float tiny_heights[TINY_N] = {0.0f, -0.125f, -0.25f, -0.25f, -0.125f};
static const float tiny_masses[TINY_N] = {0.125f, 0.25f, 0.125f, 0.25f, 0.25f};
static const float tiny_centroids[TINY_N][TINY_D] = {
    {0.0f, 0.125f}, {0.375f, 0.125f}, {0.0f, 0.375f}, {-0.375f, -0.125f}, {0.125f, -0.375f}};
static const float tiny_weight[TINY_PIXELS][TINY_D] = {
    {1.0f, 0.0f}, {0.0f, 1.0f}, {1.0f, -1.0f}, {0.5f, 2.0f}};
static const float tiny_bias[TINY_PIXELS] = {0.5f, -0.25f, 0.0f, 1.0f};

static const float tiny_encoder_weight[TINY_D][TINY_PIXELS] = {
    {0.5f, 0.5f, 0.5f, 0.0f}, {-0.25f, 0.0f, 0.0f, 0.5f}};
static const float tiny_encoder_bias[TINY_D] = {-0.125f, -0.375f};

/* One pixel of the image of z, exactly. */
static inline float tiny_pixel(const float *z, int pixel) {
    return tiny_weight[pixel][0] * z[0] + tiny_weight[pixel][1] * z[1] + tiny_bias[pixel];
}

/* One element of the code of an image, exactly. */
static inline float tiny_code(const float *image, int element) {
    float sum = tiny_encoder_bias[element];
    for (int p = 0; p < TINY_PIXELS; p++) sum += tiny_encoder_weight[element][p] * image[p];
    return sum;
}

/* Writes the model file and returns its size; parts is the sum of 1: the map, 2: the decoder, 4: the
 * encoder. */
static inline size_t tiny_model(uint8_t *file, size_t bytes, int parts) {
    static const char decoder_metadata[] =
        "\"graph\":\"{\\\"input\\\":{\\\"name\\\":\\\"z\\\",\\\"shape\\\":[2]},"
        "\\\"output\\\":\\\"image\\\",\\\"nodes\\\":["
        "{\\\"name\\\":\\\"linear\\\",\\\"op\\\":\\\"Gemm\\\","
        "\\\"inputs\\\":[\\\"z\\\",\\\"decoder.weight\\\",\\\"decoder.bias\\\"],"
        "\\\"output\\\":\\\"flat\\\",\\\"attributes\\\":{\\\"transB\\\":1}},"
        "{\\\"name\\\":\\\"square\\\",\\\"op\\\":\\\"Reshape\\\",\\\"inputs\\\":[\\\"flat\\\"],"
        "\\\"output\\\":\\\"image\\\",\\\"attributes\\\":{\\\"shape\\\":[-1,1,2,2]}}]}\","
        "\"output\":\"{\\\"range\\\":[-4,4],\\\"channels\\\":1,\\\"height\\\":2,\\\"width\\\":2}\",";
    static const char encoder_metadata[] =
        "\"encoder\":\"{\\\"input\\\":{\\\"name\\\":\\\"image\\\",\\\"shape\\\":[1,2,2]},"
        "\\\"output\\\":\\\"z\\\",\\\"nodes\\\":["
        "{\\\"name\\\":\\\"line\\\",\\\"op\\\":\\\"Flatten\\\",\\\"inputs\\\":[\\\"image\\\"],"
        "\\\"output\\\":\\\"flat\\\"},"
        "{\\\"name\\\":\\\"linear\\\",\\\"op\\\":\\\"Gemm\\\","
        "\\\"inputs\\\":[\\\"flat\\\",\\\"encoder.weight\\\",\\\"encoder.bias\\\"],"
        "\\\"output\\\":\\\"z\\\",\\\"attributes\\\":{\\\"transB\\\":1}}]}\",";
    const struct {
        int part;
        const char *name, *shape;
        const void *data;
        size_t bytes;
    } tensors[] = {
        {1, "ot.points", "[5,2]", tiny_points, sizeof tiny_points},
        {1, "ot.heights", "[5]", tiny_heights, sizeof tiny_heights},
        {1, "ot.masses", "[5]", tiny_masses, sizeof tiny_masses},
        {1, "ot.centroids", "[5,2]", tiny_centroids, sizeof tiny_centroids},
        {2, "decoder.weight", "[4,2]", tiny_weight, sizeof tiny_weight},
        {2, "decoder.bias", "[4]", tiny_bias, sizeof tiny_bias},
        {4, "encoder.weight", "[2,4]", tiny_encoder_weight, sizeof tiny_encoder_weight},
        {4, "encoder.bias", "[2]", tiny_encoder_bias, sizeof tiny_encoder_bias},
    };
    char header[4096];
    uint8_t data[512];
    size_t end = 0;
    int at = snprintf(header, sizeof header,
                      "{\"__metadata__\":{%s%s\"format\":\"brenier\",\"version\":\"1\","
                      "\"source\":\"uniform\"}",
                      parts & 2 ? decoder_metadata : "",
                      parts & 4 ? encoder_metadata : "");
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++) {
        if (!(tensors[i].part & parts)) continue;
        memcpy(data + end, tensors[i].data, tensors[i].bytes);
        at += snprintf(header + at, sizeof header - (size_t)at,
                       ",\"%s\":{\"dtype\":\"F32\",\"shape\":%s,\"data_offsets\":[%zu,%zu]}",
                       tensors[i].name, tensors[i].shape, end, end + tensors[i].bytes);
        end += tensors[i].bytes;
    }
    header[at++] = '}';
    if (8 + (size_t)at + end > bytes) return 0;
    for (int i = 0; i < 8; i++) file[i] = (uint8_t)((uint64_t)at >> (8 * i));
    memcpy(file + 8, header, (size_t)at);
    memcpy(file + 8 + at, data, end);
    return 8 + (size_t)at + end;
}

#endif
