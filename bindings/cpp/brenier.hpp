// brenier for C++17: one header over brenier.h. Handles that close themselves, and every function
// twice, as in <filesystem>: one throws brenier::Error, one has a last argument std::error_code& and
// throws nothing. With exceptions turned off only the second kind is there.
//
//     brenier::Engine engine;
//     brenier::Model model = engine.open("digits.safetensors");
//     std::vector<std::uint8_t> images(16 * model.image_size());
//     const brenier::Samples samples{7, 0};  // of seed 7, from the first one on
//     model.generate(16, samples, brenier::Images(images));
//
// Shapes, dtypes, threads and what each function means: brenier.h, under the same name.
#ifndef BRENIER_HPP
#define BRENIER_HPP

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>

#include "brenier.h"

#if defined(__cpp_exceptions) || defined(_CPPUNWIND)
#define BRENIER_EXCEPTIONS 1
#include <exception>
#include <functional>
#else
#define BRENIER_EXCEPTIONS 0
#endif

namespace brenier {

// ---- Errors

// brenier_status as a kind of error code: std::error_code(Status::io), code == Status::io.
enum class Status : brenier_status {
    ok = BRENIER_OK,
    invalid_argument = BRENIER_INVALID_ARGUMENT,
    invalid_handle = BRENIER_INVALID_HANDLE,
    short_buffer = BRENIER_SHORT_BUFFER,
    bad_model = BRENIER_BAD_MODEL,
    io = BRENIER_IO,
    unsupported = BRENIER_UNSUPPORTED,
    out_of_memory = BRENIER_OUT_OF_MEMORY,
    device = BRENIER_DEVICE,
    cancelled = BRENIER_CANCELLED,
    internal = BRENIER_INTERNAL,
    busy = BRENIER_BUSY,
    expired = BRENIER_EXPIRED,
};

inline const std::error_category& error_category() noexcept {
    class Category final : public std::error_category {
        const char* name() const noexcept override { return "brenier"; }
        std::string message(int status) const override { return brenier_status_name(status); }
    };
    static const Category category;
    return category;
}

inline std::error_code make_error_code(Status status) noexcept {
    return {static_cast<int>(status), error_category()};
}

// The sentence for this thread's last failure: what is wrong, where, and what to do.
inline std::string last_error() { return brenier_last_error(); }

#if BRENIER_EXCEPTIONS
// what() begins with the library's sentence; code() compares with Status.
class Error : public std::system_error {
public:
    Error(brenier_status status, const std::string& sentence)
        : std::system_error(make_error_code(static_cast<Status>(status)), sentence) {}
    Status status() const noexcept { return static_cast<Status>(code().value()); }
};
#endif

namespace detail {

#if BRENIER_EXCEPTIONS
inline void check(brenier_status status) {
    if (status != BRENIER_OK) throw Error(status, brenier_last_error());
}
#endif

inline void set(std::error_code& error, brenier_status status) noexcept {
    error = status == BRENIER_OK ? std::error_code() : make_error_code(static_cast<Status>(status));
}

template <class T>
constexpr brenier_dtype dtype_of() {
    using U = std::remove_const_t<T>;
    if constexpr (std::is_same_v<U, float>) return BRENIER_F32;
    else if constexpr (std::is_same_v<U, double>) return BRENIER_F64;
    else if constexpr (std::is_same_v<U, std::uint8_t>) return BRENIER_U8;
    else if constexpr (std::is_same_v<U, std::uint16_t>) return BRENIER_F16;  // its bits
    else {
        static_assert(std::is_same_v<U, std::int64_t>, "brenier: no dtype has this element");
        return BRENIER_I64;
    }
}

}  // namespace detail

// ---- Arrays

// A view of dense memory of the caller's: from a pointer and a number of elements, or from anything
// with data() and size(), such as std::vector, std::array and std::span.
template <class T>
class Array {
public:
    Array() noexcept = default;  // NULL, where a function takes one
    Array(T* data, std::size_t size) noexcept : data_(data), size_(size) {}
    template <class Container,
              class = std::enable_if_t<std::is_convertible_v<decltype(std::declval<Container&>().data()), T*>>>
    Array(Container&& container) noexcept : data_(container.data()), size_(container.size()) {}

