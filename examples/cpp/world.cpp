// A piece of an endless world: world MODEL > world.pgm, for a model of one channel.
#include <brenier.hpp>

#include <cstdint>
#include <cstdio>
#include <exception>
#include <vector>

int main(int argc, char** argv) try {
    const brenier::Engine engine;
    const brenier::Model model = engine.open(argc > 1 ? argv[1] : "terrain.safetensors");
    const std::vector<brenier::Octave> octaves{{8, 1}, {1, 0.2, 1}};
    brenier::FieldOptions options;
    options.octaves = octaves;
    options.channels = 1;
    std::vector<std::uint8_t> map(512 * 512);
    model.field(options).read(/* seed */ 7, {/* x */ -256, /* y */ -256, 512, 512}, brenier::Images(map));
    std::printf("P5 512 512 255\n");
    std::fwrite(map.data(), 1, map.size(), stdout);
} catch (const std::exception& e) {
    std::fprintf(stderr, "world: %s\n", e.what());
    return 1;
}
