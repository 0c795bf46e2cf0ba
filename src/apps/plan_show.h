// How an answer of `rafter plan` is said: to people, to programs, as a picture.
#pragma once

#include <string>

#include "apps/plan_request.h"
#include "report/style.h"

namespace rafter::apps {

[[nodiscard]] std::string plan_text(const PlanRequest& request, const roofline::Plan& plan, const PlanOptions& options,
                                    const report::Style& style);
[[nodiscard]] std::string plan_json(const PlanRequest& request, const roofline::Plan& plan, const PlanOptions& options);
[[nodiscard]] std::string plan_html(const PlanRequest& request, const roofline::Plan& plan);
[[nodiscard]] std::string plan_svg(const PlanRequest& request, const roofline::Plan& plan);

// --list hardware, --list models
[[nodiscard]] Result<std::string> plan_list(const std::string& what, bool json, const report::Style& style);

// "8 x H100-SXM, tp=8"
[[nodiscard]] std::string machine_words(const roofline::Setup& setup);

}  // namespace rafter::apps
