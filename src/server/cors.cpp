// The Fetch standard's side of the server (https://fetch.spec.whatwg.org/#http-cors-protocol). See cors.h.
#include "server/cors.h"

#include <fmt/format.h>

#include <algorithm>

namespace rafter::server {
namespace {

std::string lower_case(std::string_view text) {
    std::string lowered(text);
    for (char& c : lowered) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 'a' - 'A') : c;
    return lowered;
}

bool is_port_digit(char c) { return c >= '0' && c <= '9'; }

struct Authority {
    std::string name;  // lower case; an IPv6 address in its brackets
    std::string port;  // ":8080" or ""
};

// "name:port", strictly: none if it has any part or character that neither a name nor an address has.
std::optional<Authority> parse_authority(std::string_view text) {
    const std::size_t bracket = text.starts_with('[') ? text.find(']') : 0;
    if (bracket == std::string_view::npos) return std::nullopt;
    const std::size_t colon = std::min(text.find(':', bracket), text.size());
    const Authority parsed{lower_case(text.substr(0, colon)), std::string(text.substr(colon))};
    const std::string_view digits = std::string_view(parsed.port).substr(std::min<std::size_t>(1, parsed.port.size()));
    if (digits.size() > 5 || (!parsed.port.empty() && digits.empty()) || !std::ranges::all_of(digits, is_port_digit)) return std::nullopt;
    const auto in_address = [](char c) { return is_port_digit(c) || (c >= 'a' && c <= 'f') || c == ':' || c == '.'; };
    const auto in_name = [](char c) { return is_port_digit(c) || (c >= 'a' && c <= 'z') || c == '-' || c == '.' || c == '_'; };
    const std::string_view name = parsed.name;
    if (name.empty()) return std::nullopt;
    if (bracket == 0) return std::ranges::all_of(name, in_name) ? std::optional(parsed) : std::nullopt;
    const bool closed = name.size() > 2 && name.back() == ']';
    return closed && std::ranges::all_of(name.substr(1, name.size() - 2), in_address) ? std::optional(parsed) : std::nullopt;
}

struct Origin {
    std::string_view scheme;
    Authority authority;

    [[nodiscard]] std::string text() const { return fmt::format("{}://{}{}", scheme, authority.name, authority.port); }
};

std::optional<Origin> parse_origin(std::string_view text) {
    for (const std::string_view scheme : {std::string_view("http"), std::string_view("https")}) {
        const std::string start = fmt::format("{}://", scheme);
        if (lower_case(text.substr(0, start.size())) != start) continue;
        std::optional<Authority> authority = parse_authority(text.substr(start.size()));
        if (!authority) return std::nullopt;
        return Origin{scheme, *std::move(authority)};
    }
    return std::nullopt;  // "null" as well: of a file or a sandboxed frame, which may be anybody's
}

}  // namespace

bool is_origin(std::string_view text) { return parse_origin(text).has_value(); }

namespace {

bool allows_all(const CorsPolicy& policy) { return std::ranges::find(policy.origins, "*") != policy.origins.end(); }

// The origin to allow, spelled anew; none: it is not allowed.
std::optional<std::string> allowed_origin(const CorsPolicy& policy, const HttpRequest& request, std::string_view sent) {
    const std::optional<Origin> origin = parse_origin(sent);
    if (!origin) return std::nullopt;
    const std::string text = origin->text();
    if (is_loopback_name(origin->authority.name)) return text;
    const std::string* const host = request.header("host");
    // Over TLS that a proxy has taken off, too; but a page that came without TLS is not the same site as a server with it.
    const bool same_scheme = origin->scheme == "https" || !request.secure;
    if (host != nullptr && same_scheme && origin->authority.name + origin->authority.port == lower_case(*host)) return text;
    const auto same = [&](const std::string& allowed) { return lower_case(allowed) == text; };
    return std::ranges::any_of(policy.origins, same) ? std::optional(text) : std::nullopt;
}

}  // namespace

bool is_loopback_name(std::string_view name) {
    const std::string lowered = lower_case(name);
    if (lowered == "localhost" || lowered == "[::1]" || lowered == "::1") return true;
    if (lowered.ends_with(".localhost")) return true;  // RFC 6761: never anything but loopback
    // 127.0.0.0/8, written in full: "127.evil.example" is a name, and so is "127.1".
    if (!lowered.starts_with("127.")) return false;
    int n_numbers = 0;
    std::string_view rest = lowered;
    while (true) {
        const std::size_t end = std::min(rest.find('.'), rest.size());
        const std::string_view number = rest.substr(0, end);
        if (number.empty() || number.size() > 3 || !std::ranges::all_of(number, is_port_digit)) return false;
        ++n_numbers;
        if (end == rest.size()) return n_numbers == 4;
        rest.remove_prefix(end + 1);
    }
}

bool origin_allowed(const CorsPolicy& policy, const HttpRequest& request) {
    const std::string* const sent = request.header("origin");
    return sent == nullptr || allows_all(policy) || allowed_origin(policy, request, *sent).has_value();
}

std::vector<Header> cors_headers(const CorsPolicy& policy, const HttpRequest& request) {
    // The answer depends on who asks, whether it allows or not: caches must know.
    std::vector<Header> headers = {{"vary", "origin"}};
    const std::string* const sent = request.header("origin");
    if (sent == nullptr) return headers;
    std::optional<std::string> allowed = allowed_origin(policy, request, *sent);
    if (!allowed && allows_all(policy)) allowed = "*";
    if (!allowed) return headers;
    headers.push_back({"access-control-allow-origin", *std::move(allowed)});
    headers.push_back({"access-control-expose-headers", "*"});
    return headers;
}

std::optional<HttpResponse> preflight(const CorsPolicy& policy, const HttpRequest& request) {
    if (request.method != "OPTIONS" || request.header("origin") == nullptr || request.header("access-control-request-method") == nullptr) {
        return std::nullopt;
    }
    HttpResponse response{204, "", "", cors_headers(policy, request)};
    if (response.headers.size() == 1) return response;  // not allowed: the browser sees that nothing is
    response.headers.push_back({"access-control-allow-methods", "GET, POST, PUT, PATCH, DELETE"});
    // "*" stands for every name but this one.
    response.headers.push_back({"access-control-allow-headers", "*, authorization"});
    response.headers.push_back({"access-control-max-age", "600"});
    if (request.header("access-control-request-private-network") != nullptr) {
        response.headers.push_back({"access-control-allow-private-network", "true"});
    }
    return response;
}

bool host_allowed(const std::vector<std::string>& names, const HttpRequest& request) {
    const std::string* const host = request.header("host");
    if (host == nullptr) return true;
    const std::optional<Authority> authority = parse_authority(*host);
    if (!authority) return false;
    if (is_loopback_name(authority->name)) return true;
    return std::ranges::any_of(names, [&](const std::string& name) { return name == "*" || lower_case(name) == authority->name; });
}

}  // namespace rafter::server
