// What a flight was like: frame times, jobs, and what was missing.
#pragma once

#include "regions.hpp"

#include <string>
#include <vector>

class Stats {
public:
    struct Frame {
        double milliseconds = 0;   // to draw it, without what it waited for
        double waited = 0;         // milliseconds, for the far level
        std::size_t hole_pixels = 0;
        std::size_t waiting = 0, flying = 0;  // wishes, jobs
        std::vector<int> missing;  // squares without their own data, by level
    };

    void add(Frame frame) { frames_.push_back(std::move(frame)); }
    const std::vector<Frame>& frames() const { return frames_; }
    double percentile(double share, std::size_t last = 0) const;  // of milliseconds, of the last frames; 0: of all
    void write(const std::string& path, const std::string& renderer, const Regions::Counts& jobs, bool counted_holes) const;

private:
    std::vector<Frame> frames_;
};
