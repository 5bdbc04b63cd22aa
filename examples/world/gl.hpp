// The functions of OpenGL 3.3 that the game calls, found by way of SDL: gl.Clear is glClear. Nothing is
// linked to libGL.
#pragma once

#include <SDL.h>
#define GL_GLEXT_PROTOTYPES  // for the types of the functions alone
#include <SDL_opengl.h>

#include <stdexcept>
#include <string>

#define WORLD_GL_FUNCTIONS(X)                                                                             \
    X(ActiveTexture) X(AttachShader) X(BindBuffer) X(BindFramebuffer) X(BindRenderbuffer) X(BindTexture)  \
    X(BindVertexArray) X(BlendFunc) X(BlitFramebuffer) X(BufferData) X(CheckFramebufferStatus)            \
    X(ClearBufferfv) X(CompileShader) X(CreateProgram) X(CreateShader) X(DeleteBuffers)                   \
    X(DeleteFramebuffers) X(DeleteProgram) X(DeleteRenderbuffers) X(DeleteShader) X(DeleteTextures)       \
    X(DeleteVertexArrays) X(DepthFunc) X(DepthMask) X(Disable) X(DrawArrays) X(DrawElementsInstanced)     \
    X(Enable) X(EnableVertexAttribArray) X(Finish) X(FramebufferRenderbuffer) X(GenBuffers)               \
    X(GenFramebuffers) X(GenRenderbuffers) X(GenTextures) X(GenVertexArrays) X(GenerateMipmap)            \
    X(GetIntegerv) X(GetProgramInfoLog) X(GetProgramiv) X(GetShaderInfoLog) X(GetShaderiv) X(GetString)   \
    X(GetUniformLocation) X(LinkProgram) X(PixelStorei) X(ReadPixels) X(RenderbufferStorageMultisample)   \
    X(ShaderSource) X(TexImage2D) X(TexImage3D) X(TexParameteri) X(TexSubImage3D) X(Uniform1f)            \
    X(Uniform1i) X(Uniform2f) X(Uniform3f) X(UniformMatrix4fv) X(UseProgram) X(VertexAttribDivisor)       \
    X(VertexAttribPointer) X(Viewport)

struct Gl {
#define X(name) decltype(&::gl##name) name = nullptr;
    WORLD_GL_FUNCTIONS(X)
#undef X

    // Of the context that is current.
    void load() {
        const auto find = [](const char* name) {
            void* function = SDL_GL_GetProcAddress(name);
            if (!function) throw std::runtime_error(std::string("OpenGL 3.3: the driver has no ") + name);
            return function;
        };
#define X(name) name = reinterpret_cast<decltype(name)>(find("gl" #name));
        WORLD_GL_FUNCTIONS(X)
#undef X
    }
};

inline Gl gl;
