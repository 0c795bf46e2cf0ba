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

// In proportion beyond both ends.
double in_proportion(const std::vector<Point>& points, double x) {
    const Point& end = x < points.front().x ? points.front() : points.back();
    return x < points.front().x || x > points.back().x ? end.y * x / end.x : interpolate(points, x);
}

// Columns that tiles and vectors share as backend/cpu/linear_tiled.h does. None where there are readings of one of the two only.
std::optional<double> tiled_seconds(const std::vector<Point>& points, unsigned min_columns, bool from_memory, double n_columns) {
    constexpr double kTile = kMaxTileColumns;
    // Readings from memory are of tiles from a whole one on.
    const double n_first = from_memory ? std::min(min_columns, kMaxTileColumns) : min_columns;
    std::vector<Point> vectors;
    std::vector<Point> tiles;
    for (const Point& p : points) {
        if (p.x < n_first) {
            vectors.push_back(p);
        } else {
            // A tile takes as long with fewer columns; the fullest one's reading counts.
            if (!tiles.empty() && tiles.back().x == kTile && p.x <= kTile) tiles.pop_back();
            tiles.push_back({std::max(p.x, kTile), p.y});
        }
    }
    if (vectors.empty() || tiles.empty()) return std::nullopt;
    const auto by_vectors = [&](double n) { return n <= vectors.back().x ? interpolate(vectors, n) : in_proportion(vectors, n); };
    if (n_columns < min_columns) return by_vectors(n_columns);
    const double n_whole = std::floor(n_columns / kTile) * kTile;
    const double n_over = n_columns - n_whole;
    if (n_over >= min_columns) return in_proportion(tiles, n_whole + kTile);
    return in_proportion(tiles, n_whole) + (n_over > 0.0 ? by_vectors(n_over) : 0.0);
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
    const auto tile = std::ranges::find(profile.tiles, weights, &TileReading::weights);
    if (tile != profile.tiles.end() && activations != "f32") {
        if (const auto seconds = tiled_seconds(points, tile->min_columns, from_memory, n_columns)) return seconds;
    }
    if (n_columns > points.back().x) return points.back().y * n_columns / points.back().x;
    return interpolate(points, n_columns);
}

std::string arithmetic_name(const Profile& profile, double int8_seconds, double float_seconds) {
    constexpr double kNearlyAll = 0.9;
    const double all = int8_seconds + float_seconds;
    if (int8_seconds >= kNearlyAll * all && int8_seconds > 0.0) return profile.int8_unit;
    if (float_seconds >= kNearlyAll * all) return kFloatUnit;
    return fmt::format("{} and {}", profile.int8_unit, kFloatUnit);
}

const RowReading* find_row(const Profile& profile, const std::string& kind) {
    for (const RowReading& row : profile.rows) {
        if (row.kind == kind) return &row;
    }
    return nullptr;
}

}  // namespace rafter::hardware
