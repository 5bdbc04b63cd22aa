#include "terrain.hpp"

#include <algorithm>
#include <cmath>

namespace {

// Regions are wished for when the camera is that much farther away than where they will be drawn.
constexpr double kAhead = 1.25;

std::int64_t floor_to(double value) { return static_cast<std::int64_t>(std::floor(value)); }

}  // namespace

void Terrain::look(const Pose& camera, int fade_frames) {
    camera_ = camera;
    altitude_ = std::max(0.0, camera.y - ground(camera.x, camera.z));
    fade_frames_ = fade_frames;
    squares_.clear();
    missing_.assign(static_cast<std::size_t>(levels_), 0);
    holes_ = 0;
    regions_.begin_frame();
    Place root{levels_ - 1, 0, 0};
    const double width = root.width(), around = far() + width / 2;
    for (root.y = floor_to((camera.z - around) / width); root.y <= floor_to((camera.z + around) / width); root.y++)
        for (root.x = floor_to((camera.x - around) / width); root.x <= floor_to((camera.x + around) / width); root.x++)
            visit(root, distance(root) < far());
}

// In the plane, and over the ground; renderer.cpp has the same for a vertex.
double Terrain::distance(const Place& place) const {
    const double width = place.width(), x = static_cast<double>(place.x) * width, z = static_cast<double>(place.y) * width;
    const double dx = std::max({x - camera_.x, camera_.x - x - width, 0.0});
    const double dz = std::max({z - camera_.z, camera_.z - z - width, 0.0});
    return std::hypot(dx, dz, place.level == levels_ - 1 ? 0 : altitude_);
}

void Terrain::visit(const Place& place, bool drawn) {
    // Coarse before fine, so that there is something everywhere; then near before far, and what
    // lies behind the camera last.
    const double away = distance(place), width = place.width();
    const double dx = (static_cast<double>(place.x) + 0.5) * width - camera_.x;
    const double dz = (static_cast<double>(place.y) + 0.5) * width - camera_.z;
    const Vec3 forward = camera_.forward();
    const bool behind = dx * forward.x + dz * forward.z < -width;
    regions_.wish(place, place.level * 1000 - std::min(499, static_cast<int>(100 * away / width)) - (behind ? 500 : 0));

    const double split = place.level > 0 ? reach(place.level - 1) : 0;
    const bool draws_children = drawn && away < split;
    if (away < split * kAhead)
        for (int child = 0; child < 4; child++)
            visit({place.level - 1, 2 * place.x + child % 2, 2 * place.y + child / 2}, draws_children);
    if (drawn && !draws_children) draw(place);
}

void Terrain::draw(const Place& place) {
    Square square{place, {}, {}, 0};
    Place from = place;
    Part part;
    for (; from.level < levels_; from = from.parent()) {
        if (const Region* region = regions_.find(from)) {
            part.region = region;
            (square.fine.region ? square.coarse : square.fine) = part;
            if (square.coarse.region) break;
        }
        if (!square.fine.region && from == place) missing_[static_cast<std::size_t>(place.level)]++;
        part = {nullptr, (part.x + static_cast<float>(from.x & 1)) / 2, (part.y + static_cast<float>(from.y & 1)) / 2,
                part.width / 2};
    }
    if (!square.fine.region) {
        holes_++;
        return;
    }
    // What stands in is shown as it is.
    if (!square.coarse.region || square.fine.width < 1) square.coarse = square.fine;
    const auto age = static_cast<float>(regions_.frame() - square.fine.region->arrived);
    square.fade = fade_frames_ > 0 ? std::max(0.0f, 1 - age / static_cast<float>(fade_frames_)) : 0;
    squares_.push_back(square);
}

bool Terrain::complete() const {
    return std::all_of(missing_.begin(), missing_.end(), [](int n) { return n == 0; });
}

double Terrain::ground(double x, double z) const {
    for (int level = 0; level < levels_; level++) {
        const double sample = static_cast<double>(std::int64_t{1} << level);
        const Place place{level, floor_to(x / sample / kSamples), floor_to(z / sample / kSamples)};
        const Region* region = regions_.find(place);
        if (!region) continue;
        // Sample i has its centre at i + 1/2.
        const double u = x / sample - static_cast<double>(place.x * kSamples) + kBorder - 0.5;
        const double v = z / sample - static_cast<double>(place.y * kSamples) + kBorder - 0.5;
        const auto column = static_cast<std::size_t>(u), row = static_cast<std::size_t>(v);
        const double s = u - static_cast<double>(column), t = v - static_cast<double>(row);
        const float* h = region->heights.data() + row * kRegionWidth + column;
        return std::max(0.0, (h[0] * (1 - s) + h[1] * s) * (1 - t) + (h[kRegionWidth] * (1 - s) + h[kRegionWidth + 1] * s) * t);
    }
    return 0;
}
