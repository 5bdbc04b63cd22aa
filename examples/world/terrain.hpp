// What of the world is drawn, and from which data: a quadtree of squares around the camera, each as
// wide as it may be at its distance.
//
// A square of level l is drawn where the camera is at least reach(l-1) away; reach doubles from level to
// level, so that a sample is about as large on the screen everywhere. The squares depend on the
// camera alone. Their data are the region of the square, or while it is not there, of the nearest
// ancestor that is; towards reach(l) they turn into the next coarser data, so nothing jumps.
#pragma once

#include "flight.hpp"
#include "regions.hpp"

#include <vector>

// The part of a region that a square shows.
struct Part {
    const Region* region = nullptr;
    float x = 0, y = 0, width = 1;  // in the region's width
};

struct Square {
    Place place;
    Part fine, coarse;  // the same where there is nothing coarser
    float fade;         // 1: coarse, while fine is new, .. 0
};

class Terrain {
public:
    // levels 0 .. levels-1; detail: reach of a level in widths of its squares.
    Terrain(Regions& regions, int levels, double detail) : regions_(regions), levels_(levels), detail_(detail) {}

    // Chooses the squares and wishes for their regions. New regions fade in over so many frames.
    void look(const Pose& camera, int fade_frames);

    const std::vector<Square>& squares() const { return squares_; }
    double reach(int level) const { return detail_ * Place{level, 0, 0}.width(); }
    // The distance up to which there is always ground: that of the far level.
    double far() const { return reach(levels_ - 1); }
    int levels() const { return levels_; }
    double altitude() const { return altitude_; }  // of the camera, over the ground

    std::size_t holes() const { return holes_; }  // squares nearer than far() without any data
    const std::vector<int>& missing() const { return missing_; }  // by level: squares that lack their own data
    bool complete() const;                                        // none lacks its own

    // The height of the ground, or sea, by the finest data that are there; 0 where there are none.
    double ground(double x, double z) const;

private:
    void visit(const Place& place, bool drawn);
    double distance(const Place& place) const;
    void draw(const Place& place);

    Regions& regions_;
    const int levels_;
    const double detail_;
    Pose camera_;
    double altitude_ = 0;
    int fade_frames_ = 0;
    std::vector<Square> squares_;
    std::vector<int> missing_;
    std::size_t holes_ = 0;
};