    T* data() const noexcept { return data_; }
    std::size_t size() const noexcept { return size_; }

    brenier_buffer buffer() const noexcept {
        brenier_buffer b{};
        b.struct_size = sizeof b;
        b.data = const_cast<std::remove_const_t<T>*>(data_);
        b.bytes = size_ * sizeof(T);
        b.location = BRENIER_HOST;
        b.dtype = detail::dtype_of<T>();
        return b;
    }

private:
    T* data_ = nullptr;
    std::size_t size_ = 0;
};

enum class Layout : brenier_layout { nchw = BRENIER_NCHW, nhwc = BRENIER_NHWC };

// Where images are written to: float, std::uint8_t, or std::uint16_t for the bits of F16.
class Images {
public:
    template <class T>
    Images(T* data, std::size_t size, Layout layout = Layout::nchw) noexcept
        : buffer_(Array<T>(data, size).buffer()) {
        static_assert(!std::is_const_v<T>, "brenier: images are written to");
        buffer_.layout = static_cast<brenier_layout>(layout);
    }
    template <class Container, class = decltype(std::declval<Container&>().data())>
    explicit Images(Container&& container, Layout layout = Layout::nchw) noexcept
        : Images(container.data(), container.size(), layout) {}
    explicit Images(const brenier_buffer& buffer) noexcept : buffer_(buffer) {}
    // Whole numbers of 16 bits, U16, which a field's pixels alone may be.
    static Images u16(Array<std::uint16_t> values, Layout layout = Layout::nchw) noexcept {
        Images images(values.data(), values.size(), layout);
        images.buffer_.dtype = BRENIER_U16;
        return images;
    }

    const brenier_buffer& buffer() const noexcept { return buffer_; }

private:
    brenier_buffer buffer_;
};

// Where images are read from: as Images, which it also takes, of memory that may be const.
class ConstImages {
public:
    template <class T>
    ConstImages(const T* data, std::size_t size, Layout layout = Layout::nchw) noexcept
        : buffer_(Array<const T>(data, size).buffer()) {
        buffer_.layout = static_cast<brenier_layout>(layout);
    }
    template <class Container, class = decltype(std::declval<Container&>().data())>
    explicit ConstImages(Container&& container, Layout layout = Layout::nchw) noexcept
        : ConstImages(container.data(), container.size(), layout) {}
    explicit ConstImages(const brenier_buffer& buffer) noexcept : buffer_(buffer) {}
    ConstImages(const Images& images) noexcept : buffer_(images.buffer()) {}

    const brenier_buffer& buffer() const noexcept { return buffer_; }

private:
    brenier_buffer buffer_;
};

// ---- Settings

// Of a decoder's and an encoder's activations on a CUDA device.
enum class Precision : brenier_precision {
    engine_default = BRENIER_PRECISION_DEFAULT,
    f16 = BRENIER_PRECISION_F16,
    bf16 = BRENIER_PRECISION_BF16,
    f32 = BRENIER_PRECISION_F32,
};

// Samples first, first+1, ... of a seed.
struct Samples {
    std::uint64_t seed = 0;
    std::uint64_t first = 0;
};

enum class Mode : brenier_mode {
    model_default = BRENIER_MODE_DEFAULT,
    cell = BRENIER_MODE_CELL,
    simplex = BRENIER_MODE_SIMPLEX,
    pair = BRENIER_MODE_PAIR,
};

// brenier_extension with its defaults; the functions give a copy with one thing changed.
class Extension {
public:
    Extension() noexcept { brenier_extension_init(&value_); }
    Extension(Mode mode) noexcept : Extension() { value_.mode = static_cast<brenier_mode>(mode); }

    Extension cells(std::uint32_t k) const noexcept {
        Extension e = *this;
        e.value_.k = k;
        return e;
    }
    // Leaves out neighbours beyond this share of the angles between neighbours; 1 leaves none out.
    Extension quantile(double share) const noexcept {
        Extension e = *this;
        e.value_.angle = BRENIER_ANGLE_QUANTILE;
        e.value_.theta = share;
        return e;
    }
    Extension radians(double angle) const noexcept {
        Extension e = *this;
        e.value_.angle = BRENIER_ANGLE_RADIANS;
        e.value_.theta = angle;
        return e;
    }
    Extension blend(double share) const noexcept {
        Extension e = *this;
        e.value_.blend = share;
        return e;
    }

