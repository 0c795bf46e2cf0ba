// Checks in the order in which they tell the least to those who may not know: host and origin first, then path and method, then the key.
#include "server/front_door.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/os_file.h"
#include "base/quote.h"

namespace rafter::server {
namespace {

// The key of a request: "Authorization: Bearer KEY", or "x-api-key: KEY" as some clients send it.
std::string_view presented_key(const HttpRequest& request) {
    constexpr std::string_view kBearer = "bearer ";
    if (const std::string* authorization = request.header("authorization")) {
        const std::string_view value = *authorization;
        const auto same = [](char a, char b) { return (a >= 'A' && a <= 'Z' ? static_cast<char>(a + ('a' - 'A')) : a) == b; };
        if (value.size() > kBearer.size() && std::ranges::equal(value.substr(0, kBearer.size()), kBearer, same)) {
            return value.substr(kBearer.size());
        }
    }
    const std::string* key = request.header("x-api-key");
    return key == nullptr ? std::string_view() : std::string_view(*key);
}

Result<std::optional<KeyRing>> read_keys(const FrontDoorOptions& options) {
    if (!options.api_key_file.empty()) {
        RAFTER_TRY(const std::string text, read_file(options.api_key_file));
        RAFTER_TRY(KeyRing keys, KeyRing::parse(text, options.api_key_file));
        return std::optional<KeyRing>(std::move(keys));
    }
    if (options.api_key.empty()) return std::optional<KeyRing>();
    if (options.api_key.find_first_of(" \t\r\n#") != std::string::npos) {
        return bad_input("RAFTER_API_KEY: expected a key without spaces and '#', found one with some");
    }
    RAFTER_TRY(KeyRing keys, KeyRing::parse(options.api_key, "RAFTER_API_KEY"));
    return std::optional<KeyRing>(std::move(keys));
}

}  // namespace

Result<FrontDoor> FrontDoor::open(const FrontDoorOptions& options) {
    FrontDoor door(options);
    RAFTER_TRY(door.keys_, read_keys(options));
    return door;
}

Result<void> FrontDoor::reload() {
    RAFTER_TRY(keys_, read_keys(options_));
    return {};
}

FrontDoor::Passed FrontDoor::check(const HttpRequest& request) const {
    Passed passed;
    const auto refuse = [&](std::string_view reason, Refused refused) {
        passed.reason = reason;
        passed.refused = std::move(refused);
        return std::move(passed);
    };
    if (options_.only_here && request.client != "unix" && !host_allowed(options_.allowed_hosts, request)) {
        return refuse("host", {.status = 403,
                               .message = fmt::format("host: expected a name of this machine, or one of --allowed-host, found {}",
                                                      quote(*request.header("host"))),
                               .code = "host_not_allowed"});
    }
    if (!origin_allowed(options_.cors, request)) {
        return refuse("origin", {.status = 403,
                                 .message = "origin: expected the server's own, a loopback one, or one of --cors, found another",
                                 .code = "origin_not_allowed"});
    }
    const FoundRoute found = find_route(request.method, request.path);
    if (found.allowed.empty()) {
        return refuse("not_found", {.status = 404,
                                    .message = fmt::format("no such path: {}; /openapi.json lists those there are", quote(request.path))});
    }
    if (found.route == nullptr) {
        return refuse("method",
                      {.status = 405,
                       .message = fmt::format("{}: expected the method {}, found {}", request.path, found.allowed, quote(request.method)),
                       .code = "method_not_allowed",
                       .headers = {{"allow", found.allowed}}});
    }
    passed.route = found.route;
    if (!keys_) return passed;
    if (const ApiKey* key = keys_->find(presented_key(request))) passed.key = *key;
    if (!passed.key && found.route->access == Access::kKey) {
        return refuse("unauthorized", {.status = 401,
                                       .message = "expected an API key (Authorization: Bearer KEY), found none that is valid",
                                       .code = "invalid_api_key",
                                       .headers = {{"www-authenticate", "Bearer"}}});
    }
    return passed;
}

}  // namespace rafter::server
