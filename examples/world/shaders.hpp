// The shaders, in OpenGL's language 3.30.
#pragma once

namespace shaders {

// The light of the world, for ground and sky alike.
inline constexpr char kLight[] = R"(#version 330 core
uniform vec3 sun;         // towards it
uniform float seconds;
uniform sampler2D noise;  // r: value, gb: its slopes, a: another value; all around 1/2, repeating

const vec3 kSunlight = vec3(1.28, 1.12, 0.90);
const vec3 kSkylight = vec3(0.36, 0.46, 0.62);

// Of a direction, without clouds.
vec3 sky(vec3 d) {
    float up = max(d.y, 0.0);
    float towards = max(dot(d, sun), 0.0);
    vec3 colour = mix(vec3(0.74, 0.81, 0.87), vec3(0.16, 0.36, 0.68), 1.0 - exp(-4.2 * up));
    colour += vec3(0.42, 0.26, 0.10) * pow(towards, 6.0) * exp(-3.0 * up);
    return colour + vec3(1.0, 0.86, 0.62) * (0.25 * pow(towards, 90.0));
}

// How much cloud lies in a direction.
float cloud(vec3 d) {
    if (d.y < 0.01) return 0.0;
    vec2 p = d.xz / (d.y + 0.12) * 0.035 + seconds * vec2(0.0006, 0.0002);
    float v = 0.50 * texture(noise, p).r + 0.27 * texture(noise, 2.3 * p + 0.3).a + 0.15 * texture(noise, 5.1 * p).r +
              0.08 * texture(noise, 11.7 * p).a;
    return smoothstep(0.50, 0.66, v) * smoothstep(0.015, 0.16, d.y);
}
)";

inline constexpr char kSkyVertex[] = R"(#version 330 core
uniform vec3 forward, right, up;  // the latter two as long as half the picture
out vec3 direction;
void main() {
    vec2 corner = vec2(gl_VertexID == 1 ? 3.0 : -1.0, gl_VertexID == 2 ? 3.0 : -1.0);
    direction = forward + corner.x * right + corner.y * up;
    gl_Position = vec4(corner, 1.0, 1.0);
}
)";

inline constexpr char kSkyFragment[] = R"(
in vec3 direction;
out vec4 colour;
void main() {
    vec3 d = normalize(direction);
    vec3 c = sky(d) + vec3(6.0, 5.2, 4.0) * smoothstep(0.99955, 0.9998, dot(d, sun));
    float thick = cloud(d);
    c = mix(c, mix(vec3(0.96, 0.94, 0.92), vec3(0.72, 0.76, 0.83), smoothstep(0.3, 1.0, thick)), 0.85 * thick);
    colour = vec4(c, 0.0);  // no ground here
}
)";

inline constexpr char kGroundVertex[] = R"(#version 330 core
layout(location = 0) in vec3 grid;    // place in the square, 0 .. 1; 1 for the foot of its skirt
layout(location = 1) in vec4 square;  // x and z from the camera; width; how much of coarse, while fine is new
layout(location = 2) in vec4 fine;    // of a region: x, z and width, in its width; its layer
layout(location = 3) in vec4 coarse;
layout(location = 4) in vec4 extra;   // the distances from and at which coarse takes over; x and z for noise
uniform mat4 view;                    // and projection
uniform float altitude, eye;          // of the camera, over the ground and over the sea
uniform sampler2DArray regions;       // height, its slopes to x and to z, how far it lies in a hollow
const float kSamples = 64.0;
out vec3 place;                       // from the camera
out vec2 noise_place;
flat out float fine_layer, coarse_layer;
out vec2 fine_at, coarse_at;
out float morph;

vec2 at(vec4 part) { return (1.0 + (part.xy + grid.xy * part.z) * kSamples) / (kSamples + 2.0); }

void main() {
    place.xz = square.xy + grid.xy * square.z;
    noise_place = extra.zw + grid.xy * square.z;
    float away = length(vec3(place.xz, altitude));
    morph = max(square.w, clamp((away - extra.x) / (extra.y - extra.x), 0.0, 1.0));
    fine_at = at(fine);
    coarse_at = at(coarse);
    fine_layer = fine.w;
    coarse_layer = coarse.w;
    float height = mix(textureLod(regions, vec3(fine_at, fine.w), 0.0).x,
                       textureLod(regions, vec3(coarse_at, coarse.w), 0.0).x, morph);
    place.y = max(height, 0.0) - grid.z * 0.08 * square.z - eye;
    gl_Position = view * vec4(place, 1.0);
}
)";

inline constexpr char kGroundFragment[] = R"(
in vec3 place;
in vec2 noise_place;
flat in float fine_layer, coarse_layer;
in vec2 fine_at, coarse_at;
in float morph;
uniform sampler2DArray regions;
uniform float far;     // where nothing is to be seen any more
uniform float relief;  // the height of a standard deviation
uniform bool heights;  // grey by height, -2 .. 2 deviations, instead of a landscape
out vec4 colour;

