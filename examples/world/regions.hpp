// The regions of the world that the terrain is drawn from: read by jobs of the engine while frames are
// drawn, cancelled when nobody wishes for them any more, kept until their place is needed.
#pragma once

#include <brenier.hpp>

#include <cstdint>
#include <functional>
#include <unordered_map>
#include <vector>

constexpr int kSamples = 64;                          // of a region, along an axis
constexpr int kBorder = 2;                            // samples more on every side, for slopes and seams
constexpr int kRegionWidth = kSamples + 2 * kBorder;  // samples that are read

// Square (x, y) of a level: samples 64 x .. 64 x + 63 of the field's level, 64 * 2^level pixels wide.
struct Place {
    int level = 0;
    std::int64_t x = 0, y = 0;

    double width() const { return static_cast<double>(std::int64_t{kSamples} << level); }
    Place parent() const { return {level + 1, x >> 1, y >> 1}; }
    bool operator==(const Place& o) const { return level == o.level && x == o.x && y == o.y; }
};

struct PlaceHash {
    std::size_t operator()(const Place& p) const {
        std::uint64_t h = static_cast<std::uint64_t>(p.x) * 0x9e3779b97f4a7c15u;
        h = (h ^ h >> 29 ^ static_cast<std::uint64_t>(p.y)) * 0xbf58476d1ce4e5b9u;
        return static_cast<std::size_t>((h ^ h >> 32) + static_cast<std::uint64_t>(p.level));
    }
};

struct Region {
    std::vector<float> heights;  // [kRegionWidth,kRegionWidth], rows to the south
    float low = 0, high = 0;     // of the heights
    int layer = 0;               // of the renderer's texture
    std::uint64_t arrived = 0;   // the frame in which it came
    std::uint64_t wished = 0;    // the last frame that wished for it
};

class Regions {
public:
    struct Counts {
        std::uint64_t submitted = 0, done = 0, cancelled = 0;
    };
    using Upload = std::function<void(int layer, const std::vector<float>& heights)>;

    // capacity: regions kept. The field outlives this; upload is called for a region that came.
    Regions(const brenier::Field& field, std::uint64_t seed, int capacity, Upload upload);
    ~Regions();

    // A frame: wishes, then stream, which takes what came, at most so many regions, cancels what
    // is not wished for and submits the most urgent wishes.
    void begin_frame();
    void wish(const Place& place, int priority);
    void stream(int most_uploads);

    const Region* find(const Place& place) const;  // nullptr: not there
    std::uint64_t frame() const { return frame_; }
    std::size_t waiting() const { return wishes_.size(); }  // wishes that are not submitted yet
    std::size_t flying() const { return jobs_.size(); }
    std::size_t kept() const { return regions_.size(); }
    const Counts& counts() const { return counts_; }
    void stop();  // cancels all jobs and waits; wishes are for nothing from now on

private:
    struct Wish {
        Place place;
        int priority;
    };
    struct Reading {
        Place place;
        int priority;
        std::uint64_t wished;
        bool cancelled;
        std::vector<float> heights;
        brenier::Job job;  // ends before its memory does
    };

    void submit(const Wish& wish);
    bool take(Reading& reading);
    int free_layer();
    void count_end(brenier::JobState state);

    const brenier::Field& field_;
    const std::uint64_t seed_;
    const int capacity_;
    const Upload upload_;
    bool stopped_ = false;
    std::uint64_t frame_ = 0;
    std::unordered_map<Place, Region, PlaceHash> regions_;
    std::vector<Wish> wishes_;
    std::vector<Reading> jobs_;
    std::vector<std::vector<float>> spare_;  // memory of regions that were given up
    Counts counts_;
};
