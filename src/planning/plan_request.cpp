// Words to numbers, every one checked.
#include "planning/plan_request.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <filesystem>

#include "base/json_reader.h"
#include "base/quote.h"
#include "base/suggest.h"
#include "hardware/catalog.h"
#include "hardware/hardware_file.h"
#include "model/model_json.h"
#include "planning/checked_number.h"
#include "planning/efficiency.h"
#include "planning/planned_engine.h"
#include "planning/this_machine.h"
#include "report/units.h"
#include "roofline/engine.h"
#include "roofline/number_types.h"

namespace rafter::planning {
namespace {

constexpr double kMaxSequences = 1e9;
constexpr double kMaxTokens = 1e12;

Result<roofline::NumberType> type_of(const char* option, const std::string& name,
                                     std::optional<roofline::NumberType> (*named)(std::string_view) = roofline::number_type) {
    const auto type = named(name);
    if (type) return *type;
    const std::vector<std::string> names = roofline::number_type_names();
    return bad_input("{}: expected a type ({}, ...) or bits a weight, found {}{}", option,
                     fmt::join(names.begin() + 1, names.begin() + 12, ", "), quote(name), did_you_mean(name, names));
}

// "tp=8,pp=2,ep=1"
Result<roofline::Parallel> parse_parallel(const std::string& text) {
    roofline::Parallel p;
    std::size_t at = 0;
    while (at <= text.size()) {
        const std::size_t comma = std::min(text.find(',', at), text.size());
        const std::string part = text.substr(at, comma - at);
        at = comma + 1;
        double n = 0.0;
        const char* begin = part.data() + std::min<std::size_t>(3, part.size());
        const auto [end, failed] = std::from_chars(begin, part.data() + part.size(), n);
        const bool is_number = failed == std::errc() && end == part.data() + part.size();
        const std::array places{std::pair{"tp=", &p.tp}, std::pair{"pp=", &p.pp}, std::pair{"ep=", &p.ep}, std::pair{"cp=", &p.cp}};
        const auto* place = std::ranges::find_if(places, [&](const auto& known) { return part.starts_with(known.first); });
        if (place == places.end() || !is_number) return bad_input("--parallel: expected tp=N,pp=N,ep=N,cp=N, found {}", quote(text));
        *place->second = n;
    }
    return p;
}

Result<void> set_types(const PlanOptions& o, PlanRequest& r) {
    roofline::NumberTypes& types = r.scenario.setup.types;
    types = r.model->native;
    if (o.hardware == "this") {
        // As this engine computes: quantised weights meet activations of 8 bits, others float; between ops all is float.
        types.activations = hardware::Precision::kInt8;
        types.activation_bytes = 4.0;
    }
    r.weight_type = r.model->weight_type;
    if (!o.weights.empty()) {
        RAFTER_TRY(const roofline::NumberType type, type_of("--weights", o.weights));
        roofline::set_weight_bits(r.scenario.setup, type.bits);
        if (!type.keeps_table) types.table_bits.reset();
        r.weight_type = type.name;
        if (type.is_mixture) {
            r.warnings.push_back(
                fmt::format("{} is a mixture: {} bits a weight are a large model's average; a GGUF file is counted exactly", type.name,
                            report::plain(type.bits)));
        }
        if (type.name == "fp32") types.activations = hardware::Precision::kFp32;
        if (type.name == "fp32") types.activation_bytes = 4.0;
    }
    if (!o.activations.empty()) {
        const auto precision = roofline::precision_named(o.activations);
        std::vector<std::string> names;
        for (const hardware::Precision p : hardware::all_precisions()) names.emplace_back(hardware::to_string(p));
        if (!precision) {
            return bad_input("--activations: expected one of {}, found {}{}", fmt::join(names, ", "), quote(o.activations),
                             did_you_mean(o.activations, names));
        }
        types.activations = *precision;
        types.activation_bytes = roofline::bytes_of(*precision);
    }
    r.activation_type = hardware::to_string(types.activations);
    r.kv_type = "fp16";
    if (o.kv.empty()) return {};
    const std::size_t comma = std::min(o.kv.find(','), o.kv.size());
    RAFTER_TRY(const roofline::NumberType key, type_of("--kv", o.kv.substr(0, comma), roofline::kv_number_type));
    RAFTER_TRY(const roofline::NumberType value,
               type_of("--kv", comma < o.kv.size() ? o.kv.substr(comma + 1) : o.kv, roofline::kv_number_type));
    types.kv = {key.bits / 8, value.bits / 8};
    r.kv_type = key.name == value.name ? key.name : key.name + ", " + value.name;
    return {};
}

Result<void> set_load(const PlanOptions& o, PlanRequest& r) {
    roofline::Load& load = r.scenario.load;
    RAFTER_TRY(load.n_batch, whole_in_range("--batch", o.batch, 1, 1, kMaxSequences));
    RAFTER_TRY(load.n_prefill_batch, whole_in_range("--prefill-batch", o.prefill_batch, 1, 1, kMaxSequences));
    RAFTER_TRY(load.n_output,
               whole_in_range("--output", o.output,
                              o.context && !o.prompt ? std::max(1.0, std::min(128.0, std::floor(*o.context / 2))) : 128, 1, kMaxTokens));
    RAFTER_TRY(const double context, whole_in_range("--context", o.context, 0, 1, kMaxTokens));
    RAFTER_TRY(load.n_prompt, whole_in_range("--prompt", o.prompt,
                                             o.context ? std::max(1.0, context - (o.output ? load.n_output : 0)) : 512, 1, kMaxTokens));
    load.n_context = o.context ? context : load.n_prompt + load.n_output;
    RAFTER_TRY(load.n_max_context, whole_in_range("--max-length", o.max_length, 0, 1, kMaxTokens));
    RAFTER_TRY(load.prefix_hit, in_range("--prefix-hit", o.prefix_hit, 0, 0, 1));
    RAFTER_TRY(load.block_size, whole_in_range("--block-size", o.block_size, 16, 1, 1e6));
    return {};
}

Result<void> set_parallel(const PlanOptions& o, PlanRequest& r) {
    roofline::Setup& setup = r.scenario.setup;
    RAFTER_TRY(const double devices, whole_in_range("--devices", o.devices, 1, 1, 1e6));
    if (!o.parallel.empty()) {
        RAFTER_TRY(setup.parallel, parse_parallel(o.parallel));
        if (o.devices && setup.parallel.devices() != devices) {
            return bad_input("--parallel: expected a product of the {:.0f} --devices, found {}", devices, shown(setup.parallel.devices()));
        }
        RAFTER_TRY_VOID(roofline::check_parallel(r.scenario.list(), setup.parallel));
    } else if (setup.engine == roofline::EngineKind::kLlamaCpp && devices > 1) {
        setup.parallel = {.pp = devices};  // its default is to deal out layers (--split-mode layer)
        RAFTER_TRY_VOID(roofline::check_parallel(r.scenario.list(), setup.parallel));
    } else {
        RAFTER_TRY(setup.parallel, roofline::choose_parallel(r.scenario.list(), devices));
    }
    // Prompts for each expert-parallel group, so that none idles while others compute theirs.
    if (!o.prefill_batch) r.scenario.load.n_prefill_batch = std::max(1.0, std::min(setup.parallel.ep, r.scenario.load.n_batch));
    setup.collective = o.collective == "flat" ? roofline::Collective::kFlat : roofline::Collective::kRing;
    return {};
}

// c=SHARE, or a model whose step is priced on the same devices.
Result<void> set_draft(const PlanOptions& o, const PlanSources& sources, PlanRequest& r) {
    roofline::SpeculationQuestion& q = r.scenario.speculation;
    r.draft_is_assumed = o.draft.empty() && !o.alpha && !o.gamma;
    RAFTER_TRY(q.alpha, in_range("--alpha", o.alpha, 0.7, 0, 1));
    RAFTER_TRY(q.gamma, whole_in_range("--gamma", o.gamma, 0, 0, 256));
    if (o.draft.empty()) return {};
    if (o.draft.starts_with("c=")) {
        const auto [end, failed] = std::from_chars(o.draft.data() + 2, o.draft.data() + o.draft.size(), q.c);
        const bool ok = failed == std::errc() && end == o.draft.data() + o.draft.size() && q.c >= 0 && q.c <= 1e3;
        if (!ok) return bad_input("--draft: expected c=SHARE of a target's step, at least 0, found {}", quote(o.draft));
        return {};
    }
    RAFTER_TRY(roofline::PlannedModel draft, find_planned_model(o.draft, sources.models_folders, {.engine_ops = o.hardware == "this"}));
    r.draft = std::make_unique<roofline::PlannedModel>(std::move(draft));
    r.draft_name = r.draft->name;
    roofline::Setup setup = r.scenario.setup;
    setup.types = r.draft->native;
    // A draft is small: one device runs it, and all of a group run the same.
    setup.parallel = {};
    const roofline::Step step = roofline::decode_step(r.scenario.load.n_batch, r.scenario.load.n_context);
    const double of_draft = roofline::price_step(r.draft->list(setup.fused), setup, step).seconds;
    const double of_target = roofline::price_step(r.scenario.list(), r.scenario.setup, step).seconds;
    q.c = of_target > 0 ? of_draft / of_target : 0.0;
    return {};
}

// The device, and how much of its rates it reaches.
Result<void> set_hardware(const PlanOptions& o, const PlanSources& sources, PlanRequest& r) {
    roofline::Setup& setup = r.scenario.setup;
    if (o.efficiency == "calibrated") r.scenario.efficiency_of = typical_efficiency;
    if (o.hardware != "this") {
        RAFTER_TRY(setup.hardware, find_hardware(o.hardware, r.warnings, r.model->assumed));
        RAFTER_TRY(setup.efficiency, read_efficiency(o.efficiency, setup.hardware, r.warnings));
        return {};
    }
    RAFTER_TRY(const hardware::Profile profile, sources.machine_profile());
    if (!profile.trusted) {
        r.warnings.push_back(fmt::format("this machine's profile is in doubt ({}): `rafter probe` measures it again", profile.doubt));
    }
    setup.hardware = this_machine(profile, *r.model);
    if (o.efficiency == "calibrated") {
        setup.efficiency = this_efficiency(profile, *r.model);
    } else {
        RAFTER_TRY(setup.efficiency, read_efficiency(o.efficiency, setup.hardware, r.warnings));
    }
    return {};
}

// What the arithmetic takes and no devices or engine would give.
void doubt(PlanRequest& r) {
    const roofline::Setup& setup = r.scenario.setup;
    const hardware::Hardware& h = setup.hardware;
    if (setup.parallel.devices() > 1 && !h.link_bandwidth_bytes_per_s && !h.link_latency_s) {
        r.model->assumed.push_back(fmt::format("{} has no link in its description: its {} devices are taken to communicate at no cost",
                                               h.name, report::whole(setup.parallel.devices())));
    }
    const double longest = r.model->n_context;
    if (longest > 0 && r.scenario.load.n_context > longest) {
        r.model->assumed.push_back(fmt::format("the model was trained for {} positions, the plan is for {}", report::whole(longest),
                                               report::whole(r.scenario.load.n_context)));
    }
}

Result<roofline::PlannedModel> chosen_model(const PlanOptions& o, const PlanSources& sources) {
    if (o.model_json.empty()) return find_planned_model(o.model, sources.models_folders, {.engine_ops = o.hardware == "this"}, o.assume);
    RAFTER_TRY(const nlohmann::json json, read_json_file(o.model_json));
    RAFTER_TRY(const model::DescribedModel described, model::read_model_json(json, o.model_json));
    roofline::PlannedModel planned = roofline::plan_described(described);
    if (planned.name == o.model_json) planned.name = std::filesystem::path(o.model_json).stem().string();
    return planned;
}

}  // namespace

Result<hardware::Hardware> find_hardware(const std::string& name, std::vector<std::string>& warnings, std::vector<std::string>& doubts) {
    std::error_code failed;
    if (std::filesystem::is_regular_file(name, failed)) {
        RAFTER_TRY(hardware::HardwareFile file, hardware::read_hardware_file(name));
        for (const hardware::UnknownKey& unknown : file.unknown_keys) {
            warnings.push_back(fmt::format("{}: unknown key {} is ignored{}", name, quote(unknown.key),
                                           did_you_mean(unknown.key.substr(unknown.key.rfind('.') + 1), unknown.known)));
        }
        doubts.insert(doubts.end(), file.doubts.begin(), file.doubts.end());
        return std::move(file.hardware);
    }
    if (const hardware::CatalogRow* row = hardware::find_in_catalog(name)) return row->hardware;
    if (name.ends_with(".json")) return bad_input("--hardware: {}: no such file", quote(name));
    if (const auto candidates = hardware::candidates_in_catalog(name); !candidates.empty()) {
        std::vector<std::string_view> names;
        for (const hardware::CatalogRow* row : candidates) names.push_back(row->hardware.name);
        return bad_input("--hardware: {} names no single device: it may be {} (rafter plan --list hardware)", quote(name),
                         fmt::join(names, ", "));
    }
    std::vector<std::pair<std::size_t, std::string>> near;
    for (const hardware::CatalogRow& row : hardware::catalog())
        near.emplace_back(edit_distance(name, row.hardware.name), row.hardware.name);
    std::ranges::stable_sort(near, {}, &std::pair<std::size_t, std::string>::first);
    return bad_input("--hardware: no device {} in the catalog and no such file; nearest: {}, {}, {} (rafter plan --list hardware)",
                     quote(name), near[0].second, near[1].second, near[2].second);
}

Result<PlanRequest> make_request(const PlanOptions& o, const PlanSources& sources) {
    PlanRequest r;
    RAFTER_TRY(roofline::PlannedModel planned, chosen_model(o, sources));
    r.model = std::make_unique<roofline::PlannedModel>(std::move(planned));
    r.scenario.model = r.model.get();
    for (const auto& unknown : r.model->unknown_keys) {
        r.warnings.push_back(fmt::format("{}: unknown key {} is ignored{}", r.model->source, quote(unknown.key),
                                         did_you_mean(unknown.key.substr(unknown.key.rfind('.') + 1), unknown.known)));
    }
    RAFTER_TRY_VOID(set_hardware(o, sources, r));
    RAFTER_TRY_VOID(choose_engine(o, r));
    r.scenario.setup.fused = !o.no_fuse;
    RAFTER_TRY_VOID(set_types(o, r));
    RAFTER_TRY_VOID(set_load(o, r));
    RAFTER_TRY_VOID(set_parallel(o, r));
    RAFTER_TRY_VOID(set_engine_memory(o, r));
    doubt(r);
    RAFTER_TRY_VOID(set_draft(o, sources, r));
    const auto positive = [](const char* option, const std::optional<double>& value, std::optional<double>& place) -> Result<void> {
        RAFTER_TRY_VOID(in_range(option, value, 0, 0, 1e12));
        place = value;
        return {};
    };
    RAFTER_TRY_VOID(positive("--price", o.price, r.scenario.price_per_hour));
    RAFTER_TRY_VOID(positive("--slo-ttft", o.slo_ttft, r.scenario.slo_ttft_s));
    RAFTER_TRY_VOID(positive("--slo-itl", o.slo_itl, r.scenario.slo_itl_s));
    return r;
}

}  // namespace rafter::planning
