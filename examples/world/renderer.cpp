#include "renderer.hpp"

#include "shaders.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <stdexcept>

namespace {

constexpr double kHalfView = 28 * kDegree;   // half the angle that the picture is high
constexpr int kTexels = kSamples + 2;        // of a region's layer, along an axis
constexpr int kNoise = 256;                  // texels of the noise, along an axis
constexpr double kNoiseRepeats = 32 * 1024;  // pixels of the world after which all that the shaders make of noise repeats

GLuint compile(GLenum kind, const std::string& source) {
    const GLuint shader = gl.CreateShader(kind);
    const char* text = source.c_str();
    gl.ShaderSource(shader, 1, &text, nullptr);
    gl.CompileShader(shader);
    GLint good = 0;
    gl.GetShaderiv(shader, GL_COMPILE_STATUS, &good);
    if (!good) {
        char log[1024] = "";
        gl.GetShaderInfoLog(shader, sizeof log, nullptr, log);
        throw std::runtime_error(std::string("a shader does not compile: ") + log);
    }
    return shader;
}

// Value noise of several octaves that repeats, its slopes, and the same of other random values: what is in
// front of the eye is finer than the field.
std::vector<std::uint8_t> noise_texels() {
    std::vector<float> values[2];
    std::uint32_t state = 1;
    for (auto& sum : values) {
        sum.assign(kNoise * kNoise, 0.0f);
        float amplitude = 0.5f;
        for (int cells = 8; cells <= 128; cells *= 2, amplitude *= 0.62f) {
            std::vector<float> corners(static_cast<std::size_t>(cells) * cells);
            for (float& c : corners) {
                state = state * 1664525 + 1013904223;
                c = static_cast<float>(state >> 8) / (1 << 23) - 1;
            }
            for (int y = 0; y < kNoise; y++)
                for (int x = 0; x < kNoise; x++) {
                    const int step = kNoise / cells, i = x / step, j = y / step;
                    const auto smooth = [&](int at) {
                        const float t = static_cast<float>(at % step) / static_cast<float>(step);
                        return t * t * (3 - 2 * t);
                    };
                    const auto corner = [&](int a, int b) { return corners[static_cast<std::size_t>(b % cells * cells + a % cells)]; };
                    const float s = smooth(x), t = smooth(y);
                    sum[static_cast<std::size_t>(y * kNoise + x)] +=
                        amplitude * ((corner(i, j) * (1 - s) + corner(i + 1, j) * s) * (1 - t) +
                                     (corner(i, j + 1) * (1 - s) + corner(i + 1, j + 1) * s) * t);
                }
        }
    }
    const auto byte = [](float v) { return static_cast<std::uint8_t>(std::clamp(127.5f + 127.5f * v, 0.0f, 255.0f)); };
    std::vector<std::uint8_t> texels;
    for (int y = 0; y < kNoise; y++)
        for (int x = 0; x < kNoise; x++) {
            const auto at = [&](int k, int dx, int dy) {
                return values[k][static_cast<std::size_t>((y + dy + kNoise) % kNoise * kNoise + (x + dx + kNoise) % kNoise)];
            };
            texels.insert(texels.end(), {byte(at(0, 0, 0)), byte(4 * (at(0, 1, 0) - at(0, -1, 0))),
                                         byte(4 * (at(0, 0, 1) - at(0, 0, -1))), byte(at(1, 0, 0))});
        }
    return texels;
}

void wrap(GLenum target, GLint how, GLint smaller) {
    gl.TexParameteri(target, GL_TEXTURE_WRAP_S, how);
    gl.TexParameteri(target, GL_TEXTURE_WRAP_T, how);
    gl.TexParameteri(target, GL_TEXTURE_MIN_FILTER, smaller);
    gl.TexParameteri(target, GL_TEXTURE_MAG_FILTER, smaller == GL_NEAREST ? GL_NEAREST : GL_LINEAR);
}

void attribute(GLuint index, GLint size, std::size_t stride, std::size_t offset, GLuint divisor = 0) {
    gl.EnableVertexAttribArray(index);
    gl.VertexAttribPointer(index, size, GL_FLOAT, GL_FALSE, static_cast<GLsizei>(stride), reinterpret_cast<const void*>(offset));
    gl.VertexAttribDivisor(index, divisor);
}

}  // namespace

