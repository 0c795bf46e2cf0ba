// What every request passes before its route: by which name the server was called, from which page, which path and method, with which key.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/call.h"
#include "server/cors.h"
#include "server/http/message.h"
#include "server/keys.h"
#include "server/routes.h"

namespace rafter::server {

struct FrontDoorOptions {
    bool only_here = true;                   // it listens on loopback and unix sockets alone
    std::vector<std::string> allowed_hosts;  // names beside those of this machine, where only_here
    CorsPolicy cors;
    std::string api_key_file;  // "": none
    std::string api_key;       // one key in place of a file; "": none
};

// For the server's thread.
class FrontDoor {
  public:
    // Reads the keys. Fails on those that cannot be read.
    [[nodiscard]] static Result<FrontDoor> open(const FrontDoorOptions& options);
    // Reads them again. Fails and goes on with those read before.
    [[nodiscard]] Result<void> reload();
    [[nodiscard]] bool has_keys() const { return keys_.has_value(); }

    struct Passed {
        const Route* route = nullptr;
        std::optional<ApiKey> key;  // none: none was needed
        std::optional<Refused> refused;
        std::string_view reason;  // of a refusal, for metrics: "unauthorized", "not_found", ...
    };
    // Of a request that is no preflight(). The body is not looked at.
    [[nodiscard]] Passed check(const HttpRequest& request) const;
    [[nodiscard]] const CorsPolicy& cors() const { return options_.cors; }

  private:
    explicit FrontDoor(FrontDoorOptions options) : options_(std::move(options)) {}

    FrontDoorOptions options_;
    std::optional<KeyRing> keys_;
};

}  // namespace rafter::server
