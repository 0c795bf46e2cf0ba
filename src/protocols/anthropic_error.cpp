// Statuses are HTTP's own: what Anthropic answers with 529 is 503 here.
#include "protocols/anthropic_error.h"

#include "text/utf8_stream.h"

namespace rafter::protocols {

std::string_view anthropic_error_type(int status) {
    switch (status) {
        case 401:
            return "authentication_error";
        case 403:
            return "permission_error";
        case 404:
            return "not_found_error";
        case 413:
            return "request_too_large";
        case 429:
            return "rate_limit_error";
        case 503:
            return "overloaded_error";
        case 504:
            return "timeout_error";
        default:
            return status < 500 ? "invalid_request_error" : "api_error";
    }
}

nlohmann::ordered_json anthropic_error(int status, const std::string& message, std::string_view request_id) {
    nlohmann::ordered_json id = nullptr;
    if (!request_id.empty()) id = std::string(request_id);
    return {{"type", "error"},
            {"error", {{"type", anthropic_error_type(status)}, {"message", text::valid_utf8(message)}}},
            {"request_id", std::move(id)}};
}

}  // namespace rafter::protocols