Renderer::Renderer(const Options& options) : options_(options) {
    sky_ = program(shaders::kSkyVertex, std::string(shaders::kLight) + shaders::kSkyFragment);
    ground_ = program(shaders::kGroundVertex, std::string(shaders::kLight) + shaders::kGroundFragment);
    overlay_ = program(shaders::kOverlayVertex, shaders::kOverlayFragment);
    gl.GenVertexArrays(1, &nothing_);

    // A square's grid, with a skirt around that hides the cracks to squares of other data.
    const int n = options_.quads, row = n + 3;
    std::vector<float> vertices;
    std::vector<std::uint16_t> indices;
    for (int j = -1; j <= n + 1; j++)
        for (int i = -1; i <= n + 1; i++) {
            const int x = std::clamp(i, 0, n), y = std::clamp(j, 0, n);
            vertices.insert(vertices.end(), {static_cast<float>(x) / static_cast<float>(n), static_cast<float>(y) / static_cast<float>(n),
                                             x != i || y != j ? 1.0f : 0.0f});
        }
    for (int j = 0; j < n + 2; j++)
        for (int i = 0; i < n + 2; i++) {
            const int a = j * row + i;
            for (int corner : {a, a + row, a + 1, a + 1, a + row, a + row + 1}) indices.push_back(static_cast<std::uint16_t>(corner));
        }
    indices_ = static_cast<GLsizei>(indices.size());
    gl.GenVertexArrays(1, &mesh_);
    gl.BindVertexArray(mesh_);
    gl.GenBuffers(1, &mesh_vertices_);
    gl.BindBuffer(GL_ARRAY_BUFFER, mesh_vertices_);
    gl.BufferData(GL_ARRAY_BUFFER, static_cast<GLsizeiptr>(vertices.size() * sizeof(float)), vertices.data(), GL_STATIC_DRAW);
    attribute(0, 3, 3 * sizeof(float), 0);
    gl.GenBuffers(1, &mesh_indices_);
    gl.BindBuffer(GL_ELEMENT_ARRAY_BUFFER, mesh_indices_);
    gl.BufferData(GL_ELEMENT_ARRAY_BUFFER, static_cast<GLsizeiptr>(indices.size() * sizeof indices[0]), indices.data(), GL_STATIC_DRAW);
    gl.GenBuffers(1, &instance_buffer_);
    gl.BindBuffer(GL_ARRAY_BUFFER, instance_buffer_);
    for (GLuint part = 0; part < 4; part++) attribute(1 + part, 4, sizeof(Instance), part * sizeof(Instance::square), 1);

    gl.GenVertexArrays(1, &overlay_mesh_);
    gl.BindVertexArray(overlay_mesh_);
    gl.GenBuffers(1, &overlay_vertices_);
    gl.BindBuffer(GL_ARRAY_BUFFER, overlay_vertices_);
    attribute(0, 4, sizeof(Overlay::Vertex), 0);
    attribute(1, 4, sizeof(Overlay::Vertex), offsetof(Overlay::Vertex, colour));

    GLint most = 0;
    gl.GetIntegerv(GL_MAX_ARRAY_TEXTURE_LAYERS, &most);
    options_.regions = std::min(options_.regions, static_cast<int>(most));
    gl.PixelStorei(GL_UNPACK_ALIGNMENT, 1);
    gl.PixelStorei(GL_PACK_ALIGNMENT, 1);
    gl.GenTextures(1, &regions_);
    gl.BindTexture(GL_TEXTURE_2D_ARRAY, regions_);
    gl.TexImage3D(GL_TEXTURE_2D_ARRAY, 0, GL_RGBA16F, kTexels, kTexels, options_.regions, 0, GL_RGBA, GL_FLOAT, nullptr);
    wrap(GL_TEXTURE_2D_ARRAY, GL_CLAMP_TO_EDGE, GL_LINEAR);
    gl.GenTextures(1, &noise_);
    gl.BindTexture(GL_TEXTURE_2D, noise_);
    gl.TexImage2D(GL_TEXTURE_2D, 0, GL_RGBA8, kNoise, kNoise, 0, GL_RGBA, GL_UNSIGNED_BYTE, noise_texels().data());
    gl.GenerateMipmap(GL_TEXTURE_2D);
    wrap(GL_TEXTURE_2D, GL_REPEAT, GL_LINEAR_MIPMAP_LINEAR);
    gl.GenTextures(1, &font_);
    gl.BindTexture(GL_TEXTURE_2D, font_);
    gl.TexImage2D(GL_TEXTURE_2D, 0, GL_R8, Overlay::kFontWidth, Overlay::kFontHeight, 0, GL_RED, GL_UNSIGNED_BYTE, Overlay::font().data());
    wrap(GL_TEXTURE_2D, GL_CLAMP_TO_EDGE, GL_NEAREST);

    const auto target = [&](GLuint& frame, GLuint& colour, GLuint* depth, int samples) {
        const auto storage = [&](GLuint& buffer, GLenum format, GLenum place) {
            gl.GenRenderbuffers(1, &buffer);
            gl.BindRenderbuffer(GL_RENDERBUFFER, buffer);
            gl.RenderbufferStorageMultisample(GL_RENDERBUFFER, samples > 1 ? samples : 0, format, options_.width, options_.height);
            gl.FramebufferRenderbuffer(GL_FRAMEBUFFER, place, GL_RENDERBUFFER, buffer);
        };
        gl.GenFramebuffers(1, &frame);
        gl.BindFramebuffer(GL_FRAMEBUFFER, frame);
        storage(colour, GL_RGBA8, GL_COLOR_ATTACHMENT0);
        if (depth) storage(*depth, GL_DEPTH_COMPONENT24, GL_DEPTH_ATTACHMENT);
        if (gl.CheckFramebufferStatus(GL_FRAMEBUFFER) != GL_FRAMEBUFFER_COMPLETE)
            throw std::runtime_error("the driver cannot draw " + std::to_string(options_.width) + " x " + std::to_string(options_.height) +
                                     " pixels of " + std::to_string(samples) + " samples");
    };
    target(drawn_, drawn_colour_, &drawn_depth_, options_.samples);
    target(resolved_, resolved_colour_, nullptr, 1);
}

