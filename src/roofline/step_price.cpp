// A walk over the counted ops, then the collectives.
#include "roofline/step_price.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "roofline/engine.h"

namespace rafter::roofline {
namespace {

using model::Op;
using model::OpKind;

// n sequences dealt out to n_groups: the largest group's number.
Step dealt(const Step& step, double n_groups) {
    Step part = step;
    for (StepRows& r : part.rows) r.n_sequences = std::max(std::min(1.0, r.n_sequences), r.n_sequences / n_groups);
    return part;
}

// Of the residual, which every device of a tensor-parallel group has whole; other rows are split like the matrices that make them.
bool on_residual(const Op& op, std::uint32_t d_model) {
    if (const auto* norm = std::get_if<model::NormOptions>(&op.options); norm != nullptr && norm->group == d_model) return true;
    if (op.kind == OpKind::kAdd || op.kind == OpKind::kEmbed || op.kind == OpKind::kEmbedPosition || op.kind == OpKind::kSelectOutputs)
        return true;
    return std::ranges::any_of(op.parts, [&](const Op& part) { return on_residual(part, d_model); });
}

// New tokens of a sequence up to which a step is one of decoding, drafts to verify included.
constexpr double kMaxGraphTokens = 16.0;

bool on_experts(const Op& op) { return op.kind == OpKind::kExpertLinear; }

class Pricing {
  public:
    Pricing(const PricedList& list, const Setup& setup, const Step& step, Detail detail)
        : list_(list),
          setup_(setup),
          detail_(detail),
          roofs_{&setup.hardware, setup.efficiency, setup.fused},
          ideal_{&setup.hardware, {}, setup.fused} {
        const Parallel& p = setup.parallel;
        micro_ = dealt(step, p.pp);
        part_ = dealt(micro_, p.ep);
        price_.n_tokens = step.n_tokens();
        // A group without a sequence idles.
        n_groups_ = std::clamp(micro_.n_sequences(), 1.0, p.ep);
        n_parts_ = micro_.n_tokens() > 0 ? std::min(p.pp, step.n_tokens() / micro_.n_tokens()) : 1.0;
        of_prompts_ = std::ranges::any_of(step.rows, [](const StepRows& r) { return r.n_new > kMaxGraphTokens; });
        const double most = setup.efficiency.max_step_tokens;
        if (most > 0) n_steps_ = std::max(1.0, std::ceil(part_.n_tokens() / most));
    }

    PricedStep run() && {
        for (const CountedOp& op : list_.ops) add(op);
        add_collectives();
        const double host = host_seconds();
        price_.seconds += host;
        price_.overhead_seconds += host;
        by_bound_[static_cast<std::size_t>(Bound::kOverhead)] += host;
        price_.bound = static_cast<Bound>(std::ranges::max_element(by_bound_) - by_bound_.begin());
        // A stage works while one of the parts is in it.
        const double busy = n_parts_ / setup_.parallel.pp;
        if (price_.seconds > 0) {
            price_.mbu = (at_peak_.weights_seconds + at_peak_.kv_seconds) / price_.seconds * busy;
            price_.mfu = (at_peak_.compute_seconds + at_peak_.attention_seconds) / price_.seconds * busy;
        }
        for (PricedOp& op : price_.ops) op.share = price_.seconds > 0 ? op.seconds * op.count / price_.seconds : 0.0;
        return std::move(price_);
    }

