// The wrapper: ownership, exceptions and error codes, and the same answers as from C.
#include "brenier.hpp"

#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <vector>
#if __cplusplus >= 202002L
#include <span>
#endif

#include "tiny_model.h"

static int made, failed;
#define CHECK(condition)                                                                     \
    do {                                                                                     \
        made++;                                                                              \
        if (!(condition)) failed++, std::fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #condition); \
    } while (0)

using brenier::ConstImages;
using brenier::Engine;
using brenier::Error;
using brenier::Extension;
using brenier::Images;
using brenier::Mode;
using brenier::Model;
using brenier::Status;

static_assert(!std::is_copy_constructible_v<Engine> && !std::is_copy_assignable_v<Model>);
static_assert(std::is_nothrow_move_constructible_v<Engine> && std::is_nothrow_move_assignable_v<Model>);

// The status and sentence that a call throws.
template <class Call>
static Status thrown(Call&& call, const char* sentence) {
    try {
        call();
    } catch (const Error& e) {
        CHECK(std::string(e.what()).find(sentence) == 0);
        return e.status();
    }
    return Status::ok;
}

static std::vector<std::uint8_t> tiny() {
    std::vector<std::uint8_t> file(8192);
    file.resize(tiny_model(file.data(), file.size(), 7));
    return file;
}

static void ownership() {
    const std::vector<std::uint8_t> file = tiny();
    Engine engine;
    Model a = engine.open(file.data(), file.size());
    brenier_model* handle = a.get();
    Model b = std::move(a);
    CHECK(!a && b.get() == handle && b.dimension() == TINY_D && a.dimension() == 0);
    Model c = engine.open(file.data(), file.size());
    brenier_model* dropped = c.get();
    c = std::move(b);
    CHECK(c.get() == handle && brenier_model_close(dropped) == BRENIER_INVALID_HANDLE);
    Model& self = c;
    c = std::move(self);
    CHECK(c.get() == handle);
    brenier_model* released = c.release();
    CHECK(!c && brenier_model_close(released) == BRENIER_OK);

    std::error_code error;
    Model adopted = Model::adopt(nullptr, error);
    CHECK(error == Status::invalid_handle);

    Model outlives;
    brenier_engine* old = nullptr;
    {
        Engine inner;
        old = inner.get();
        outlives = inner.open(file.data(), file.size());
        Engine moved = std::move(inner);
        CHECK(!inner && moved.get() == old);
    }
    CHECK(brenier_engine_destroy(old) == BRENIER_INVALID_HANDLE);
    std::vector<float> x(TINY_D);
    CHECK(thrown([&] { outlives.noise(1, {}, x); }, "model:") == Status::invalid_handle);
}