Renderer::~Renderer() {
    for (const Program& p : {sky_, ground_, overlay_}) gl.DeleteProgram(p.id);
    for (GLuint* array : {&nothing_, &mesh_, &overlay_mesh_}) gl.DeleteVertexArrays(1, array);
    for (GLuint* buffer : {&mesh_vertices_, &mesh_indices_, &instance_buffer_, &overlay_vertices_}) gl.DeleteBuffers(1, buffer);
    for (GLuint* texture : {&regions_, &noise_, &font_}) gl.DeleteTextures(1, texture);
    for (GLuint* buffer : {&drawn_colour_, &drawn_depth_, &resolved_colour_}) gl.DeleteRenderbuffers(1, buffer);
    for (GLuint* frame : {&drawn_, &resolved_}) gl.DeleteFramebuffers(1, frame);
}

Renderer::Program Renderer::program(const std::string& vertex, const std::string& fragment) {
    const GLuint shaders[] = {compile(GL_VERTEX_SHADER, vertex), compile(GL_FRAGMENT_SHADER, fragment)};
    const Program program{gl.CreateProgram()};
    for (GLuint shader : shaders) gl.AttachShader(program.id, shader);
    gl.LinkProgram(program.id);
    for (GLuint shader : shaders) gl.DeleteShader(shader);
    GLint good = 0;
    gl.GetProgramiv(program.id, GL_LINK_STATUS, &good);
    if (!good) {
        char log[1024] = "";
        gl.GetProgramInfoLog(program.id, sizeof log, nullptr, log);
        throw std::runtime_error(std::string("shaders do not link: ") + log);
    }
    return program;
}

