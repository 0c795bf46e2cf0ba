// How much of its rates a device reaches, and what steps, ops and messages cost beside. The ideal reaches all and pays for nothing else:
// every value below is then as it stands here. planning/efficiency.h has what is typical, with sources.
#pragma once

#include <optional>
#include <string>

namespace rafter::roofline {

struct Efficiency {
    std::string name = "ideal";
    // Of the device's own rates, at best.
    double flop_fraction = 1.0;
    double bandwidth_fraction = 1.0;
    double link_fraction = 1.0;

    // Matrices. With n tokens that share a weight, n / (n + flop_half_tokens) of flop_fraction is reached: few tokens fill no tile.
    double flop_half_tokens = 0.0;
    double eight_bit_flop_factor = 1.0;  // of flop_fraction, where operands have 8 bits
    double four_bit_flop_factor = 1.0;   // and where they have 4
    // Where weights are narrower than what is multiplied, and so are unpacked by the kernel: up to 7 bits, and above.
    double unpack_flop_factor = 1.0;
    double unpack_four_bit_bandwidth_factor = 1.0;
    double unpack_eight_bit_bandwidth_factor = 1.0;
    double expert_flop_factor = 1.0;  // of flop_fraction: many small matrices in one kernel
    // Part of the shorter of reading and multiplying that hides behind the other where both take equally long; less of it is left over the
    // further they are apart.
    double overlap = 1.0;
    // Attention's own kernels; unset: as matrices.
    std::optional<double> attention_flop_fraction;
    std::optional<double> attention_bandwidth_fraction;

    // Several devices. Unset: every expert gets as many tokens as the others; else experts' popularity differs by this standard deviation.
    std::optional<double> expert_skew;
    // Collectives as engines write them: sums travel in at least 16 bits, an all-reduce of few bytes sends all of them to every device at
    // once, and a token is sent once to a device that has several of its experts.
    bool engine_collectives = false;
    double seconds_per_collective = 0.0;  // starting and meeting

    double seconds_per_op = 0.0;
    double seconds_per_prompt_op = 0.0;  // more in steps that compute prompts, whose kernels start one by one and not from a graph
    double seconds_per_step = 0.0;
    double seconds_per_sequence = 0.0;  // of a step: scheduling it, its tokens in and out
    double logits_passes = 0.0;         // of sampling, over logits in float
    double max_step_tokens = 0.0;       // of a device group; more tokens are computed in several steps. 0: any
    bool queues_for_memory = false;     // sequences wait until the cache has room for their prompt and whole answer

    [[nodiscard]] bool unpacks_four(double weight_bits) const { return weight_bits <= 7.0; }
};

}  // namespace rafter::roofline
