// Pictures as PNG files, without compression.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

// rgb [height,width,3], the uppermost row first.
void write_png(const std::string& path, int width, int height, const std::vector<std::uint8_t>& rgb);