std::string Renderer::name() const { return reinterpret_cast<const char*>(gl.GetString(GL_RENDERER)); }

// Texel i of a layer is sample i + 1 of the region: half of its border is for the slopes.
void Renderer::upload(int layer, const std::vector<float>& heights) {
    texels_.clear();
    for (int y = 1; y <= kTexels; y++)
        for (int x = 1; x <= kTexels; x++) {
            const float* h = heights.data() + y * kRegionWidth + x;
            const float east = h[1], west = h[-1], south = h[kRegionWidth], north = h[-kRegionWidth];
            const float around = (east + west + south + north + h[kRegionWidth + 1] + h[kRegionWidth - 1] + h[-kRegionWidth + 1] +
                                  h[-kRegionWidth - 1]) / 8;
            texels_.insert(texels_.end(), {*h, (east - west) / 2, (south - north) / 2, around - *h});
        }
    gl.BindTexture(GL_TEXTURE_2D_ARRAY, regions_);
    gl.TexSubImage3D(GL_TEXTURE_2D_ARRAY, 0, 0, 0, layer, kTexels, kTexels, 1, GL_RGBA, GL_FLOAT, texels_.data());
}

// Whether any of the square's box may be in the picture.
bool Renderer::visible(const Square& square, const Pose& camera) const {
    const double width = square.place.width();
    const auto x = static_cast<float>(static_cast<double>(square.place.x) * width - camera.x);
    const auto z = static_cast<float>(static_cast<double>(square.place.y) * width - camera.z);
    const auto w = static_cast<float>(width);
    // What stands in or is coarse is lower and higher by no more than a skirt.
    const float skirt = 0.08f * w, bottom = static_cast<float>(std::max(0.0f, square.fine.region->low) - camera.y) - skirt,
                top = static_cast<float>(std::max(0.0f, square.fine.region->high) - camera.y) + skirt;
    // Of the four sides of the view: a box is out if all of its corners are beyond one.
    const Vec3 &f = view_.forward, &r = view_.right, &u = view_.up;
    const Vec3 sides[] = {f * dot(r, r) + r * 1.0f, f * dot(r, r) + r * -1.0f, f * dot(u, u) + u, f * dot(u, u) + u * -1.0f};
    return std::all_of(std::begin(sides), std::end(sides), [&](Vec3 side) {
        return dot(side, {side.x > 0 ? x + w : x, side.y > 0 ? top : bottom, side.z > 0 ? z + w : z}) > 0;
    });
}

void Renderer::use(const Program& program, double seconds) const {
    const Vec3 sun = unit({-0.66f, 0.52f, -0.10f});
    gl.UseProgram(program.id);
    gl.Uniform3f(program["sun"], sun.x, sun.y, sun.z);
    gl.Uniform1f(program["seconds"], static_cast<float>(seconds));
    gl.Uniform1i(program["noise"], 0);
    gl.Uniform1i(program["regions"], 1);
}

