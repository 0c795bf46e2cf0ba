// A later version may append fields behind the flags: then the first four are read as version 00's.
#include "server/observe/traceparent.h"

#include <fmt/format.h>

#include <algorithm>

namespace rafter::server {
namespace {

constexpr std::size_t kLength = 55;  // 00-<32>-<16>-<2>

bool is_hex(std::string_view text) {
    return std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}
bool is_zero(std::string_view text) { return text.find_first_not_of('0') == std::string_view::npos; }

}  // namespace

std::string Traceparent::text() const { return fmt::format("00-{}-{}-{}", trace_id, parent_id, flags); }

std::optional<Traceparent> parse_traceparent(std::string_view value) {
    if (value.size() < kLength || value[2] != '-' || value[35] != '-' || value[52] != '-') return std::nullopt;
    const std::string_view version = value.substr(0, 2), trace = value.substr(3, 32), parent = value.substr(36, 16),
                           flags = value.substr(53, 2);
    if (!is_hex(version) || version == "ff") return std::nullopt;
    if (value.size() > kLength && (version == "00" || value[kLength] != '-')) return std::nullopt;
    if (!is_hex(trace) || is_zero(trace) || !is_hex(parent) || is_zero(parent) || !is_hex(flags)) return std::nullopt;
    return Traceparent{.trace_id = std::string(trace), .parent_id = std::string(parent), .flags = std::string(flags)};
}

SpanIds::SpanIds() {
    std::random_device device;
    random_.seed((static_cast<std::uint64_t>(device()) << 32U) ^ device());
}

std::string SpanIds::next() {
    std::uint64_t id = 0;
    while (id == 0) id = random_();
    return fmt::format("{:016x}", id);
}

std::string SpanIds::answer_to(std::string_view request_value) {
    auto trace = parse_traceparent(request_value);
    if (!trace) return {};
    trace->parent_id = next();
    return trace->text();
}

}  // namespace rafter::server
