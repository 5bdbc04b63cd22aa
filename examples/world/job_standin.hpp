// Stand-in until fields have jobs.
#pragma once
#include <brenier.hpp>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>
struct StandinJob {
    struct State { brenier::JobState s = brenier::JobState::queued; std::function<void()> work; int priority; };
    std::shared_ptr<State> state;
    struct Pool {
        std::mutex m; std::condition_variable cv; std::multimap<int, std::shared_ptr<State>, std::greater<int>> q; bool stop = false;
        std::vector<std::thread> threads;
        Pool() { for (int i = 0; i < 2; i++) threads.emplace_back([this] { run(); }); }
        ~Pool() { { std::lock_guard l(m); stop = true; } cv.notify_all(); for (auto& t : threads) t.join(); }
        void run() {
            std::unique_lock l(m);
            for (;;) {
                cv.wait(l, [&] { return stop || !q.empty(); });
                if (stop) return;
                auto s = q.begin()->second; q.erase(q.begin());
                if (s->s != brenier::JobState::queued) continue;
                s->s = brenier::JobState::running;
                l.unlock(); s->work(); l.lock();
                s->s = brenier::JobState::done; cv.notify_all();
            }
        }
    };
    static Pool& pool() { static Pool p; return p; }
    brenier::JobState poll() const { std::lock_guard l(pool().m); return state->s; }
    void cancel() const { std::lock_guard l(pool().m); if (state->s == brenier::JobState::queued) state->s = brenier::JobState::cancelled; }
    void wait() const { std::unique_lock l(pool().m); pool().cv.wait(l, [&] { return ended(state->s); }); }
    StandinJob() = default;
    StandinJob(StandinJob&&) = default;
    StandinJob& operator=(StandinJob&&) = default;
    ~StandinJob() { if (state) { cancel(); wait(); } }
};
inline StandinJob submit_read(const brenier::Field& f, std::uint64_t seed, brenier::Region r, brenier::Images im, brenier::JobOptions o) {
    StandinJob j; j.state = std::make_shared<StandinJob::State>();
    j.state->priority = o.priority;
    j.state->work = [&f, seed, r, im] { f.read(seed, r, im); };
    auto& p = StandinJob::pool(); std::lock_guard l(p.m); p.q.emplace(o.priority, j.state); p.cv.notify_all();
    return j;
}