  private:
    void add(const CountedOp& op) {
        const Parallel& p = setup_.parallel;
        const CostOptions options = setup_.types.cost_options();
        // Experts' tokens come from all the groups that ep makes; the rest of the model sees its own group's only.
        const OpCost whole = cost_of(list_, op, on_experts(op.op) ? micro_ : part_, options);
        const bool shared = replicated(op.op);
        const double split = on_experts(op.op) ? p.tp * p.ep : shared ? 1.0 : p.tp;
        OpCost share = whole.scaled(1.0 / split);
        if (const double copies = copies_of_cache(op.op); copies > 1) {
            share.kv_read_bytes *= copies;
            share.kv_written_bytes *= copies;
        }
        if (attends(op.op)) share.flops *= head_imbalance(list_.program.config, p.tp);
        if (on_residual(op.op, list_.program.config.d_model)) share.activation_bytes = whole.activation_bytes;
        const hardware::Precision precision = precision_of(list_, op.op, setup_.types);
        const OpWork work = work_on(op.op, whole, share, precision);
        const OpTime time = op_time(work, roofs_);

        price_.seconds += time.seconds * op.count;
        price_.n_ops += op.count;
        price_.overhead_seconds += time.overhead_seconds * op.count;
        const double bytes_per_s = roofs_.bytes_per_s(work);
        const double weight_bytes = share.weight_bytes * n_steps_;
        price_.weights_seconds += weight_bytes / bytes_per_s * op.count;
        price_.kv_seconds += share.kv_read_bytes / bytes_per_s * op.count;
        price_.activations_seconds += (time.memory_bytes - weight_bytes - share.kv_read_bytes) / bytes_per_s * op.count;
        if (multiplies(op.op)) price_.compute_seconds += time.compute_seconds * op.count;
        if (attends(op.op)) price_.attention_seconds += time.compute_seconds * op.count;
        at_peak_.weights_seconds += share.weight_bytes / ideal_.bytes_per_s() * op.count;
        at_peak_.kv_seconds += share.kv_read_bytes / ideal_.bytes_per_s() * op.count;
        if (multiplies(op.op)) at_peak_.compute_seconds += share.flops / ideal_.flop_per_s(precision) * op.count;
        if (attends(op.op)) at_peak_.attention_seconds += share.flops / ideal_.flop_per_s(precision) * op.count;
        const double groups = on_experts(op.op) ? 1.0 : n_groups_;
        price_.flops += whole.flops * groups * op.count * n_parts_;
        price_.read_bytes += whole.read_bytes() * groups * op.count * n_parts_;
        by_bound_[static_cast<std::size_t>(time.bound == Bound::kOverhead ? Bound::kOverhead : time.bound)] +=
            (time.seconds - time.overhead_seconds) * op.count;
        by_bound_[static_cast<std::size_t>(Bound::kOverhead)] += time.overhead_seconds * op.count;
        if (detail_ == Detail::kTotals) return;
        price_.ops.push_back({.name = op.name,
                              .kind = model::to_string(op.op.kind),
                              .count = op.count,
                              .cost = whole.scaled(groups),
                              .bytes = time.memory_bytes * split * groups,
                              .seconds = time.seconds,
                              .bound = time.bound,
                              .share = 0.0,
                              .precision = precision});
    }

    OpWork work_on(const Op& op, const OpCost& whole, const OpCost& share, hardware::Precision precision) const {
        OpWork work{.cost = share, .work = work_of(op), .precision = precision, .of_prompts = of_prompts_, .n_parts = n_steps_};
        if (work.work != Work::kMatrix && work.work != Work::kExperts) return work;
        double elements = 0.0;
        work.weight_bits = 0.0;
        for (const model::WeightId id : op.weights) {
            const model::Weight& weight = list_.program.weights[id];
            elements += double{1} * weight.n_rows * weight.n_cols;
            work.weight_bits = std::max(work.weight_bits, weight_bits(list_, id, setup_.types.cost_options()));
        }
        if (elements > 0 && list_.weight_scale > 0) work.tokens_per_weight = whole.flops / (2 * elements * list_.weight_scale);
        if (work.work != Work::kExperts) return work;
        const model::MoeConfig& moe = list_.program.config.moe;
        const double n_chosen = work.tokens_per_weight;
        work.tokens_per_weight /= std::max(1.0, expected_experts(moe.n_experts, moe.n_experts_used, micro_.n_tokens() / n_steps_));
        const double ep = setup_.parallel.ep;
        if (const auto& skew = setup_.efficiency.expert_skew; skew && ep > 1)
            work.imbalance = expert_imbalance({.n_chosen = n_chosen / ep / n_steps_, .n_experts = moe.n_experts / ep, .skew = *skew}, ep);
        return work;
    }

