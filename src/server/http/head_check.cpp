// RFC 9112 (https://www.rfc-editor.org/rfc/rfc9112), sections 2 to 6, read strictly.
#include "server/http/head_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace rafter::server {
namespace {

constexpr std::string_view kLineEnd = "\r\n";
constexpr std::array<std::string_view, 9> kMethods = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY"};

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 'a' - 'A') : c; }

bool is_token_char(char c) { return is_digit(c) || is_letter(c) || std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos; }

bool equals_ignoring_case(std::string_view a, std::string_view b) { return std::ranges::equal(a, b, {}, lower, lower); }

std::string_view trimmed(std::string_view text) {
    const auto blank = [](char c) { return c == ' ' || c == '\t'; };
    while (!text.empty() && blank(text.front())) text.remove_prefix(1);
    while (!text.empty() && blank(text.back())) text.remove_suffix(1);
    return text;
}

// Does a comma-separated list name it?
bool list_has(std::string_view list, std::string_view wanted) {
    while (!list.empty()) {
        const std::size_t end = std::min(list.find(','), list.size());
        if (equals_ignoring_case(trimmed(list.substr(0, end)), wanted)) return true;
        list.remove_prefix(std::min(end + 1, list.size()));
    }
    return false;
}

// A name, an IPv4 address or an IPv6 address in brackets, and perhaps a port.
bool is_authority(std::string_view text) {
    return std::ranges::all_of(
        text, [](char c) { return is_digit(c) || is_letter(c) || std::string_view("-._~%:[]").find(c) != std::string_view::npos; });
}

// The headers that decide where a request ends and whose it is: twice is an attack or a broken client, even with equal values.
struct Framing {
    std::optional<std::string_view> content_length, transfer_encoding, host, expect, content_encoding, authorization;
    std::string connection;  // all such headers' values, as one list

    std::optional<std::string_view>* single(std::string_view name) {
        if (equals_ignoring_case(name, "content-length")) return &content_length;
        if (equals_ignoring_case(name, "transfer-encoding")) return &transfer_encoding;
        if (equals_ignoring_case(name, "host")) return &host;
        if (equals_ignoring_case(name, "expect")) return &expect;
        if (equals_ignoring_case(name, "content-encoding")) return &content_encoding;
        if (equals_ignoring_case(name, "authorization")) return &authorization;
        return nullptr;
    }
};

std::optional<BadRequest> check_target(std::string_view method, std::string_view target, const HeadLimits& limits, HeadFacts& facts) {
    if (target.size() > limits.max_target_bytes) {
        return BadRequest{414, fmt::format("request line: expected a target of at most {} bytes", limits.max_target_bytes)};
    }
    const auto bad = [](char c) { return is_control(c) || static_cast<unsigned char>(c) > 0x7E || c == '#'; };
    if (target.empty() || std::ranges::any_of(target, bad))
        return BadRequest{400, "request line: the target has characters that no URI has"};
    if (target == "*") {
        if (method == "OPTIONS") return std::nullopt;
        return BadRequest{400, "request line: '*' is a target of OPTIONS only"};
    }
    if (target.front() == '/') return std::nullopt;
    for (const std::string_view scheme : {std::string_view("http://"), std::string_view("https://")}) {
        if (!equals_ignoring_case(target.substr(0, scheme.size()), scheme)) continue;
        const std::string_view rest = target.substr(scheme.size());
        const std::string_view authority = rest.substr(0, rest.find_first_of("/?"));
        if (authority.empty() || !is_authority(authority)) break;
        facts.authority = authority;
        return std::nullopt;
    }
    return BadRequest{400, "request line: expected a target that begins with '/'"};
}

std::optional<BadRequest> check_request_line(std::string_view line, const HeadLimits& limits, HeadFacts& facts) {
    const std::size_t first = line.find(' ');
    const std::size_t last = line.rfind(' ');
    if (first == std::string_view::npos || first == last) return BadRequest{400, "request line: expected \"METHOD TARGET HTTP/1.1\""};
    const std::string_view method = line.substr(0, first);
    const std::string_view target = line.substr(first + 1, last - first - 1);
    const std::string_view version = line.substr(last + 1);
    if (!is_token(method) || target.find(' ') != std::string_view::npos) {
        return BadRequest{400, "request line: expected \"METHOD TARGET HTTP/1.1\""};
    }
    if (version.size() != 8 || !version.starts_with("HTTP/") || !is_digit(version[5]) || version[6] != '.' || !is_digit(version[7])) {
        return BadRequest{400, "request line: expected HTTP/1.1 or HTTP/1.0 as its version"};
    }
    if (version != "HTTP/1.1" && version != "HTTP/1.0") {
        return BadRequest{505, fmt::format("{}: expected HTTP/1.1 or HTTP/1.0", version)};
    }
    if (std::ranges::find(kMethods, method) == kMethods.end())
        return BadRequest{501, "request line: a method that this server does not have"};
    facts.http_1_0 = version == "HTTP/1.0";
    return check_target(method, target, limits, facts);
}

