// Durations as Ollama's clients write them: Go's, such as "1h30m" and "300ms".
#pragma once

#include <optional>
#include <string_view>

namespace rafter::protocols {

// Seconds, finite: a sign, and then numbers with a unit each (ns, us, ms, s, m, h), or one number of seconds without a unit. None: it is
// nothing of the kind.
[[nodiscard]] std::optional<double> duration_seconds(std::string_view text);

}  // namespace rafter::protocols
