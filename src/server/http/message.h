// An HTTP request as it arrived, whole, and an answer that is sent whole. Plain data, no sockets.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace rafter::server {

struct Header {
    std::string name;  // lower case
    std::string value;
};

struct HttpRequest {
    std::string method;  // "GET"
    std::string path;    // as sent, never decoded: "/v1/models". A path that needs decoding matches no route
    std::string query;   // what stands behind '?', as sent
    std::vector<Header> headers;
    std::string body;
    std::string client;   // its address, for the log: "127.0.0.1", "unix"
    bool secure = false;  // over TLS

    // The first of this name, which must be in lower case; null: none.
    [[nodiscard]] const std::string* header(std::string_view name) const {
        const auto found = std::ranges::find(headers, name, &Header::name);
        return found == headers.end() ? nullptr : &found->value;
    }
};

// Whose clients read the errors of a path.
enum class ErrorForm {
    kOpenAi,     // {"error": {"message", "type", "param", "code"}}
    kAnthropic,  // {"type": "error", "error": {"type", "message"}, "request_id"}
    kOllama,     // {"error": message}
};

struct HttpResponse {
    int status = 200;
    std::string content_type = "application/json";
    std::string body;
    // Beside those of the connection itself. A value with a control character is not sent.
    std::vector<Header> headers = {};
};

}  // namespace rafter::server
