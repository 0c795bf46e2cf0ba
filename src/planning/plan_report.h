// A plan as text for a terminal, as JSON, and as pictures.
#pragma once

#include <string>

#include "planning/plan_request.h"
#include "report/style.h"

namespace rafter::planning {

// Seconds that were measured: the JSON answer then has the MBU and MFU that they reach.
struct MeasuredSteps {
    std::optional<double> prefill, decode;
};

enum class TextDetail {
    kAnswer,  // about ten lines
    kFull,    // and every table
};
[[nodiscard]] std::string plan_text(const PlanRequest& request, const roofline::Plan& plan, const report::Style& style,
                                    TextDetail detail = TextDetail::kAnswer);
[[nodiscard]] std::string plan_json(const PlanRequest& request, const roofline::Plan& plan, const MeasuredSteps& measured);
[[nodiscard]] std::string plan_html(const PlanRequest& request, const roofline::Plan& plan);
[[nodiscard]] std::string plan_svg(const PlanRequest& request, const roofline::Plan& plan);

// The catalogs of devices and models, with their sources. Text is at most `columns` wide where that is at least 80.
enum class CatalogFormat { kText, kJson };
[[nodiscard]] std::string hardware_catalog(CatalogFormat format, const report::Style& style, std::size_t columns = std::string::npos);
[[nodiscard]] std::string model_catalog(CatalogFormat format, const report::Style& style, std::size_t columns = std::string::npos);

}  // namespace rafter::planning
