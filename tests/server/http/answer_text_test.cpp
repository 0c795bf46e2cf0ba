#include "server/http/answer_text.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace rafter::server {
namespace {

std::string sent(const HttpResponse& response, const AnswerForm& form = {}) {
    std::string out;
    append_response(out, response, form);
    return out;
}

TEST(AnswerText, AResponseIsItsHeadAndItsBody) {
    EXPECT_EQ(sent({200, "text/plain", "hi", {{"x-a", "b"}}}, {.date = "now"}),
              "HTTP/1.1 200 OK\r\ndate: now\r\ncontent-type: text/plain\r\nx-content-type-options: nosniff\r\nx-a: b\r\ncontent-length: "
              "2\r\n\r\nhi");
    EXPECT_EQ(sent({204, "text/plain", "no"}, {.after = After::kClose}),
              "HTTP/1.1 204 No Content\r\nx-content-type-options: nosniff\r\nconnection: close\r\n\r\n");
    EXPECT_EQ(sent({299, "text/plain", "hi"}, {.method = "HEAD"}),
              "HTTP/1.1 299 Status\r\ncontent-type: text/plain\r\nx-content-type-options: nosniff\r\ncontent-length: 2\r\n\r\n");
}

TEST(AnswerText, NoByteOfAHeaderEndsIt) {
    const std::string plain = sent({200, "text/plain", ""});
    for (int byte = 0; byte < 256; ++byte) {
        const char c = static_cast<char>(byte);
        const bool control = (byte < 0x20 && c != '\t') || byte == 0x7F;
        const std::string value = std::string("a") + c + "b";
        const std::string with_value = sent({200, "text/plain", "", {{"x-a", value}}});
        EXPECT_EQ(with_value == plain, control) << byte;
        const std::string with_type = sent({200, value, ""});
        EXPECT_EQ(with_type.find("\ncontent-type") == std::string::npos, control) << byte;
        const bool token =
            std::isalnum(byte) != 0 || (byte < 0x80 && byte != 0 && std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos);
        EXPECT_EQ(sent({200, "text/plain", "", {{value, "1"}}}) == plain, !token) << byte;
    }
    EXPECT_EQ(sent({200, "text/plain", "", {{"", "1"}}}), plain);
}

TEST(AnswerText, HeadersOfTheConnectionAreItsOwn) {
    const std::string plain = sent({200, "text/plain", ""});
    for (const char* name : {"content-length", "Transfer-Encoding", "connection", "Date", "keep-alive", "content-type"}) {
        EXPECT_EQ(sent({200, "text/plain", "", {{name, "1"}}}), plain) << name;
    }
}

TEST(AnswerText, AnEventIsOneChunk) {
    std::string out;
    append_event(out, "tick", "{\"a\":1}", true);
    EXPECT_EQ(out, "1b\r\nevent: tick\ndata: {\"a\":1}\n\n\r\n");
    out.clear();
    append_event(out, "", "[DONE]", false);
    EXPECT_EQ(out, "data: [DONE]\n\n");
    out.clear();
    append_heartbeat(out, StreamKind::kEvents, true);
    append_last_chunk(out);
    EXPECT_EQ(out, "3\r\n:\n\n\r\n0\r\n\r\n");
}

TEST(AnswerText, ALineIsOneChunkAndItsHeartbeatASpaceBeforeIt) {
    std::string out;
    append_heartbeat(out, StreamKind::kLines, true);
    append_line(out, "{}", true);
    EXPECT_EQ(out, "1\r\n \r\n3\r\n{}\n\r\n");
    out.clear();
    append_heartbeat(out, StreamKind::kLines, false);
    append_line(out, "{}", false);
    EXPECT_EQ(out, " {}\n");
    out.clear();
    append_stream_head(out, StreamKind::kLines, {}, {});
    EXPECT_NE(out.find("content-type: application/x-ndjson\r\n"), std::string::npos);
}

TEST(AnswerText, DataCannotBeginAnotherEvent) {
    std::string out;
    append_event(out, "a\nevent: b", "one\r\n\nevent: evil\rdata: more", false);
    EXPECT_EQ(out, "data: one\ndata: \ndata: event: evil\ndata: data: more\n\n");
}

TEST(AnswerText, ErrorsHaveTheFormOfOpenAisApi) {
    const HttpResponse response = error_response(413, "too \"large\\\"\n\xFF");
    EXPECT_EQ(response.status, 413);
    const nlohmann::json error = nlohmann::json::parse(response.body).at("error");
    EXPECT_EQ(error.at("message"), "too \"large\\\"??");
    EXPECT_EQ(error.at("type"), "invalid_request_error");
    EXPECT_TRUE(error.at("param").is_null());
    EXPECT_TRUE(error.at("code").is_null());
    EXPECT_EQ(nlohmann::json::parse(error_response(503, "").body).at("error").at("type"), "server_error");
    EXPECT_EQ(error_response(413, "too \"large\"\n", ErrorForm::kAnthropic).body,
              R"({"type":"error","error":{"type":"request_too_large","message":"too \"large\"?"},"request_id":null})");
}

}  // namespace
}  // namespace rafter::server
