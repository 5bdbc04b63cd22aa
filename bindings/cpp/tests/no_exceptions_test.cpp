// The wrapper under -fno-exceptions -fno-rtti: every failure is an error code.
#include "brenier.hpp"

#include <cmath>
#include <cstdio>
#include <vector>

#include "tiny_model.h"

static int failed;
#define CHECK(condition)                                                                     \
    do {                                                                                     \
        if (!(condition)) failed++, std::fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #condition); \
    } while (0)

int main() {
    std::error_code error;
    brenier::Engine::Options unknown;
    unknown.device = "tpu";
    const brenier::Engine none(unknown, error);
    CHECK(!none && error == brenier::Status::invalid_argument);

    const brenier::Engine engine({}, error);
    CHECK(engine && !error);
    std::vector<std::uint8_t> file(8192);
    file.resize(tiny_model(file.data(), file.size(), 7));
    const brenier::Model model = engine.open(file.data(), file.size(), error);
    if (!model || error) {
        std::fprintf(stderr, "%s\n", brenier_last_error());
        return 1;
    }

    std::vector<float> codes(3 * model.dimension()), images(3 * model.image_size());
    model.codes(3, {1, 0}, brenier::Mode::cell, codes, error);
    CHECK(!error);
    model.decode(3, codes, brenier::Images(images), error);
    CHECK(!error);
    for (std::size_t i = 0; i < 3; i++)
        for (int p = 0; p < TINY_PIXELS; p++)
            CHECK(images[i * TINY_PIXELS + static_cast<std::size_t>(p)] == tiny_pixel(&codes[i * TINY_D], p));
    std::vector<float> encoded(codes.size());
    model.encode(3, brenier::ConstImages(images), encoded, error);
    CHECK(!error && std::fabs(encoded[0] - codes[0]) <= 1e-6f);
    model.generate(4, {}, {}, brenier::Images(images), error);
    CHECK(error == brenier::Status::short_buffer && error.message() == "BRENIER_SHORT_BUFFER");
    CHECK(brenier::last_error().find("images") == 0);

    const brenier::Job job = model.submit_decode(3, codes, brenier::Images(images), {}, error);
    CHECK(job && !error);
    job.wait(error);
    CHECK(!error && job.poll(error) == brenier::JobState::done);
    const brenier::Job refused = model.submit_decode(4, codes, brenier::Images(images), {}, error);
    CHECK(!refused && error == brenier::Status::short_buffer);
    refused.wait(error);
    CHECK(error == brenier::Status::invalid_handle);
    std::printf("no exceptions: %d failed\n", failed);
    return failed ? 1 : 0;
}
