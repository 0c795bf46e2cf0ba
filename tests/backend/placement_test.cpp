// Machines with several memory nodes, simulated: a page lies on the node of the thread that first writes to it, which is how weights are
// packed; how much of what a thread reads later lies on its own node?
#include <gtest/gtest.h>

#include <map>

#include "backend/cpu/cpu_weights.h"

namespace rafter::backend::cpu {
namespace {

struct ModelSizes {
    const char* name;
    std::uint32_t n_layers, d_model, d_ff, n_kv, n_vocab;
};

struct Machine {
    unsigned n_threads, n_nodes;
    std::size_t page_bytes;
};

// The share of the weights' bytes that their reader finds on its node.
double local_share(const ModelSizes& shape, const Machine& machine) {
    const std::uint32_t d = shape.d_model;
    std::vector<std::vector<std::pair<std::uint32_t, std::uint32_t>>> ops;  // rows and columns of the matrices of each
    for (std::uint32_t i = 0; i < shape.n_layers; ++i) {
        ops.push_back({{d, d}, {shape.n_kv, d}, {shape.n_kv, d}});
        ops.push_back({{d, d}});
        ops.push_back({{shape.d_ff, d}, {shape.d_ff, d}});
        ops.push_back({{d, shape.d_ff}});
    }
    ops.push_back({{shape.n_vocab, d}});
    const auto node_of = [&](unsigned thread) { return thread * machine.n_nodes / machine.n_threads; };

    std::map<std::size_t, unsigned> node_of_page;
    double local = 0;
    double total = 0;
    std::size_t offset = 0;
    for (const auto& op : ops) {
        std::vector<PackedMatrix> matrices;
        for (const auto& [rows, cols] : op) matrices.push_back(packed_matrix(tensor::DType::kQ4_0, rows, cols, nullptr));
        // Threads begin together, each at the start of its share: a page in which a share begins is that thread's, before the one that
        // comes to it from below.
        for (const bool begins : {true, false}) {
            for (unsigned thread = 0; thread < machine.n_threads; ++thread) {
                const std::vector<PanelRange> share = share_of(matrices, thread, machine.n_threads);
                std::size_t start = offset;
                for (std::size_t i = 0; i < matrices.size(); ++i) {
                    const std::size_t first = start + share[i].first * matrices[i].panel_bytes;
                    const std::size_t last = start + share[i].last * matrices[i].panel_bytes;
                    start += packed_bytes(tensor::DType::kQ4_0, matrices[i].n_rows, matrices[i].n_cols);
                    if (first == last) continue;
                    const std::size_t end = begins ? first + 1 : last;
                    for (std::size_t page = first / machine.page_bytes; page * machine.page_bytes < end; ++page)
                        node_of_page.try_emplace(page, node_of(thread));
                }
            }
        }
        for (unsigned thread = 0; thread < machine.n_threads; ++thread) {
            const std::vector<PanelRange> share = share_of(matrices, thread, machine.n_threads);
            std::size_t start = offset;
            for (std::size_t i = 0; i < matrices.size(); ++i) {
                std::size_t at = start + share[i].first * matrices[i].panel_bytes;
                const std::size_t last = start + share[i].last * matrices[i].panel_bytes;
                start += packed_bytes(tensor::DType::kQ4_0, matrices[i].n_rows, matrices[i].n_cols);
                while (at < last) {
                    const std::size_t page = at / machine.page_bytes;
                    const auto n = static_cast<double>(std::min(last, (page + 1) * machine.page_bytes) - at);
                    total += n;
                    if (node_of_page.at(page) == node_of(thread)) local += n;
                    at = std::min(last, (page + 1) * machine.page_bytes);
                }
            }
        }
        for (const PackedMatrix& m : matrices) offset += packed_bytes(tensor::DType::kQ4_0, m.n_rows, m.n_cols);
    }
    return local / total;
}

TEST(Placement, MostWeightsLieOnTheNodeOfTheirReader) {
    constexpr ModelSizes kShapes[] = {{"llama-1b", 16, 2048, 8192, 512, 49152}, {"llama-8b", 32, 4096, 14336, 1024, 128256}};
    constexpr std::size_t kSmall = 4096;
    constexpr std::size_t kHuge = std::size_t{2} << 20U;
    for (const ModelSizes& shape : kShapes) {
        for (const Machine machine : {Machine{16, 2, kSmall}, {16, 2, kHuge}, {64, 2, kHuge}, {64, 4, kHuge}, {128, 8, kHuge}}) {
            const double share = local_share(shape, machine);
            const std::string name = std::string(shape.name) + "_" + std::to_string(machine.n_threads) + "_threads_" +
                                     std::to_string(machine.n_nodes) + "_nodes_" + std::to_string(machine.page_bytes / 1024) + "_KiB";
            RecordProperty(name, std::to_string(share));
            std::printf("%s: %.1f%%\n", name.c_str(), 100 * share);
            // Where a thread's share of an op is less than a huge page, its neighbours' nodes have some of it.
            EXPECT_GT(share, machine.page_bytes == kSmall ? 0.99 : 1.5 / machine.n_nodes) << name;
        }
    }
}

}  // namespace
}  // namespace rafter::backend::cpu
