// Rows of the catalogs as tests of the roofline ask for them.
#pragma once

#include "hardware/catalog.h"
#include "model/catalog.h"
#include "roofline/plan.h"

namespace rafter::roofline {

inline PlannedModel planned(const char* name) { return plan_described(model::find_in_catalog(name)->model); }
inline const hardware::Hardware& device(const char* name) { return hardware::find_in_catalog(name)->hardware; }

// With the model's own types; m must outlive it.
inline Scenario scenario_of(const PlannedModel& m, const char* hardware) {
    Scenario s;
    s.model = &m;
    s.setup.hardware = device(hardware);
    s.setup.types = m.native;
    return s;
}

}  // namespace rafter::roofline
