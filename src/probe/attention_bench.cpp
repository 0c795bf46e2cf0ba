// Keys and values are the cold memory's bytes: small numbers in every type of the cache, so that no weight is a special case.
#include "probe/attention_bench.h"

#include <memory>

#include "backend/cpu/attention.h"

namespace rafter::probe {
namespace {

using backend::KvType;
using backend::cpu::AttentionPiece;
using backend::cpu::kMaxQueries;
using backend::cpu::kPiecePositions;
using backend::cpu::kTilePositions;
using backend::cpu::padded_to_16;

// The fused kernel, or one of unfused attention's.
enum class Part { kAll, kScores, kValues };

std::string kind_of(Part part, KvType type) {
    const char* const prefix = part == Part::kScores ? "scores_" : part == Part::kValues ? "values_" : "";
    return prefix + std::string(to_string(type));
}

struct Case {
    Part part;
    KvType type;
    unsigned n_queries, head_dim, n_positions;
    bool from_memory;
};

constexpr unsigned kRepeats = 8;

struct ThreadMemory {
    std::vector<float> queries = std::vector<float>(std::size_t{256} * kMaxQueries, 0.05F);
    std::vector<float> scores = std::vector<float>(kMaxQueries * kPiecePositions);
    std::vector<float> states = std::vector<float>(kMaxQueries * backend::cpu::state_floats(256));
    std::vector<float> totals = states;
    std::vector<float> rows = scores;  // of unfused attention's scores and probabilities

    void run(const backend::cpu::AttentionKernels& kernels, Part part, const AttentionPiece& piece) {
        float* row_of[kMaxQueries];
        for (unsigned q = 0; q < piece.n_queries; ++q) row_of[q] = rows.data() + std::size_t{q} * kPiecePositions;
        if (part == Part::kScores) return kernels.scores(piece, scores.data(), row_of);
        if (part == Part::kValues) return kernels.values(piece, scores.data(), row_of, states.data());
        kernels.attend(piece, scores.data(), states.data());
        for (unsigned q = 0; q < piece.n_queries; ++q) {
            const std::size_t at = q * backend::cpu::state_floats(piece.head_dim);
            kernels.merge(states.data() + at, piece.head_dim, totals.data() + at);
        }
    }
};

// One piece: keys and values of one head, as in the cache, and the merge with the pieces before. A part of unfused attention reads keys or
// values alone, and each piece asks for the next one's as the op does.
double sample(ThreadPool& pool, backend::cpu::Isa isa, ColdMemory& memory, const Case& c, std::vector<ThreadMemory>& threads) {
    const auto& kernels = backend::cpu::attention_kernels(isa);
    // Tiles of what the part reads, one after the other.
    const std::size_t key_bytes = c.part == Part::kValues ? 0 : kTilePositions * backend::kv_row_bytes(c.type, c.head_dim);
    const std::size_t value_bytes = c.part == Part::kScores ? 0 : kTilePositions * backend::kv_row_bytes(c.type, padded_to_16(c.head_dim));
    const std::size_t n_tiles = (c.n_positions + kTilePositions - 1) / kTilePositions;
    const unsigned n_pieces = c.from_memory ? kRepeats : 1;
    const auto work = [&](unsigned thread) {
        const std::size_t size_bytes = n_pieces * n_tiles * (key_bytes + value_bytes);
        const std::byte* const data = c.from_memory ? memory.next(thread, size_bytes) : memory.fixed(thread);
        for (unsigned repeat = 0; repeat < kRepeats; ++repeat) {
            AttentionPiece piece;
            piece.head_dim = c.head_dim;
            piece.n_queries = c.n_queries;
            piece.key_type = c.type;
            piece.value_type = c.type;
            piece.scale = 0.1F;
            piece.queries = threads[thread].queries.data();
            piece.keys_prefetched = c.part == Part::kScores && repeat > 0;
            for (unsigned q = 0; q < c.n_queries; ++q) {
                piece.begin[q] = 0;
                piece.end[q] = c.n_positions;
            }
            for (std::size_t t = 0; t < n_tiles; ++t) {
                const std::size_t tile_bytes = key_bytes + value_bytes;
                const std::byte* const tile = data + ((c.from_memory ? repeat : 0) * n_tiles + t) * tile_bytes;
                piece.keys[t] = tile;
                piece.values[t] = tile + key_bytes;
                if (c.part == Part::kAll) continue;
                // As in attention_unfused.cpp.
                const std::byte* const next = c.from_memory && repeat + 1 < kRepeats ? tile + n_tiles * tile_bytes : nullptr;
                if (c.part == Part::kScores) piece.values[t] = next != nullptr ? next : tile;
                if (c.part == Part::kValues) piece.next_keys[t] = next;
            }
            threads[thread].run(kernels, c.part, piece);
        }
    };
    const double seconds = time_team(pool, work, {.n_threads = c.from_memory ? 0U : 1U, .warm = !c.from_memory});
    return seconds / kRepeats;
}

std::vector<Case> cases_of(const MatrixPlan& plan) {
    std::vector<Case> cases;
    for (const KvType type : backend::kv_types()) {
        if (plan.quick && type != KvType::kF16 && !plan.focus.wants(type)) continue;
        for (const unsigned n_queries : {1U, 2U, 3U, 4U, 5U, 6U, 8U, 12U}) {
            if ((plan.quick || type != KvType::kF16) && n_queries != 1 && n_queries != 3 && n_queries != 4 && n_queries != 12) continue;
            for (const unsigned head_dim : {64U, 256U}) cases.push_back({Part::kAll, type, n_queries, head_dim, 256, false});
            cases.push_back({Part::kAll, type, n_queries, 64, 16, false});
            if (n_queries <= 4) cases.push_back({Part::kAll, type, n_queries, 64, 256, true});
        }
        for (const Part part : {Part::kScores, Part::kValues}) {
            for (const unsigned n_queries : {1U, 3U, 4U, 12U}) cases.push_back({part, type, n_queries, 64, 256, false});
            cases.push_back({part, type, 1, 64, 256, true});
            if (type == KvType::kF16) cases.push_back({part, type, 4, 64, 256, true});
        }
    }
    return cases;
}

}  // namespace

void add_attention_benchmarks(ThreadPool& pool, backend::cpu::Isa isa, ColdMemory& memory, const MatrixPlan& plan,
                              hardware::Profile& profile, std::vector<Benchmark>& benchmarks) {
    const auto threads = std::make_shared<std::vector<ThreadMemory>>(pool.n_threads());
    for (const Case& c : cases_of(plan)) {
        benchmarks.push_back({.sample = [&pool, isa, &memory, c, threads] { return sample(pool, isa, memory, c, *threads); },
                              .record =
                                  [&profile, c](const Spread& spread) {
                                      profile.attention.push_back({.kv_type = kind_of(c.part, c.type),
                                                                   .n_queries = c.n_queries,
                                                                   .head_dim = c.head_dim,
                                                                   .n_positions = c.n_positions,
                                                                   .from_memory = c.from_memory,
                                                                   .seconds = spread.first_decile,
                                                                   .spread = spread.relative()});
                                  }});
    }
}

}  // namespace rafter::probe
