// Look-ups in a profile. Readings of one kind are few, so each look-up walks them.
#include "hardware/profile.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace rafter::hardware {
namespace {

struct Point {
    double x, y;
};

// Between the two nearest points; the ends go on for ever. Points ascend in x.
double interpolate(const std::vector<Point>& points, double x) {
    if (points.empty()) return 0.0;
    if (x <= points.front().x) return points.front().y;
    if (x >= points.back().x) return points.back().y;
    const auto right = std::upper_bound(points.begin(), points.end(), x, [](double at, const Point& p) { return at < p.x; });
    const auto left = right - 1;
    return left->y + (x - left->x) / (right->x - left->x) * (right->y - left->y);
}

std::vector<Point> sorted(std::vector<Point> points) {
    std::sort(points.begin(), points.end(), [](const Point& a, const Point& b) { return a.x < b.x; });
    return points;
}

// In logarithms both ways: what lies half in a cache and half out of it is read at a rate between the two.
double bandwidth(const Profile& profile, double working_set_bytes, unsigned n_threads, double BandwidthReading::*rate) {
    unsigned nearest = 0;
    const auto distance = [&](unsigned n) { return n > n_threads ? n - n_threads : n_threads - n; };
    for (const BandwidthReading& reading : profile.bandwidth) {
        if (nearest == 0 || distance(reading.n_threads) < distance(nearest)) nearest = reading.n_threads;
    }
    std::vector<Point> points;
    for (const BandwidthReading& reading : profile.bandwidth) {
        if (reading.n_threads == nearest) points.push_back({std::log(reading.working_set_bytes), std::log(reading.*rate)});
    }
    if (points.empty()) return 0.0;
    return std::exp(interpolate(sorted(std::move(points)), std::log(std::max(working_set_bytes, 1.0))));
}

}  // namespace

double bandwidth_at(const Profile& profile, double working_set_bytes, unsigned n_threads) {
    return bandwidth(profile, working_set_bytes, n_threads, &BandwidthReading::bytes_per_s);
}
double best_bandwidth_at(const Profile& profile, double working_set_bytes, unsigned n_threads) {
    return bandwidth(profile, working_set_bytes, n_threads, &BandwidthReading::best_bytes_per_s);
}

std::string level_at(const Profile& profile, double working_set_bytes) {
    for (const ProfileCache& cache : profile.caches) {
        const double size_bytes = cache.shared ? cache.size_bytes : cache.size_bytes * profile.key.n_threads;
        if (working_set_bytes <= size_bytes) return fmt::format("L{} cache", cache.level);
    }
    return "memory";
}

std::optional<double> matrix_seconds(const Profile& profile, tensor::DType weights, const std::string& activations, double n_columns,
                                     bool from_memory) {
    std::vector<Point> points;
    for (const MatrixReading& reading : profile.matrices) {
        if (reading.weights != weights || reading.activations != activations || reading.from_memory != from_memory) continue;
        points.push_back({static_cast<double>(reading.n_columns), reading.seconds_per_weight});
    }
    if (points.empty()) return std::nullopt;
    points = sorted(std::move(points));
    if (n_columns > points.back().x) return points.back().y * n_columns / points.back().x;
    return interpolate(points, n_columns);
}

const RowReading* find_row(const Profile& profile, const std::string& kind) {
    for (const RowReading& row : profile.rows) {
        if (row.kind == kind) return &row;
    }
    return nullptr;
}

}  // namespace rafter::hardware
