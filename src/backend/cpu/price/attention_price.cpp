// A long prompt has as many tiles of queries as it has tokens: a sample of them, evenly spaced, stands for all.
#include "backend/cpu/price/attention_price.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <vector>

#include "backend/cpu/attention_split.h"
#include "roofline/number_types.h"
#include "roofline/op_cost.h"

namespace rafter::backend::cpu {
namespace {

using hardware::AttentionReading;
using hardware::Profile;
using roofline::Step;
using roofline::StepRows;

constexpr double kPiece = kPiecePositions;
constexpr double kTile = kTilePositions;
constexpr std::uint64_t kSamples = 64;

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

std::uint64_t whole(double n) { return static_cast<std::uint64_t>(std::llround(std::max(n, 0.0))); }

// The step in whole numbers, as the split takes it.
std::vector<SequenceRun> runs_of(const Step& step) {
    std::vector<SequenceRun> runs;
    for (const StepRows& r : step.rows) {
        runs.push_back(
            {.n_sequences = std::max<std::uint64_t>(1, whole(r.n_sequences)), .n_new = whole(r.n_new), .n_past = whole(r.n_past)});
    }
    return runs;
}

// Items of the same rows and the same query heads, of all sequences of a run: count stands for how many tiles and sequences this one does.
struct ItemGroup {
    double count = 0.0;
    double n_queries = 0.0;
    double n_intervals = 0.0;
    RowTile tile;
};

// Calls visit(ItemGroup) for the items of a step; of a long prompt for a sample of its tiles.
template <typename Visit>
void for_each_group(const model::AttentionOptions& options, const Step& step, const AttentionSplit& split, const Visit& visit) {
    const std::vector<SequenceRun> runs = runs_of(step);
    for (std::size_t i = 0; i < runs.size(); ++i) {
        const std::uint64_t n_tiles = n_row_tiles(split, runs[i].n_new);
        const std::uint64_t n_samples = std::min(n_tiles, kSamples);
        for (std::uint64_t s = 0; s < n_samples; ++s) {
            const double at = (static_cast<double>(s) + 0.5) * static_cast<double>(n_tiles) / static_cast<double>(n_samples);
            const RowTile tile = row_tile(split, runs[i], options.window, std::min(n_tiles - 1, static_cast<std::uint64_t>(at)));
            ItemGroup group{
                .count = step.rows[i].n_sequences * static_cast<double>(n_tiles) / static_cast<double>(n_samples) * options.n_kv_heads,
                .n_intervals = static_cast<double>(n_intervals(split, tile)),
                .tile = tile};
            for (std::uint32_t part = 0; part < n_head_parts(split, options); ++part) {
                group.n_queries = double{1} * n_heads_of_part(split, options, part) * tile.n_rows;
                visit(group);
            }
        }
    }
}

template <typename Visit>
void for_each_group(const model::AttentionOptions& options, const Step& step, unsigned n_threads, const Visit& visit) {
    for_each_group(options, step, split_attention(runs_of(step), options, n_threads), visit);
}

// The positions of a piece that an item reads: the tiles that some of its queries sees.
double positions_read(const RowTile& tile, std::uint64_t piece) {
    const std::uint64_t begin = std::max(tile.first_seen, piece * kPiecePositions) / kTilePositions;
    const std::uint64_t end = (std::min(tile.end_seen, (piece + 1) * kPiecePositions) + kTilePositions - 1) / kTilePositions;
    return static_cast<double>((end - begin) * kTilePositions);
}

// Calls visit(how many, positions) for an item's pieces: the first and the last, and those between as one.
template <typename Visit>
void for_each_piece(const RowTile& tile, const Visit& visit) {
    visit(1.0, positions_read(tile, tile.first_piece));
    const std::uint64_t n = tile.end_piece - tile.first_piece;
    if (n > 1) visit(1.0, positions_read(tile, tile.end_piece - 1));
    if (n > 2) visit(static_cast<double>(n - 2), kPiece);
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

AttentionWork count_attention(const model::AttentionOptions& options, const Step& step, unsigned n_threads) {
    AttentionWork work;
    for_each_group(options, step, n_threads, [&](const ItemGroup& group) {
        work.n_items += group.count * group.n_intervals;
        for_each_piece(group.tile, [&](double n, double n_positions) {
            work.n_calls += group.count * n;
            work.n_queries += group.count * n * group.n_queries;
            work.n_positions += group.count * n * n_positions;
        });
    });
    return work;
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

// Of the smaller of computing and reading: what a kernel hides as it streams pieces of n_read (keys, values or both) from memory.
double hidden_part(const Profile& profile, const std::string& kind, const std::string& kv_type, double n_queries, double n_read) {
    const auto near = by_queries(profile, kind, n_queries, 64, 256, false);
    const auto cold = by_queries(profile, kind, n_queries, 64, 256, true);
    if (!near || !cold || profile.stream_bytes_per_s <= 0) return 1.0;
    const double element_bytes = roofline::kv_number_type(kv_type).value_or(roofline::NumberType{.bits = 16}).bits / 8;
    const double memory = n_read * 64.0 * kPiece * element_bytes * profile.key.n_threads / profile.stream_bytes_per_s;
    const double visible = (*cold - std::max(*near, memory)) / std::min(*near, memory);
    return 1.0 - std::clamp(visible, 0.0, kMaxVisible);
}

AttentionPrice price_one_type(const model::AttentionOptions& options, const Step& step, const Profile& profile,
                              const std::string& kv_type) {
    AttentionPrice price;
    const unsigned n_threads = profile.key.n_threads;
    double n_items = 0.0;
    double most_queries = 0.0;
    for_each_group(options, step, n_threads, [&](const ItemGroup& group) {
        n_items += group.count * group.n_intervals;
        most_queries = std::max(most_queries, group.n_queries);
        for_each_piece(group.tile, [&](double n, double n_positions) {
            price.compute_seconds += group.count * n * piece_seconds(profile, kv_type, group.n_queries, options.head_dim, n_positions);
        });
    });
    price.complete = price.compute_seconds > 0 || step.n_tokens() <= 0;
    // Threads take items one by one: the busiest has one more than the others where they do not divide.
    if (n_items > 0) price.compute_seconds *= std::ceil(n_items / n_threads) / n_items;

    price.hidden = hidden_part(profile, kv_type, kv_type, std::min(most_queries, 4.0), 2.0);
    return price;
}

// Scores or values: the kernel's readings are of kind "scores_" or "values_", and in proportion to elements and positions.
AttentionPrice price_part(const model::AttentionOptions& options, const Step& step, const Profile& profile, const std::string& kind,
                          const std::string& kv_type, const ValuesSplit& split) {
    AttentionPrice price;
    double n_items = 0.0;
    double most_queries = 0.0;
    const double share = options.head_dim / 64.0;  // of a reading's elements; parts of a head add up to it
    for_each_group(options, step, split.queries, [&](const ItemGroup& group) {
        n_items += group.count * group.n_intervals * split.n_parts;
        most_queries = std::max(most_queries, group.n_queries);
        const double piece = by_queries(profile, kind + kv_type, group.n_queries, 64, 256, false).value_or(0.0);
        for_each_piece(group.tile, [&](double n, double n_positions) {
            price.compute_seconds += group.count * n * piece * share * n_positions / kPiece;
        });
    });
    price.complete = price.compute_seconds > 0 || step.n_tokens() <= 0;
    if (n_items > 0) price.compute_seconds *= std::ceil(n_items / profile.key.n_threads) / n_items;
    price.hidden = hidden_part(profile, kind + kv_type, kv_type, std::min(most_queries, 4.0), 1.0);
    return price;
}

}  // namespace

AttentionPrice price_scores(const model::AttentionOptions& options, const Step& step, const Profile& profile, const std::string& key_type) {
    return price_part(options, step, profile, "scores_", key_type, {split_attention(runs_of(step), options, profile.key.n_threads), 1});
}

AttentionPrice price_values(const model::AttentionOptions& options, const Step& step, const Profile& profile,
                            const std::string& value_type) {
    return price_part(options, step, profile, "values_", value_type, split_values(runs_of(step), options, profile.key.n_threads));
}

AttentionPrice price_softmax(const model::AttentionOptions& options, const Step& step, const Profile& profile) {
    AttentionPrice price{.hidden = 0.0};
    const hardware::RowReading* reading = hardware::find_row(profile, "softmax");
    price.complete = reading != nullptr || step.n_tokens() <= 0;
    if (reading == nullptr) return price;
    const double n_rows = step.n_tokens() * options.n_heads;
    const double n_elements = roofline::attention_pairs(step, options.window) * options.n_heads;
    if (n_rows <= 0) return price;
    // Threads take rows one by one.
    const double share = std::ceil(n_rows / profile.key.n_threads) / n_rows;
    price.compute_seconds = share * (n_rows * reading->seconds_per_row + n_elements * reading->seconds_per_element);
    return price;
}

}  // namespace rafter::backend::cpu
