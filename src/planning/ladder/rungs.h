// What each rung of the ladder is called and why it exists: one table for the measured ladder and the predicted one.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "planning/ladder/ladder.h"

namespace rafter::planning {

struct RungWords {
    std::string_view id;
    std::string_view name;
    std::string_view options;  // as `rafter` takes them
    std::string_view why;
    bool on_path = true;
};

// From the bottom; batches ("batch_8", "paged_32") have one row for all their numbers, with "{}" for the number.
[[nodiscard]] std::span<const RungWords> rung_table();
// A rung without points; n: what stands for "{}".
[[nodiscard]] LadderRung make_rung(std::string_view id, std::string load, std::uint32_t n = 0);

}  // namespace rafter::planning
