// The command line.
#pragma once

#include <brenier.hpp>

#include <cstdint>
#include <string>
#include <vector>

struct Options {
    std::string model = "examples/models/terrain.safetensors";
    std::string device;  // empty: BRENIER_DEVICE, or what is there
    std::uint64_t seed = 7;
    std::vector<brenier::Octave> octaves{{64, 1}, {16, 0.4, 1}, {4, 0.14, 1}, {1, 0.03, 1}};
    double relief = 32;  // the height of a standard deviation, in pixels
    double sea = -0.15;   // its level, in standard deviations from the mean
    int levels = 7;
    double detail = 2;

    int width = 1280, height = 720;
    int quads = 32;
    int samples = 1;
    bool heights = false;
    bool overlay = true;
    bool hidden = false;

    int frames = 0;  // 0: until somebody closes the window
    double fps = 0;  // most frames a second; 0: what the display takes, with frames as many as there can be
    double wait = 120;
    bool generation = true;
    bool holes = false;
    std::string path, record, screenshot, stats;
};

// Throws std::invalid_argument with a sentence. False: help was asked for, and printed.
bool parse(int argc, char** argv, Options& options);
