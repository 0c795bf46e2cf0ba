// A message names its parameter itself; nothing else carries the name, so it is read from there.
#include "protocols/openai_error.h"

#include "text/utf8_stream.h"

namespace rafter::protocols {
namespace {

constexpr std::string_view kBody = "body: ";

// A key, perhaps with indices, and the ": " behind it: "top_p: ", "messages[0]: ". Its length without the ": ", or 0.
std::size_t key_length(std::string_view text) {
    const std::size_t end = text.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_[]");
    return end != std::string_view::npos && text.substr(end).starts_with(": ") ? end : 0;
}

nlohmann::ordered_json text_or_null(std::string_view text) {
    return text.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(std::string(text));
}

}  // namespace

std::string_view openai_error_type(int status) {
    switch (status) {
        case 401:
            return "authentication_error";
        case 403:
            return "permission_error";
        case 404:
            return "not_found_error";
        case 429:
            return "rate_limit_error";
        case 503:
            return "service_unavailable";
        default:
            return status < 500 ? "invalid_request_error" : "server_error";
    }
}

std::string openai_error_param(std::string_view message) {
    if (!message.starts_with(kBody)) return "";
    message.remove_prefix(kBody.size());
    const std::size_t length = key_length(message);
    std::string param(message.substr(0, length));
    // Of a list's element the key in it counts too.
    if (!param.ends_with(']')) return param;
    message.remove_prefix(length + 2);
    if (const std::size_t inner = key_length(message); inner > 0) param.append(1, '.').append(message.substr(0, inner));
    return param;
}

int status_of(const Error& error) {
    switch (error.kind) {
        case ErrorKind::kBadInput:
        case ErrorKind::kUsage:
            return 400;
        case ErrorKind::kBusy:
            return 429;
        case ErrorKind::kOutOfMemory:
            return 503;
        case ErrorKind::kIo:
        case ErrorKind::kCancelled:
        case ErrorKind::kInternal:
            return 500;
    }
    return 500;
}

nlohmann::ordered_json openai_error(int status, const std::string& message, std::string_view param, std::string_view code) {
    return {{"error",
             {{"message", text::valid_utf8(message)},
              {"type", openai_error_type(status)},
              {"param", text_or_null(param)},
              {"code", text_or_null(code)}}}};
}

nlohmann::ordered_json openai_error(int status, const std::string& message) {
    const std::string param = openai_error_param(message);
    std::string_view code;
    if (!param.empty() && message.find(kNotSupportedWords) != std::string::npos) code = "unsupported_parameter";
    if (status == 400 && message.find(kTooLongWords) != std::string::npos) code = "context_length_exceeded";
    return openai_error(status, message, param, code);
}

}  // namespace rafter::protocols
