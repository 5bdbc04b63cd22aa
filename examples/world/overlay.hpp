// Text and bars over the picture, in the game's own font.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

struct Colour {
    float r = 1, g = 1, b = 1, a = 1;
};

class Overlay {
public:
    struct Vertex {
        float x, y;  // pixels, from the picture's upper left
        float u, v;  // in font(), or -1: no texture
        Colour colour;
    };
    static constexpr int kGlyphWidth = 6, kGlyphHeight = 9;             // with the space around
    static constexpr int kFontWidth = 64 * 8, kFontHeight = 8;          // of font()

    static std::vector<std::uint8_t> font();  // [kFontHeight,kFontWidth]: characters 32 .. 95, 8 x 8 pixels each

    explicit Overlay(int scale) : scale_(scale) {}
    int scale() const { return scale_; }

    void clear() { vertices_.clear(); }
    void text(float x, float y, const std::string& line, Colour colour = Colour());
    void bar(float x, float y, float width, float height, Colour colour);
    const std::vector<Vertex>& vertices() const { return vertices_; }  // triangles

private:
    void quad(float x, float y, float width, float height, float u, float v, float du, float dv, Colour colour);

    const int scale_;  // the picture's pixels in one of the font
    std::vector<Vertex> vertices_;
};
