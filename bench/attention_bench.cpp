// Attention's kernel: some queries of one KV head against a piece of 256 positions, and the merge with the pieces before it.
//   attend/avx2/f16/128/4: type of the cache, head_dim, queries; the same piece each time.   attend_memory/...: pieces from memory in turn.
#include <benchmark/benchmark.h>

#include <cstring>
#include <string>
#include <vector>

#include "backend/cpu/attention.h"
#include "base/os_memory.h"
#include "roofs.h"

namespace rafter::bench {
namespace {

using namespace backend::cpu;
using backend::KvType;

constexpr std::size_t kMemoryBytes = std::size_t{72} << 20U;  // of the pieces that come from memory

struct Setup {
    KvType type;
    std::uint32_t head_dim, n_queries;
    bool from_memory;
};

void attend(benchmark::State& state, Isa isa, const Setup& setup) {
    const AttentionKernels& kernels = attention_kernels(isa);
    const std::size_t key_bytes = kTilePositions * backend::kv_row_bytes(setup.type, setup.head_dim);
    const std::size_t value_bytes = kTilePositions * backend::kv_row_bytes(setup.type, padded_to_16(setup.head_dim));
    const std::size_t piece_bytes = kPieceTiles * (key_bytes + value_bytes);
    const std::size_t n_pieces = setup.from_memory ? kMemoryBytes / piece_bytes : 1;
    const PageBuffer memory = PageBuffer::allocate(n_pieces * piece_bytes, "keys and values").value();
    std::memset(memory.data(), 0x2C, n_pieces * piece_bytes);  // small numbers in every type of the cache

    const std::vector<float> queries(std::size_t{setup.head_dim} * kMaxQueries, 0.05F);
    const std::size_t state_size = state_floats(setup.head_dim);
    std::vector<float> scores(kMaxQueries * kPiecePositions);
    std::vector<float> states(setup.n_queries * state_size);
    std::vector<float> totals(states.size());
    AttentionPiece piece;
    piece.head_dim = setup.head_dim;
    piece.n_queries = setup.n_queries;
    piece.key_type = setup.type;
    piece.value_type = setup.type;
    piece.scale = 0.1F;
    piece.queries = queries.data();
    for (std::uint32_t q = 0; q < setup.n_queries; ++q) {
        piece.begin[q] = 0;
        piece.end[q] = kPiecePositions;
    }
    const CallCost cost{.read_bytes = static_cast<double>(piece_bytes),
                        .ops = 4.0 * setup.n_queries * setup.head_dim * kPiecePositions,  // scores, and the sum of values
                        .working_set_bytes = static_cast<double>(n_pieces * piece_bytes)};
    std::size_t at = 0;
    measure(state, isa, cost, [&] {
        const std::byte* data = memory.data() + at * piece_bytes;
        for (std::size_t t = 0; t < kPieceTiles; ++t, data += key_bytes + value_bytes) {
            piece.keys[t] = data;
            piece.values[t] = data + key_bytes;
        }
        kernels.attend(piece, scores.data(), states.data());
        for (std::size_t q = 0; q < setup.n_queries; ++q) {
            kernels.merge(states.data() + q * state_size, setup.head_dim, totals.data() + q * state_size);
        }
        at = at + 1 < n_pieces ? at + 1 : 0;
    });
}

const int kRegistered = [] {
    for (const Isa isa : available_isas()) {
        for (const KvType type : backend::kv_types()) {
            for (const std::uint32_t head_dim : {64U, 128U}) {
                for (const std::uint32_t n_queries : {1U, 3U, 4U, 8U, kMaxQueries}) {
                    for (const bool from_memory : {false, true}) {
                        const std::string name = std::string(from_memory ? "attend_memory/" : "attend/") + std::string(to_string(isa)) +
                                                 "/" + std::string(backend::to_string(type)) + "/" + std::to_string(head_dim) + "/" +
                                                 std::to_string(n_queries);
                        benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& s) {
                            attend(s, isa, {type, head_dim, n_queries, from_memory});
                        });
                    }
                }
            }
        }
    }
    return 0;
}();

}  // namespace
}  // namespace rafter::bench
