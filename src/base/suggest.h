// "did you mean": the known word that a mistyped one is closest to.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace rafter {

// None when even the closest differs in more than a third of its letters (and at least two are allowed). Upper and lower case are alike.
[[nodiscard]] std::optional<std::string> closest(std::string_view word, std::span<const std::string> known);

// "; did you mean WORD?" with the closest, or nothing.
[[nodiscard]] std::string did_you_mean(std::string_view word, std::span<const std::string> known);

// Insertions, deletions, substitutions and swaps of neighbours that turn one into the other, in bytes.
[[nodiscard]] std::size_t edit_distance(std::string_view a, std::string_view b);

}  // namespace rafter
