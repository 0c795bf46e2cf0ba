// One function a kind of change; each says why it helps, or does not, from the shares of the step's time.
#include "roofline/what_if.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "hardware/catalog.h"
#include "report/units.h"
#include "roofline/engine.h"

namespace rafter::roofline {
namespace {

class Variants {
  public:
    Variants(const Scenario& scenario, const Summary& before) : s_(scenario), before_(before) {
        decode_ = price_decode(scenario, Detail::kTotals).price;
        prefill_ = price_prefill(scenario, Detail::kTotals).price;
        memory_ = price_memory(scenario);
    }

    std::vector<WhatIf> run(const Speculation& speculation) && {
        narrower_weights();
        narrower_cache();
        larger_batches();
        add_speculation(speculation);
        prefix_cache();
        fusing();
        more_devices();
        other_devices();
        std::ranges::stable_sort(found_, [&](const WhatIf& a, const WhatIf& b) {
            const bool a_lost = before_.fits && !a.after.fits;
            const bool b_lost = before_.fits && !b.after.fits;
            return a_lost != b_lost ? b_lost : a.gain > b.gain;
        });
        return std::move(found_);
    }

  private:
    WhatIf& add(std::string name, std::string change, std::string why, const Summary& after) {
        WhatIf w{.name = std::move(name), .change = std::move(change), .why = std::move(why), .before = before_, .after = after};
        if (before_.served_tokens_per_second > 0) w.gain = after.served_tokens_per_second / before_.served_tokens_per_second;
        if (before_.fits && !after.fits) w.why += "; but it does not fit into memory";
        if (!before_.fits && after.fits) w.why += "; and it fits into memory";
        found_.push_back(std::move(w));
        return found_.back();
    }

    [[nodiscard]] double share(double seconds) const { return decode_.seconds > 0 ? seconds / decode_.seconds : 0.0; }

    void narrower_weights() {
        const CostOptions now = s_.setup.types.cost_options();
        const double bits = weight_bytes(s_.list(), now) * 8 / parameters(s_.list());
        for (const double to : {8.0, 4.0}) {
            if (bits < to * 1.2) continue;
            Scenario v = s_;
            set_weight_bits(v.setup, to);
            const std::string why =
                decode_.bound == Bound::kMemory
                    ? fmt::format("reading weights is {} of a decode step, and they shrink by a factor of {}",
                                  report::percent(share(decode_.weights_seconds)), report::rate(bits / to))
                    : fmt::format("a decode step is bound by {}, so smaller weights mostly save memory", to_string(decode_.bound));
            add(fmt::format("int{:.0f} weights", to), fmt::format("--weights int{:.0f}", to), why, summarize(v));
        }
        for (const hardware::Precision precision : {hardware::Precision::kInt8, hardware::Precision::kFp8}) {
            if (bits < 7.5 || s_.setup.types.activations == precision || !s_.setup.hardware.peak(precision)) continue;
            const std::string name(hardware::to_string(precision));
            Scenario v = s_;
            set_weight_bits(v.setup, 8.0);
            v.setup.types.activations = precision;
            v.setup.types.activation_bytes = std::min(1.0, s_.setup.types.activation_bytes);
            add(name + " weights and activations", fmt::format("--weights {0} --activations {0}", name),
                fmt::format("matrices then run at the {} rate; their arithmetic is {} of a prefill", name,
                            report::percent(prefill_.seconds > 0 ? prefill_.compute_seconds / prefill_.seconds : 0)),
                summarize(v));
            break;
        }
    }

    void narrower_cache() {
        const KvElementBytes& kv = s_.setup.types.kv;
        if (kv.key + kv.value <= 2.2) return;
        Scenario v = s_;
        v.setup.types.kv = {1.0, 1.0};
        const MemoryFit after = price_memory(v);
        add("int8 KV cache", "--kv int8",
            fmt::format("reading the cache is {} of a decode step; {} sequences fit instead of {}",
                        report::percent(share(decode_.kv_seconds)), report::whole(after.paged.max_sequences),
                        report::whole(memory_.paged.max_sequences)),
            summarize(v));
    }

    void larger_batches() {
        const double room = memory_.paged.max_sequences;
        std::vector<double> batches;
        for (const double factor : {2.0, 4.0, 8.0, 16.0}) batches.push_back(s_.load.n_batch * factor);
        if (room > s_.load.n_batch && room < 1e6 && std::ranges::find(batches, room) == batches.end()) batches.push_back(room);
        for (const double n : batches) {
            Scenario v = s_;
            v.load.n_batch = n;
            const Summary after = summarize(v);
            const double slower = before_.itl_s > 0 ? after.itl_s / before_.itl_s : 1.0;
            std::string why = fmt::format("weights are read once for all {} sequences; a token takes {}", report::whole(n),
                                          slower < 1.05 ? "about as long" : fmt::format("{} times as long", report::rate(slower)));
            if (after.bound == Bound::kCompute) why += ", bound by arithmetic";
            const bool is_room = n == room;
            add(is_room ? fmt::format("batch {}, all that fit", report::whole(n)) : fmt::format("batch x{:.0f}", n / s_.load.n_batch),
                fmt::format("--batch {:.0f}", n), why, after);
        }
    }

