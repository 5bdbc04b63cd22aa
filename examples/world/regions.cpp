#include "regions.hpp"

#include <algorithm>

namespace {

// Jobs at a time: enough that workers never lack one, few enough that the order of the rest can still follow
// the camera.
constexpr std::size_t kMostJobs = 16;

}  // namespace

Regions::Regions(const brenier::Field& field, std::uint64_t seed, int capacity, Upload upload)
    : field_(field), seed_(seed), capacity_(capacity), upload_(std::move(upload)) {
    regions_.reserve(static_cast<std::size_t>(capacity));
    jobs_.reserve(kMostJobs);
}

Regions::~Regions() { stop(); }

void Regions::begin_frame() {
    frame_++;
    wishes_.clear();
}

void Regions::wish(const Place& place, int priority) {
    if (stopped_) return;
    if (const auto found = regions_.find(place); found != regions_.end()) {
        found->second.wished = frame_;
        return;
    }
    const auto job = std::find_if(jobs_.begin(), jobs_.end(), [&](const Reading& r) { return r.place == place; });
    if (job == jobs_.end())
        wishes_.push_back({place, priority});
    else
        job->wished = frame_;
}

void Regions::stream(int most_uploads) {
    for (Reading& reading : jobs_)
        if (reading.wished != frame_ && !reading.cancelled) {
            reading.job.cancel();
            reading.cancelled = true;
        }
    std::sort(jobs_.begin(), jobs_.end(), [](const Reading& a, const Reading& b) { return a.priority > b.priority; });
    for (Reading& reading : jobs_) {
        const brenier::JobState state = reading.job.poll();
        if (!ended(state)) continue;
        if (state == brenier::JobState::failed) reading.job.wait();  // throws why
        if (state == brenier::JobState::done && !reading.cancelled) {
            if (most_uploads == 0 || !take(reading)) continue;  // next frame
            most_uploads--;
        }
        count_end(state);
        reading.job = brenier::Job();
        if (!reading.heights.empty()) spare_.push_back(std::move(reading.heights));
    }
    jobs_.erase(std::remove_if(jobs_.begin(), jobs_.end(), [](const Reading& r) { return !r.job; }), jobs_.end());

    if (stopped_) return;
    const std::size_t room = std::min(kMostJobs - jobs_.size(), wishes_.size());
    const auto first_left = wishes_.begin() + static_cast<std::ptrdiff_t>(room);
    std::partial_sort(wishes_.begin(), first_left, wishes_.end(),
                      [](const Wish& a, const Wish& b) { return a.priority > b.priority; });
    std::for_each(wishes_.begin(), first_left, [this](const Wish& wish) { submit(wish); });
    wishes_.erase(wishes_.begin(), first_left);
}

void Regions::submit(const Wish& wish) {
    Reading reading{wish.place, wish.priority, frame_, false, {}, {}};
    if (!spare_.empty()) {
        reading.heights = std::move(spare_.back());
        spare_.pop_back();
    }
    reading.heights.resize(static_cast<std::size_t>(kRegionWidth) * kRegionWidth);
    brenier::JobOptions when;
    when.priority = wish.priority;
    const brenier::Region region{wish.place.x * kSamples - kBorder, wish.place.y * kSamples - kBorder, kRegionWidth,
                                 kRegionWidth, static_cast<std::uint32_t>(wish.place.level)};
    reading.job = field_.submit_read(seed_, region, brenier::Images(reading.heights), when);
    counts_.submitted++;
    jobs_.push_back(std::move(reading));
}

bool Regions::take(Reading& reading) {
    const int layer = free_layer();
    if (layer < 0) return false;
    Region& region = regions_[reading.place];
    region.heights = std::move(reading.heights);
    const auto [low, high] = std::minmax_element(region.heights.begin(), region.heights.end());
    region.low = *low;
    region.high = *high;
    region.layer = layer;
    region.arrived = region.wished = frame_;
    upload_(layer, region.heights);
    return true;
}

// A layer that was never used, or that of the region that was wished for longest ago; -1: all are needed now.
int Regions::free_layer() {
    if (regions_.size() < static_cast<std::size_t>(capacity_)) return static_cast<int>(regions_.size());
    const auto oldest = std::min_element(regions_.begin(), regions_.end(), [](const auto& a, const auto& b) {
        return a.second.wished < b.second.wished;
    });
    if (oldest->second.wished == frame_) return -1;
    const int layer = oldest->second.layer;
    spare_.push_back(std::move(oldest->second.heights));
    regions_.erase(oldest);
    return layer;
}

const Region* Regions::find(const Place& place) const {
    const auto found = regions_.find(place);
    return found == regions_.end() ? nullptr : &found->second;
}

void Regions::count_end(brenier::JobState state) {
    (state == brenier::JobState::done ? counts_.done : counts_.cancelled)++;
}

void Regions::stop() {
    stopped_ = true;
    wishes_.clear();
    for (Reading& reading : jobs_) reading.job.cancel();
    for (Reading& reading : jobs_) {
        std::error_code how;  // it may have been cancelled
        reading.job.wait(how);
        count_end(reading.job.poll(how));
    }
    jobs_.clear();
}
