// Fly over an endless terrain, whose regions jobs read while frames are drawn: see docs/worlds.md.
#include "flight.hpp"
#include "options.hpp"
#include "overlay.hpp"
#include "pilot.hpp"
#include "png.hpp"
#include "regions.hpp"
#include "renderer.hpp"
#include "stats.hpp"
#include "terrain.hpp"
#include "window.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <memory>
#include <thread>

namespace {

using Clock = std::chrono::steady_clock;

constexpr double kStep = 1.0 / 60;    // seconds between the frames of --frames
constexpr int kUploads = 3;           // regions that a frame takes at most
constexpr int kFadeFrames = 30;
constexpr double kCruise = 60;        // the height of a flight that nobody steers, and its speed

double milliseconds(Clock::duration time) { return std::chrono::duration<double, std::milli>(time).count(); }

class Game {
public:
    explicit Game(const Options& options)
        : options_(options),
          window_(options.width, options.height, options.hidden, options.frames == 0),
          renderer_({options.width, options.height, options.quads, options.samples, 2048, options.relief, options.heights}),
          engine_(engine_options(options)),
          model_(engine_.open(options.model)),
          field_(model_.field(field_options(options))),
          regions_(field_, options.seed, renderer_.regions(),
                   [this](int layer, const std::vector<float>& heights) { renderer_.upload(layer, heights); }),
          terrain_(regions_, options.levels, options.detail),
          overlay_(std::max(1, options.height / 360)) {
        if (!options.path.empty()) flight_ = Flight::read(options.path);
    }

    void play() {
        load();
        if (!options_.generation) fly_ahead();
        if (options_.frames == 0 && flight_.empty()) SDL_SetRelativeMouseMode(SDL_TRUE);
        Pilot pilot(pose_at(0));
        const auto start = Clock::now();
        auto last = start;
        Pose pose;
        for (int frame = 0; running_ && (options_.frames == 0 || frame < options_.frames); frame++) {
            const auto begin = Clock::now();
            const double seconds = options_.frames > 0 ? frame * kStep : std::chrono::duration<double>(begin - start).count();
            const double passed = std::chrono::duration<double>(begin - last).count();
            last = begin;
            listen(pilot);
            if (options_.frames == 0 && flight_.empty())
                pose = pilot.step(passed, [this](double x, double z) { return terrain_.ground(x, z); });
            else
                pose = pose_at(seconds);
            record(seconds, pose);
            Stats::Frame figures;
            look(pose);
            if (options_.frames > 0) figures.waited = wait(pose, [this] { return terrain_.holes() == 0; });
            renderer_.draw(pose, terrain_, seconds);
            if (options_.holes) figures.hole_pixels = renderer_.holes();
            if (overlay_shown_) draw_figures(pose);
            show();
            if (options_.frames > 0) gl.Finish();
            const auto end = Clock::now();
            figures.milliseconds = milliseconds(end - begin) - figures.waited;
            figures.waiting = regions_.waiting();
            figures.flying = regions_.flying();
            figures.missing = terrain_.missing();
            stats_.add(std::move(figures));
            if (options_.fps > 0) std::this_thread::sleep_until(begin + std::chrono::duration<double>(1 / options_.fps));
        }
        if (!options_.screenshot.empty()) screenshot(options_.screenshot, pose, options_.frames * kStep);
        regions_.stop();
        if (!options_.record.empty()) recorded_.write(options_.record);
        if (!options_.stats.empty()) stats_.write(options_.stats, renderer_.name(), regions_.counts(), options_.holes);
    }

private:
    static brenier::Engine::Options engine_options(const Options& options) {
        brenier::Engine::Options o;
        if (!options.device.empty()) o.device = options.device.c_str();
        o.job_niceness = 20;  // jobs have what frames leave
        return o;
    }

    // Heights over the sea, in pixels.
    static brenier::FieldOptions field_options(const Options& options) {
        brenier::FieldOptions o;
        o.octaves = options.octaves;
        o.channels = 1;
        o.offset = -options.sea * options.relief;
        o.scale = options.relief;
        return o;
    }

    // The camera of a flight; where there is none, straight ahead over the ground.
    Pose pose_at(double seconds) const {
        if (!flight_.empty()) return flight_.at(seconds);
        Pose pose{0, 0, -kCruise * seconds, 0, -12};
        pose.y = std::max(terrain_.ground(pose.x, pose.z), terrain_.ground(pose.x, pose.z - kCruise)) + kCruise;
        return pose;
    }

    void look(const Pose& pose) {
        terrain_.look(pose, kFadeFrames);
        regions_.stream(kUploads);
    }

    // Looks again until it is done, for --wait seconds at most; returns the milliseconds that it took.
    template <class Done>
    double wait(const Pose& pose, const Done& done) {
        if (done()) return 0;
        const auto begin = Clock::now();
        while (!done() && milliseconds(Clock::now() - begin) < 1000 * options_.wait) {
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
            look(pose);
        }
        return milliseconds(Clock::now() - begin);
    }

