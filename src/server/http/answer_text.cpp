// Nothing of an answer can be mistaken for a part of HTTP: header values with control characters are not sent, and events are escaped.
#include "server/http/answer_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>

#include "protocols/anthropic_error.h"
#include "server/http/head_check.h"

namespace rafter::server {
namespace {

struct Reason {
    int status;
    std::string_view text;
};
constexpr std::array kReasons = {
    Reason{200, "OK"},
    Reason{201, "Created"},
    Reason{202, "Accepted"},
    Reason{204, "No Content"},
    Reason{301, "Moved Permanently"},
    Reason{302, "Found"},
    Reason{304, "Not Modified"},
    Reason{307, "Temporary Redirect"},
    Reason{308, "Permanent Redirect"},
    Reason{400, "Bad Request"},
    Reason{401, "Unauthorized"},
    Reason{403, "Forbidden"},
    Reason{404, "Not Found"},
    Reason{405, "Method Not Allowed"},
    Reason{406, "Not Acceptable"},
    Reason{408, "Request Timeout"},
    Reason{409, "Conflict"},
    Reason{411, "Length Required"},
    Reason{413, "Content Too Large"},
    Reason{414, "URI Too Long"},
    Reason{415, "Unsupported Media Type"},
    Reason{417, "Expectation Failed"},
    Reason{421, "Misdirected Request"},
    Reason{422, "Unprocessable Content"},
    Reason{429, "Too Many Requests"},
    Reason{431, "Request Header Fields Too Large"},
    Reason{500, "Internal Server Error"},
    Reason{501, "Not Implemented"},
    Reason{503, "Service Unavailable"},
    Reason{504, "Gateway Timeout"},
    Reason{505, "HTTP Version Not Supported"},
};

constexpr std::array<std::string_view, 6> kOwnHeaders = {"connection", "content-length", "content-type",
                                                         "date",       "keep-alive",     "transfer-encoding"};

bool same_header(std::string_view a, std::string_view b) {
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 'a' - 'A') : c; };
    return std::ranges::equal(a, b, {}, lower, lower);
}

void append_header(std::string& out, std::string_view name, std::string_view value) {
    if (!is_token(name) || !is_header_value(value)) return;
    out.append(name).append(": ").append(value).append("\r\n");
}

void append_headers(std::string& out, const std::vector<Header>& headers) {
    for (const Header& header : headers) {
        const auto own = [&](std::string_view name) { return same_header(name, header.name); };
        if (std::ranges::none_of(kOwnHeaders, own)) append_header(out, header.name, header.value);
    }
}

void append_start(std::string& out, int status, std::string_view content_type, const AnswerForm& form) {
    fmt::format_to(std::back_inserter(out), "HTTP/1.1 {} {}\r\n", status, reason_phrase(status));
    if (!form.date.empty()) append_header(out, "date", form.date);
    if (!content_type.empty()) append_header(out, "content-type", content_type);
    // What a model wrote is never to be guessed to be a page.
    append_header(out, "x-content-type-options", "nosniff");
    if (form.after == After::kClose) append_header(out, "connection", "close");
}

}  // namespace

std::string_view reason_phrase(int status) {
    const auto found = std::ranges::find(kReasons, status, &Reason::status);
    return found == kReasons.end() ? "Status" : found->text;
}

// Written by hand: nlohmann's values allocate when they are destroyed, which ends the program where memory has run out.
HttpResponse error_response(int status, std::string_view message, ErrorForm form) {
    std::string escaped;
    for (const char c : message) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\') escaped.push_back('\\');
        escaped.push_back(byte < 0x20 || byte > 0x7E ? '?' : c);
    }
    HttpResponse response;
    response.status = status;
    if (form == ErrorForm::kAnthropic) {
        response.body = fmt::format(R"({{"type":"error","error":{{"type":"{}","message":"{}"}},"request_id":null}})",
                                    protocols::anthropic_error_type(status), escaped);
        return response;
    }
    if (form == ErrorForm::kOllama) {
        response.body = fmt::format(R"({{"error":"{}"}})", escaped);
        return response;
    }
    const std::string_view type = status >= 500 ? "server_error" : "invalid_request_error";
    response.body = fmt::format(R"({{"error":{{"message":"{}","type":"{}","param":null,"code":null}}}})", escaped, type);
    return response;
}

void append_response(std::string& out, const HttpResponse& response, const AnswerForm& form) {
    const bool bodiless = response.status == 204 || response.status == 304;
    append_start(out, response.status, bodiless ? "" : response.content_type, form);
    append_headers(out, response.headers);
    if (!bodiless) fmt::format_to(std::back_inserter(out), "content-length: {}\r\n", response.body.size());
    out.append("\r\n");
    if (!bodiless && form.method != "HEAD") out.append(response.body);
}

void append_stream_head(std::string& out, StreamKind kind, const std::vector<Header>& headers, const AnswerForm& form) {
    append_start(out, 200, kind == StreamKind::kEvents ? "text/event-stream" : "application/x-ndjson", form);
    append_headers(out, headers);
    // Neither a cache nor a proxy may keep events until there are enough of them.
    append_header(out, "cache-control", "no-cache");
    append_header(out, "x-accel-buffering", "no");
    if (form.chunked) append_header(out, "transfer-encoding", "chunked");
    out.append("\r\n");
}

void append_event(std::string& out, std::string_view event, std::string_view data, bool chunked) {
    std::string lines;  // of events whose data has line ends: no JSON has
    if (data.find_first_of("\r\n") != std::string_view::npos) {
        for (std::size_t i = 0; i < data.size(); ++i) {  // CR LF, CR and LF each end a line
            if (data[i] == '\r' && i + 1 < data.size() && data[i + 1] == '\n') continue;
            const bool line_end = data[i] == '\r' || data[i] == '\n';
            lines.append(line_end ? std::string_view("\ndata: ") : data.substr(i, 1));
        }
        data = lines;
    }
    if (event.find_first_of("\r\n") != std::string_view::npos) event = {};
    const std::size_t size = (event.empty() ? 0 : event.size() + 8) + data.size() + 8;
    if (chunked) fmt::format_to(std::back_inserter(out), "{:x}\r\n", size);
    if (!event.empty()) out.append("event: ").append(event).append("\n");
    out.append("data: ").append(data).append("\n\n");
    if (chunked) out.append("\r\n");
}

void append_line(std::string& out, std::string_view line, bool chunked) {
    if (chunked) fmt::format_to(std::back_inserter(out), "{:x}\r\n", line.size() + 1);
    out.append(line).append("\n");
    if (chunked) out.append("\r\n");
}

void append_comment(std::string& out, std::string_view text, bool chunked) {
    if (chunked) fmt::format_to(std::back_inserter(out), "{:x}\r\n", text.size() + 4);
    out.append(": ").append(text).append("\n\n");
    if (chunked) out.append("\r\n");
}

void append_heartbeat(std::string& out, StreamKind kind, bool chunked) {
    const std::string_view beat = kind == StreamKind::kEvents ? ":\n\n" : " ";
    if (chunked) fmt::format_to(std::back_inserter(out), "{:x}\r\n", beat.size());
    out.append(beat);
    if (chunked) out.append("\r\n");
}
void append_last_chunk(std::string& out) { out.append("0\r\n\r\n"); }

}  // namespace rafter::server
