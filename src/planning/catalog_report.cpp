// The catalogs of devices and models, as `rafter plan --list` shows them.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "hardware/catalog.h"
#include "model/catalog.h"
#include "planning/json_count.h"
#include "planning/plan_report.h"
#include "report/table.h"
#include "report/units.h"

namespace rafter::planning {
namespace {

using nlohmann::ordered_json;
using report::Align;

std::string rate_of(const std::optional<double>& rate) { return rate ? report::rate(*rate / 1e12) : "–"; }

std::string hardware_text(const report::Style& style) {
    using hardware::Precision;
    report::Table table({{"name"},
                         {"16 bit T/s", Align::kRight},
                         {"8 bit T/s", Align::kRight},
                         {"memory", Align::kRight},
                         {"bandwidth", Align::kRight},
                         {"ridge", Align::kRight},
                         {"link", Align::kRight},
                         {"$/h", Align::kRight},
                         {"what it is"}});
    for (const hardware::CatalogRow& row : hardware::catalog()) {
        const hardware::Hardware& h = row.hardware;
        const auto sixteen = hardware::peak_for(h, Precision::kBf16);
        const auto eight = h.peak(Precision::kFp8) ? h.peak(Precision::kFp8) : h.peak(Precision::kInt8);
        table.add({h.name, rate_of(sixteen->flop_per_s), rate_of(eight), report::bytes(h.memory_bytes),
                   report::bytes_per_second(h.memory_bandwidth_bytes_per_s),
                   report::whole(sixteen->flop_per_s / h.memory_bandwidth_bytes_per_s),
                   h.link_bandwidth_bytes_per_s ? report::bytes_per_second(*h.link_bandwidth_bytes_per_s) : "–",
                   h.price_per_hour ? fmt::format("{:.2f}", *h.price_per_hour) : "–", style.dim(h.description)});
    }
    return table.render(style) + "Ridge: 16-bit tokens a step from which arithmetic binds. Sources: --format json\n";
}

std::string models_text(const report::Style& style) {
    report::Table table({{"name"},
                         {"parameters", Align::kRight},
                         {"active", Align::kRight},
                         {"layers", Align::kRight},
                         {"width", Align::kRight},
                         {"KV a token", Align::kRight},
                         {"context", Align::kRight},
                         {"source"}});
    for (const model::CatalogModel& entry : model::catalog()) {
        const roofline::PlannedModel m = roofline::plan_described(entry.model);
        table.add({m.name, report::count(roofline::parameters(m.fused)), report::count(roofline::active_parameters(m.fused)),
                   report::whole(m.fused.n_layers), report::grouped(entry.model.config.d_model),
                   report::bytes(roofline::kv_bytes_per_token(m.fused, {})), report::grouped(entry.model.config.n_context),
                   style.dim(m.source)});
    }
    return table.render(style);
}

ordered_json hardware_json() {
    ordered_json all = ordered_json::array();
    for (const hardware::CatalogRow& row : hardware::catalog()) {
        const hardware::Hardware& h = row.hardware;
        ordered_json json{{"name", h.name}, {"description", h.description}, {"flop_per_s", ordered_json::object()}};
        for (const hardware::Precision p : hardware::all_precisions()) {
            if (h.peak(p)) json["flop_per_s"][std::string(hardware::to_string(p))] = json_count(*h.peak(p));
        }
        json["memory_bytes"] = json_count(h.memory_bytes);
        json["memory_bandwidth_bytes_per_s"] = json_count(h.memory_bandwidth_bytes_per_s);
        if (h.on_chip_bytes) json["on_chip_bytes"] = json_count(*h.on_chip_bytes);
        if (h.link_bandwidth_bytes_per_s) json["link_bandwidth_bytes_per_s"] = json_count(*h.link_bandwidth_bytes_per_s);
        if (h.link_latency_s) json["link_latency_s"] = *h.link_latency_s;
        if (h.price_per_hour) json["price_per_hour"] = *h.price_per_hour;
        json["sources"] = ordered_json::array();
        for (const hardware::Source& source : row.sources) json["sources"].push_back({{"of", source.numbers}, {"source", source.text}});
        all.push_back(std::move(json));
    }
    return all;
}

ordered_json models_json() {
    ordered_json all = ordered_json::array();
    for (const model::CatalogModel& entry : model::catalog()) {
        const roofline::PlannedModel m = roofline::plan_described(entry.model);
        all.push_back({{"name", m.name},
                       {"source", m.source},
                       {"parameters", json_count(roofline::parameters(m.fused))},
                       {"active_parameters", json_count(roofline::active_parameters(m.fused))},
                       {"published_parameters", json_count(entry.published_parameters)}});
    }
    return all;
}

}  // namespace

std::string hardware_catalog(CatalogFormat format, const report::Style& style) {
    return format == CatalogFormat::kJson ? hardware_json().dump(1) + "\n" : hardware_text(style);
}
std::string model_catalog(CatalogFormat format, const report::Style& style) {
    return format == CatalogFormat::kJson ? models_json().dump(1) + "\n" : models_text(style);
}

}  // namespace rafter::planning
