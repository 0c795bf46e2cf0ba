// W3C trace context: which trace a request belongs to, and what its answer and its line in the log say of it.
// https://www.w3.org/TR/trace-context/
#pragma once

#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <string_view>

namespace rafter::server {

struct Traceparent {
    std::string trace_id;   // 32 hexadecimal digits, lower case, not all 0
    std::string parent_id;  // 16
    std::string flags;      // 2

    // As a header's value, of version 00.
    [[nodiscard]] std::string text() const;
};

// Of a header's value. None: it is not one, and counts as if it were not there.
[[nodiscard]] std::optional<Traceparent> parse_traceparent(std::string_view value);

// Names for the spans of this server. For one thread.
class SpanIds {
  public:
    SpanIds();
    [[nodiscard]] std::string next();  // 16 hexadecimal digits, not all 0
    // The answer's header: the same trace and flags, and this server's span. "": the request's value is none.
    [[nodiscard]] std::string answer_to(std::string_view request_value);

  private:
    std::mt19937_64 random_;
};

}  // namespace rafter::server