    const brenier_extension* get() const noexcept { return &value_; }

private:
    brenier_extension value_;
};

// A layer of a field: brenier_octave.
struct Octave {
    std::uint32_t scale = 1;  // a power of two
    double amplitude = 1;     // not 0, which means 1 too
    double modulation = 0;    // 0 .. 1
};

struct FieldOptions {
    Array<const Octave> octaves;     // from coarse to fine; none: one of scale 1
    std::uint32_t channel = 0;       // the first that is read
    std::uint32_t channels = 0;      // 0: to the last
    double offset = 0;               // a value is offset + scale * the sum of the octaves
    double scale = 0;                // 0: what suits the element type
    std::int64_t cache_bytes = 0;    // 0: the library's default; below 0: none
    std::size_t row_pitch = 0;       // bytes; 0: rows without a gap
};

// Columns x .. x+width-1 and rows y .. y+height-1 of a level.
struct Region {
    std::int64_t x = 0, y = 0;
    std::uint32_t width = 0, height = 0;
    std::uint32_t level = 0;
};

struct FitOptions {
    const char* source = "gaussian";   // or "uniform"
    double tolerance = 0;              // the chi-squared to stop at; 0: the library's default
    std::uint64_t samples_max = 0;     // 0: chosen from N
    std::uint64_t seed = 0;
    const brenier_model* decoder = nullptr;  // Model::get() of one whose decoder goes along
    Array<const float> start;               // heights [N] to start from; or none
    const char* checkpoint = nullptr;        // a file to keep the state in and go on from; or none
    bool rebalance = false;                  // where the samples run out, lift cells still empty
    brenier_fit_method method = BRENIER_FIT_AUTO;
#if BRENIER_EXCEPTIONS
    // Called a few times a second; false stops the fit, and so does an exception, which then
    // leaves Engine::fit.
    std::function<bool(const brenier_fit_progress&)> progress;
#endif
};

// ---- Jobs

enum class JobState : brenier_job_state {
    queued = BRENIER_JOB_QUEUED,
    running = BRENIER_JOB_RUNNING,
    done = BRENIER_JOB_DONE,
    cancelled = BRENIER_JOB_CANCELLED,
    expired = BRENIER_JOB_EXPIRED,
    failed = BRENIER_JOB_FAILED,
};

inline bool ended(JobState state) noexcept { return state >= JobState::done; }

struct JobOptions {
    std::int32_t priority = 0;                // higher is more urgent
    std::chrono::microseconds deadline{0};    // from now; after it nothing more is begun; 0: none
    brenier_job_callback callback = nullptr;  // on an engine's thread; see brenier_job_callback
    void* user = nullptr;                     // for the callback
};

namespace detail {

inline brenier_job_options c_options(const JobOptions& options) noexcept {
    brenier_job_options o;
    brenier_job_options_init(&o);
    o.priority = options.priority;
    if (options.deadline.count() > 0) o.deadline_us = static_cast<std::uint64_t>(options.deadline.count());
    o.ended = options.callback;
    o.user = options.user;
    return o;
}

}  // namespace detail

// What Model::submit_* and Field::submit_read began. The memory that it was given must outlive it, or its end: destroying a
// job that has not ended cancels it and waits, about a slice at most.
class Job {
public:
    Job() noexcept = default;  // no job; every use of it fails with Status::invalid_handle
    Job(Job&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
    Job& operator=(Job&& other) noexcept {
        Job(std::move(other)).swap(*this);
        return *this;
    }
    ~Job() { brenier_job_close(handle_); }

    // The C handle: still this object's, or the caller's from now on, or taken from the caller.
    brenier_job* get() const noexcept { return handle_; }
    brenier_job* release() noexcept { return std::exchange(handle_, nullptr); }
    static Job adopt(brenier_job* handle) noexcept {
        Job job;
        job.handle_ = handle;
        return job;
    }
    explicit operator bool() const noexcept { return handle_ != nullptr; }
    void swap(Job& other) noexcept { std::swap(handle_, other.handle_); }

    JobState poll(std::error_code& error) const noexcept {
        brenier_job_state state = BRENIER_JOB_FAILED;
        detail::set(error, brenier_poll(handle_, &state));
        return static_cast<JobState>(state);
    }
    // Waits for the end; the error is how the job ended, if not well.
    void wait(std::error_code& error) const noexcept { detail::set(error, brenier_wait(handle_, BRENIER_FOREVER)); }
    // Whether the job ended within the time; the error is how, if not well.
    bool wait_for(std::chrono::microseconds timeout, std::error_code& error) const noexcept {
        const brenier_status status = brenier_wait(handle_, timeout.count() > 0 ? static_cast<std::uint64_t>(timeout.count()) : 0);
        detail::set(error, status == BRENIER_BUSY ? BRENIER_OK : status);
        return status != BRENIER_BUSY;
    }
    void cancel(std::error_code& error) const noexcept { detail::set(error, brenier_cancel(handle_)); }

#if BRENIER_EXCEPTIONS
    JobState poll() const {
        brenier_job_state state = BRENIER_JOB_FAILED;
        detail::check(brenier_poll(handle_, &state));
        return static_cast<JobState>(state);
    }
    void wait() const { detail::check(brenier_wait(handle_, BRENIER_FOREVER)); }
    bool wait_for(std::chrono::microseconds timeout) const {
        std::error_code error;
        const bool ended = wait_for(timeout, error);
        detail::check(error.value());
        return ended;
    }
    void cancel() const { detail::check(brenier_cancel(handle_)); }
#endif

private:
    brenier_job* handle_ = nullptr;
};

// ---- Field

// An unbounded plane of a model's images. Destroying it cancels its jobs; closing the model ends it:
// later reads fail with Status::invalid_handle.
class Field {
public:
    Field() noexcept = default;  // no field; reading it fails with Status::invalid_handle
    explicit Field(brenier_field* handle) noexcept : handle_(handle) {}  // taken from the caller
    Field(Field&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
    Field& operator=(Field&& other) noexcept {
        Field old(std::move(*this));
        handle_ = std::exchange(other.handle_, nullptr);
        return *this;
    }
    ~Field() { brenier_field_destroy(handle_); }

    brenier_field* get() const noexcept { return handle_; }
    explicit operator bool() const noexcept { return handle_ != nullptr; }

    // Pixels [height,width,C] or [C,height,width]: float, std::uint8_t, or Images::u16.
    void read(std::uint64_t seed, const Region& r, const Images& pixels, std::error_code& error) const noexcept {
        detail::set(error, brenier_field_read(handle_, seed, r.x, r.y, r.width, r.height, r.level, &pixels.buffer()));
    }
    Job submit_read(std::uint64_t seed, const Region& r, const Images& pixels, const JobOptions& options,
                    std::error_code& error) const noexcept {
        const brenier_job_options o = detail::c_options(options);
        brenier_job* job = nullptr;
        detail::set(error, brenier_submit_field_read(handle_, seed, r.x, r.y, r.width, r.height, r.level,
                                                     &pixels.buffer(), &o, &job));
        return Job::adopt(job);
    }
#if BRENIER_EXCEPTIONS
    void read(std::uint64_t seed, const Region& r, const Images& pixels) const {
        detail::check(brenier_field_read(handle_, seed, r.x, r.y, r.width, r.height, r.level, &pixels.buffer()));
    }
    Job submit_read(std::uint64_t seed, const Region& r, const Images& pixels, const JobOptions& options = {}) const {
        std::error_code error;
        Job job = submit_read(seed, r, pixels, options, error);
        detail::check(error.value());
        return job;
    }
#endif

private:
    brenier_field* handle_ = nullptr;
};

// ---- Model

class Model {
public:
    Model() noexcept = default;  // no model; every use of it fails with Status::invalid_handle
    Model(Model&& other) noexcept { swap(other); }
    Model& operator=(Model&& other) noexcept {
        Model(std::move(other)).swap(*this);
        return *this;
    }
    ~Model() { brenier_model_close(handle_); }