    void add_speculation(const Speculation& spec) {
        const double gamma = spec.best_gamma > 0 ? spec.best_gamma : std::max(1.0, spec.gamma);
        Summary after = before_;
        SpeculationQuestion question = s_.speculation;
        question.n_sequences = s_.load.n_batch;
        question.n_context = s_.load.n_context;
        question.gamma = gamma;
        question.max_gamma = 0;
        const Speculation at = speculate(s_.list(), s_.setup, question);
        after.itl_s /= at.speedup;
        after.tokens_per_second *= at.speedup;
        const double prefill = prefill_.seconds / s_.load.n_prefill_batch;
        const Request request{
            .n_output = s_.load.n_output, .prefill_seconds = prefill, .step_seconds = after.itl_s, .n_batch = s_.load.n_batch};
        after.served_tokens_per_second = served_tokens_per_second(request);
        if (before_.cost_per_million_tokens) {
            after.cost_per_million_tokens =
                *before_.cost_per_million_tokens * before_.served_tokens_per_second / after.served_tokens_per_second;
        }
        const std::string why =
            fmt::format("{:.2f} tokens a round where {} of draft tokens are accepted; verifying {:.0f} tokens costs {} steps",
                        at.expected_tokens, report::percent(spec.alpha), gamma + 1, report::rate(at.verify_ratio));
        add(fmt::format("speculation, {:.0f} draft token{}", gamma, gamma == 1 ? "" : "s"),
            fmt::format("--draft c={} --alpha {} --gamma {:.0f}", report::plain(spec.c), report::plain(spec.alpha), gamma), why, after);
    }

    void prefix_cache() {
        constexpr double kHit = 0.9;
        if (s_.load.prefix_hit >= kHit) return;
        Scenario v = s_;
        v.load.prefix_hit = kHit;
        const double prefill = prefill_.seconds / s_.load.n_prefill_batch;
        const double all = prefill + s_.load.n_output * decode_.seconds / s_.load.n_batch;
        add("prefix cache, 90% hit", "--prefix-hit 0.9",
            fmt::format("prefill is {} of a request's time on the device, and a tenth of it remains",
                        report::percent(all > 0 ? prefill / all : 0)),
            summarize(v));
    }

    void fusing() {
        Scenario v = s_;
        v.setup.fused = !s_.setup.fused;
        const PricedStep after = price_decode(v, Detail::kTotals).price;
        const PricedStep after_prefill = price_prefill(v, Detail::kTotals).price;
        add(s_.setup.fused ? "without fusing" : "fusing", s_.setup.fused ? "--no-fuse" : "without --no-fuse",
            fmt::format("{} ops a step instead of {}; activations through memory take {} of a prefill instead of {}",
                        report::whole(after.n_ops), report::whole(decode_.n_ops), report::duration(after_prefill.activations_seconds),
                        report::duration(prefill_.activations_seconds)),
            summarize(v));
    }

    void more_devices() {
        Scenario v = s_;
        Parallel& p = v.setup.parallel;
        const double heads = s_.list().program.config.n_heads;
        const bool tensor = std::fmod(heads, p.tp * 2) == 0;
        (tensor ? p.tp : p.pp) *= 2;
        if (!check_parallel(v.list(), p)) return;
        const PricedStep after = price_decode(v, Detail::kTotals).price;
        const std::string why =
            tensor ? fmt::format("each reads half the weights; communication takes {} of the new step",
                                 report::percent(after.seconds > 0 ? after.communication_seconds / after.seconds : 0))
                   : std::string("each holds half the layers: a token comes no sooner, but twice as many sequences are computed at once");
        add("twice the devices",
            fmt::format("--devices {:.0f} --parallel tp={:.0f},pp={:.0f}{}{}", p.devices(), p.tp, p.pp,
                        p.ep > 1 ? fmt::format(",ep={:.0f}", p.ep) : "", p.cp > 1 ? fmt::format(",cp={:.0f}", p.cp) : ""),
            why, summarize(v));
    }

    // The fastest device of the catalog, and the one with the cheapest tokens.
    void other_devices() {
        const hardware::Hardware* fastest = nullptr;
        const hardware::Hardware* cheapest = nullptr;
        Summary fast;
        Summary cheap;
        for (const hardware::CatalogRow& row : hardware::catalog()) {
            if (row.hardware.name == s_.setup.hardware.name) continue;
            Scenario v = on(row.hardware);
            const Summary after = summarize(v);
            if (!after.fits) continue;
            if (fastest == nullptr || after.served_tokens_per_second > fast.served_tokens_per_second) {
                fastest = &row.hardware;
                fast = after;
            }
            if (!after.cost_per_million_tokens) continue;
            if (cheapest == nullptr || *after.cost_per_million_tokens < *cheap.cost_per_million_tokens) {
                cheapest = &row.hardware;
                cheap = after;
            }
        }
        if (fastest != nullptr) add_device(*fastest, fast, "the fastest device");
        if (cheapest != nullptr && cheapest != fastest) add_device(*cheapest, cheap, "the device with the cheapest tokens");
    }
    [[nodiscard]] Scenario on(const hardware::Hardware& hardware) const {
        Scenario v = s_;
        v.setup.hardware = hardware;
        v.price_per_hour.reset();
        if (s_.efficiency_of) v.setup.efficiency = s_.efficiency_of(hardware);
        return v;
    }
    void add_device(const hardware::Hardware& hardware, const Summary& after, std::string_view what) {
        const hardware::Hardware& now = s_.setup.hardware;
        add(fmt::format("on {}", hardware.name), fmt::format("--hardware {}", hardware.name),
            fmt::format("{} of the catalog that holds the model: {} of memory bandwidth, {} times as much", what,
                        report::bytes_per_second(hardware.memory_bandwidth_bytes_per_s),
                        report::rate(hardware.memory_bandwidth_bytes_per_s / now.memory_bandwidth_bytes_per_s)),
            after);
    }

    const Scenario& s_;
    const Summary& before_;
    PricedStep decode_, prefill_;
    MemoryFit memory_;
    std::vector<WhatIf> found_;
};

}  // namespace

std::vector<WhatIf> what_ifs(const Scenario& scenario, const Summary& before, const Speculation& speculation) {
    return Variants(scenario, before).run(speculation);
}

}  // namespace rafter::roofline