    // The far level around the start, before the first frame.
    void load() {
        const Pose start = pose_at(0);
        const auto begin = Clock::now();
        look(start);
        const std::size_t all = terrain_.holes();
        while (running_ && terrain_.holes() > 0 && (options_.frames == 0 || milliseconds(Clock::now() - begin) < 1000 * options_.wait)) {
            SDL_Event event;
            while (SDL_PollEvent(&event)) handle(event);
            look(start);
            renderer_.draw(start, terrain_, 0);
            overlay_.clear();
            const auto scale = static_cast<float>(overlay_.scale());
            const auto there = static_cast<float>(all - terrain_.holes()) / static_cast<float>(all);
            overlay_.text(20 * scale, 20 * scale, "the far level comes first: " + std::to_string(all - terrain_.holes()) + " of " + std::to_string(all));
            overlay_.bar(20 * scale, 32 * scale, 160 * scale, 4 * scale, {0, 0, 0, 0.4f});
            overlay_.bar(20 * scale, 32 * scale, 160 * scale * there, 4 * scale, {1, 1, 1, 0.9f});
            renderer_.draw(overlay_);
            show();
            std::this_thread::sleep_for(std::chrono::milliseconds(20));
        }
    }

    // All that the flight wishes for, so that it can be flown without a job.
    void fly_ahead() {
        for (int frame = 0; running_ && frame < options_.frames; frame++) {
            wait(pose_at(frame * kStep), [this] { return terrain_.complete(); });
            if (!terrain_.complete()) throw std::runtime_error("--no-generation: what the flight needs did not come in --wait seconds");
        }
        regions_.stop();
    }

    void record(double seconds, const Pose& pose) {
        if (options_.record.empty() || seconds < recorded_until_) return;
        recorded_.add(seconds, pose);
        recorded_until_ = seconds + 0.25;
    }

    void screenshot(const std::string& path, const Pose& pose, double seconds) {
        wait(pose, [this] { return terrain_.holes() == 0 && terrain_.complete(); });
        terrain_.look(pose, 0);  // nothing fades in
        renderer_.draw(pose, terrain_, seconds);
        write_png(path, options_.width, options_.height, renderer_.picture());
    }

    void show() {
        int width = 0, height = 0;
        window_.size(width, height);
        renderer_.show(width, height);
        window_.swap();
    }

    void handle(const SDL_Event& event) {
        if (event.type == SDL_QUIT || (event.type == SDL_KEYDOWN && event.key.keysym.sym == SDLK_ESCAPE)) running_ = false;
        if (event.type == SDL_KEYDOWN && event.key.keysym.sym == SDLK_F1) overlay_shown_ = !overlay_shown_;
    }

    void listen(Pilot& pilot) {
        SDL_Event event;
        while (SDL_PollEvent(&event)) {
            handle(event);
            if (event.type == SDL_KEYDOWN && event.key.keysym.sym == SDLK_F2)
                write_png("world.png", options_.width, options_.height, renderer_.picture());
            if (event.type == SDL_MOUSEMOTION) pilot.turn(event.motion.xrel, event.motion.yrel);
            if (event.type == SDL_MOUSEWHEEL) pilot.faster(event.wheel.y);
        }
    }

    void draw_figures(const Pose& pose) {
        overlay_.clear();
        const auto scale = static_cast<float>(overlay_.scale());
        float y = 6 * scale;
        const auto line = [&](const char* format, auto... values) {
            char text[128];
            std::snprintf(text, sizeof text, format, values...);
            overlay_.text(6 * scale, y, text);
            y += Overlay::kGlyphHeight * scale;
        };
        line("frame p50 %.1f  p99 %.1f ms", stats_.percentile(0.5, 240), stats_.percentile(0.99, 240));
        line("jobs %zu  queue %zu  regions %zu", regions_.flying(), regions_.waiting(), regions_.kept());
        const Regions::Counts& jobs = regions_.counts();
        line("done %llu  cancelled %llu", static_cast<unsigned long long>(jobs.done), static_cast<unsigned long long>(jobs.cancelled));
        std::string missing = "missing by level";
        for (int n : terrain_.missing()) missing += ' ' + std::to_string(n);
        line("%s", missing.c_str());
        line("x %.0f  z %.0f  height %.0f", pose.x, pose.z, pose.y);
        // A bar a frame; the line is 60 frames a second.
        const std::vector<Stats::Frame>& frames = stats_.frames();
        const std::size_t shown = std::min<std::size_t>(frames.size(), 120);
        const float foot = static_cast<float>(options_.height) - 6 * scale;
        for (std::size_t i = 0; i < shown; i++) {
            const auto ms = static_cast<float>(std::min(frames[frames.size() - shown + i].milliseconds, 50.0));
            overlay_.bar((6 + static_cast<float>(i)) * scale, foot - ms * scale, scale, ms * scale,
                         ms > 1000 * kStep ? Colour{1, 0.6f, 0.3f, 0.85f} : Colour{0.8f, 1, 0.8f, 0.85f});
        }
        overlay_.bar(6 * scale, foot - static_cast<float>(1000 * kStep) * scale, 120 * scale, 1, {1, 1, 1, 0.6f});
        renderer_.draw(overlay_);
    }

    const Options options_;
    Window window_;
    Renderer renderer_;
    brenier::Engine engine_;
    brenier::Model model_;
    brenier::Field field_;
    Regions regions_;
    Terrain terrain_;
    Overlay overlay_;
    Flight flight_, recorded_;
    double recorded_until_ = 0;
    Stats stats_;
    bool running_ = true;
    bool overlay_shown_ = options_.overlay;
};

}  // namespace

int main(int argc, char** argv) try {
    Options options;
    if (!parse(argc, argv, options)) return 0;
    Game(options).play();
} catch (const std::exception& e) {
    std::fprintf(stderr, "world: %s\n", e.what());
    return 1;
}
