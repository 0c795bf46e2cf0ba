// The catalogs of devices and models, as `rafter plan --list` shows them.
#include <fmt/format.h>

#include <algorithm>
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

// What a row is stands last where it fits: whole in a file or a pipe, cut in a terminal, left out in a narrow one.
struct LastColumn {
    std::size_t room = 0;
    LastColumn(std::size_t columns, std::size_t taken) : room(columns > taken + kLeast ? columns - taken - 2 : 0) {}
    [[nodiscard]] std::string cut(const std::string& text) const {
        return text.size() <= room ? text : text.substr(0, room - std::min<std::size_t>(room, 1)) + "…";
    }
    void add_to(std::vector<report::Column>& titles, const char* title) const {
        if (room > 0) titles.push_back({title});
    }

  private:
    static constexpr std::size_t kLeast = 24;
};

std::string hardware_text(const report::Style& style, std::size_t columns) {
    using hardware::Precision;
    std::size_t widest = 0;
    for (const hardware::CatalogRow& row : hardware::catalog()) widest = std::max(widest, row.hardware.name.size());
    const LastColumn last(columns, widest + 59);
    std::vector<report::Column> titles{{"name"},
                                       {"16 bit", Align::kRight},
                                       {"8 bit", Align::kRight},
                                       {"memory", Align::kRight},
                                       {"bandwidth", Align::kRight},
                                       {"ridge", Align::kRight},
                                       {"link", Align::kRight},
                                       {"$/h", Align::kRight}};
    last.add_to(titles, "what it is");
    report::Table table(titles);
    for (const hardware::CatalogRow& row : hardware::catalog()) {
        const hardware::Hardware& h = row.hardware;
        const auto sixteen = hardware::peak_for(h, Precision::kBf16);
        const auto eight = h.peak(Precision::kFp8) ? h.peak(Precision::kFp8) : h.peak(Precision::kInt8);
        std::vector<std::string> cells{h.name,
                                       rate_of(sixteen->flop_per_s),
                                       rate_of(eight),
                                       report::bytes(h.memory_bytes),
                                       report::bytes_per_second(h.memory_bandwidth_bytes_per_s),
                                       report::whole(sixteen->flop_per_s / h.memory_bandwidth_bytes_per_s),
                                       h.link_bandwidth_bytes_per_s ? report::bytes_per_second(*h.link_bandwidth_bytes_per_s) : "–",
                                       h.price_per_hour ? fmt::format("{:.2f}", *h.price_per_hour) : "–"};
        if (last.room > 0) cells.push_back(style.dim(last.cut(h.description)));
        table.add(std::move(cells));
    }
    return table.render(style) +
           "16 bit, 8 bit: TFLOP/s, dense. Ridge: 16-bit tokens a step from which on\narithmetic binds. Sources of every number: --format "
           "json\n";
}

std::string models_text(const report::Style& style, std::size_t columns) {
    std::size_t widest = 0;
    for (const model::CatalogModel& entry : model::catalog()) widest = std::max(widest, entry.model.name.size());
    const LastColumn last(columns, widest + 60);
    std::vector<report::Column> titles{{"name"},
                                       {"parameters", Align::kRight},
                                       {"active", Align::kRight},
                                       {"layers", Align::kRight},
                                       {"width", Align::kRight},
                                       {"KV a token", Align::kRight},
                                       {"context", Align::kRight}};
    last.add_to(titles, "source");
    report::Table table(titles);
    for (const model::CatalogModel& entry : model::catalog()) {
        const roofline::PlannedModel m = roofline::plan_described(entry.model);
        std::vector<std::string> cells{m.name,
                                       report::count(roofline::parameters(m.fused)),
                                       report::count(roofline::active_parameters(m.fused)),
                                       report::whole(m.fused.n_layers),
                                       report::grouped(entry.model.config.d_model),
                                       report::bytes(roofline::kv_bytes_per_token(m.fused, {})),
                                       report::grouped(entry.model.config.n_context)};
        if (last.room > 0) cells.push_back(style.dim(last.cut(m.source)));
        table.add(std::move(cells));
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

std::string hardware_catalog(CatalogFormat format, const report::Style& style, std::size_t columns) {
    return format == CatalogFormat::kJson ? hardware_json().dump(1) + "\n" : hardware_text(style, columns);
}
std::string model_catalog(CatalogFormat format, const report::Style& style, std::size_t columns) {
    return format == CatalogFormat::kJson ? models_json().dump(1) + "\n" : models_text(style, columns);
}

}  // namespace rafter::planning
