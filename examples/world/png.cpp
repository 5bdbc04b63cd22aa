#include "png.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <fstream>
#include <stdexcept>
#include <string_view>

namespace {

using Bytes = std::vector<std::uint8_t>;

void put32(Bytes& to, std::uint32_t value) {
    for (int shift = 24; shift >= 0; shift -= 8) to.push_back(static_cast<std::uint8_t>(value >> shift));
}

// CRC-32 of ISO 3309, as PNG's appendix D has it.
std::uint32_t crc32(const std::uint8_t* data, std::size_t size) {
    static const auto table = [] {
        std::array<std::uint32_t, 256> t{};
        for (std::uint32_t i = 0; i < 256; i++) {
            t[i] = i;
            for (int bit = 0; bit < 8; bit++) t[i] = t[i] >> 1 ^ (t[i] & 1 ? 0xedb88320 : 0);
        }
        return t;
    }();
    std::uint32_t crc = ~0u;
    for (std::size_t i = 0; i < size; i++) crc = crc >> 8 ^ table[(crc ^ data[i]) & 255];
    return ~crc;
}

void put_chunk(Bytes& to, std::string_view name, const Bytes& content) {
    put32(to, static_cast<std::uint32_t>(content.size()));
    const std::size_t start = to.size();
    to.insert(to.end(), name.begin(), name.end());
    to.insert(to.end(), content.begin(), content.end());
    put32(to, crc32(to.data() + start, to.size() - start));
}

// A zlib stream (RFC 1950) of stored blocks (RFC 1951, 3.2.4).
Bytes stored(const Bytes& data) {
    constexpr std::size_t kBlock = 65535;
    Bytes stream{0x78, 0x01};
    std::uint32_t a = 1, b = 0;  // Adler-32
    for (std::uint8_t byte : data) {
        a = (a + byte) % 65521;
        b = (b + a) % 65521;
    }
    for (std::size_t at = 0; at < data.size(); at += kBlock) {
        const std::size_t n = std::min(kBlock, data.size() - at);
        stream.push_back(at + n == data.size());
        for (std::size_t half : {n, ~n}) {
            stream.push_back(static_cast<std::uint8_t>(half));
            stream.push_back(static_cast<std::uint8_t>(half >> 8));
        }
        stream.insert(stream.end(), data.begin() + static_cast<std::ptrdiff_t>(at),
                      data.begin() + static_cast<std::ptrdiff_t>(at + n));
    }
    put32(stream, b << 16 | a);
    return stream;
}

}  // namespace

void write_png(const std::string& path, int width, int height, const std::vector<std::uint8_t>& rgb) {
    Bytes file{0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    Bytes header;
    put32(header, static_cast<std::uint32_t>(width));
    put32(header, static_cast<std::uint32_t>(height));
    header.insert(header.end(), {8, 2, 0, 0, 0});  // 8 bits, RGB
    put_chunk(file, "IHDR", header);
    Bytes rows;
    const std::ptrdiff_t pitch = 3 * static_cast<std::ptrdiff_t>(width);
    for (int y = 0; y < height; y++) {
        rows.push_back(0);  // no filter
        rows.insert(rows.end(), rgb.begin() + y * pitch, rgb.begin() + (y + 1) * pitch);
    }
    put_chunk(file, "IDAT", stored(rows));
    put_chunk(file, "IEND", {});

    const std::string part = path + ".part";
    std::ofstream out(part, std::ios::binary);
    out.write(reinterpret_cast<const char*>(file.data()), static_cast<std::streamsize>(file.size()));
    out.close();
    if (!out || std::rename(part.c_str(), path.c_str()) != 0) throw std::runtime_error(path + ": cannot be written");
}
