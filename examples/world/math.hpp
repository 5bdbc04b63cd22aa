// Vectors and matrices, as little as a camera needs.
#pragma once

#include <array>
#include <cmath>

constexpr double kDegree = 3.14159265358979323846 / 180;

struct Vec3 {
    float x = 0, y = 0, z = 0;
};

inline Vec3 operator+(Vec3 a, Vec3 b) { return {a.x + b.x, a.y + b.y, a.z + b.z}; }
inline Vec3 operator*(Vec3 a, float s) { return {a.x * s, a.y * s, a.z * s}; }
inline float dot(Vec3 a, Vec3 b) { return a.x * b.x + a.y * b.y + a.z * b.z; }
inline Vec3 cross(Vec3 a, Vec3 b) { return {a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x}; }
inline Vec3 unit(Vec3 a) { return a * (1 / std::sqrt(dot(a, a))); }

// Column-major, as OpenGL takes it.
using Mat4 = std::array<float, 16>;
