// Where the camera is, and flights: poses over time, from a file or written to one.
//
// A flight is text, a pose a line: seconds, x, height, z, heading and pitch in degrees. Heading 0 looks north,
// to smaller z, 90 east; pitch -90 looks straight down. x and z are a field's x and y. Lines that
// begin with # are comments.
#pragma once

#include "math.hpp"

#include <string>
#include <vector>

struct Pose {
    double x = 0, y = 0, z = 0;  // y is up, from the level of the sea
    double heading = 0, pitch = 0;

    Vec3 forward() const;
    Vec3 right() const;  // level
};

class Flight {
public:
    static Flight read(const std::string& path);
    void write(const std::string& path) const;

    void add(double seconds, const Pose& pose) { keys_.push_back({seconds, pose}); }
    bool empty() const { return keys_.empty(); }
    // Between two poses by Catmull and Rom's cubic; at either end's outside, that end.
    Pose at(double seconds) const;

private:
    struct Key {
        double seconds;
        Pose pose;
    };
    std::vector<Key> keys_;  // by time
};
