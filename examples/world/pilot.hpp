// A person at keyboard and mouse who flies.
#pragma once

#include "flight.hpp"

#include <SDL.h>

class Pilot {
public:
    explicit Pilot(const Pose& start) : pose_(start) {}

    void turn(int x, int y) {  // pixels of the mouse
        pose_.heading += 0.12 * x;
        pose_.pitch = std::fmin(89, std::fmax(-89, pose_.pitch - 0.12 * y));
    }
    void faster(int steps) { speed_ = std::fmin(2000, std::fmax(2, speed_ * std::pow(1.2, steps))); }
    double speed() const { return speed_; }

    // What the keys that are held do in so many seconds; ground gives the height under a place.
    template <class Ground>
    const Pose& step(double seconds, const Ground& ground) {
        const Uint8* key = SDL_GetKeyboardState(nullptr);
        const double way = speed_ * seconds * (key[SDL_SCANCODE_LSHIFT] ? 4 : 1);
        const double ahead = key[SDL_SCANCODE_W] - key[SDL_SCANCODE_S], aside = key[SDL_SCANCODE_D] - key[SDL_SCANCODE_A];
        const double up = key[SDL_SCANCODE_SPACE] - key[SDL_SCANCODE_C];
        const Vec3 f = pose_.forward(), r = pose_.right();
        pose_.x += way * (ahead * f.x + aside * r.x);
        pose_.y += way * (ahead * f.y + up);
        pose_.z += way * (ahead * f.z + aside * r.z);
        pose_.y = std::fmax(pose_.y, ground(pose_.x, pose_.z) + kClearance);
        return pose_;
    }
    static constexpr double kClearance = 3;  // the least height over the ground

private:
    Pose pose_;
    double speed_ = 60;  // pixels of the world a second
};
