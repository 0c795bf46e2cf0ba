// Why a request is not taken.
#pragma once

#include <optional>
#include <string>

namespace rafter::server {

enum class RefusalKind {
    kBusy,      // too much waits: later
    kBadInput,  // it can never run
    kStopping,
    kFailed,  // the engine has failed, or there is no memory for it
};
struct Refusal {
    RefusalKind kind = RefusalKind::kBusy;
    std::string message;
    std::optional<double> retry_after_seconds;  // when asking again is worth it
};

}  // namespace rafter::server