void Renderer::draw(const Pose& camera, const Terrain& terrain, double seconds) {
    const auto tangent = static_cast<float>(std::tan(kHalfView));
    const Vec3 forward = camera.forward(), right = camera.right(), up = cross(right, forward);
    view_ = {forward, right * (tangent * static_cast<float>(options_.width) / static_cast<float>(options_.height)), up * tangent, camera.y,
             terrain.far()};

    instances_.clear();
    for (const Square& square : terrain.squares()) {
        if (!visible(square, camera)) continue;
        const double width = square.place.width(), x = static_cast<double>(square.place.x) * width, z = static_cast<double>(square.place.y) * width;
        const auto layer = [](const Part& part) { return static_cast<float>(part.region->layer); };
        const double until = terrain.reach(square.place.level);
        const auto repeated = [](double v) { return static_cast<float>(v - kNoiseRepeats * std::floor(v / kNoiseRepeats)); };
        instances_.push_back({{static_cast<float>(x - camera.x), static_cast<float>(z - camera.z), static_cast<float>(width), square.fade},
                              {square.fine.x, square.fine.y, square.fine.width, layer(square.fine)},
                              {square.coarse.x, square.coarse.y, square.coarse.width, layer(square.coarse)},
                              {static_cast<float>(0.7 * until), static_cast<float>(0.98 * until), repeated(x), repeated(z)}});
    }

    gl.BindFramebuffer(GL_FRAMEBUFFER, drawn_);
    gl.Viewport(0, 0, options_.width, options_.height);
    gl.ActiveTexture(GL_TEXTURE1);
    gl.BindTexture(GL_TEXTURE_2D_ARRAY, regions_);
    gl.ActiveTexture(GL_TEXTURE0);
    gl.BindTexture(GL_TEXTURE_2D, noise_);
    const float deepest = 1;
    gl.DepthMask(GL_TRUE);
    gl.ClearBufferfv(GL_DEPTH, 0, &deepest);

    const float nearest = 0.5f, farthest = static_cast<float>(2 * terrain.far() + camera.y);
    const Vec3 &r = right, &u = up, &f = forward;
    const float across = 1 / (tangent * static_cast<float>(options_.width) / static_cast<float>(options_.height)), along = 1 / tangent;
    const float depth = (farthest + nearest) / (farthest - nearest), shift = -2 * farthest * nearest / (farthest - nearest);
    const Mat4 view{r.x * across, u.x * along, f.x * depth, f.x, r.y * across, u.y * along, f.y * depth, f.y,
                    r.z * across, u.z * along, f.z * depth, f.z, 0, 0, shift, 0};
    gl.Enable(GL_DEPTH_TEST);
    gl.DepthFunc(GL_LEQUAL);
    use(ground_, seconds);
    gl.UniformMatrix4fv(ground_["view"], 1, GL_FALSE, view.data());
    gl.Uniform1f(ground_["altitude"], static_cast<float>(terrain.altitude()));
    gl.Uniform1f(ground_["eye"], static_cast<float>(camera.y));
    gl.Uniform1f(ground_["far"], static_cast<float>(terrain.far()));
    gl.Uniform1f(ground_["relief"], static_cast<float>(options_.relief));
    gl.Uniform1i(ground_["heights"], options_.heights);
    gl.BindVertexArray(mesh_);
    gl.BindBuffer(GL_ARRAY_BUFFER, instance_buffer_);
    gl.BufferData(GL_ARRAY_BUFFER, static_cast<GLsizeiptr>(instances_.size() * sizeof(Instance)), instances_.data(), GL_STREAM_DRAW);
    gl.DrawElementsInstanced(GL_TRIANGLES, indices_, GL_UNSIGNED_SHORT, nullptr, static_cast<GLsizei>(instances_.size()));

    gl.DepthMask(GL_FALSE);
    use(sky_, seconds);  // where nothing was drawn
    gl.Uniform3f(sky_["forward"], f.x, f.y, f.z);
    gl.Uniform3f(sky_["right"], view_.right.x, view_.right.y, view_.right.z);
    gl.Uniform3f(sky_["up"], view_.up.x, view_.up.y, view_.up.z);
    gl.BindVertexArray(nothing_);
    gl.DrawArrays(GL_TRIANGLES, 0, 3);
    gl.Disable(GL_DEPTH_TEST);

    gl.BindFramebuffer(GL_READ_FRAMEBUFFER, drawn_);
    gl.BindFramebuffer(GL_DRAW_FRAMEBUFFER, resolved_);
    gl.BlitFramebuffer(0, 0, options_.width, options_.height, 0, 0, options_.width, options_.height, GL_COLOR_BUFFER_BIT, GL_NEAREST);
}

