// What the singular set is for: three rows of images from the same noise, as a PGM or PPM file.
//
//     generate MODEL OUTPUT [COLUMNS [SEED]]
//
//   1  cell      the image of a point of the data set
//   2  simplex   new images, between neighbouring points on one side of the singular set
//   3  simplex   with neighbours across the singular set let in: mixtures that are neither
#include <brenier.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

struct Grid {
    std::size_t width, height, channels;
    std::vector<std::uint8_t> pixels;  // [height,width,channels]
};

// One row of images for each extension.
template <std::size_t rows>
Grid generate(const brenier::Model& model, const std::array<brenier::Extension, rows>& extensions,
              std::size_t columns, std::uint64_t seed) {
    const auto& p = model.properties();
    const std::size_t height = static_cast<std::size_t>(p.height);
    const std::size_t line = static_cast<std::size_t>(p.width) * static_cast<std::size_t>(p.channels);
    Grid grid{columns * static_cast<std::size_t>(p.width), rows * height, static_cast<std::size_t>(p.channels), {}};

    std::vector<std::uint8_t> images(columns * model.image_size());
    for (const brenier::Extension& extension : extensions) {
        model.generate(columns, {seed, 0}, extension, brenier::Images(images, brenier::Layout::nhwc));
        for (std::size_t y = 0; y < height; y++)
            for (std::size_t column = 0; column < columns; column++) {
                const auto from = images.begin() + static_cast<std::ptrdiff_t>((column * height + y) * line);
                grid.pixels.insert(grid.pixels.end(), from, from + static_cast<std::ptrdiff_t>(line));
            }
    }
    return grid;
}

void write(const std::string& path, const Grid& grid) {
    if (grid.channels != 1 && grid.channels != 3)
        throw std::runtime_error("want a model of 1 or 3 channels, got " + std::to_string(grid.channels));
    std::ofstream file(path, std::ios::binary);
    file << (grid.channels == 1 ? "P5 " : "P6 ") << grid.width << ' ' << grid.height << " 255\n";
    file.write(reinterpret_cast<const char*>(grid.pixels.data()), static_cast<std::streamsize>(grid.pixels.size()));
    if (!file.flush()) throw std::runtime_error(path + ": cannot be written");
}

}  // namespace

int main(int argc, char** argv) try {
    if (argc < 3) {
        std::fprintf(stderr, "usage: %s MODEL OUTPUT [COLUMNS [SEED]]\n", argv[0]);
        return 2;
    }
    const std::size_t columns = argc > 3 ? std::max<std::size_t>(1, std::stoul(argv[3])) : 16;
    const std::uint64_t seed = argc > 4 ? std::stoull(argv[4]) : 1;

    const brenier::Engine engine;
    const brenier::Model model = engine.open(argv[1]);
    const brenier::Extension simplex(brenier::Mode::simplex);
    write(argv[2], generate(model, std::array{brenier::Extension(brenier::Mode::cell), simplex, simplex.quantile(1)},
                            columns, seed));
} catch (const std::exception& e) {  // brenier::Error is one
    std::fprintf(stderr, "generate: %s\n", e.what());
    return 1;
}
