// A long prompt has as many tiles of queries as it has tokens: a sample of them, evenly spaced, stands for all.
#include "roofline/calibrated_attention.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>

#include "roofline/number_types.h"

namespace rafter::roofline {
namespace {

using hardware::AttentionReading;
using hardware::Profile;

constexpr double kPiece = 256.0;
constexpr double kTile = 16.0;
constexpr double kMaxQueries = 12.0;
constexpr double kItemsPerThread = 4.0;
constexpr int kSamples = 64;
constexpr double kMaxVisible = 1.0;  // as in calibrated.cpp

// Between the nearest readings of other numbers of queries; in proportion beyond the last.
std::optional<double> by_queries(const Profile& profile, const std::string& kv_type, double n_queries, unsigned head_dim,
                                 unsigned n_positions, bool from_memory) {
    std::map<double, double> points;
    for (const AttentionReading& r : profile.attention) {
        if (r.kv_type == kv_type && r.head_dim == head_dim && r.n_positions == n_positions && r.from_memory == from_memory) {
            points[r.n_queries] = r.seconds;
        }
    }
    if (points.empty()) return std::nullopt;
    const auto right = points.lower_bound(n_queries);
    if (right == points.end()) return points.rbegin()->second * n_queries / points.rbegin()->first;
    if (right == points.begin() || right->first == n_queries) return right->second;
    const auto left = std::prev(right);
    return left->second + (n_queries - left->first) / (right->first - left->first) * (right->second - left->second);
}

struct Split {
    double heads, rows;  // of queries an item
};

// As attention_step.cpp chooses it.
Split choose_split(const model::AttentionOptions& options, const Step& step, double n_threads) {
    const double group = std::max(1.0, static_cast<double>(options.n_heads) / std::max(1U, options.n_kv_heads));
    Split split{.heads = std::min(group, kMaxQueries), .rows = 1.0};
    split.rows = std::max(1.0, std::floor(kMaxQueries / split.heads));
    const auto units = [&] {
        double n = 0.0;
        for (const StepRows& r : step.rows) n += r.n_sequences * std::ceil(r.n_new / split.rows);
        return n * options.n_kv_heads * std::ceil(group / split.heads);
    };
    while (split.rows > 1 && units() < n_threads * kItemsPerThread) split.rows = std::floor(split.rows / 2);
    return split;
}

AttentionPrice price_one_type(const model::AttentionOptions& options, const Step& step, const Profile& profile, const std::string& kv_type);

}  // namespace

double piece_seconds(const Profile& profile, const std::string& kv_type, double n_queries, double head_dim, double n_positions) {
    if (n_positions <= 0) return 0.0;
    const auto narrow = by_queries(profile, kv_type, n_queries, 64, 256, false);
    const auto wide = by_queries(profile, kv_type, n_queries, 256, 256, false);
    const auto tile = by_queries(profile, kv_type, n_queries, 64, 16, false);
    if (!narrow || !wide || !tile) return 0.0;
    const double full = std::max(*narrow * 0.1, *narrow + (head_dim - 64.0) / (256.0 - 64.0) * (*wide - *narrow));
    const double first = *tile * full / *narrow;
    const double positions = std::ceil(n_positions / kTile) * kTile;
    return first + (positions - kTile) / (kPiece - kTile) * (full - first);
}

// Readings are of keys and values of one type. Scores and weighted sums are as many multiply-adds: of two types each is half.
AttentionPrice price_attention(const model::AttentionOptions& options, const Step& step, const Profile& profile,
                               const std::string& key_type, const std::string& value_type) {
    AttentionPrice price = price_one_type(options, step, profile, key_type);
    if (value_type == key_type) return price;
    const AttentionPrice values = price_one_type(options, step, profile, value_type);
    price.compute_seconds = 0.5 * (price.compute_seconds + values.compute_seconds);
    price.hidden = 0.5 * (price.hidden + values.hidden);
    price.complete = price.complete && values.complete;
    return price;
}

namespace {

AttentionPrice price_one_type(const model::AttentionOptions& options, const Step& step, const Profile& profile,
                              const std::string& kv_type) {
    AttentionPrice price;
    const double n_threads = profile.key.n_threads;
    const Split split = choose_split(options, step, n_threads);
    const double group = std::max(1.0, static_cast<double>(options.n_heads) / std::max(1U, options.n_kv_heads));
    const double parts = std::ceil(group / split.heads) * options.n_kv_heads;  // items of one tile of rows
    double n_pieces = 0.0;
    for (const StepRows& rows : step.rows) {
        const double n_tiles = std::ceil(rows.n_new / split.rows);
        if (n_tiles <= 0) continue;
        const int n_samples = static_cast<int>(std::min<double>(n_tiles, kSamples));
        double seconds = 0.0;
        for (int s = 0; s < n_samples; ++s) {
            const double tile = std::floor((s + 0.5) * n_tiles / n_samples);
            const double n_rows = std::min(split.rows, rows.n_new - tile * split.rows);
            const double end = rows.n_past + tile * split.rows + n_rows;
            const double begin = options.window > 0 ? std::max(0.0, end - n_rows + 1 - options.window) : 0.0;
            const double n_queries = split.heads * n_rows;
            const double first_piece = std::floor(begin / kPiece);
            const double last_piece = std::floor((end - 1) / kPiece);
            const double whole = std::max(0.0, last_piece - first_piece - 1);
            seconds += whole * piece_seconds(profile, kv_type, n_queries, options.head_dim, kPiece);
            if (last_piece > first_piece) {
                seconds += piece_seconds(profile, kv_type, n_queries, options.head_dim, (first_piece + 1) * kPiece - begin);
                seconds += piece_seconds(profile, kv_type, n_queries, options.head_dim, end - last_piece * kPiece);
            } else {
                seconds += piece_seconds(profile, kv_type, n_queries, options.head_dim, end - begin);
            }
            n_pieces += (last_piece - first_piece + 1) * rows.n_sequences * parts * n_tiles / n_samples;
        }
        price.compute_seconds += rows.n_sequences * parts * n_tiles * seconds / n_samples;
    }
    price.complete = price.compute_seconds > 0 || step.n_tokens() <= 0;
    // Threads share what there is: a single piece keeps one of them busy.
    price.compute_seconds /= std::max(1.0, std::min(n_threads, n_pieces));

    const double n_queries = std::min(split.heads * split.rows, 4.0);
    const auto near = by_queries(profile, kv_type, n_queries, 64, 256, false);
    const auto cold = by_queries(profile, kv_type, n_queries, 64, 256, true);
    if (near && cold && profile.stream_bytes_per_s > 0) {
        const double element_bytes = kv_number_type(kv_type).value_or(NumberType{.bits = 16}).bits / 8;
        const double memory = 2 * 64.0 * kPiece * element_bytes * n_threads / profile.stream_bytes_per_s;
        const double visible = (*cold - std::max(*near, memory)) / std::min(*near, memory);
        price.hidden = 1.0 - std::clamp(visible, 0.0, kMaxVisible);
    }
    return price;
}

}  // namespace
}  // namespace rafter::roofline