    // The host's part of a step, and sampling, which reads and writes rows of logits in float.
    double host_seconds() const {
        const Efficiency& e = setup_.efficiency;
        const double logits_bytes = 4.0 * list_.program.config.n_vocab * part_.n_outputs();
        return e.seconds_per_step * n_steps_ + e.seconds_per_sequence * part_.n_sequences() +
               e.logits_passes * logits_bytes / setup_.hardware.memory_bandwidth_bytes_per_s;
    }
    bool replicated(const Op& op) const {
        return setup_.parallel.tp > 1 && multiplies(op) && !op.weights.empty() &&
               std::ranges::all_of(op.weights, [&](model::WeightId id) { return is_replicated(setup_, list_.program.weights[id]); });
    }
    double copies_of_cache(const Op& op) const {
        if (setup_.parallel.tp <= 1) return 1.0;
        const model::ModelConfig& c = list_.program.config;
        const bool latent = c.mla.kv_lora_rank > 0 || op.kind == OpKind::kLatentAttention || op.kind == OpKind::kLatentAppend;
        if (op.kind != OpKind::kKvAppend && op.kind != OpKind::kLatentAppend && !attends(op)) return 1.0;
        const auto* attention = std::get_if<model::AttentionOptions>(&op.options);
        const double n_kv_heads = attention != nullptr ? attention->n_kv_heads : c.n_kv_heads;
        return cache_copies(setup_, latent ? 0.0 : n_kv_heads);
    }

    void add_collective(std::string name, double count, double seconds, double bytes) {
        if (count <= 0) return;
        price_.communication_seconds += seconds * count;
        price_.seconds += seconds * count;
        by_bound_[static_cast<std::size_t>(Bound::kCommunication)] += seconds * count;
        if (detail_ == Detail::kTotals) return;
        PricedOp op{.name = name, .kind = name, .count = count, .seconds = seconds, .bound = Bound::kCommunication};
        op.cost.activation_bytes = bytes;
        price_.ops.push_back(std::move(op));
    }

    void add_collectives() {
        const Parallel& p = setup_.parallel;
        const model::ModelConfig& c = list_.program.config;
        const Link link = link_of(setup_.hardware, setup_.efficiency.link_fraction);
        const Efficiency& e = setup_.efficiency;
        const double row = c.d_model * std::max(setup_.types.activation_bytes, e.engine_collectives ? 2.0 : 1.0);
        const double bytes = part_.n_tokens() * row;
        // Each of the steps that a long one is cut into has its own messages.
        const auto in_steps = [&](double all_bytes, auto&& seconds) {
            return n_steps_ * (seconds(all_bytes / n_steps_) + e.seconds_per_collective);
        };
        if (p.tp > 1) {
            add_collective("all_reduce", all_reduces_per_layer(c) * list_.n_layers,
                           in_steps(bytes,
                                    [&](double b) {
                                        return e.engine_collectives ? engine_all_reduce_seconds(b, p.tp, link)
                                                                    : all_reduce_seconds(b, p.tp, link, setup_.collective);
                                    }),
                           bytes);
        }
        if (p.ep > 1) {
            const double sent = bytes * (e.engine_collectives ? expected_devices(p.ep, c.moe.n_experts_used) : c.moe.n_experts_used);
            add_collective("all_to_all", 2 * list_.n_expert_layers,
                           in_steps(sent, [&](double b) { return all_to_all_seconds(b, p.ep, link, setup_.collective); }), sent);
        }
        if (p.pp > 1) {
            add_collective("send_to_next_stage", p.pp - 1, in_steps(bytes, [&](double b) { return send_seconds(b, link); }), bytes);
        }
        if (p.cp > 1) {
            // Queries go to all that hold a part of the sequence, and what each makes of its part comes back.
            const double heads = part_.n_tokens() * c.n_heads / p.tp * p.cp * c.head_dim * std::max(setup_.types.activation_bytes, 1.0);
            add_collective("combine_positions", list_.n_layers,
                           in_steps(heads, [&](double b) { return all_reduce_seconds(b, p.cp, link, setup_.collective); }), heads);
        }
    }

    const PricedList& list_;
    const Setup& setup_;
    Detail detail_;
    Roofs roofs_;
    Roofs ideal_;
    Step micro_;  // one of pp's parts
    Step part_;   // of it, what one of ep's groups has
    double n_parts_ = 1.0;
    bool of_prompts_ = false;
    double n_steps_ = 1.0;   // one behind the other, where the efficiency bounds a step's tokens
    double n_groups_ = 1.0;  // of ep's, those with work
    PricedStep price_;
    struct {
        double weights_seconds = 0.0, kv_seconds = 0.0, compute_seconds = 0.0, attention_seconds = 0.0;
    } at_peak_;
    std::array<double, 4> by_bound_{};  // seconds
};

}  // namespace

PricedStep price_step(const PricedList& list, const Setup& setup, const Step& step, Detail detail) {
    return Pricing(list, setup, step, detail).run();
}

}  // namespace rafter::roofline
