#include "flight.hpp"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iomanip>
#include <sstream>
#include <stdexcept>

Vec3 Pose::forward() const {
    const double cosine = std::cos(pitch * kDegree);
    return {static_cast<float>(std::sin(heading * kDegree) * cosine), static_cast<float>(std::sin(pitch * kDegree)),
            static_cast<float>(-std::cos(heading * kDegree) * cosine)};
}

Vec3 Pose::right() const {
    return {static_cast<float>(std::cos(heading * kDegree)), 0, static_cast<float>(std::sin(heading * kDegree))};
}

Flight Flight::read(const std::string& path) {
    std::ifstream file(path);
    if (!file) throw std::runtime_error(path + ": cannot be read");
    Flight flight;
    std::string line;
    for (int number = 1; std::getline(file, line); number++) {
        if (line.empty() || line[0] == '#') continue;
        std::istringstream words(line);
        Key key{};
        Pose& p = key.pose;
        std::string rest;
        if (!(words >> key.seconds >> p.x >> p.y >> p.z >> p.heading >> p.pitch) || words >> rest)
            throw std::runtime_error(path + ": line " + std::to_string(number) +
                                     ": want seconds, x, height, z, heading and pitch");
        if (!flight.keys_.empty() && !(key.seconds > flight.keys_.back().seconds))
            throw std::runtime_error(path + ": line " + std::to_string(number) + ": want a later time than the line before");
        flight.keys_.push_back(key);
    }
    if (flight.empty()) throw std::runtime_error(path + ": no pose in it");
    return flight;
}

void Flight::write(const std::string& path) const {
    const std::string part = path + ".part";
    std::ofstream file(part);
    file << "# seconds x height z heading pitch\n" << std::setprecision(12);
    for (const auto& [seconds, p] : keys_)
        file << seconds << ' ' << p.x << ' ' << p.y << ' ' << p.z << ' ' << p.heading << ' ' << p.pitch << '\n';
    file.close();
    if (!file || std::rename(part.c_str(), path.c_str()) != 0) throw std::runtime_error(path + ": cannot be written");
}

Pose Flight::at(double seconds) const {
    const auto next = std::upper_bound(keys_.begin(), keys_.end(), seconds,
                                       [](double t, const Key& key) { return t < key.seconds; });
    if (next == keys_.begin()) return keys_.front().pose;
    if (next == keys_.end()) return keys_.back().pose;
    const Key &b = next[-1], &c = *next;
    const Key &a = next - 1 == keys_.begin() ? b : next[-2], &d = next + 1 == keys_.end() ? c : next[1];
    const double span = c.seconds - b.seconds, t = (seconds - b.seconds) / span;
    const auto between = [&](double Pose::*part) {
        const double from = c.seconds > a.seconds ? (c.pose.*part - a.pose.*part) / (c.seconds - a.seconds) * span : 0;
        const double to = d.seconds > b.seconds ? (d.pose.*part - b.pose.*part) / (d.seconds - b.seconds) * span : 0;
        const double v = b.pose.*part, step = c.pose.*part - v;
        return v + t * (from + t * (3 * step - 2 * from - to + t * (from + to - 2 * step)));
    };
    return {between(&Pose::x), between(&Pose::y), between(&Pose::z), between(&Pose::heading), between(&Pose::pitch)};
}