    // The C handle: still this object's, or the caller's from now on, or taken from the caller.
    brenier_model* get() const noexcept { return handle_; }
    brenier_model* release() noexcept { return std::exchange(handle_, nullptr); }
    static Model adopt(brenier_model* handle, std::error_code& error) noexcept {
        Model m;
        m.handle_ = handle;
        m.properties_.struct_size = sizeof m.properties_;
        detail::set(error, brenier_model_info(handle, &m.properties_));
        return m;
    }
    explicit operator bool() const noexcept { return handle_ != nullptr; }
    void swap(Model& other) noexcept {
        std::swap(handle_, other.handle_);
        std::swap(properties_, other.properties_);
    }

    // What brenier_model_info says; the strings live as long as the model.
    const brenier_model_properties& properties() const noexcept { return properties_; }
    std::size_t dimension() const noexcept { return static_cast<std::size_t>(properties_.dimension); }
    std::size_t image_size() const noexcept {  // values of one image
        return static_cast<std::size_t>(properties_.channels) * static_cast<std::size_t>(properties_.height) *
               static_cast<std::size_t>(properties_.width);
    }

    void measure_images(std::size_t n, std::error_code& error) const noexcept {
        detail::set(error, brenier_model_measure_images(handle_, n));
    }
    void save(const char* path, std::error_code& error) const noexcept {
        detail::set(error, brenier_model_save(handle_, path));
    }
    void tensor(const char* name, Array<float> values, std::error_code& error) const noexcept {
        const brenier_buffer b = values.buffer();
        detail::set(error, brenier_model_tensor(handle_, name, &b));
    }
    void noise(std::size_t n, Samples samples, Array<float> x, std::error_code& error) const noexcept {
        const brenier_buffer b = x.buffer();
        detail::set(error, brenier_noise(handle_, samples.seed, samples.first, n, &b));
    }
    void locate(std::size_t n, std::uint32_t k, Array<const float> x, Array<std::int64_t> cells,
                Array<double> scores, std::error_code& error) const noexcept {
        const brenier_buffer b_x = x.buffer(), b_cells = cells.buffer(), b_scores = scores.buffer();
        detail::set(error, brenier_locate(handle_, &b_x, n, k, &b_cells, scores.data() ? &b_scores : nullptr));
    }
    void extend(std::size_t n, std::uint32_t k, Array<const float> x, Array<const std::int64_t> cells,
                const Extension& extension, Array<float> codes, std::error_code& error) const noexcept {
        const brenier_buffer b_x = x.buffer(), b_cells = cells.buffer(), b_codes = codes.buffer();
        detail::set(error, brenier_extend(handle_, &b_x, &b_cells, n, k, extension.get(), &b_codes));
    }
    void codes(std::size_t n, Samples samples, const Extension& extension, Array<float> codes,
               std::error_code& error) const noexcept {
        const brenier_buffer b = codes.buffer();
        detail::set(error, brenier_codes(handle_, samples.seed, samples.first, n, extension.get(), &b));
    }
    void decode(std::size_t n, Array<const float> codes, const Images& images,
                std::error_code& error) const noexcept {
        const brenier_buffer b = codes.buffer();
        detail::set(error, brenier_decode(handle_, &b, n, &images.buffer()));
    }
    void encode(std::size_t n, const ConstImages& images, Array<float> codes,
                std::error_code& error) const noexcept {
        const brenier_buffer b = codes.buffer();
        detail::set(error, brenier_encode(handle_, &images.buffer(), n, &b));
    }
    void generate(std::size_t n, Samples samples, const Extension& extension, const Images& images,
                  std::error_code& error) const noexcept {
        detail::set(error, brenier_generate(handle_, samples.seed, samples.first, n, extension.get(),
                                            &images.buffer()));
    }
    Field field(const FieldOptions& options, std::error_code& error) const noexcept {
        brenier_octave octaves[16] = {};  // of more, which the library refuses, it reads none
        const std::size_t n = options.octaves.size();
        for (std::size_t i = 0; i < n && i < 16; i++) {
            const Octave& octave = options.octaves.data()[i];
            octaves[i] = {sizeof octaves[i], octave.scale, octave.amplitude, octave.modulation};
        }
        brenier_field_options o;
        brenier_field_options_init(&o);
        o.octaves = octaves;
        o.n_octaves = n;
        o.channel = options.channel;
        o.channels = options.channels;
        o.offset = options.offset;
        o.scale = options.scale;
        o.cache_bytes = options.cache_bytes;
        o.row_pitch = options.row_pitch;
        brenier_field* field = nullptr;
        detail::set(error, brenier_field_create(handle_, &o, &field));
        return Field(field);
    }
    Job submit_generate(std::size_t n, Samples samples, const Extension& extension, const Images& images,
                        const JobOptions& options, std::error_code& error) const noexcept {
        const brenier_job_options o = detail::c_options(options);
        brenier_job* job = nullptr;
        detail::set(error, brenier_submit_generate(handle_, samples.seed, samples.first, n, extension.get(),
                                                   &images.buffer(), &o, &job));
        return Job::adopt(job);
    }
    Job submit_decode(std::size_t n, Array<const float> codes, const Images& images, const JobOptions& options,
                      std::error_code& error) const noexcept {
        const brenier_job_options o = detail::c_options(options);
        const brenier_buffer b = codes.buffer();
        brenier_job* job = nullptr;
        detail::set(error, brenier_submit_decode(handle_, &b, n, &images.buffer(), &o, &job));
        return Job::adopt(job);
    }
    Job submit_locate(std::size_t n, std::uint32_t k, Array<const float> x, Array<std::int64_t> cells,
                      Array<double> scores, const JobOptions& options, std::error_code& error) const noexcept {
        const brenier_job_options o = detail::c_options(options);
        const brenier_buffer b_x = x.buffer(), b_cells = cells.buffer(), b_scores = scores.buffer();
        brenier_job* job = nullptr;
        detail::set(error, brenier_submit_locate(handle_, &b_x, n, k, &b_cells, scores.data() ? &b_scores : nullptr,
                                                 &o, &job));
        return Job::adopt(job);
    }
    void potential(std::size_t n, Array<const float> x, Array<double> brenier, Array<double> kantorovich,
                   std::error_code& error) const noexcept {
        const brenier_buffer b_x = x.buffer(), b_u = brenier.buffer(), b_phi = kantorovich.buffer();
        detail::set(error, brenier_potential(handle_, &b_x, n, brenier.data() ? &b_u : nullptr,
                                             kantorovich.data() ? &b_phi : nullptr));
    }

#if BRENIER_EXCEPTIONS
    void measure_images(std::size_t n = 0) const { detail::check(brenier_model_measure_images(handle_, n)); }
    void save(const char* path) const { detail::check(brenier_model_save(handle_, path)); }
    void tensor(const char* name, Array<float> values) const {
        const brenier_buffer b = values.buffer();
        detail::check(brenier_model_tensor(handle_, name, &b));
    }
    void noise(std::size_t n, Samples samples, Array<float> x) const {
        throwing([&](std::error_code& e) { noise(n, samples, x, e); });
    }
    void locate(std::size_t n, std::uint32_t k, Array<const float> x, Array<std::int64_t> cells,
                Array<double> scores = {}) const {
        throwing([&](std::error_code& e) { locate(n, k, x, cells, scores, e); });
    }
    void extend(std::size_t n, std::uint32_t k, Array<const float> x, Array<const std::int64_t> cells,
                const Extension& extension, Array<float> codes) const {
        throwing([&](std::error_code& e) { extend(n, k, x, cells, extension, codes, e); });
    }
    void codes(std::size_t n, Samples samples, const Extension& extension, Array<float> to) const {
        throwing([&](std::error_code& e) { codes(n, samples, extension, to, e); });
    }
    void decode(std::size_t n, Array<const float> codes, const Images& images) const {
        throwing([&](std::error_code& e) { decode(n, codes, images, e); });
    }
    void encode(std::size_t n, const ConstImages& images, Array<float> to) const {
        throwing([&](std::error_code& e) { encode(n, images, to, e); });
    }
    void generate(std::size_t n, Samples samples, const Extension& extension, const Images& images) const {
        throwing([&](std::error_code& e) { generate(n, samples, extension, images, e); });
    }
    void generate(std::size_t n, Samples samples, const Images& images) const {
        generate(n, samples, Extension(), images);
    }
    Field field(const FieldOptions& options = {}) const {
        std::error_code error;
        Field field = this->field(options, error);
        detail::check(error.value());
        return field;
    }
    void potential(std::size_t n, Array<const float> x, Array<double> brenier,
                   Array<double> kantorovich = {}) const {
        throwing([&](std::error_code& e) { potential(n, x, brenier, kantorovich, e); });
    }
    Job submit_generate(std::size_t n, Samples samples, const Extension& extension, const Images& images,
                        const JobOptions& options = {}) const {
        Job job;
        throwing([&](std::error_code& e) { job = submit_generate(n, samples, extension, images, options, e); });
        return job;
    }
    Job submit_decode(std::size_t n, Array<const float> codes, const Images& images,
                      const JobOptions& options = {}) const {
        Job job;
        throwing([&](std::error_code& e) { job = submit_decode(n, codes, images, options, e); });
        return job;
    }
    Job submit_locate(std::size_t n, std::uint32_t k, Array<const float> x, Array<std::int64_t> cells,
                      Array<double> scores = {}, const JobOptions& options = {}) const {
        Job job;
        throwing([&](std::error_code& e) { job = submit_locate(n, k, x, cells, scores, options, e); });
        return job;
    }

private:
    template <class Call>
    static void throwing(Call&& call) {
        std::error_code error;
        call(error);
        detail::check(error.value());
    }
#endif

private:
    brenier_model* handle_ = nullptr;
    brenier_model_properties properties_{};
};

// ---- Engine

// Closing an engine closes its models: those that outlive it fail with Status::invalid_handle.
class Engine {
public:
    struct Options {
        const char* device = nullptr;  // "auto", "cpu", "cuda", "cuda:1"; nullptr: BRENIER_DEVICE
        int threads = 0;               // 0: BRENIER_THREADS, else all processors
        void* cuda_context = nullptr;  // a CUcontext that outlives the engine; nullptr: the primary one
        void* cuda_stream = nullptr;   // a CUstream that all work is ordered in; nullptr: the engine's own
        std::size_t cuda_memory = 0;   // bytes on the device; 0: what is free, less a reserve
        Precision precision = Precision::engine_default;
        std::uint64_t job_processors = 0;  // bit i: job workers may run on processor i; 0: on all
        int job_workers = 0;               // 0: as many as threads; -1: none, jobs wait for run
        int job_niceness = 0;              // 1 .. 19; 20: only while a processor idles; 0: 10; -1: not at all
        std::chrono::microseconds job_slice{0};  // 10 us .. 1 s; 0: 2 ms
        std::uint32_t job_limit = 0;             // jobs at a time; 0: 1024
    };

