// Errors as OpenAI's clients read them: {"error": {"message", "type", "param", "code"}}.
// https://platform.openai.com/docs/guides/error-codes
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/result.h"

namespace rafter::protocols {

// type follows from the status. Of a message about the request's body, "body: top_p: expected ...", param is what stands behind "body":
// "top_p", "messages[0].role"; code is "unsupported_parameter" where the message says that the parameter is not supported, and
// "context_length_exceeded" where it says that a prompt is too long.
[[nodiscard]] nlohmann::ordered_json openai_error(int status, const std::string& message);
// "": null.
[[nodiscard]] nlohmann::ordered_json openai_error(int status, const std::string& message, std::string_view param, std::string_view code);

// "invalid_request_error" (400, 413, 422, ...), "authentication_error", "permission_error", "not_found_error", "rate_limit_error",
// "service_unavailable" (503), "server_error" (others from 500 on).
[[nodiscard]] std::string_view openai_error_type(int status);
// "" where the message is about no parameter.
[[nodiscard]] std::string openai_error_param(std::string_view message);
// The status for an error of a parser, of Engine::submit or of a finish: 400, 429, 503, 500.
[[nodiscard]] int status_of(const Error& error);

// What the parsers say between the parameter and its value when they know it but cannot do it.
inline constexpr std::string_view kNotSupportedWords = "this is not supported";
// What they and the engine say of a prompt beyond the context.
inline constexpr std::string_view kTooLongWords = "the prompt is too long";

}  // namespace rafter::protocols
