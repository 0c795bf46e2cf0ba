// Which web pages may use this server from a browser, and by which names it may be called. Plain functions on a request's headers.
//
// Two attacks: a page of another site that calls a server on its visitor's machine (CORS says what such a page may read, and routes refuse
// what it asks), and one whose name is made to point to 127.0.0.1 after it was loaded (DNS rebinding: then the browser takes the server for
// the page's own site, and only the host header tells).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/http/message.h"

namespace rafter::server {

struct CorsPolicy {
    // Beyond the server's own origin and those of this machine ("http://localhost:3000"): "https://chat.example.com", or "*" for any.
    std::vector<std::string> origins;
};

// "https://chat.example.com", "http://localhost:3000": no path, no slash at the end.
[[nodiscard]] bool is_origin(std::string_view text);

// Is the request from a page that may ask? One without an origin is: it is not from a page of another site.
[[nodiscard]] bool origin_allowed(const CorsPolicy& policy, const HttpRequest& request);

// What every answer to this request carries. An origin is never repeated as it came: it is one that was checked, spelled anew. Credentials
// of the browser's own (cookies) are never allowed: keys are sent by scripts.
[[nodiscard]] std::vector<Header> cors_headers(const CorsPolicy& policy, const HttpRequest& request);

// The answer to a browser that asks whether it may ask (OPTIONS, an origin, access-control-request-method); none: it is no such request.
[[nodiscard]] std::optional<HttpResponse> preflight(const CorsPolicy& policy, const HttpRequest& request);

// May a server that listens on loopback only be called so? names: further names, without ports; "*": any. A request without a host
// (HTTP/1.0) is no browser's.
[[nodiscard]] bool host_allowed(const std::vector<std::string>& names, const HttpRequest& request);

// "localhost", "x.localhost", "127.0.0.0/8", "::1" in brackets or bare; without a port.
[[nodiscard]] bool is_loopback_name(std::string_view name);

}  // namespace rafter::server
