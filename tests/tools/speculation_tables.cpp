// The tables of bench/results/speculation.md:
//   speculation_tables grid     the governor in a simulated engine against the best fixed number of drafts
//   speculation_tables trees    the best tree of draft tokens against the best chain, and what a draft of half the layers would need
#include <fmt/core.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "hardware/catalog.h"
#include "model/catalog.h"
#include "roofline/plan.h"
#include "tests/engine/speculation/speculation_world.h"

namespace {

using namespace rafter;
using engine::tests::Curve;

// Of each cell: the best fixed number of drafts, its predicted speed over plain decoding's, and the governor's in the simulation.
void print_grid(std::string_view name, const Curve& curve) {
    constexpr double kDrafts[] = {0.0, 0.05, 0.2, 0.5};
    fmt::print("| {}: acceptance | sequences |", name);
    for (const double draft : kDrafts) fmt::print(" draft {} |", draft);
    fmt::print("\n|--:|--:|--:|--:|--:|--:|\n");
    double worst_of_best = 1.0;
    double worst_of_plain = 1.0;
    for (const double acceptance : {0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95}) {
        for (const std::uint32_t n_rows : {1U, 4U, 8U, 32U}) {
            fmt::print("| {} | {} |", acceptance, n_rows);
            for (const double draft : kDrafts) {
                engine::tests::World world;
                world.curve = curve;
                world.n_rows = n_rows;
                world.draft = draft;
                world.acceptance = [=](std::uint32_t) { return acceptance; };
                const double plain = engine::tests::plain_rate(world);
                const engine::tests::Fixed best = engine::tests::best_fixed(world);
                const double rate = engine::tests::simulate(world).rate();
                fmt::print(" {}: {:.2f}, {:.2f} |", best.n_drafts, best.rate / plain, rate / plain);
                worst_of_best = std::min(worst_of_best, rate / best.rate);
                worst_of_plain = std::min(worst_of_plain, rate / plain);
            }
            fmt::print("\n");
        }
    }
    fmt::print("\nAt worst {:.3f} of the best fixed number and {:.3f} of plain decoding.\n", worst_of_best, worst_of_plain);
}

struct DraftNode {
    double chance = 1.0;  // that it is right together with all before it
    std::uint32_t depth = 0;
};

// The n likeliest draft tokens of a tree, which are a tree themselves. Each place has the likeliest draft token; the first `n_branching`
// have the second-likeliest too, right in `second` of the cases in which the first is wrong.
std::vector<DraftNode> tree(double acceptance, double second, std::uint32_t n_branching, std::size_t n) {
    std::vector<DraftNode> drafts;
    std::vector<DraftNode> parents{{}};
    while (!parents.empty()) {
        const DraftNode parent = parents.back();
        parents.pop_back();
        if (parent.depth == n) continue;
        for (const double chance : {acceptance, parent.depth < n_branching ? (1.0 - acceptance) * second : 0.0}) {
            if (chance == 0.0) continue;
            drafts.push_back({parent.chance * chance, parent.depth + 1});
            parents.push_back(drafts.back());
        }
    }
    std::sort(drafts.begin(), drafts.end(), [](const DraftNode& a, const DraftNode& b) { return a.chance > b.chance; });
    drafts.resize(n);
    return drafts;
}

struct Best {
    std::size_t n = 0;
    double speedup = 1.0;
};

// draft: a round of draft tokens over a step; the draft tokens of one depth take one.
Best best_of(const std::vector<DraftNode>& drafts, const Curve& relative, double draft, std::uint32_t n_rows) {
    Best best;
    double tokens = 1.0;
    std::uint32_t depth = 0;
    for (std::size_t n = 1; n <= drafts.size(); ++n) {
        tokens += drafts[n - 1].chance;
        depth = std::max(depth, drafts[n - 1].depth);
        const double speedup = tokens / (relative(n_rows * (1.0 + static_cast<double>(n))) + draft * depth);
        if (speedup > best.speedup) best = {n, speedup};
    }
    return best;
}

void print_trees(std::string_view name, const Curve& relative, double draft, std::uint32_t n_rows) {
    for (const double acceptance : {0.3, 0.5, 0.7, 0.8, 0.9}) {
        const Best chain = best_of(tree(acceptance, 0.0, 0, 16), relative, draft, n_rows);
        fmt::print("| {} | {} | {} | {}: {:.2f} |", name, draft, acceptance, chain.n, chain.speedup);
        for (const double second : {0.2, 0.4}) {
            for (const std::uint32_t n_branching : {1U, 2U}) {
                const Best best = best_of(tree(acceptance, second, n_branching, 16), relative, draft, n_rows);
                fmt::print(" {}: {:+.1f}% |", best.n, 100.0 * (best.speedup / chain.speedup - 1.0));
            }
        }
        fmt::print("\n");
    }
}

void print_all_trees() {
    fmt::print(
        "| curve | draft | acceptance | chain: times plain | second 0.2, one place | two places | second 0.4, one place | two places |\n");
    fmt::print("|---|--:|--:|--:|--:|--:|--:|--:|\n");
    const roofline::PlannedModel model = roofline::plan_described(model::find_in_catalog("Llama-2-7B")->model);
    roofline::Setup setup;
    setup.types = model.native;
    setup.hardware = hardware::find_in_catalog("A100")->hardware;
    for (const std::uint32_t n_rows : {1U, 8U}) {
        const double plain = price_step(model.fused, setup, roofline::decode_step(n_rows, 512)).seconds;
        const Curve relative = [&](double n) {
            return price_step(model.fused, setup, roofline::decode_step(n_rows, 512 + n / n_rows, n / n_rows)).seconds / plain;
        };
        print_trees(fmt::format("A100, Llama-2-7B, {}", n_rows), relative, 0.0, n_rows);
    }
    for (const double column : {0.08, 0.15, 0.3}) {
        const std::string name = fmt::format("CPU, {:.0f}% a column, 1", 100.0 * column);
        for (const double draft : {0.0, 0.1})
            print_trees(
                name, [=](double n) { return 1.0 + column * (n - 1.0); }, draft, 1);
    }
}

// A draft of half the layers costs half a step a draft token; each column more costs `column` of a step.
void print_half_depth() {
    fmt::print("\n| a further column | acceptance to gain anything | to gain 10% | to gain 20% |\n|--:|--:|--:|--:|\n");
    for (const double column : {0.0, 0.08, 0.15, 0.3}) {
        fmt::print("| {:.0f}% |", 100.0 * column);
        for (const double gain : {1.0, 1.1, 1.2}) {
            double needed = 1.01;
            for (double acceptance = 1.0; acceptance > 0.0; acceptance -= 0.001) {
                double best = 0.0;
                for (int k = 1; k <= 16; ++k) best = std::max(best, roofline::speculative_speedup(acceptance, k, 0.5, 1.0 + column * k));
                if (best > gain) needed = acceptance;
            }
            fmt::print(" {} |", needed > 1.0 ? "never" : fmt::format("{:.2f}", needed));
        }
        fmt::print("\n");
    }
}

}  // namespace

int main(int argc, char** argv) {
    const std::string_view what = argc > 1 ? argv[1] : "";
    if (what == "grid") {
        print_grid("CPU", engine::tests::cpu_curve);
        fmt::print("\n");
        print_grid("GPU", engine::tests::gpu_curve);
    } else if (what == "trees") {
        print_all_trees();
        print_half_depth();
    } else {
        fmt::print(stderr, "usage: speculation_tables grid|trees\n");
        return 1;
    }
}
