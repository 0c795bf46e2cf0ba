// The bytes of answers: heads, events, errors. Plain text in, no sockets.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "server/http/message.h"

namespace rafter::server {

[[nodiscard]] std::string_view reason_phrase(int status);

// An error in the form of an API. message: ASCII; what is not, and control characters, become '?'.
[[nodiscard]] HttpResponse error_response(int status, std::string_view message, ErrorForm form = ErrorForm::kOpenAi);

enum class After { kKeepAlive, kClose };  // what becomes of the connection

struct AnswerForm {
    After after = After::kKeepAlive;
    std::string_view method = "GET";  // HEAD: the same head, no body
    bool chunked = true;              // events: in chunks, or until the connection closes (HTTP/1.0)
    std::string_view date;            // "Sat, 28 Nov 2026 20:30:00 GMT"
};

// Headers that HTTP would not allow, and those that are the connection's own (lengths, connection, date), are left out.
void append_response(std::string& out, const HttpResponse& response, const AnswerForm& form);
enum class StreamKind {
    kEvents,  // text/event-stream
    kLines,   // application/x-ndjson: a JSON value each
};
void append_stream_head(std::string& out, StreamKind kind, const std::vector<Header>& headers, const AnswerForm& form);
// One event as one chunk (chunked), or bare. Line ends in data become lines of the same event; those in event are left out.
void append_event(std::string& out, std::string_view event, std::string_view data, bool chunked);
// One line as one chunk. line: without line ends, as JSON is.
void append_line(std::string& out, std::string_view line, bool chunked);
// text: of one line.
void append_comment(std::string& out, std::string_view text, bool chunked);
// What readers pass over: a comment; in lines a space, with which the next line begins.
void append_heartbeat(std::string& out, StreamKind kind, bool chunked);
void append_last_chunk(std::string& out);

}  // namespace rafter::server