    Engine(const Options& options, std::error_code& error) noexcept {
        detail::set(error, create(options));
    }
#if BRENIER_EXCEPTIONS
    Engine() : Engine(Options()) {}
    explicit Engine(const Options& options) { detail::check(create(options)); }
#endif
    Engine(Engine&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
    Engine& operator=(Engine&& other) noexcept {
        Engine old(std::move(*this));
        handle_ = std::exchange(other.handle_, nullptr);
        return *this;
    }
    ~Engine() { brenier_engine_destroy(handle_); }

    brenier_engine* get() const noexcept { return handle_; }
    explicit operator bool() const noexcept { return handle_ != nullptr; }

    // The strings live as long as the engine.
    brenier_engine_properties properties(std::error_code& error) const noexcept {
        brenier_engine_properties p{};
        p.struct_size = sizeof p;
        detail::set(error, brenier_engine_info(handle_, &p));
        return p;
    }

    // Does jobs on this thread for about that long; returns how many have not ended.
    std::size_t run(std::chrono::microseconds budget, std::error_code& error) const noexcept {
        std::size_t left = 0;
        detail::set(error, brenier_run(handle_, budget.count() > 0 ? static_cast<std::uint64_t>(budget.count()) : 0, &left));
        return left;
    }

    Model open(const char* path, std::error_code& error) const noexcept {
        brenier_model* model = nullptr;
        const brenier_status status = brenier_model_open(handle_, path, &model);
        return taken(status, model, error);
    }
    Model open(const void* data, std::size_t bytes, std::error_code& error) const noexcept {
        brenier_model* model = nullptr;
        const brenier_status status = brenier_model_open_memory(handle_, data, bytes, &model);
        return taken(status, model, error);
    }
    // points [N,dimension] and masses [N], or no masses where all are equal.
    Model fit(Array<const float> points, std::size_t dimension, Array<const float> masses,
              const FitOptions& options, std::error_code& error) const noexcept {
        return fitted(points, dimension, masses, options, nullptr, nullptr, error);
    }

#if BRENIER_EXCEPTIONS
    brenier_engine_properties properties() const {
        std::error_code error;
        const brenier_engine_properties p = properties(error);
        detail::check(error.value());
        return p;
    }
    std::size_t run(std::chrono::microseconds budget) const {
        std::error_code error;
        const std::size_t left = run(budget, error);
        detail::check(error.value());
        return left;
    }
    Model open(const char* path) const {
        std::error_code error;
        Model model = open(path, error);
        detail::check(error.value());
        return model;
    }
    Model open(const std::string& path) const { return open(path.c_str()); }
    Model open(const void* data, std::size_t bytes) const {
        std::error_code error;
        Model model = open(data, bytes, error);
        detail::check(error.value());
        return model;
    }
    Model fit(Array<const float> points, std::size_t dimension, Array<const float> masses = {},
              const FitOptions& options = {}) const {
        struct Watch {
            const std::function<bool(const brenier_fit_progress&)>& progress;
            std::exception_ptr thrown;
        } watch{options.progress, nullptr};
        // An exception must not cross the library; it waits here.
        const brenier_progress_callback forward = [](void* user, const brenier_fit_progress* progress) -> int {
            Watch& w = *static_cast<Watch*>(user);
            try {
                return w.progress(*progress) ? 0 : 1;
            } catch (...) {
                w.thrown = std::current_exception();
                return 1;
            }
        };
        std::error_code error;
        Model model = fitted(points, dimension, masses, options, options.progress ? forward : nullptr, &watch, error);
        if (watch.thrown) std::rethrow_exception(watch.thrown);
        detail::check(error.value());
        return model;
    }
#endif

private:
    brenier_status create(const Options& options) noexcept {
        brenier_engine_options o;
        brenier_engine_options_init(&o);
        o.device = options.device;
        o.threads = options.threads;
        o.cuda_context = options.cuda_context;
        o.cuda_stream = options.cuda_stream;
        o.cuda_memory = options.cuda_memory;
        o.precision = static_cast<brenier_precision>(options.precision);
        o.job_processors = options.job_processors;
        o.job_workers = options.job_workers;
        o.job_niceness = options.job_niceness;
        const auto slice = options.job_slice.count();  // one that does not fit is for the library to refuse
        o.job_slice_us = slice >= 0 && slice <= 1000000 ? static_cast<std::uint32_t>(slice) : UINT32_MAX;
        o.job_limit = options.job_limit;
        return brenier_engine_create(&o, &handle_);
    }

    static Model taken(brenier_status status, brenier_model* model, std::error_code& error) noexcept {
        detail::set(error, status);
        return status == BRENIER_OK ? Model::adopt(model, error) : Model();
    }

    Model fitted(Array<const float> points, std::size_t dimension, Array<const float> masses,
                 const FitOptions& options, brenier_progress_callback progress, void* user,
                 std::error_code& error) const noexcept {
        brenier_fit_options o;
        brenier_fit_options_init(&o);
        o.source = options.source;
        o.tolerance = options.tolerance;
        o.samples_max = options.samples_max;
        o.seed = options.seed;
        o.progress = progress;
        o.user = user;
        o.decoder = const_cast<brenier_model*>(options.decoder);
        const brenier_buffer b_start = options.start.buffer();
        if (options.start.data()) o.start = &b_start;
        o.checkpoint = options.checkpoint;
        o.rebalance = options.rebalance;
        o.method = options.method;
        const brenier_buffer b = points.buffer(), b_masses = masses.buffer();
        const std::size_t n = dimension == 0 ? 0 : points.size() / dimension;
        brenier_model* model = nullptr;
        const brenier_status status =
            brenier_fit(handle_, &b, n, dimension, masses.data() ? &b_masses : nullptr, &o, &model);
        return taken(status, model, error);
    }

    brenier_engine* handle_ = nullptr;
};

}  // namespace brenier

template <>
struct std::is_error_code_enum<brenier::Status> : std::true_type {};

#endif  // BRENIER_HPP
