// The tables of docs/speculation.md:
//   speculation_tables grid    the governor in a simulated engine against the best fixed number of drafts
#include <fmt/core.h>

#include <string_view>

#include "tests/engine/speculation_world.h"

namespace {

using namespace rafter::engine::tests;

void grid(std::string_view name, const Curve& curve) {
    fmt::print("| {} | batch | draft | best fixed k | times plain | governor | of the best |\n|--:|--:|--:|--:|--:|--:|--:|\n", name);
    for (const double acceptance : {0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95}) {
        for (const std::uint32_t n_rows : {1U, 4U, 8U, 32U}) {
            for (const double draft : {0.0, 0.05, 0.2, 0.5}) {
                const World world{
                    .curve = curve, .n_rows = n_rows, .draft = draft, .acceptance = [=](std::uint32_t) { return acceptance; }};
                const Fixed best = best_fixed(world);
                const double rate = simulate(world).rate();
                fmt::print("| {} | {} | {} | {} | {:.3f} | {:.3f} | {:.3f} |\n", acceptance, n_rows, draft, best.n_drafts,
                           best.rate / plain_rate(world), rate / plain_rate(world), rate / best.rate);
            }
        }
    }
}

}  // namespace

int main() {
    grid("CPU", cpu_curve);
    grid("GPU", gpu_curve);
}
