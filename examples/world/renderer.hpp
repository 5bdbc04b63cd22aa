// Draws the terrain, the sea and the sky with OpenGL 3.3, into a picture of its own that is then shown.
#pragma once

#include "gl.hpp"
#include "overlay.hpp"
#include "terrain.hpp"

#include <cstdint>
#include <string>
#include <vector>

class Renderer {
public:
    struct Options {
        int width = 1280, height = 720;
        int quads = 32;       // of a square, along an axis
        int samples = 1;      // of a pixel
        int regions = 1024;   // layers, at most what the driver has
        double relief = 1;    // the height of a standard deviation
        bool heights = false; // grey by height instead of a landscape
    };

    explicit Renderer(const Options& options);  // in the context that is current
    ~Renderer();
    Renderer(const Renderer&) = delete;
    Renderer& operator=(const Renderer&) = delete;

    std::string name() const;  // of the driver's renderer
    int regions() const { return options_.regions; }

    void upload(int layer, const std::vector<float>& heights);
    void draw(const Pose& camera, const Terrain& terrain, double seconds);
    void draw(const Overlay& overlay);
    void show(int window_width, int window_height) const;

    std::vector<std::uint8_t> picture() const;  // [height,width,3], the uppermost row first
    // Pixels of the terrain drawn last through which one sees the sky although the ground must be there: their
    // ray meets the level of the sea, below which there is nothing, nearer than the far level ends. Ask before an
    // overlay is drawn.
    std::size_t holes() const;

private:
    struct Program {
        GLuint id = 0;
        GLint operator[](const char* uniform) const { return gl.GetUniformLocation(id, uniform); }
    };
    struct Instance {
        float square[4], fine[4], coarse[4], extra[4];
    };
    struct View {  // of the last frame
        Vec3 forward, right, up;  // the latter two as long as half the picture
        double height = 0, far = 0;
    };

    static Program program(const std::string& vertex, const std::string& fragment);
    bool visible(const Square& square, const Pose& camera) const;
    void use(const Program& program, double seconds) const;
    std::vector<std::uint8_t> read(GLenum format, int channels) const;

    Options options_;
    View view_;
    Program sky_, ground_, overlay_;
    GLuint nothing_ = 0, mesh_ = 0, mesh_vertices_ = 0, mesh_indices_ = 0, instance_buffer_ = 0;
    GLuint overlay_mesh_ = 0, overlay_vertices_ = 0;
    GLuint regions_ = 0, noise_ = 0, font_ = 0;
    GLuint drawn_ = 0, drawn_colour_ = 0, drawn_depth_ = 0, resolved_ = 0, resolved_colour_ = 0;
    GLsizei indices_ = 0;
    std::vector<Instance> instances_;
    std::vector<float> texels_;
};
