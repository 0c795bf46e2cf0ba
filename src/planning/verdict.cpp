// Changes are priced as the step is, then scaled by how far the price of the step itself was off.
#include "planning/verdict.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>

#include "planning/json_count.h"
#include "planning/phase_report.h"
#include "report/units.h"
#include "tensor/formats/formats.h"

namespace rafter::planning {
namespace {

using engine::LabShape;
using engine::OpProfile;
using model::OpKind;

constexpr double kWorthwhile = 1.02;  // a change that gains under 2% is not named
constexpr std::size_t kMaxChanges = 3;

roofline::Step step_of(const LabShape& shape) {
    return roofline::Step(
        {{static_cast<double>(shape.n_sequences), static_cast<double>(shape.n_new), static_cast<double>(shape.n_past), 1.0}});
}
double tokens_of(const LabShape& shape) { return static_cast<double>(shape.n_sequences) * shape.n_new; }

bool multiplies(OpKind kind) { return kind == OpKind::kLinear || kind == OpKind::kExpertLinear; }
bool attends(OpKind kind) {
    return kind == OpKind::kAttention || kind == OpKind::kAttentionScores || kind == OpKind::kSoftmax || kind == OpKind::kAttentionValues;
}

// ---- losses

std::string largest_roles(const std::map<std::string, double>& seconds_by_role) {
    std::vector<std::pair<double, std::string>> sorted;
    for (const auto& [role, seconds] : seconds_by_role) sorted.emplace_back(seconds, role);
    std::sort(sorted.rbegin(), sorted.rend());
    std::string text;
    for (std::size_t i = 0; i < std::min<std::size_t>(2, sorted.size()); ++i) {
        if (sorted[i].first <= 0) break;
        text += fmt::format("{}{} {:.2f} ms", text.empty() ? "most of it: " : ", ", sorted[i].second, sorted[i].first * 1e3);
    }
    return text;
}

// An op's seconds above its roof are its barrier's up to the price of a barrier; the rest is its kind's.
void add_losses(const VerdictInput& input, Verdict& verdict) {
    double barriers = 0.0;
    std::array<double, 3> above = {};  // matrices, attention, rows
    std::array<std::map<std::string, double>, 3> roles;
    for (const OpProfile& op : input.phase.ops) {
        const model::Op& program_op = input.program.ops[op.op];
        const double lost = op.measured_seconds - op.roof_seconds;
        const double barrier = std::clamp(lost, 0.0, op.overhead_seconds);
        const std::size_t kind = multiplies(program_op.kind) ? 0 : attends(program_op.kind) ? 1 : 2;
        barriers += barrier;
        above[kind] += lost - barrier;
        roles[kind][role_of(program_op.name)] += lost - barrier;
    }
    verdict.losses = {{"matrix kernels below the roof", above[0], largest_roles(roles[0])},
                      {"attention below the roof", above[1], ""},
                      {"small ops on rows", above[2], largest_roles(roles[2])},
                      {"threads that wait at barriers", barriers, fmt::format("{} barriers a step", input.program.ops.size())},
                      {"beginning and ending a step", input.phase.forward_seconds - input.phase.op_seconds(), ""},
                      {"sampling", input.host.sample_seconds, ""},
                      {"the rest of the engine", input.host.host_seconds, "scheduling, streams"}};
    std::stable_sort(verdict.losses.begin(), verdict.losses.end(), [](const Loss& a, const Loss& b) { return a.seconds > b.seconds; });
}

// ---- changes

// The same program with all matrices in another format, and quantised activations for them.
model::Program with_weights(model::Program program, tensor::DType dtype) {
    const std::uint32_t block = tensor::format_of(dtype).block_elements;
    const auto change = [&](const model::Op& op) {
        for (const model::WeightId id : op.weights) {
            if (program.weights[id].n_cols % block == 0) program.weights[id].dtype = dtype;
        }
        if (!op.inputs.empty()) program.values[op.inputs.front()].encoding = model::Encoding::kQ8;
    };
    for (const model::Op& op : program.ops) {
        if (!multiplies(op.kind)) continue;
        change(op);
        for (const model::Op& part : op.parts) change(part);
    }
    return program;
}

double mean_bits(const model::Program& program) {
    double bits = 0.0;
    double n = 0.0;
    for (const model::Op& op : program.ops) {
        if (!multiplies(op.kind)) continue;
        for (const model::WeightId id : op.weights) {
            const model::Weight& w = program.weights[id];
            const double count = static_cast<double>(w.n_experts) * w.n_rows * w.n_cols;
            bits += count * tensor::format_of(w.dtype).bits_per_element();
            n += count;
        }
    }
    return n > 0 ? bits / n : 0.0;
}

void add_changes(const VerdictInput& input, Verdict& verdict) {
    const LabShape& shape = input.shape;
    const double host = input.host.sample_seconds + input.host.host_seconds;
    // The residual can be the kernel's or the moment's: a change is taken to leave it as it is.
    const double scale = input.phase.forward_seconds / std::max(input.phase.predicted_seconds, 1e-12);
    const auto priced = [&](const model::Program& program, const LabShape& s) {
        return input.backend.price_step(program, step_of(s), input.machine, input.price).seconds * scale +
               host * s.n_sequences / shape.n_sequences;
    };
    std::vector<Change> changes;
    const auto add = [&](std::string what, const LabShape& s, double seconds, std::string remark) {
        const double rate = tokens_of(s) / seconds;
        if (rate > verdict.tokens_per_s * kWorthwhile) changes.push_back({std::move(what), rate, std::move(remark)});
    };

    if (shape.n_new == 1) {
        LabShape more = shape;
        more.n_sequences *= 4;
        const double seconds = priced(input.program, more);
        add(fmt::format("Decode {} sequences together", more.n_sequences), more, seconds,
            fmt::format("each then gets {} tok/s", report::rate(1.0 / seconds)));
    }
    if (mean_bits(input.program) > 5.0) {
        const auto smaller = with_weights(input.program, tensor::DType::kQ4_0);
        add("Quantise the weights to Q4_0", shape, priced(smaller, shape),
            fmt::format("{:.1f} bits a weight now, 4.5 then; quality drops a little", mean_bits(input.program)));
    }
    if (input.machine.key.n_threads < input.usable_cpus) {
        const double seconds = verdict.step_seconds * input.machine.key.n_threads / input.usable_cpus;
        add(fmt::format("Use all CPUs: --threads {}", input.usable_cpus), shape, seconds,
            "at most: the threads share the memory bandwidth");
    }
    if (input.machine.key.isa != input.best_isa)
        add(fmt::format("Use the machine's best instructions: --isa {}", input.best_isa), shape, verdict.step_seconds / 2, "at least");
    for (const Loss& loss : verdict.losses) {
        const double rest = verdict.step_seconds - loss.seconds;
        if (loss.seconds <= 0 || rest <= 0) continue;
        if (loss.what.starts_with("matrix"))
            add("Matrix kernels at the roof", shape, rest, "work on Rafter: `rafter probe` shows each kernel's share");
        if (loss.what.starts_with("attention")) add("Attention at the roof", shape, rest, "work on Rafter, or a shorter context");
        if (loss.what.starts_with("small")) add("Small ops at no cost", shape, rest, "work on Rafter: fuse them, use all threads");
        if (loss.what.starts_with("threads")) add("No barriers between ops", shape, rest, "work on Rafter: fuse more ops");
    }
    std::stable_sort(changes.begin(), changes.end(), [](const Change& a, const Change& b) { return a.tokens_per_s > b.tokens_per_s; });
    if (changes.size() > kMaxChanges) changes.resize(kMaxChanges);
    verdict.changes = std::move(changes);
}

std::string tokens_and_context(const LabShape& shape) {
    const std::string sequences = shape.n_sequences == 1 ? "" : fmt::format("{} ", shape.n_sequences);
    if (shape.n_new > 1 || shape.n_past == 0)
        return fmt::format("prefill of {}prompt{} of {} tokens", sequences, shape.n_sequences == 1 ? "" : "s",
                           report::grouped(shape.n_new));
    return fmt::format("decoding {} sequence{} at {} tokens of context", shape.n_sequences, shape.n_sequences == 1 ? "" : "s",
                       report::grouped(std::uint64_t{shape.n_past} + shape.n_new));
}

}  // namespace

Verdict verdict_of(const VerdictInput& input) {
    Verdict verdict;
    verdict.model_name = input.model_name;
    verdict.phase = input.phase.phase;
    verdict.shape = input.shape;
    verdict.forward_seconds = input.phase.forward_seconds;
    verdict.step_seconds = input.phase.forward_seconds + input.host.sample_seconds + input.host.host_seconds;
    verdict.predicted_seconds = input.phase.predicted_seconds;
    verdict.tokens_per_s = tokens_of(input.shape) / verdict.step_seconds;
    verdict.read_bytes = input.phase.read_bytes;
    verdict.roof_bytes_per_s = input.phase.roof_bytes_per_s;
    verdict.level = input.phase.level;
    double memory_seconds = 0.0;
    double int8_seconds = 0.0;
    double float_seconds = 0.0;
    for (const OpProfile& op : input.phase.ops) {
        verdict.roof_seconds += op.roof_seconds;
        verdict.flops += op.cost.flops;
        const double memory = op.cost.read_bytes() / std::max(input.phase.roof_bytes_per_s, 1.0);
        double& arithmetic = op.arithmetic == roofline::Arithmetic::kInt8 ? int8_seconds : float_seconds;
        (memory >= op.roof_seconds * 0.999 ? memory_seconds : arithmetic) += op.roof_seconds;
    }
    verdict.memory_bound = memory_seconds >= int8_seconds + float_seconds;
    verdict.roof = verdict.memory_bound ? verdict.level : hardware::arithmetic_name(input.machine, int8_seconds, float_seconds);
    verdict.roof_fraction = verdict.roof_seconds / verdict.step_seconds;
    if (verdict.roof_fraction > 1.0) {
        verdict.errors.push_back(
            fmt::format("The steps took less time than the roof allows ({:.0f}%), which is a measuring error: {} was probably slower when "
                        "the machine was probed than it is now, or a part of the weights stays in a nearer cache. Run `rafter "
                        "probe` again.",
                        100 * verdict.roof_fraction, verdict.level));
    }
    if (!input.machine.trusted) {
        verdict.errors.push_back("The machine profile is not to be trusted: " + input.machine.doubt + ".");
    }
    if (!input.phase.complete)
        verdict.errors.push_back("The machine profile lacks some kernels; they are predicted from the peak of the arithmetic units.");
    add_losses(input, verdict);
    add_changes(input, verdict);
    return verdict;
}

std::string render(const Verdict& v, const report::Style& style) {
    const auto ms = [](double seconds) { return fmt::format("{:.2f} ms", seconds * 1e3); };
    std::string text = fmt::format("{}  {}\n\n", style.bold(v.model_name), style.dim(tokens_and_context(v.shape)));
    const bool is_decode = v.phase == "decode";
    text += fmt::format("{} a {}, {} tok/s.  ", ms(v.step_seconds), is_decode ? "step" : "prompt", report::rate(v.tokens_per_s));
    text += fmt::format("The forward pass: {} predicted, {} measured ({:+.0f}%).\n", ms(v.predicted_seconds), ms(v.forward_seconds),
                        100 * (v.forward_seconds / v.predicted_seconds - 1));
    if (v.memory_bound) {
        text += fmt::format("Bound by {}: {} of weights and KV a step take at least {} at {} from {}.\n", style.bold("reading"),
                            report::bytes(v.read_bytes), ms(v.roof_seconds), report::bytes_per_second(v.roof_bytes_per_s), v.level);
    } else {
        text += fmt::format("Bound by {}: {}FLOP take at least {} at the {} peak.\n", style.bold("arithmetic"), report::count(v.flops),
                            ms(v.roof_seconds), v.roof);
    }
    const std::string reached = fmt::format("{:.0f}% of the {} roof", 100 * v.roof_fraction, v.roof);
    text += v.roof_fraction > 1.0 ? "" : fmt::format("Reached: {}.\n", style.bold(reached));
    for (const std::string& error : v.errors) text += style.warning("! " + error) + "\n";

    text += fmt::format("\n{}\n", style.bold(fmt::format("Where the other {} go", ms(std::max(0.0, v.step_seconds - v.roof_seconds)))));
    for (const Loss& loss : v.losses) {
        if (std::abs(loss.seconds) < 0.002 * v.step_seconds) continue;
        text += fmt::format("  {:>10}  {:>4.0f}%  {}{}\n", ms(loss.seconds), 100 * loss.seconds / v.step_seconds, loss.what,
                            loss.detail.empty() ? "" : style.dim("  " + loss.detail));
    }
    text += fmt::format("\n{}\n", style.bold("What would help most"));
    if (v.changes.empty()) text += "  No change that is known here would gain 2%.\n";
    for (std::size_t i = 0; i < v.changes.size(); ++i) {
        const Change& c = v.changes[i];
        text +=
            fmt::format("  {}. {}: {} → {} tok/s ({:+.0f}%){}\n", i + 1, c.what, report::rate(v.tokens_per_s), report::rate(c.tokens_per_s),
                        100 * (c.tokens_per_s / v.tokens_per_s - 1), c.remark.empty() ? "" : style.dim("  " + c.remark));
    }
    return text;
}

nlohmann::ordered_json to_json(const Verdict& v) {
    using nlohmann::ordered_json;
    ordered_json json{{"model", v.model_name},
                      {"phase", v.phase},
                      {"n_sequences", v.shape.n_sequences},
                      {"n_new", v.shape.n_new},
                      {"n_past", v.shape.n_past},
                      {"step_seconds", v.step_seconds},
                      {"forward_seconds", v.forward_seconds},
                      {"predicted_seconds", v.predicted_seconds},
                      {"tokens_per_second", v.tokens_per_s},
                      {"bound", v.memory_bound ? "memory" : "compute"},
                      {"roof", v.roof},
                      {"roof_seconds", v.roof_seconds},
                      {"roof_fraction", v.roof_fraction},
                      {"read_bytes", json_count(v.read_bytes)},
                      {"flops", json_count(v.flops)},
                      {"roof_bytes_per_s", v.roof_bytes_per_s},
                      {"level", v.level},
                      {"losses", ordered_json::array()},
                      {"changes", ordered_json::array()},
                      {"measuring_errors", v.errors}};
    for (const Loss& loss : v.losses) {
        json["losses"].push_back(
            {{"what", loss.what}, {"seconds", loss.seconds}, {"fraction", loss.seconds / v.step_seconds}, {"detail", loss.detail}});
    }
    for (const Change& change : v.changes) {
        json["changes"].push_back({{"what", change.what},
                                   {"tokens_per_second", change.tokens_per_s},
                                   {"gain", change.tokens_per_s / v.tokens_per_s - 1},
                                   {"remark", change.remark}});
    }
    return json;
}

}  // namespace rafter::planning
