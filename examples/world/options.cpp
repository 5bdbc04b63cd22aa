#include "options.hpp"

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <sstream>
#include <stdexcept>

namespace {

constexpr char kHelp[] = R"(world: fly over an endless terrain

    world [options]

  --model FILE          model of one channel (examples/models/terrain.safetensors)
  --device NAME         auto, cpu or cuda
  --seed N              of the world (7)
  --octaves LIST        scale[:amplitude[:modulation]],... as `brenier field` has it (64,16:0.4:1,4:0.14:1,1:0.03:1)
  --relief N            the height of a standard deviation, in pixels (32)
  --sea X               its level, in standard deviations from the mean (-0.15)
  --levels N            levels of detail, 1 .. 12: each doubles how far one sees (7)
  --detail X            how far a level reaches, in widths of its squares of 64 samples, 1 .. 8 (2)

  --size WxH            of the picture (1280x720)
  --quads N             quads of a square along an axis, 4 .. 128 (32)
  --samples N           samples of a pixel (1)
  --heights             grey by height, two standard deviations either way, instead of a landscape
  --no-overlay          no figures over the picture
  --hidden              the window is not shown

  --path FILE           fly as recorded
  --record FILE         record the flight
  --frames N            draw N frames, each 1/60 s after the one before it, and end
  --fps N               at most so many frames a second, so that jobs have the rest
  --wait SECONDS        how long --frames may wait for the far level, and --screenshot for all levels (120)
  --no-generation       read what --frames of the flight need before it starts, and nothing during it
  --screenshot FILE     write the last frame as a PNG, all of its levels there and no figures over it
  --stats FILE          write frame times, jobs and regions as JSON
  --holes               count the pixels in which ground is missing, for --stats

  keys: W A S D and the mouse fly, space and C go up and down, the wheel sets the speed, shift is faster;
        F1 the figures, F2 a screenshot (world.png), escape ends
)";

[[noreturn]] void refuse(const std::string& option, const std::string& want, const std::string& got) {
    throw std::invalid_argument(option + ": want " + want + ", got \"" + got + "\"");
}

double number(const std::string& option, const std::string& text, double least, double most) {
    char* end = nullptr;
    const double value = std::strtod(text.c_str(), &end);
    if (text.empty() || *end != '\0' || !(value >= least && value <= most)) {
        char want[64];
        std::snprintf(want, sizeof want, "a number, %g .. %g", least, most);
        refuse(option, want, text);
    }
    return value;
}

int whole(const std::string& option, const std::string& text, int least, int most) {
    const double value = number(option, text, least, most);
    if (value != static_cast<int>(value)) refuse(option, "a whole number", text);
    return static_cast<int>(value);
}

std::vector<brenier::Octave> octaves(const std::string& option, const std::string& text) {
    std::vector<brenier::Octave> list;
    std::istringstream items(text);
    for (std::string item; std::getline(items, item, ',');) {
        brenier::Octave octave;
        double* const parts[] = {&octave.amplitude, &octave.modulation};
        std::istringstream fields(item);
        std::string field;
        std::getline(fields, field, ':');
        octave.scale = static_cast<std::uint32_t>(whole(option, field, 1, 65536));
        for (double* part : parts)
            if (std::getline(fields, field, ':')) *part = number(option, field, -1e6, 1e6);
        if (!fields.eof()) refuse(option, "scale[:amplitude[:modulation]]", item);
        list.push_back(octave);
    }
    if (list.empty()) refuse(option, "octaves", text);
    return list;
}

}  // namespace

bool parse(int argc, char** argv, Options& o) {
    using Set = std::function<void(const std::string& name, const std::string& value)>;
    const auto text = [](std::string& to) { return Set([&to](const std::string&, const std::string& v) { to = v; }); };
    const auto count = [](int& to, int least, int most) {
        return Set([&to, least, most](const std::string& n, const std::string& v) { to = whole(n, v, least, most); });
    };
    const auto real = [](double& to, double least, double most) {
        return Set([&to, least, most](const std::string& n, const std::string& v) { to = number(n, v, least, most); });
    };
    const std::map<std::string, Set> valued{
        {"--model", text(o.model)},
        {"--device", text(o.device)},
        {"--seed", [&](const std::string& n, const std::string& v) {
             char* end = nullptr;
             o.seed = std::strtoull(v.c_str(), &end, 10);
             if (v.empty() || v[0] == '-' || *end != '\0') refuse(n, "a number, 0 .. 2^64-1", v);
         }},
        {"--octaves", [&](const std::string& n, const std::string& v) { o.octaves = octaves(n, v); }},
        {"--relief", real(o.relief, 1e-3, 1e5)},
        {"--sea", real(o.sea, -10, 10)},
        {"--levels", count(o.levels, 1, 12)},
        {"--detail", real(o.detail, 1, 8)},
        {"--size", [&](const std::string& n, const std::string& v) {
             const std::size_t x = v.find('x');
             if (x == std::string::npos) refuse(n, "WIDTHxHEIGHT", v);
             o.width = whole(n, v.substr(0, x), 16, 8192);
             o.height = whole(n, v.substr(x + 1), 16, 8192);
         }},
        {"--quads", count(o.quads, 4, 128)},
        {"--samples", count(o.samples, 1, 16)},
        {"--frames", count(o.frames, 1, 1000000)},
        {"--fps", real(o.fps, 1, 1000)},
        {"--wait", real(o.wait, 0, 1e6)},
        {"--path", text(o.path)},
        {"--record", text(o.record)},
        {"--screenshot", text(o.screenshot)},
        {"--stats", text(o.stats)},
    };
    const std::map<std::string, std::function<void()>> plain{
        {"--heights", [&] { o.heights = true; }},       {"--no-overlay", [&] { o.overlay = false; }},
        {"--hidden", [&] { o.hidden = true; }},         {"--no-generation", [&] { o.generation = false; }},
        {"--holes", [&] { o.holes = true; }},
    };
    for (int i = 1; i < argc; i++) {
        const std::string name = argv[i];
        if (name == "--help" || name == "-h") {
            std::fputs(kHelp, stdout);
            return false;
        }
        if (const auto p = plain.find(name); p != plain.end()) {
            p->second();
        } else if (const auto v = valued.find(name); v != valued.end()) {
            if (++i == argc) throw std::invalid_argument(name + ": want a value after it");
            v->second(name, argv[i]);
        } else {
            throw std::invalid_argument(name + ": no such option; --help lists them");
        }
    }
    if (!o.generation && o.frames == 0) throw std::invalid_argument("--no-generation: how far? say --frames too");
    if (o.holes && o.stats.empty()) throw std::invalid_argument("--holes: say where to with --stats");
    return true;
}
