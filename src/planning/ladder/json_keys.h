// What the writer and the reader of a ladder's JSON agree on.
#pragma once

#include <array>
#include <string_view>

namespace rafter::planning {

// Raised whenever a reader of the old form would misread the new one.
inline constexpr unsigned kLadderFormat = 1;

// By OutputCheck::Kind.
inline constexpr std::array<std::string_view, 4> kCheckKinds{"none", "same_bits", "same_tokens", "divergence"};

}  // namespace rafter::planning