static void answers() {
    const std::vector<std::uint8_t> file = tiny();
    const Engine engine(Engine::Options{"cpu", 2});
    CHECK(std::string(engine.properties().device) == "cpu" && engine.properties().threads == 2);
    const Model model = engine.open(file.data(), file.size());
    CHECK(model.properties().points == TINY_N && model.image_size() == TINY_PIXELS);

    constexpr std::size_t n = 50;
    std::vector<float> x(n * TINY_D), codes(n * TINY_D), again(n * TINY_D), images(n * TINY_PIXELS), direct(n * TINY_PIXELS);
    std::vector<std::int64_t> cells(n * 3);
    std::vector<double> scores(n * 3), u(n), phi(n);
    const Extension pair = Extension(Mode::pair).cells(3).quantile(1).blend(0.25);
    model.noise(n, {9, 100}, x);
    model.locate(n, 3, x, cells, scores);
    model.locate(n, 3, x, cells);
    model.extend(n, 3, x, cells, pair, codes);
    model.codes(n, {9, 100}, pair, again);
    CHECK(codes == again);
    model.decode(n, codes, Images(images));
    model.generate(n, {9, 100}, pair, Images(direct));
    CHECK(images == direct);
    for (std::size_t i = 0; i < n; i++)
        for (int p = 0; p < TINY_PIXELS; p++)
            CHECK(images[i * TINY_PIXELS + static_cast<std::size_t>(p)] == tiny_pixel(&codes[i * TINY_D], p));
    CHECK(model.properties().has_encoder == 1);
    model.encode(n, Images(images), again);
    for (std::size_t i = 0; i < n * TINY_D; i++) CHECK(std::fabs(again[i] - codes[i]) <= 1e-6f);
    model.potential(n, x, u, phi);
    for (std::size_t i = 0; i < n; i++) CHECK(u[i] == scores[3 * i]);
    model.potential(n, x, u);

    std::vector<std::uint8_t> bytes(n * TINY_PIXELS);
    model.generate(n, {9, 100}, pair, Images(bytes, brenier::Layout::nhwc));
    std::vector<std::uint16_t> halves(n * TINY_PIXELS);
    model.generate(n, {9, 100}, pair, Images(halves));
    model.generate(n, {9, 100}, Images(bytes.data(), bytes.size()));

    // Images of every kind, from memory that is const too.
    const std::vector<float> eighths = {1, -2.5, 0.125, 3, -4, 0, 4, 0.5};
    std::vector<float> z(2 * TINY_D), others(2 * TINY_D);
    model.encode(2, ConstImages(eighths), z);
    for (std::size_t i = 0; i < 2; i++)
        for (int k = 0; k < TINY_D; k++)
            CHECK(z[i * TINY_D + static_cast<std::size_t>(k)] == tiny_code(&eighths[i * TINY_PIXELS], k));
    model.encode(2, ConstImages(eighths.data(), eighths.size(), brenier::Layout::nhwc), others);
    CHECK(others == z);
    const std::array<std::uint8_t, 8> ends = {0, 255, 255, 0, 255, 0, 0, 255};
    const std::vector<float> same = {-4, 4, 4, -4, 4, -4, -4, 4};
    model.encode(2, ConstImages(ends), z);
    model.encode(2, ConstImages(same), others);
    CHECK(others == z);

    std::array<float, TINY_N> heights;
    model.tensor("ot.heights", heights);
    CHECK(std::memcmp(heights.data(), tiny_heights, sizeof tiny_heights) == 0);

    model.measure_images();
    std::array<float, TINY_PIXELS> mean, again_mean;
    model.tensor("output.mean", mean);
    std::error_code error;
    model.measure_images(10, error);
    model.tensor("output.mean", again_mean, error);
    CHECK(!error && mean != again_mean);
#if __cplusplus >= 202002L
    model.noise(1, {.seed = 9, .first = 101}, std::span<float>(again).first(TINY_D));
    CHECK(again[0] == x[TINY_D] && again[1] == x[TINY_D + 1]);
#endif
}

static void errors() {
    const std::vector<std::uint8_t> file = tiny();
    const Engine engine;
    CHECK(thrown([&] { engine.open("no/such/file"); }, "") == Status::io);
    CHECK(thrown([&] { engine.open(file.data(), 20); }, "") == Status::bad_model);
    CHECK(thrown([&] { Engine other(Engine::Options{"tpu", 0}); }, "device:") == Status::invalid_argument);
    Engine::Options precise{"cpu", 1};
    precise.precision = brenier::Precision::f32;
    CHECK(Engine(precise));
    precise.precision = static_cast<brenier::Precision>(4);
    CHECK(thrown([&] { Engine other(precise); }, "options: want precision") == Status::invalid_argument);
    const Model model = engine.open(file.data(), file.size());
    std::vector<float> small(1);
    CHECK(thrown([&] { model.noise(1, {}, small); }, "x:") == Status::short_buffer);
    CHECK(thrown([&] { model.save("no/such/directory/file"); }, "") == Status::io);

    std::error_code error = make_error_code(Status::io);
    model.noise(1, {}, small, error);
    CHECK(error == Status::short_buffer && &error.category() == &brenier::error_category());
    std::vector<float> x(TINY_D);
    model.noise(1, {}, x, error);
    CHECK(!error);
    const std::vector<float> image(TINY_PIXELS);
    CHECK(thrown([&] { model.encode(2, ConstImages(image), x); }, "images:") == Status::short_buffer);
    model.encode(1, ConstImages(image), small, error);
    CHECK(error == Status::short_buffer);
    model.encode(1, ConstImages(image), x, error);
    CHECK(!error);
}

