// The JSON answer; docs/plan.md says what each key is. Base units throughout: seconds, bytes, flops, tokens, dollars.
#include <cmath>
#include <nlohmann/json.hpp>

#include "planning/efficiency.h"
#include "planning/json_count.h"
#include "planning/plan_report.h"
#include "roofline/engine.h"

namespace rafter::planning {
namespace {

using nlohmann::ordered_json;
using roofline::Plan;

template <typename T>
ordered_json or_null(const std::optional<T>& value) {
    return value ? ordered_json(*value) : ordered_json(nullptr);
}

ordered_json model_json(const PlanRequest& r, const Plan& plan) {
    const roofline::PricedList& list = r.scenario.list();
    const model::ModelConfig& c = list.program.config;
    ordered_json answer{{"name", r.model->name},
                        {"source", r.model->source},
                        {"parameters", json_count(plan.parameters)},
                        {"active_parameters", json_count(plan.active_parameters)},
                        {"active_without_embedding", json_count(plan.active_without_embedding)},
                        {"weight_bytes", json_count(plan.weight_bytes)},
                        {"kv_bytes_per_token", json_count(plan.kv_bytes_per_token)},
                        {"growing_kv_bytes_per_token", json_count(plan.growing_kv_bytes_per_token)},
                        {"state_bytes_per_sequence", json_count(plan.state_bytes_per_sequence)},
                        {"weight_flops_per_token", json_count(plan.weight_flops_per_token)},
                        {"weight_type", r.weight_type},
                        {"bits_per_weight", plan.parameters > 0 ? plan.weight_bytes * 8 / plan.parameters : 0.0},
                        {"activation_type", r.activation_type},
                        {"kv_type", r.kv_type},
                        {"n_layers", json_count(list.n_layers)},
                        {"d_model", c.d_model},
                        {"d_ff", c.d_ff},
                        {"n_heads", c.n_heads},
                        {"n_kv_heads", c.n_kv_heads},
                        {"head_dim", c.head_dim},
                        {"n_vocab", c.n_vocab},
                        {"n_context", json_count(r.model->n_context)},
                        {"tied_embeddings", c.tied_embeddings},
                        {"gated_ffn", c.gated_ffn},
                        {"n_experts", c.moe.n_experts},
                        {"n_experts_per_token", c.moe.n_experts_used}};
    if (c.mla.kv_lora_rank > 0) answer["mla"] = {{"kv_lora_rank", c.mla.kv_lora_rank}, {"rope_head_dim", c.mla.rope_head_dim}};
    return answer;
}

ordered_json hardware_json(const roofline::Scenario& s) {
    const hardware::Hardware& h = s.setup.hardware;
    ordered_json peaks = ordered_json::object();
    for (const hardware::Precision p : hardware::all_precisions()) {
        if (h.peak(p)) peaks[std::string(hardware::to_string(p))] = json_count(*h.peak(p));
    }
    ordered_json units = ordered_json::object();
    for (const hardware::Precision p : hardware::all_precisions()) {
        if (h.peak(p) && !h.unit(p).empty()) units[std::string(hardware::to_string(p))] = h.unit(p);
    }
    return {{"name", h.name},
            {"description", h.description},
            {"flop_per_s", peaks},
            {"memory_bytes", json_count(h.memory_bytes)},
            {"memory_bandwidth_bytes_per_s", json_count(h.memory_bandwidth_bytes_per_s)},
            {"on_chip_bytes", json_count(h.on_chip_bytes)},
            {"link_bandwidth_bytes_per_s", json_count(h.link_bandwidth_bytes_per_s)},
            {"link_latency_s", or_null(h.link_latency_s)},
            {"price_per_hour", or_null(s.price_per_hour ? s.price_per_hour : h.price_per_hour)},
            {"devices", json_count(s.setup.parallel.devices())},
            {"parallel",
             {{"tp", json_count(s.setup.parallel.tp)},
              {"pp", json_count(s.setup.parallel.pp)},
              {"ep", json_count(s.setup.parallel.ep)},
              {"cp", json_count(s.setup.parallel.cp)}}},
            {"engine", roofline::to_string(s.setup.engine)},
            {"memory_fraction", s.load.memory_fraction},
            {"collective", s.setup.collective == roofline::Collective::kFlat ? "flat" : "ring"},
            {"fused", s.setup.fused},
            {"efficiency", efficiency_json(s.setup.efficiency)},
            {"units", units}};
}

ordered_json phase_json(const roofline::Phase& phase, const std::optional<double>& measured) {
    const roofline::PricedStep& p = phase.price;
    ordered_json answer{{"step_seconds", p.seconds},
                        {"bound", roofline::to_string(p.bound)},
                        {"weights_seconds", p.weights_seconds},
                        {"kv_seconds", p.kv_seconds},
                        {"activations_seconds", p.activations_seconds},
                        {"compute_seconds", p.compute_seconds},
                        {"attention_compute_seconds", p.attention_seconds},
                        {"communication_seconds", p.communication_seconds},
                        {"overhead_seconds", p.overhead_seconds},
                        {"tokens_per_second", phase.tokens_per_second},
                        {"mbu", p.mbu},
                        {"mfu", p.mfu},
                        {"flops", json_count(p.flops)},
                        {"read_bytes", json_count(p.read_bytes)},
                        {"n_sequences", json_count(phase.n_sequences)},
                        {"n_new_tokens", json_count(phase.n_new)},
                        {"n_past_tokens", json_count(phase.n_past)}};
    if (measured) {
        const double slower = p.seconds > 0 ? *measured / p.seconds : 0.0;
        answer["measured"] = {{"step_seconds", *measured},
                              {"mbu", slower > 0 ? ordered_json(p.mbu / slower) : ordered_json()},
                              {"mfu", slower > 0 ? ordered_json(p.mfu / slower) : ordered_json()},
                              {"fraction_of_prediction", *measured > 0 ? ordered_json(p.seconds / *measured) : ordered_json()}};
    }
    answer["ops"] = ordered_json::array();
    for (const roofline::PricedOp& op : p.ops) {
        answer["ops"].push_back({{"name", op.name},
                                 {"kind", op.kind},
                                 {"count", json_count(op.count)},
                                 {"flops", json_count(op.cost.flops)},
                                 {"bytes", json_count(op.bytes)},
                                 {"weight_bytes", json_count(op.cost.weight_bytes)},
                                 {"kv_bytes", json_count(op.cost.kv_read_bytes + op.cost.kv_written_bytes)},
                                 {"activation_bytes", json_count(op.cost.activation_bytes)},
                                 {"intensity", op.intensity()},
                                 {"seconds", op.seconds},
                                 {"bound", roofline::to_string(op.bound)},
                                 {"share", op.share},
                                 {"precision", hardware::to_string(op.precision)}});
    }
    return answer;
}

ordered_json cache_json(const roofline::CacheFit& fit) {
    return {{"bytes_per_sequence", json_count(fit.bytes_per_sequence)},
            {"max_sequences", json_count(fit.max_sequences)},
            {"waste_fraction", fit.waste_fraction}};
}

ordered_json memory_json(const roofline::MemoryFit& m) {
    return {{"fits", m.fits},
            {"weights_bytes", json_count(m.weights_bytes)},
            {"kv_bytes", json_count(m.kv_bytes)},
            {"workspace_bytes", json_count(std::ceil(m.workspace_bytes))},
            {"capacity_bytes", json_count(std::floor(m.capacity_bytes))},
            {"kv_pool_bytes", json_count(std::floor(std::max(0.0, m.pool_bytes)))},
            {"kv_copies", m.kv_copies},
            {"free_bytes", json_count(std::floor(std::max(0.0, m.free_bytes)))},
            {"shortfall_bytes", json_count(std::ceil(std::max(0.0, -m.free_bytes)))},
            {"max_tokens", json_count(m.max_tokens)},
            {"max_sequences", json_count(m.paged.max_sequences)},
            {"paged", cache_json(m.paged)},
            {"contiguous", cache_json(m.contiguous)},
            {"would_fit_with", m.remedies}};
}

ordered_json speculation_json(const roofline::Speculation& s, const PlanRequest& r) {
    return {{"alpha", s.alpha},
            {"draft_cost", s.c},
            {"draft", r.draft_name.empty() ? ordered_json() : ordered_json(r.draft_name)},
            {"assumed", r.draft_is_assumed},
            {"gamma", json_count(s.gamma)},
            {"expected_tokens", s.expected_tokens},
            {"operations_factor", s.operations_factor},
            {"verify_ratio", s.verify_ratio},
            {"speedup", s.speedup},
            {"speedup_free_verification", s.speedup_free_verification},
            {"best_gamma", json_count(s.best_gamma)},
            {"best_speedup", s.best_speedup},
            {"best_gamma_free_verification", json_count(s.best_gamma_free_verification)}};
}

ordered_json summary_json(const roofline::Summary& s) {
    return {{"tokens_per_second", s.tokens_per_second},
            {"served_tokens_per_second", s.served_tokens_per_second},
            {"ttft_seconds", s.ttft_s},
            {"inter_token_latency_seconds", s.itl_s},
            {"memory_bytes", json_count(std::ceil(s.memory_bytes))},
            {"fits", s.fits},
            {"cost_per_million_tokens", or_null(s.cost_per_million_tokens)},
            {"mbu", s.mbu},
            {"mfu", s.mfu},
            {"bound", roofline::to_string(s.bound)}};
}

ordered_json curves_json(const Plan& plan) {
    ordered_json batch = ordered_json::array();
    for (const roofline::BatchPoint& p : plan.batch_curve) {
        ordered_json point{{"batch", json_count(p.n_batch)}};
        point.update(summary_json(p.summary));
        point["best_gamma"] = json_count(p.best_gamma);
        point["speculation_speedup"] = p.speculation_speedup;
        point["speedup_free_verification"] = p.speedup_free_verification;
        batch.push_back(std::move(point));
    }
    ordered_json context = ordered_json::array();
    for (const roofline::ContextPoint& p : plan.context_curve) {
        ordered_json point{{"context", json_count(p.n_context)}};
        point.update(summary_json(p.summary));
        point["kv_share"] = p.kv_share;
        point["max_sequences"] = json_count(p.max_sequences);
        context.push_back(std::move(point));
    }
    return {{"batch", batch},
            {"context", context},
            {"compute_bound_from_batch", json_count(plan.compute_bound_from_batch)},
            {"memory_runs_out_at_batch", json_count(plan.memory_runs_out_at_batch)}};
}

ordered_json cost_json(const Plan& plan) {
    return {{"price_per_hour", or_null(plan.cost.price_per_hour)},
            {"per_million_output_tokens", or_null(plan.cost.per_million_output_tokens)},
            {"per_million_input_tokens", or_null(plan.cost.per_million_input_tokens)},
            {"per_million_tokens_with_prefill", or_null(plan.cost.per_million_tokens_with_prefill)}};
}

}  // namespace

std::string plan_json(const PlanRequest& r, const Plan& plan, const MeasuredSteps& measured) {
    const roofline::Load& load = r.scenario.load;
    ordered_json answer{{"assumed", r.model->assumed},
                        {"model", model_json(r, plan)},
                        {"hardware", hardware_json(r.scenario)},
                        {"load",
                         {{"batch", json_count(load.n_batch)},
                          {"prompt", json_count(load.n_prompt)},
                          {"output", json_count(load.n_output)},
                          {"context", json_count(load.n_context)},
                          {"prefix_hit", load.prefix_hit},
                          {"block_size", json_count(load.block_size)}}},
                        {"ridge_batch_tokens", plan.ridge_batch_tokens},
                        {"ridge_intensity", plan.ridge_intensity},
                        {"ttft_seconds", plan.summary.ttft_s},
                        {"inter_token_latency_seconds", plan.summary.itl_s},
                        {"tokens_per_second", plan.summary.tokens_per_second},
                        {"tokens_per_second_per_request", plan.summary.itl_s > 0 ? 1 / plan.summary.itl_s : 0.0},
                        {"served_tokens_per_second", plan.summary.served_tokens_per_second},
                        {"prefill", phase_json(plan.prefill, measured.prefill)},
                        {"decode", phase_json(plan.decode, measured.decode)},
                        {"memory", memory_json(plan.memory)},
                        {"speculation", speculation_json(plan.speculation, r)}};
    answer["what_if"] = ordered_json::array();
    for (const roofline::WhatIf& w : plan.what_ifs) {
        answer["what_if"].push_back({{"name", w.name},
                                     {"change", w.change},
                                     {"gain", w.gain},
                                     {"why", w.why},
                                     {"before", summary_json(w.before)},
                                     {"after", summary_json(w.after)}});
    }
    answer["cost"] = cost_json(plan);
    answer["curves"] = curves_json(plan);
    if (r.scenario.slo_ttft_s || r.scenario.slo_itl_s) {
        answer["slo"] = {{"ttft_seconds", or_null(r.scenario.slo_ttft_s)},
                         {"inter_token_latency_seconds", or_null(r.scenario.slo_itl_s)},
                         {"met", plan.slo_met},
                         {"max_batch", json_count(plan.slo_batch)}};
    }
    answer["notes"] = plan.notes;
    if (const std::string& note = r.scenario.setup.hardware.arithmetic_note; !note.empty()) answer["notes"].push_back(note);
    answer["warnings"] = r.warnings;
    return answer.dump(1, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace rafter::planning
