// A window with a context of OpenGL 3.3.
#pragma once

#include "gl.hpp"

#include <stdexcept>
#include <string>

class Window {
public:
    Window(int width, int height, bool hidden, bool synchronised) {
        try {
            check(SDL_Init(SDL_INIT_VIDEO) == 0);
            SDL_GL_SetAttribute(SDL_GL_CONTEXT_MAJOR_VERSION, 3);
            SDL_GL_SetAttribute(SDL_GL_CONTEXT_MINOR_VERSION, 3);
            SDL_GL_SetAttribute(SDL_GL_CONTEXT_PROFILE_MASK, SDL_GL_CONTEXT_PROFILE_CORE);
            SDL_GL_SetAttribute(SDL_GL_DEPTH_SIZE, 0);  // frames are drawn elsewhere and copied here
            window_ = SDL_CreateWindow("world", SDL_WINDOWPOS_CENTERED, SDL_WINDOWPOS_CENTERED, width, height,
                                       SDL_WINDOW_OPENGL | SDL_WINDOW_RESIZABLE | Uint32{hidden ? SDL_WINDOW_HIDDEN : SDL_WINDOW_SHOWN});
            check(window_ != nullptr);
            context_ = SDL_GL_CreateContext(window_);
            check(context_ != nullptr);
            gl.load();
            SDL_GL_SetSwapInterval(synchronised ? 1 : 0);  // where the driver can
        } catch (...) {
            close();
            throw;
        }
    }
    ~Window() { close(); }
    Window(const Window&) = delete;
    Window& operator=(const Window&) = delete;

    void swap() const { SDL_GL_SwapWindow(window_); }
    void size(int& width, int& height) const { SDL_GL_GetDrawableSize(window_, &width, &height); }

private:
    static void check(bool good) {
        if (!good) throw std::runtime_error(std::string("no window with OpenGL 3.3: ") + SDL_GetError());
    }
    void close() {
        if (context_) SDL_GL_DeleteContext(context_);
        if (window_) SDL_DestroyWindow(window_);
        SDL_Quit();
    }

    SDL_Window* window_ = nullptr;
    SDL_GLContext context_ = nullptr;
};
