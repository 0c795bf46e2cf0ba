// OpenAI's errors: the type that a status has, and the parameter that a message is about.
#include "protocols/openai_error.h"

#include <gtest/gtest.h>

namespace rafter::protocols {
namespace {

using Json = nlohmann::ordered_json;

TEST(OpenAiErrors, SayMessageTypeParameterAndCode) {
    const Json bad = openai_error(400, "body: n: expected less");
    EXPECT_EQ(
        bad,
        (Json{{"error", {{"message", "body: n: expected less"}, {"type", "invalid_request_error"}, {"param", "n"}, {"code", nullptr}}}}));
    const Json unsupported = openai_error(400, "body: tools: expected no such key: this is not supported; found [1]");
    EXPECT_EQ(unsupported["error"]["code"], "unsupported_parameter");
    EXPECT_EQ(openai_error(400, "the prompt is too long: expected at most 3 tokens")["error"]["code"], "context_length_exceeded");
    EXPECT_EQ(openai_error(500, "half a character: \xc3").dump().find("half a character: \xEF\xBF\xBD") != std::string::npos, true);
    EXPECT_EQ(openai_error(404, "no such model", "model", "model_not_found")["error"],
              (Json{{"message", "no such model"}, {"type", "not_found_error"}, {"param", "model"}, {"code", "model_not_found"}}));
}

TEST(OpenAiErrors, TypesFollowFromTheStatus) {
    for (const int status : {400, 405, 413, 415, 422}) EXPECT_EQ(openai_error_type(status), "invalid_request_error") << status;
    EXPECT_EQ(openai_error_type(401), "authentication_error");
    EXPECT_EQ(openai_error_type(403), "permission_error");
    EXPECT_EQ(openai_error_type(404), "not_found_error");
    EXPECT_EQ(openai_error_type(429), "rate_limit_error");
    EXPECT_EQ(openai_error_type(503), "service_unavailable");
    EXPECT_EQ(openai_error_type(500), "server_error");
    EXPECT_EQ(openai_error_type(504), "server_error");
}

TEST(OpenAiErrors, ParametersAreNamedAsInTheBody) {
    EXPECT_EQ(openai_error_param("body: top_p: expected a number"), "top_p");
    EXPECT_EQ(openai_error_param("body: messages[3]: role: expected system"), "messages[3].role");
    EXPECT_EQ(openai_error_param("body: messages[3]: expected an object"), "messages[3]");
    EXPECT_EQ(openai_error_param("body: prompt[1]: expected token ids"), "prompt[1]");
    EXPECT_EQ(openai_error_param("body: response_format: type: expected"), "response_format");
    for (const char* none :
         {"", "body: ", "body", "body: expected an object", "the queue is full: try later", "body: a b: c", "body: x:y"}) {
        EXPECT_EQ(openai_error_param(none), "") << none;
    }
}

TEST(OpenAiErrors, KindsHaveTheirStatus) {
    EXPECT_EQ(status_of({"x", ErrorKind::kBadInput}), 400);
    EXPECT_EQ(status_of({"x", ErrorKind::kBusy}), 429);
    EXPECT_EQ(status_of({"x", ErrorKind::kOutOfMemory}), 503);
    EXPECT_EQ(status_of({"x", ErrorKind::kInternal}), 500);
}

}  // namespace
}  // namespace rafter::protocols
