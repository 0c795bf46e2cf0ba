// The refusal says when to come again: what must end first, in proportion to what waits. A forecast would cost as much for each of many
// that are refused.
#include "server/admission/waiting_lines.h"

#include <fmt/format.h>

#include <algorithm>

#include "report/units.h"

namespace rafter::server {

std::optional<Refusal> WaitingLines::refusal(const std::string& key, std::size_t n_new, std::size_t max_queue) const {
    if (n_sequences_ == 0 || n_sequences_ + n_new <= max_queue) return std::nullopt;
    const auto own = by_key_.find(key);
    const std::size_t n_own = own == by_key_.end() ? 0 : own->second;
    const std::size_t n_keys = by_key_.size() + (own == by_key_.end() ? 1 : 0);
    if (n_own + n_new <= max_queue / n_keys) return std::nullopt;
    Refusal refusal{.kind = RefusalKind::kBusy,
                    .message = fmt::format("busy: {} sequences wait already, and the limit is {}", report::grouped(n_sequences_),
                                           report::grouped(max_queue)),
                    .retry_after_seconds = std::nullopt};
    const double share = static_cast<double>(n_sequences_ + n_new - max_queue) / static_cast<double>(n_sequences_);
    if (seconds_ > 0.0) refusal.retry_after_seconds = std::min(1.0, share) * seconds_;
    return refusal;
}

}  // namespace rafter::server
