#include "stats.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <stdexcept>

double Stats::percentile(double share, std::size_t last) const {
    const std::size_t n = last == 0 ? frames_.size() : std::min(last, frames_.size());
    if (n == 0) return 0;
    std::vector<double> times;
    for (std::size_t i = frames_.size() - n; i < frames_.size(); i++) times.push_back(frames_[i].milliseconds);
    const auto rank = static_cast<std::size_t>(std::ceil(share * static_cast<double>(n)));
    const auto at = times.begin() + static_cast<std::ptrdiff_t>(std::clamp<std::size_t>(rank, 1, n) - 1);
    std::nth_element(times.begin(), at, times.end());
    return *at;
}

void Stats::write(const std::string& path, const std::string& renderer, const Regions::Counts& jobs, bool counted_holes) const {
    const std::string part = path + ".part";
    std::ofstream file(part);
    std::string name;  // as a string of JSON
    for (const char c : renderer) {
        if (c == '"' || c == '\\') name += '\\';
        if (static_cast<unsigned char>(c) >= 32) name += c;
    }
    double waited = 0;
    std::size_t waits = 0, holes = 0;
    for (const Frame& f : frames_) {
        waited += f.waited;
        waits += f.waited > 0;
        holes += f.hole_pixels;
    }
    file << "{\n  \"renderer\": \"" << name << "\",\n  \"frames\": " << frames_.size() << ",\n  \"frame_ms\": {\"p50\": " << percentile(0.5)
         << ", \"p95\": " << percentile(0.95) << ", \"p99\": " << percentile(0.99) << ", \"max\": " << percentile(1) << "},\n"
         << "  \"jobs\": {\"submitted\": " << jobs.submitted << ", \"done\": " << jobs.done << ", \"cancelled\": " << jobs.cancelled << "},\n"
         << "  \"waits_for_far_level\": " << waits << ",\n  \"waited_ms\": " << waited << ",\n";
    if (counted_holes) file << "  \"hole_pixels\": " << holes << ",\n";
    file << "  \"frame\": [";
    for (std::size_t i = 0; i < frames_.size(); i++) {
        const Frame& f = frames_[i];
        file << (i ? ",\n" : "\n") << "    {\"ms\": " << f.milliseconds << ", \"wishes\": " << f.waiting << ", \"jobs\": " << f.flying;
        if (counted_holes) file << ", \"hole_pixels\": " << f.hole_pixels;
        file << ", \"missing\": [";
        for (std::size_t level = 0; level < f.missing.size(); level++) file << (level ? ", " : "") << f.missing[level];
        file << "]}";
    }
    file << "\n  ]\n}\n";
    file.close();
    if (!file || std::rename(part.c_str(), path.c_str()) != 0) throw std::runtime_error(path + ": cannot be written");
}
