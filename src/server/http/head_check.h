// Whether a request's head may be parsed at all: the rules that are stricter than a parser's own, on the bytes as they came. Two readers of
// one request who disagree about where it ends are how requests are smuggled, so whatever the standard allows a server to refuse is
// refused.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace rafter::server {

struct HeadLimits {
    std::size_t max_header_bytes = 16'384;  // request line and headers together
    std::size_t max_target_bytes = 8'192;
    std::size_t max_headers = 100;
    std::uint64_t max_request_bytes = 32'000'000;
};

struct BadRequest {
    int status = 400;
    std::string message;
};

struct HeadFacts {
    bool http_1_0 = false;
    bool keep_alive = true;
    bool chunked = false;
    bool wants_continue = false;  // the client waits for "100 Continue" before it sends the body
    std::uint64_t content_length = 0;
    std::string authority;  // of "http://authority/path"; "": the usual form
};

// head: from the request line to the empty line, inclusive.
[[nodiscard]] std::variant<HeadFacts, BadRequest> check_head(std::string_view head, const HeadLimits& limits);

// What can be said against a head whose end has not come: bytes that no head has, or too many. Cheap enough for each arrival of bytes;
// n_checked: of the head, by the calls before.
[[nodiscard]] std::optional<BadRequest> check_unfinished_head(std::string_view head, std::size_t n_checked, const HeadLimits& limits);

// Parts of HTTP's grammar, for what is sent as well.
[[nodiscard]] bool is_token(std::string_view text);         // a method, a header's name
[[nodiscard]] bool is_header_value(std::string_view text);  // no control character but tab

}  // namespace rafter::server