std::optional<BadRequest> check_header(std::string_view line, Framing& framing) {
    if (line.front() == ' ' || line.front() == '\t') return BadRequest{400, "headers: a folded line; a header is one line"};
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos || !is_token(line.substr(0, colon))) return BadRequest{400, "headers: expected \"name: value\""};
    const std::string_view name = line.substr(0, colon);
    const std::string_view value = trimmed(line.substr(colon + 1));
    if (!is_header_value(value)) return BadRequest{400, "headers: a value with a control character"};
    if (std::optional<std::string_view>* const once = framing.single(name)) {
        if (once->has_value()) return BadRequest{400, fmt::format("headers: {} stands twice", name)};
        *once = value;
    }
    if (equals_ignoring_case(name, "connection")) framing.connection.append(framing.connection.empty() ? "" : ",").append(value);
    return std::nullopt;
}

std::optional<BadRequest> check_length(const Framing& framing, const HeadLimits& limits, HeadFacts& facts) {
    if (framing.transfer_encoding) {
        if (framing.content_length) return BadRequest{400, "headers: both content-length and transfer-encoding"};
        if (facts.http_1_0) return BadRequest{400, "headers: transfer-encoding in HTTP/1.0"};
        if (!equals_ignoring_case(*framing.transfer_encoding, "chunked")) {
            return BadRequest{501, "headers: expected \"chunked\" as the only transfer-encoding"};
        }
        facts.chunked = true;
    }
    if (!framing.content_length) return std::nullopt;
    const std::string_view digits = *framing.content_length;
    if (digits.empty() || !std::ranges::all_of(digits, is_digit)) return BadRequest{400, "headers: content-length: expected a number"};
    const std::size_t first = std::min(digits.find_first_not_of('0'), digits.size());
    std::uint64_t length = 0;  // 18 digits cannot overflow; more are beyond any limit
    for (const char c : digits.substr(first, 18)) length = length * 10 + static_cast<std::uint64_t>(c - '0');
    if (digits.size() - first > 18 || length > limits.max_request_bytes) {
        return BadRequest{413, fmt::format("body: more than {} bytes, which is the most that this server takes", limits.max_request_bytes)};
    }
    facts.content_length = length;
    return std::nullopt;
}

std::optional<BadRequest> check_meaning(const Framing& framing, const HeadLimits& limits, HeadFacts& facts) {
    if (std::optional<BadRequest> bad = check_length(framing, limits, facts)) return bad;
    if (!framing.host && !facts.http_1_0) return BadRequest{400, "headers: expected a host"};
    if (framing.host && !is_authority(*framing.host))
        return BadRequest{400, "headers: host: expected a name or an address, and perhaps a port"};
    // Nothing is ever decompressed: a body that grows when it is unpacked cannot exist here.
    if (framing.content_encoding && !equals_ignoring_case(*framing.content_encoding, "identity")) {
        return BadRequest{415, "headers: content-encoding: expected a body that is not compressed"};
    }
    if (framing.expect) {
        if (!equals_ignoring_case(*framing.expect, "100-continue"))
            return BadRequest{417, "headers: expect: only \"100-continue\" is known"};
        facts.wants_continue = !facts.http_1_0 && (facts.chunked || facts.content_length > 0);
    }
    // HTTP/1.0 connections carry one request: what their keep-alive meant was never one thing.
    facts.keep_alive = !facts.http_1_0 && !list_has(framing.connection, "close");
    return std::nullopt;
}

}  // namespace

bool is_token(std::string_view text) { return !text.empty() && std::ranges::all_of(text, is_token_char); }
bool is_header_value(std::string_view text) {
    return std::ranges::none_of(text, [](char c) { return is_control(c) && c != '\t'; });
}

std::variant<HeadFacts, BadRequest> check_head(std::string_view head, const HeadLimits& limits) {
    HeadFacts facts;
    Framing framing;
    std::size_t n_lines = 0;
    while (true) {
        const std::size_t end = head.find(kLineEnd);
        if (end == std::string_view::npos) return BadRequest{400, "headers: expected lines that end with CR LF"};
        const std::string_view line = head.substr(0, end);
        head.remove_prefix(end + kLineEnd.size());
        if (line.find_first_of(kLineEnd) != std::string_view::npos) return BadRequest{400, "headers: a CR or LF without the other"};
        if (line.empty() && n_lines > 0) break;
        std::optional<BadRequest> bad;
        if (n_lines == 0) {
            bad = check_request_line(line, limits, facts);
        } else if (n_lines > limits.max_headers) {
            bad = BadRequest{431, fmt::format("headers: expected at most {}", limits.max_headers)};
        } else {
            bad = check_header(line, framing);
        }
        if (bad) return *std::move(bad);
        ++n_lines;
    }
    if (std::optional<BadRequest> bad = check_meaning(framing, limits, facts)) return *std::move(bad);
    return facts;
}

std::optional<BadRequest> check_unfinished_head(std::string_view head, std::size_t n_checked, const HeadLimits& limits) {
    for (const char c : head.substr(n_checked)) {
        if (is_control(c) && c != '\r' && c != '\n' && c != '\t') return BadRequest{400, "headers: a control character"};
    }
    const std::size_t n_first_line_bytes = std::min(head.find('\n'), head.size());
    if (n_first_line_bytes > limits.max_target_bytes + 64) {  // room for the method and the version
        return BadRequest{414, fmt::format("request line: expected a target of at most {} bytes", limits.max_target_bytes)};
    }
    if (head.size() >= limits.max_header_bytes)
        return BadRequest{431, fmt::format("headers: expected at most {} bytes", limits.max_header_bytes)};
    return std::nullopt;
}

}  // namespace rafter::server