void Renderer::draw(const Overlay& overlay) {
    gl.BindFramebuffer(GL_FRAMEBUFFER, resolved_);
    gl.Enable(GL_BLEND);
    gl.BlendFunc(GL_SRC_ALPHA, GL_ONE_MINUS_SRC_ALPHA);
    gl.UseProgram(overlay_.id);
    gl.Uniform2f(overlay_["size"], static_cast<float>(options_.width), static_cast<float>(options_.height));
    gl.Uniform1i(overlay_["font"], 0);
    gl.BindTexture(GL_TEXTURE_2D, font_);
    gl.BindVertexArray(overlay_mesh_);
    gl.BindBuffer(GL_ARRAY_BUFFER, overlay_vertices_);
    gl.BufferData(GL_ARRAY_BUFFER, static_cast<GLsizeiptr>(overlay.vertices().size() * sizeof(Overlay::Vertex)), overlay.vertices().data(),
                  GL_STREAM_DRAW);
    gl.DrawArrays(GL_TRIANGLES, 0, static_cast<GLsizei>(overlay.vertices().size()));
    gl.Disable(GL_BLEND);
}

void Renderer::show(int window_width, int window_height) const {
    gl.BindFramebuffer(GL_READ_FRAMEBUFFER, resolved_);
    gl.BindFramebuffer(GL_DRAW_FRAMEBUFFER, 0);
    gl.BlitFramebuffer(0, 0, options_.width, options_.height, 0, 0, window_width, window_height, GL_COLOR_BUFFER_BIT,
                       window_width == options_.width && window_height == options_.height ? GL_NEAREST : GL_LINEAR);
}

std::vector<std::uint8_t> Renderer::read(GLenum format, int channels) const {
    std::vector<std::uint8_t> pixels(static_cast<std::size_t>(options_.width) * static_cast<std::size_t>(options_.height) *
                                     static_cast<std::size_t>(channels));
    gl.BindFramebuffer(GL_READ_FRAMEBUFFER, resolved_);
    gl.ReadPixels(0, 0, options_.width, options_.height, format, GL_UNSIGNED_BYTE, pixels.data());
    return pixels;
}

std::vector<std::uint8_t> Renderer::picture() const {
    std::vector<std::uint8_t> pixels = read(GL_RGB, 3);  // OpenGL's first row is the lowest
    const auto pitch = static_cast<std::ptrdiff_t>(options_.width) * 3;
    for (int y = 0; y < options_.height / 2; y++)
        std::swap_ranges(pixels.begin() + y * pitch, pixels.begin() + (y + 1) * pitch, pixels.end() - (y + 1) * pitch);
    return pixels;
}

std::size_t Renderer::holes() const {
    const std::vector<std::uint8_t> pixels = read(GL_RGBA, 4);
    std::size_t holes = 0, at = 3;
    for (int y = 0; y < options_.height; y++)
        for (int x = 0; x < options_.width; x++, at += 4) {
            if (pixels[at] >= 128) continue;
            const Vec3 ray = view_.forward + view_.right * ((2 * static_cast<float>(x) + 1) / static_cast<float>(options_.width) - 1) +
                             view_.up * ((2 * static_cast<float>(y) + 1) / static_cast<float>(options_.height) - 1);
            if (ray.y < 0 && view_.height / -ray.y * std::hypot(ray.x, ray.z) < view_.far) holes++;
        }
    return holes;
}