static void field() {
    const std::vector<std::uint8_t> file = tiny();
    const Engine engine;
    Model model = engine.open(file.data(), file.size());
    const std::array<brenier::Octave, 2> octaves{{{4, 2}, {1, 0.5, 1}}};
    brenier::FieldOptions options;
    options.octaves = octaves;
    options.scale = 10;
    options.offset = 100;
    const brenier::Field world = model.field(options);
    std::vector<float> all(20 * 30), part(7 * 5);
    const std::int64_t far = std::int64_t{1} << 40;
    world.read(3, {far, -9, 20, 30}, Images(all));
    world.read(3, {far + 2, -4, 7, 5}, Images(part));
    for (std::size_t y = 0; y < 5; y++) CHECK(std::memcmp(&part[7 * y], &all[20 * (y + 5) + 2], 7 * sizeof(float)) == 0);
    std::vector<float> later(7 * 5);
    brenier::Job job = world.submit_read(3, {far + 2, -4, 7, 5}, Images(later), brenier::JobOptions{1});
    job.wait();
    CHECK(later == part);
    CHECK(thrown([&] { world.submit_read(3, {0, 0, 1, 1, 31}, Images(later)); }, "level: want 0 .. 30") == Status::invalid_argument);
    std::vector<std::uint16_t> metres(20 * 30);
    std::error_code error;
    world.read(3, {far, -9, 20, 30}, Images::u16(metres), error);
    CHECK(!error && metres[0] == static_cast<std::uint16_t>(std::nearbyint(all[0])));

    const brenier_octave same[2] = {{sizeof same[0], 4, 2, 0}, {sizeof same[0], 1, 0.5, 1}};
    brenier_field_options o{sizeof o, same, 2, 0, 0, 100, 10, 0, 0};
    brenier_field* from_c = nullptr;
    CHECK(brenier_field_create(model.get(), &o, &from_c) == BRENIER_OK);
    std::vector<float> again(20 * 30);
    brenier::Field(from_c).read(3, {far, -9, 20, 30}, Images(again));
    CHECK(again == all);
    CHECK(thrown([&] { brenier::Field(from_c).read(3, {0, 0, 1, 1}, Images(part)); }, "field") == Status::invalid_handle);

    CHECK(thrown([&] { world.read(3, {0, 0, 6, 6}, Images(part)); }, "pixels") == Status::short_buffer);
    options.octaves = {};
    options.channel = 1;
    CHECK(thrown([&] { model.field(options); }, "channel") == Status::invalid_argument);
    CHECK(!model.field(options, error) && error == Status::invalid_argument);
    const std::vector<brenier::Octave> many(17);
    options.octaves = many;
    CHECK(thrown([&] { model.field(options); }, "octaves: want at most 16") == Status::invalid_argument);
    model = Model();
    CHECK(thrown([&] { world.read(3, {0, 0, 1, 1}, Images(part)); }, "field") == Status::invalid_handle);
}

static void fit() {
    const Engine engine;
    const std::vector<std::uint8_t> file = tiny();
    const Model decoder = engine.open(file.data(), file.size());
    const std::vector<float> points = {-1, 0, 0, 0, 1, 0};
    int calls = 0;
    brenier::FitOptions options;
    options.source = "uniform";
    options.tolerance = 1e-4;
    options.decoder = decoder.get();
    options.progress = [&](const brenier_fit_progress&) { return ++calls > 0; };
    const Model model = engine.fit(points, 2, std::vector<float>{1, 1, 2}, options);
    CHECK(calls > 0 && model.properties().points == 3 && model.image_size() == TINY_PIXELS);

    options.progress = [](const brenier_fit_progress&) { return false; };
    CHECK(thrown([&] { engine.fit(points, 2, {}, options); }, "") == Status::cancelled);
    options.progress = [](const brenier_fit_progress&) -> bool { throw std::runtime_error("mine"); };
    bool mine = false;
    try {
        engine.fit(points, 2, {}, options);
    } catch (const std::runtime_error& e) {
        mine = std::string(e.what()) == "mine";
    }
    CHECK(mine);
    CHECK(thrown([&] { engine.fit(points, 0); }, "points:") == Status::invalid_argument);
}

