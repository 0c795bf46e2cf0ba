// Errors as Anthropic's clients read them: {"type": "error", "error": {"type", "message"}, "request_id"}.
// https://docs.anthropic.com/en/api/errors
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace rafter::protocols {

// "invalid_request_error" (400, 405, 408, ...), "authentication_error" (401), "permission_error" (403), "not_found_error" (404),
// "request_too_large" (413), "rate_limit_error" (429), "overloaded_error" (503), "timeout_error" (504), "api_error" (others from 500 on).
[[nodiscard]] std::string_view anthropic_error_type(int status);
// request_id: "": null.
[[nodiscard]] nlohmann::ordered_json anthropic_error(int status, const std::string& message, std::string_view request_id);

}  // namespace rafter::protocols
