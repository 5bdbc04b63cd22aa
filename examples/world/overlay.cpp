#include "overlay.hpp"

#include <cctype>

namespace {

// 5 x 7 pixels a character, a row a number, the leftmost pixel its bit 4. Characters without a drawing are boxes.
constexpr std::uint8_t kGlyphs[64][7] = {
    /*   */ { 0,  0,  0,  0,  0,  0,  0}, /* ! */ { 4,  4,  4,  4,  4,  0,  4},
    /* " */ {31, 17, 17, 17, 17, 17, 31}, /* # */ {31, 17, 17, 17, 17, 17, 31},
    /* $ */ {31, 17, 17, 17, 17, 17, 31}, /* % */ {25, 25,  2,  4,  8, 19, 19},
    /* & */ {31, 17, 17, 17, 17, 17, 31}, /* ' */ { 4,  4,  0,  0,  0,  0,  0},
    /* ( */ { 2,  4,  8,  8,  8,  4,  2}, /* ) */ { 8,  4,  2,  2,  2,  4,  8},
    /* * */ { 0,  0, 21, 14, 21,  0,  0}, /* + */ { 0,  4,  4, 31,  4,  4,  0},
    /* , */ { 0,  0,  0,  0,  6,  4,  8}, /* - */ { 0,  0,  0, 31,  0,  0,  0},
    /* . */ { 0,  0,  0,  0,  0, 12, 12}, /* / */ { 1,  1,  2,  4,  8, 16, 16},
    /* 0 */ {14, 17, 19, 21, 25, 17, 14}, /* 1 */ { 4, 12,  4,  4,  4,  4, 14},
    /* 2 */ {14, 17,  1,  6,  8, 16, 31}, /* 3 */ {14, 17,  1,  6,  1, 17, 14},
    /* 4 */ { 2,  6, 10, 18, 31,  2,  2}, /* 5 */ {31, 16, 30,  1,  1, 17, 14},
    /* 6 */ { 6,  8, 16, 30, 17, 17, 14}, /* 7 */ {31,  1,  2,  4,  4,  4,  4},
    /* 8 */ {14, 17, 17, 14, 17, 17, 14}, /* 9 */ {14, 17, 17, 15,  1,  2, 12},
    /* : */ { 0, 12, 12,  0, 12, 12,  0}, /* ; */ {31, 17, 17, 17, 17, 17, 31},
    /* < */ { 2,  4,  8, 16,  8,  4,  2}, /* = */ { 0,  0, 31,  0, 31,  0,  0},
    /* > */ { 8,  4,  2,  1,  2,  4,  8}, /* ? */ {14, 17,  1,  6,  4,  0,  4},
    /* @ */ {31, 17, 17, 17, 17, 17, 31}, /* A */ { 4, 10, 17, 17, 31, 17, 17},
    /* B */ {30, 17, 17, 30, 17, 17, 30}, /* C */ {14, 17, 16, 16, 16, 17, 14},
    /* D */ {30, 17, 17, 17, 17, 17, 30}, /* E */ {31, 16, 16, 30, 16, 16, 31},
    /* F */ {31, 16, 16, 30, 16, 16, 16}, /* G */ {14, 17, 16, 23, 17, 17, 15},
    /* H */ {17, 17, 17, 31, 17, 17, 17}, /* I */ {14,  4,  4,  4,  4,  4, 14},
    /* J */ { 7,  2,  2,  2,  2, 18, 12}, /* K */ {17, 18, 20, 24, 20, 18, 17},
    /* L */ {16, 16, 16, 16, 16, 16, 31}, /* M */ {17, 27, 21, 21, 17, 17, 17},
    /* N */ {17, 25, 25, 21, 19, 19, 17}, /* O */ {14, 17, 17, 17, 17, 17, 14},
    /* P */ {30, 17, 17, 30, 16, 16, 16}, /* Q */ {14, 17, 17, 17, 21, 18, 13},
    /* R */ {30, 17, 17, 30, 20, 18, 17}, /* S */ {15, 16, 16, 14,  1,  1, 30},
    /* T */ {31,  4,  4,  4,  4,  4,  4}, /* U */ {17, 17, 17, 17, 17, 17, 14},
    /* V */ {17, 17, 17, 17, 10, 10,  4}, /* W */ {17, 17, 17, 21, 21, 27, 17},
    /* X */ {17, 17, 10,  4, 10, 17, 17}, /* Y */ {17, 17, 10,  4,  4,  4,  4},
    /* Z */ {31,  1,  2,  4,  8, 16, 31}, /* [ */ {14,  8,  8,  8,  8,  8, 14},
    /* backslash */ {31, 17, 17, 17, 17, 17, 31}, /* ] */ {14,  2,  2,  2,  2,  2, 14},
    /* ^ */ {31, 17, 17, 17, 17, 17, 31}, /* _ */ { 0,  0,  0,  0,  0,  0, 31},
};

}  // namespace

std::vector<std::uint8_t> Overlay::font() {
    std::vector<std::uint8_t> texels(kFontWidth * kFontHeight);
    for (int glyph = 0; glyph < 64; glyph++)
        for (int row = 0; row < 7; row++)
            for (int column = 0; column < 5; column++)
                if (kGlyphs[glyph][row] >> (4 - column) & 1) texels[row * kFontWidth + glyph * 8 + column] = 255;
    return texels;
}

void Overlay::text(float x, float y, const std::string& line, Colour colour) {
    const auto scale = static_cast<float>(scale_);
    for (const char c : line) {
        int glyph = std::toupper(static_cast<unsigned char>(c)) - 32;
        if (glyph < 0 || glyph > 63) glyph = '?' - 32;
        const float u = static_cast<float>(glyph * 8) / kFontWidth;
        for (const bool shadow : {true, false})
            quad(x + (shadow ? scale : 0), y + (shadow ? scale : 0), 5 * scale, 7 * scale, u, 0, 5.0f / kFontWidth, 7.0f / kFontHeight,
                 shadow ? Colour{0, 0, 0, colour.a * 0.7f} : colour);
        x += static_cast<float>(kGlyphWidth) * scale;
    }
}

void Overlay::bar(float x, float y, float width, float height, Colour colour) {
    quad(x, y, width, height, -1, -1, 0, 0, colour);
}

void Overlay::quad(float x, float y, float width, float height, float u, float v, float du, float dv, Colour colour) {
    const Vertex a{x, y, u, v, colour}, b{x + width, y, u + du, v, colour}, c{x, y + height, u, v + dv, colour},
        d{x + width, y + height, u + du, v + dv, colour};
    vertices_.insert(vertices_.end(), {a, c, b, b, c, d});
}
