// Ops of the same name in different layers are one line of the table; JSON has each op by itself too.
#include "planning/phase_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "planning/json_count.h"
#include "report/table.h"
#include "report/units.h"

namespace rafter::planning {
namespace {

using engine::OpProfile;
using engine::PhaseProfile;
using nlohmann::ordered_json;

struct Line {
    std::string role;
    model::OpKind kind = model::OpKind::kAdd;
    std::size_t count = 0;
    OpProfile sum;
};

std::vector<Line> lines_of(const PhaseProfile& phase, const model::Program& program) {
    std::vector<Line> lines;
    for (const OpProfile& op : phase.ops) {
        const std::string role = role_of(program.ops[op.op].name);
        const model::OpKind kind = program.ops[op.op].kind;
        auto line = std::find_if(lines.begin(), lines.end(), [&](const Line& l) { return l.role == role && l.kind == kind; });
        if (line == lines.end()) line = lines.insert(lines.end(), {.role = role, .kind = kind});
        ++line->count;
        line->sum.predicted_seconds += op.predicted_seconds;
        line->sum.measured_seconds += op.measured_seconds;
        line->sum.roof_seconds += op.roof_seconds;
        line->sum.overhead_seconds += op.overhead_seconds;
        line->sum.cost += op.cost;
        line->sum.bound = op.bound;
        line->sum.arithmetic = op.arithmetic;
    }
    return lines;
}

double per_second(double amount, double seconds) { return seconds > 0 ? amount / seconds : 0.0; }

ordered_json op_json(const OpProfile& op) {
    return {{"predicted_seconds", op.predicted_seconds},
            {"measured_seconds", op.measured_seconds},
            {"residual_seconds", op.measured_seconds - op.predicted_seconds},
            {"roof_seconds", op.roof_seconds},
            {"roof_fraction", per_second(op.roof_seconds, op.measured_seconds)},
            {"bound", roofline::to_string(op.bound)},
            {"arithmetic", op.arithmetic == roofline::Arithmetic::kInt8 ? "int8" : "float32"},
            {"flops", json_count(op.cost.flops)},
            {"weight_bytes", json_count(op.cost.weight_bytes)},
            {"kv_read_bytes", json_count(op.cost.kv_read_bytes)},
            {"activation_bytes", json_count(op.cost.activation_bytes)},
            {"read_bytes_per_s", per_second(op.cost.read_bytes(), op.measured_seconds)},
            {"flop_per_s", per_second(op.cost.flops, op.measured_seconds)}};
}

std::string milliseconds(double seconds) { return fmt::format("{:.3f}", seconds * 1e3); }
std::string signed_percent(double fraction) { return fmt::format("{:+.0f}%", 100 * fraction); }

}  // namespace

std::string role_of(const std::string& op_name) {
    const std::size_t dot = op_name.starts_with("blk.") ? op_name.find('.', 4) : std::string::npos;
    std::string role = dot == std::string::npos ? op_name : op_name.substr(dot + 1);
    constexpr std::size_t kLongest = 30;
    // The first and the last op identify a long run of fused ops.
    if (role.size() > kLongest && role.find('+') != std::string::npos) {
        role = role.substr(0, role.find('+')) + " … " + role.substr(role.rfind('+') + 1);
    }
    return role;
}

ordered_json phase_json(const PhaseProfile& phase, const model::Program& program) {
    ordered_json json{{"phase", phase.phase},
                      {"n_steps", phase.n_steps},
                      {"n_tokens", phase.n_tokens},
                      {"step_seconds", phase.step_seconds},
                      {"forward_seconds", phase.forward_seconds},
                      {"predicted_seconds", phase.predicted_seconds},
                      {"sample_seconds", phase.sample_seconds},
                      {"host_seconds", phase.step_seconds - phase.forward_seconds - phase.sample_seconds},
                      {"ops_seconds", phase.op_seconds()},
                      {"read_bytes", json_count(phase.read_bytes)},
                      {"read_bytes_per_s", per_second(phase.read_bytes, phase.forward_seconds)},
                      {"roof_bytes_per_s", phase.roof_bytes_per_s},
                      {"level", phase.level},
                      {"int8_unit", phase.int8_unit},
                      {"complete", phase.complete},
                      {"by_name", ordered_json::array()},
                      {"ops", ordered_json::array()}};
    for (const Line& line : lines_of(phase, program)) {
        ordered_json entry{{"name", line.role}, {"kind", model::to_string(line.kind)}, {"count", line.count}};
        entry.update(op_json(line.sum));
        json["by_name"].push_back(std::move(entry));
    }
    for (const OpProfile& op : phase.ops) {
        ordered_json entry{{"name", program.ops[op.op].name}, {"kind", model::to_string(program.ops[op.op].kind)}};
        entry.update(op_json(op));
        json["ops"].push_back(std::move(entry));
    }
    return json;
}

std::string phase_table(const PhaseProfile& phase, const model::Program& program, const report::Style& style) {
    using report::Align;
    const double n = static_cast<double>(phase.n_steps);
    report::Table table({{"op"},
                         {"times", Align::kRight},
                         {"share", Align::kRight},
                         {"measured ms", Align::kRight},
                         {"predicted", Align::kRight},
                         {"off by", Align::kRight},
                         {"GB/s", Align::kRight},
                         {"GFLOP/s", Align::kRight},
                         {"of roof", Align::kRight},
                         {"bound by"}});
    const double total = phase.op_seconds();
    for (const Line& line : lines_of(phase, program)) {
        const double measured = line.sum.measured_seconds;
        const double roof = per_second(line.sum.roof_seconds, measured);
        const bool has_roof = line.sum.roof_seconds > 0.02 * measured;
        table.add({line.role, line.count > 1 ? fmt::format("{}", line.count) : "", report::percent(per_second(measured, total)),
                   milliseconds(measured / n), milliseconds(line.sum.predicted_seconds / n),
                   line.sum.predicted_seconds > 0 ? signed_percent(measured / line.sum.predicted_seconds - 1) : "",
                   line.sum.cost.read_bytes() > 0 ? fmt::format("{:.1f}", per_second(line.sum.cost.read_bytes(), measured) / 1e9) : "",
                   fmt::format("{:.1f}", per_second(line.sum.cost.flops, measured) / 1e9),
                   !has_roof    ? ""
                   : roof > 1.0 ? style.warning(report::percent(roof) + "!")
                                : report::percent(roof),
                   style.dim(roofline::to_string(line.sum.bound))});
    }
    const double rest = phase.forward_seconds - total;
    table.add({"begin and end of a step", "", report::percent(per_second(rest, phase.forward_seconds)), milliseconds(rest / n),
               milliseconds(phase.fixed_seconds / n), "", "", "", "", ""});
    const double roof = per_second(phase.read_bytes, phase.forward_seconds) / std::max(phase.roof_bytes_per_s, 1.0);
    table.add_total({"model", "", "", milliseconds(phase.forward_seconds / n), milliseconds(phase.predicted_seconds / n),
                     signed_percent(phase.forward_seconds / phase.predicted_seconds - 1),
                     fmt::format("{:.1f}", per_second(phase.read_bytes, phase.forward_seconds) / 1e9), "",
                     roof > 1.0 ? style.warning(report::percent(roof) + "!") : report::percent(roof), style.dim(phase.level)});
    table.add({"sampling", "", "", milliseconds(phase.sample_seconds / n), "", "", "", "", "", ""});
    table.add({"the rest of the engine", "", "", milliseconds((phase.step_seconds - phase.forward_seconds - phase.sample_seconds) / n), "",
               "", "", "", "", ""});
    std::string text = style.bold(phase.phase) +
                       style.dim(fmt::format("  {} step{} of {} tokens; times are of one step; roofs: {}, {} and {}\n",
                                             report::grouped(phase.n_steps), phase.n_steps == 1 ? "" : "s",
                                             report::rate(phase.n_tokens / n), phase.level, phase.int8_unit, hardware::kFloatUnit));
    text += table.render(style, "  ");
    if (!phase.complete)
        text += style.warning("  The machine profile lacks some kernels; they are predicted from the peak of the arithmetic units.\n");
    return text;
}

// Events in microseconds, as https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU describes them: steps on one
// line, their ops on another, predictions on a third.
std::string trace_json(const backend::Backend& backend, const engine::StepProfiler& profiler, const model::Program& program,
                       const hardware::Profile& machine, const roofline::PriceOptions& options) {
    ordered_json events = ordered_json::array();
    const auto name_line = [&](int line, const char* name) {
        events.push_back({{"ph", "M"}, {"pid", 1}, {"tid", line}, {"name", "thread_name"}, {"args", {{"name", name}}}});
    };
    events.push_back({{"ph", "M"}, {"pid", 1}, {"name", "process_name"}, {"args", {{"name", "rafter"}}}});
    name_line(1, "steps");
    name_line(2, "ops, measured");
    name_line(3, "ops, predicted");
    const std::int64_t origin_ns = profiler.records().empty() ? 0 : profiler.records().front().start_ns;
    for (const auto& record : profiler.records()) {
        const double start = static_cast<double>(record.start_ns - origin_ns) * 1e-3;
        const roofline::StepPrice price = backend.price_step(program, record.step.shape, machine, options);
        events.push_back({{"ph", "X"},
                          {"pid", 1},
                          {"tid", 1},
                          {"name", engine::is_decode(record.step.shape) ? "decode" : "prefill"},
                          {"ts", start},
                          {"dur", record.step.step_seconds * 1e6},
                          {"args",
                           {{"n_tokens", record.step.shape.n_tokens()},
                            {"n_sequences", record.step.shape.sequences.size()},
                            {"predicted_us", price.seconds * 1e6},
                            {"forward_us", record.step.forward_seconds * 1e6}}}});
        double measured_at = start;
        double predicted_at = start;
        for (std::size_t i = 0; i < record.op_seconds.size(); ++i) {
            const auto event = [&](int line, double at, double seconds) {
                events.push_back(
                    {{"ph", "X"}, {"pid", 1}, {"tid", line}, {"name", program.ops[i].name}, {"ts", at}, {"dur", seconds * 1e6}});
            };
            event(2, measured_at, record.op_seconds[i]);
            events.back()["args"] = {{"predicted_us", price.ops[i].seconds * 1e6}, {"bound", roofline::to_string(price.ops[i].bound)}};
            event(3, predicted_at, price.ops[i].seconds);
            measured_at += record.op_seconds[i] * 1e6;
            predicted_at += price.ops[i].seconds * 1e6;
        }
    }
    return ordered_json{{"traceEvents", std::move(events)}, {"displayTimeUnit", "ms"}}.dump() + "\n";
}

}  // namespace rafter::planning
