// Several devices: who holds which part, and what they have to say to each other.
#pragma once

#include "base/result.h"
#include "hardware/hardware.h"
#include "roofline/priced_list.h"

namespace rafter::roofline {

// tp: every matrix is split over so many devices; pp: layers are dealt out in stages; ep: experts are dealt out, and each such group has
// its own sequences through the rest of the model. devices = tp * pp * ep. cp: so many of tp's devices share the positions of a sequence
// that they would else hold copies of (decode context parallelism, docs.vllm.ai/en/latest/serving/context_parallel_deployment.html).
struct Parallel {
    double tp = 1.0;
    double pp = 1.0;
    double ep = 1.0;
    double cp = 1.0;
    [[nodiscard]] double devices() const { return tp * pp * ep; }
};

enum class Collective {
    kRing,  // 2(N-1)/N of the bytes over the link, 2(N-1) messages after another (Patarasuk and Yuan, doi 10.1016/j.jpdc.2008.09.002)
    kFlat,  // two messages, each the larger of its latency and all its bytes over the link (kipp.ly/transformer-inference-arithmetic)
};

// A device's link with the efficiency's fraction applied; what is not known costs nothing.
struct Link {
    double bytes_per_s = 0.0;  // 0: unknown
    double latency_s = 0.0;
};
[[nodiscard]] Link link_of(const hardware::Hardware& hardware, double fraction);

// Seconds of one collective among n devices, of `bytes` that each has.
[[nodiscard]] double all_reduce_seconds(double bytes, double n, const Link& link, Collective collective);
// Each of n devices sends `bytes` in all, an n-th of it to every one (twice a layer of experts: tokens out, results back).
[[nodiscard]] double all_to_all_seconds(double bytes, double n, const Link& link, Collective collective);
[[nodiscard]] double send_seconds(double bytes, const Link& link);
// An all-reduce as engines have it: the ring, or every device sends all its bytes to all others at once, whichever takes less.
[[nodiscard]] double engine_all_reduce_seconds(double bytes, double n, const Link& link);

// Of n devices that share the experts, how many have one of the n_used that a token chooses, were all choices alike.
[[nodiscard]] double expected_devices(double n, double n_used);

// Tokens for experts are dealt by chance: flops of the busiest of n devices over the average, at least 1 and at most n. `n_chosen`: tokens
// that a device's experts are chosen by, on average; skew: standard deviation of experts' popularity over its mean. The mean of the largest
// of n normal variables is at most sqrt(2 ln n) standard deviations above theirs.
struct ExpertLoad {
    double n_chosen = 0.0;
    double n_experts = 1.0;  // of one device
    double skew = 0.0;
};
[[nodiscard]] double expert_imbalance(const ExpertLoad& load, double n);

// All-reduces that a layer needs: one after attention and one after the feed-forward, or one for both where they run side by side.
[[nodiscard]] double all_reduces_per_layer(const model::ModelConfig& config);

// An error when devices cannot share the model so: tp divides neither heads nor layers, more stages than layers, more ep than experts.
[[nodiscard]] Result<void> check_parallel(const PricedList& list, const Parallel& parallel);
// n devices as a person would set them up: tp where it divides the heads, then pp where it divides the layers; where neither helps, tp of
// matrices split both ways.
[[nodiscard]] Result<Parallel> choose_parallel(const PricedList& list, double n_devices);

// Heads that do not divide leave some devices with one more: the largest share over the average one, 1 when even.
[[nodiscard]] double head_imbalance(const model::ModelConfig& config, double tp);

}  // namespace rafter::roofline