// Jobs on an engine without workers, where each step is the test's own.
static void jobs() {
    using brenier::Job;
    using brenier::JobState;
    const std::vector<std::uint8_t> file = tiny();
    Engine::Options idle;
    idle.job_workers = -1;
    idle.job_limit = 8;
    idle.job_slice = std::chrono::milliseconds(1);
    const Engine engine(idle);
    const Model model = engine.open(file.data(), file.size());
    std::vector<float> codes(6 * TINY_D), images(6 * TINY_PIXELS), want(6 * TINY_PIXELS), x(6 * TINY_D);
    std::vector<std::int64_t> cells(6), want_cells(6);
    std::vector<double> scores(6), want_scores(6);
    model.generate(6, {4, 2}, Images(want));
    model.codes(6, {4, 2}, Extension(), codes);
    model.noise(6, {4, 2}, x);
    model.locate(6, 1, x, want_cells, want_scores);

    Job job = model.submit_generate(6, {4, 2}, Extension(), Images(images));
    CHECK(job && job.poll() == JobState::queued && !ended(job.poll()));
    CHECK(!job.wait_for(std::chrono::microseconds(0)));
    CHECK(engine.run(std::chrono::hours(1)) == 0);
    CHECK(job.poll() == JobState::done && ended(job.poll()) && job.wait_for(std::chrono::microseconds(0)));
    job.wait();
    CHECK(images == want);

    images.assign(images.size(), 0);
    brenier_job* first = job.get();
    job = model.submit_decode(6, codes, Images(images)); // closes the first
    CHECK(brenier_job_close(first) == BRENIER_INVALID_HANDLE);
    Job locate = model.submit_locate(6, 1, x, cells, scores, brenier::JobOptions{3});
    CHECK(engine.run(std::chrono::microseconds(0)) == 2); // one slice, of the more urgent one
    CHECK(locate.poll() == JobState::running && job.poll() == JobState::queued);
    engine.run(std::chrono::hours(1));
    job.wait();
    CHECK(images == want && cells == want_cells && scores == want_scores);

    Job cancelled = model.submit_generate(6, {4, 2}, Extension(), Images(images));
    cancelled.cancel();
    engine.run(std::chrono::hours(1));
    CHECK(cancelled.poll() == JobState::cancelled);
    CHECK(thrown([&] { cancelled.wait(); }, "the job was cancelled") == Status::cancelled);
    CHECK(thrown([&] { (void)cancelled.wait_for(std::chrono::seconds(1)); }, "the job was cancelled") == Status::cancelled);

    codes[3] = std::nanf("");
    Job failed_job = model.submit_decode(6, codes, Images(images));
    engine.run(std::chrono::hours(1));
    CHECK(failed_job.poll() == JobState::failed);
    CHECK(thrown([&] { failed_job.wait(); }, "codes: row 1, column 1 is NaN") == Status::invalid_argument);
    CHECK(thrown([&] { model.submit_generate(0, {}, Extension(), Images(images)); }, "n: want 1") == Status::invalid_argument);

    // One that goes out of scope before it has ended is cancelled, and says so to its callback.
    brenier_status told = -1;
    {
        brenier::JobOptions options;
        options.callback = [](void* user, brenier_job*, brenier_status result) { *static_cast<brenier_status*>(user) = result; };
        options.user = &told;
        const Job dropped = model.submit_generate(6, {}, Extension(), Images(images), options);
    }
    CHECK(told == BRENIER_CANCELLED);

    Job none;
    CHECK(!none && thrown([&] { none.poll(); }, "job:") == Status::invalid_handle);
    Job moved = std::move(job);
    CHECK(!job && moved.poll() == JobState::done);
    brenier_job* released = moved.release();
    CHECK(!moved && brenier_job_close(released) == BRENIER_OK);
    std::vector<Job> many;
    std::error_code error;
    while (!error) many.push_back(model.submit_generate(1, {}, Extension(), Images(images), {}, error));
    CHECK(error == Status::busy);

    Engine::Options wrong;
    wrong.job_slice = std::chrono::hours(1);
    CHECK(thrown([&] { Engine e(wrong); }, "options: job_slice_us") == Status::invalid_argument);
}

int main() {
    ownership();
    answers();
    errors();
    field();
    jobs();
    fit();
    std::printf("wrapper (C++%ld): %d checks, %d failed\n", __cplusplus / 100 % 100, made, failed);
    return failed ? 1 : 0;
}