vec3 land(vec4 ground, vec3 normal, float away) {
    float height = ground.x / relief;
    vec4 fine = texture(noise, noise_place / 64.0), wide = texture(noise, noise_place / 1024.0);
    float ragged = (fine.r - 0.5) * 0.8 + (wide.r - 0.5) * 1.2;
    float steep = 1.0 - normal.y;

    vec3 grass = mix(vec3(0.19, 0.27, 0.09), vec3(0.42, 0.41, 0.20), smoothstep(0.3, 0.7, wide.a + 0.5 * (fine.a - 0.5)));
    grass = mix(grass, vec3(0.50, 0.47, 0.30), smoothstep(0.7, 1.5, height + 0.2 * ragged));
    vec3 forest = mix(vec3(0.03, 0.075, 0.035), vec3(0.08, 0.13, 0.045), fine.r);
    vec3 rock = mix(vec3(0.30, 0.27, 0.25), vec3(0.55, 0.50, 0.45), fine.a * 0.6 + wide.r * 0.4);
    vec3 snow = vec3(0.86, 0.90, 0.96);
    vec3 sand = mix(vec3(0.80, 0.72, 0.52), vec3(0.68, 0.60, 0.44), fine.r);

    float woods = smoothstep(0.45, 0.53, wide.r * 0.55 + fine.a * 0.25 + 0.15 + 0.25 * ground.w) *
                  smoothstep(0.03, 0.10, height) * (1.0 - smoothstep(1.0, 1.4, height + 0.3 * ragged)) *
                  (1.0 - smoothstep(0.42, 0.54, steep));
    vec3 c = mix(grass, forest, woods);
    c = mix(c, rock, smoothstep(1.4, 2.0, height + 0.35 * ragged) * 0.85);
    c = mix(c, rock, smoothstep(0.44, 0.58, steep + 0.22 * ragged));
    c = mix(c, snow, smoothstep(1.85, 2.10, height + 0.30 * ragged + 0.35 * ground.w - 0.7 * steep) *
                     (1.0 - smoothstep(0.36, 0.54, steep)));
    return mix(sand, c, smoothstep(0.010, 0.035, height + 0.02 * ragged));
}

void main() {
    vec4 ground = texture(regions, vec3(fine_at, fine_layer));
    if (morph > 0.0) ground = mix(ground, texture(regions, vec3(coarse_at, coarse_layer)), morph);
    if (heights) {
        colour = vec4(vec3(0.5 + 0.25 * ground.x / relief), 1.0);
        return;
    }
    float away = length(place);
    vec3 ray = place / away;
    vec3 c;
    if (ground.x > 0.0) {
        vec4 detail = texture(noise, noise_place / 32.0);
        vec4 near = texture(noise, noise_place / 8.0);
        vec2 rough = (detail.gb - 0.5) * (0.5 * exp(-away / 220.0)) + (near.gb - 0.5) * (0.5 * exp(-away / 60.0));
        vec3 normal = normalize(vec3(-ground.yz - rough, 1.0).xzy);
        c = land(ground, normal, away);
        c *= 1.0 + 0.6 * (detail.r - 0.5) * exp(-away / 400.0) + 0.5 * (near.r - 0.5) * exp(-away / 100.0);
        float hollow = clamp(1.0 - 0.55 * ground.w, 0.55, 1.2);
        c *= kSunlight * max(dot(normal, sun), 0.0) * 1.15 + kSkylight * (0.35 + 0.35 * normal.y) * hollow;
    } else {
        float depth = -ground.x / relief;
        vec2 p = noise_place / 32.0;
        vec2 waves = texture(noise, p + seconds * vec2(0.013, 0.021)).gb + texture(noise, 2.0 * p.yx - seconds * vec2(0.022, 0.017)).gb - 1.0;
        waves *= 0.16 / (1.0 + away / 300.0);
        vec3 normal = normalize(vec3(waves.x, 1.0, waves.y));
        vec3 mirrored = reflect(ray, normal);
        mirrored.y = abs(mirrored.y);
        float fresnel = 0.03 + 0.97 * pow(1.0 - max(dot(-ray, normal), 0.0), 5.0);
        vec3 deep = mix(vec3(0.16, 0.42, 0.42), vec3(0.015, 0.10, 0.20), 1.0 - exp(-9.0 * depth));
        deep = mix(vec3(0.55, 0.55, 0.42), deep, smoothstep(0.0, 0.05, depth));
        c = mix(deep * (0.35 + 0.75 * sun.y), sky(mirrored), min(fresnel, 0.75));
        c += kSunlight * (0.9 * pow(max(dot(mirrored, sun), 0.0), 240.0));
        float foam = smoothstep(0.012, 0.0, depth - 0.006 * texture(noise, p * 1.7 + seconds * 0.01).r);
        c = mix(c, vec3(0.92), 0.55 * foam);
    }
    float haze = 1.0 - exp(-pow(1.35 * away / far, 1.6));
    float flat_away = length(place.xz);
    haze = max(haze, smoothstep(0.80 * far, 0.99 * far, flat_away));
    c = 1.08 * (1.0 - exp(-1.35 * c));  // what is brighter than white keeps its shape
    colour = vec4(mix(c, sky(vec3(ray.x, max(ray.y, 0.0), ray.z)), haze), 1.0);
}
)";

inline constexpr char kOverlayVertex[] = R"(#version 330 core
layout(location = 0) in vec4 corner;  // pixels from the upper left; texture, or -1 for none
layout(location = 1) in vec4 tint;
uniform vec2 size;
out vec2 at;
out vec4 paint;
void main() {
    at = corner.zw;
    paint = tint;
    gl_Position = vec4(corner.x / size.x * 2.0 - 1.0, 1.0 - corner.y / size.y * 2.0, 0.0, 1.0);
}
)";

inline constexpr char kOverlayFragment[] = R"(#version 330 core
in vec2 at;
in vec4 paint;
uniform sampler2D font;
out vec4 colour;
void main() { colour = vec4(paint.rgb, paint.a * (at.x < 0.0 ? 1.0 : texture(font, at).r)); }
)";

}  // namespace shaders
