// Answers of /v1/messages: blocks in order, reasons, usage, and the bytes of a stream.
#include "protocols/anthropic_answer.h"

#include <gtest/gtest.h>

#include "protocols/anthropic_error.h"
#include "tests/protocols/letters.h"

namespace rafter::protocols {
namespace {

using nlohmann::json;

class AnthropicAnswers : public testing::Test {
  protected:
    AnthropicAnswer answer_to(const AnthropicRequest& request) { return {request, "7", "m", tokenizer_}; }
    // Thoughts between marks, and calls of f as JSON between marks.
    static AnthropicRequest with_rules() {
        AnthropicRequest request{.n_prompt_tokens = 5};
        AnswerRules rules{.format = {.calls = CallFamily::kHermes, .thought = ThoughtForm::kTags, .tags = thought_notations().data()}};
        rules.functions.emplace("f", json::object());
        request.rules = std::make_shared<const AnswerRules>(std::move(rules));
        return request;
    }
    static AnthropicRequest with_forced_calls() {
        AnthropicRequest request = with_rules();
        AnswerRules rules = *request.rules;
        rules.calls_forced = true;
        request.rules = std::make_shared<const AnswerRules>(std::move(rules));
        request.stream = true;
        return request;
    }
    static engine::StreamUpdate text_update(std::string text) {
        engine::StreamUpdate update;
        update.text = std::move(text);
        return update;
    }
    static engine::StreamUpdate finish(engine::FinishReason reason) {
        engine::StreamUpdate update;
        update.finish = engine::Finish{.reason = reason};
        update.finish->times.n_generated = 3;
        update.finish->times.n_reused = 2;
        return update;
    }
    static engine::StreamUpdate stopped_by(std::size_t stop) {
        engine::StreamUpdate update = finish(engine::FinishReason::kStop);
        update.finish->stop = stop;
        return update;
    }
    static std::string bytes_of(const std::vector<NamedEvent>& events) {
        std::string bytes;
        for (const NamedEvent& event : events) bytes += "event: " + event.event + "\ndata: " + event.data + "\n\n";
        return bytes;
    }
    tests::Letters tokenizer_;
};

TEST_F(AnthropicAnswers, AreOneTextWithUsageThatPartsWhatTheCacheHad) {
    AnthropicAnswer answer = answer_to({.n_prompt_tokens = 5});
    answer.take(text_update("a"));
    answer.take(text_update("b"));
    answer.take(finish(engine::FinishReason::kStop));
    EXPECT_EQ(answer.answer().dump(),
              R"({"id":"msg_7","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"ab"}],)"
              R"("stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":3,"cache_creation_input_tokens":0,)"
              R"("cache_read_input_tokens":2,"output_tokens":3}})");
    const AnswerTimings timings{.bound = "memory"};
    EXPECT_EQ(answer.answer(&timings)["timings"]["bound"], "memory");
}

TEST_F(AnthropicAnswers, BringTheInputOfAForcedCallAsItComes) {
    for (const bool is_cut : {false, true}) {
        AnthropicAnswer answer = answer_to(with_forced_calls());
        std::vector<std::string> types, pieces;
        const auto note = [&](const std::vector<NamedEvent>& events) {
            for (const NamedEvent& event : events) {
                types.push_back(event.event);
                const json data = json::parse(event.data);
                if (event.event == "content_block_delta") pieces.push_back(data["delta"].value("partial_json", "?"));
                if (event.event == "message_delta") types.push_back(data["delta"]["stop_reason"]);
            }
        };
        for (const char* text : {"<tool_call>{\"name\": \"f\", \"argu", "ments\": {\"a\": ", "[1,", "2"})
            note(answer.update(text_update(text)));
        if (!is_cut) note(answer.update(text_update("]}}</tool_call>")));
        note(answer.update(finish(is_cut ? engine::FinishReason::kLength : engine::FinishReason::kStop)));
        note(answer.end());
        std::vector<std::string> expected = {"{\"a\": ", "[1,", "2"};
        if (!is_cut) expected.emplace_back("]}");
        EXPECT_EQ(pieces, expected);
        ASSERT_EQ(types.size(), pieces.size() + 5);
        EXPECT_EQ(types.front(), "content_block_start");
        EXPECT_EQ(types[types.size() - 4], "content_block_stop");
        EXPECT_EQ(types[types.size() - 2], is_cut ? "max_tokens" : "tool_use");
    }
}

TEST_F(AnthropicAnswers, SayWhyTheyEnded) {
    const auto ended = [&](engine::StreamUpdate last) {
        AnthropicAnswer answer = answer_to({.n_prompt_tokens = 5, .stop_sequences = {"x", "yz"}});
        answer.take(std::move(last));
        const json whole = answer.answer();
        EXPECT_EQ(whole["content"], json::array());
        return std::pair(whole["stop_reason"].get<std::string>(), whole["stop_sequence"]);
    };
    EXPECT_EQ(ended(finish(engine::FinishReason::kStop)), std::pair(std::string("end_turn"), json()));
    EXPECT_EQ(ended(stopped_by(1)), std::pair(std::string("stop_sequence"), json("yz")));
    EXPECT_EQ(ended(finish(engine::FinishReason::kLength)), std::pair(std::string("max_tokens"), json()));
    engine::StreamUpdate full = finish(engine::FinishReason::kLength);
    full.finish->context_full = true;
    EXPECT_EQ(ended(full), std::pair(std::string("model_context_window_exceeded"), json()));
    EXPECT_EQ(ended(finish(engine::FinishReason::kTimeout)), std::pair(std::string("timeout"), json()));
}

TEST_F(AnthropicAnswers, StreamsHaveTheirEventsInOrderByteForByte) {
    AnthropicAnswer answer = answer_to(with_rules());
    std::string bytes = bytes_of(answer.begin());
    bytes += bytes_of(answer.update(text_update("<think>\nhm")));
    bytes += bytes_of(answer.update(text_update(", so</think>\n\nI ")));
    bytes += bytes_of(answer.update(text_update("look.\n<tool_call>{\"name\": \"f\", \"argum")));
    bytes += bytes_of(answer.update(text_update("ents\": {\"z\": 1, \"a\": {\"c\": 2}}}</tool_call>")));
    bytes += bytes_of(answer.update(finish(engine::FinishReason::kStop)));
    bytes += bytes_of(answer.end());
    const std::string id = json(answer.answer())["content"].back()["id"];
    EXPECT_EQ(id.find("toolu_"), 0U);
    EXPECT_EQ(
        bytes,
        "event: message_start\n"
        R"(data: {"type":"message_start","message":{"id":"msg_7","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":5,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":0}}})"
        "\n\nevent: content_block_start\n"
        R"(data: {"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}})"
        "\n\nevent: content_block_delta\n"
        R"(data: {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"hm"}})"
        "\n\nevent: content_block_delta\n"
        R"(data: {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":", so"}})"
        "\n\nevent: content_block_delta\n"
        R"(data: {"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":""}})"
        "\n\nevent: content_block_stop\n"
        R"(data: {"type":"content_block_stop","index":0})"
        "\n\nevent: content_block_start\n"
        R"(data: {"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}})"
        "\n\nevent: content_block_delta\n"
        R"(data: {"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"I "}})"
        "\n\nevent: content_block_delta\n"
        R"(data: {"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"look."}})"
        "\n\nevent: content_block_stop\n"
        R"(data: {"type":"content_block_stop","index":1})"
        "\n\nevent: content_block_start\n"
        R"(data: {"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":")" +
            id +
            R"(","name":"f","input":{}}})"
            "\n\nevent: content_block_delta\n"
            R"(data: {"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{\"z\": 1, \"a\": {\"c\": 2}}"}})"
            "\n\nevent: content_block_stop\n"
            R"(data: {"type":"content_block_stop","index":2})"
            "\n\nevent: message_delta\n"
            R"(data: {"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"input_tokens":3,"cache_creation_input_tokens":0,"cache_read_input_tokens":2,"output_tokens":3}})"
            "\n\nevent: message_stop\n"
            R"(data: {"type":"message_stop"})"
            "\n\n");
    EXPECT_EQ(answer.answer()["content"].dump(),
              R"([{"type":"thinking","thinking":"hm, so","signature":""},{"type":"text","text":"I look."},)"
              R"({"type":"tool_use","id":")" +
                  id + R"(","name":"f","input":{"z":1,"a":{"c":2}}}])");
}

// Wherever the engine's updates part the text.
TEST_F(AnthropicAnswers, DeltasJoinedAreTheWholeAnswersBlocks) {
    const std::string text =
        "<think>one</think>two<tool_call>{\"name\": \"f\", \"arguments\": {}}</tool_call>\n<tool_call>\n{\"name\": \"f\", \"arguments\": "
        "{\"a\": \"\u00e9\"}}\n</tool_call>three <tool_call>{\"name\": \"g\"}</tool_call>";
    AnthropicAnswer whole = answer_to(with_rules());
    whole.take(text_update(text));
    whole.take(finish(engine::FinishReason::kLength));
    const json expected = whole.answer();
    EXPECT_EQ(expected["content"].size(), 5U) << expected;
    EXPECT_EQ(expected["stop_reason"], "max_tokens");
    for (const std::size_t size : {1U, 2U, 7U, 1000U}) {
        AnthropicAnswer answer = answer_to(with_rules());
        json joined;
        std::size_t n_open = 0;
        const auto take = [&](const std::vector<NamedEvent>& events) {
            for (const NamedEvent& event : events) {
                const json data = json::parse(event.data);
                EXPECT_EQ(data["type"], event.event);
                if (event.event == "message_start") joined = data["message"];
                if (event.event == "content_block_start") {
                    EXPECT_EQ(n_open++, 0U);
                    EXPECT_EQ(data["index"], joined["content"].size());
                    joined["content"].push_back(data["content_block"]);
                    joined["content"].back()["joined"] = "";
                }
                if (event.event == "content_block_stop") {
                    EXPECT_EQ(n_open--, 1U);
                    json& block = joined["content"].back();
                    const std::string all = block["joined"];
                    block.erase("joined");
                    if (block["type"] == "tool_use") {
                        block["input"] = json::parse(all);
                    } else {
                        block[block["type"] == "text" ? "text" : "thinking"] = all;
                    }
                }
                if (event.event == "content_block_delta") {
                    EXPECT_EQ(data["index"], joined["content"].size() - 1);
                    for (const char* key : {"text", "thinking", "partial_json"}) {
                        std::string& all = joined["content"].back()["joined"].get_ref<std::string&>();
                        all += data["delta"].value(key, "");
                    }
                }
                if (event.event == "message_delta") {
                    joined.update(data["delta"]);
                    joined["usage"].update(data["usage"]);
                }
            }
        };
        take(answer.begin());
        for (std::size_t at = 0; at < text.size(); at += size) take(answer.update(text_update(text.substr(at, size))));
        take(answer.update(finish(engine::FinishReason::kLength)));
        take(answer.end());
        EXPECT_EQ(n_open, 0U);
        EXPECT_EQ(joined, expected) << size;
    }
}

TEST_F(AnthropicAnswers, AFailureInMidstreamIsTheLastEvent) {
    AnthropicAnswer answer = answer_to({});
    EXPECT_EQ(answer.begin().size(), 1U);
    EXPECT_EQ(answer.update(text_update("a")).size(), 2U);
    EXPECT_EQ(bytes_of(answer.fail(503, "the machine is \"on fire\"", "r1")),
              "event: error\n"
              R"(data: {"type":"error","error":{"type":"overloaded_error","message":"the machine is \"on fire\""},"request_id":"r1"})"
              "\n\n");
    EXPECT_TRUE(answer.update(text_update("b")).empty());
    EXPECT_TRUE(answer.end().empty());
    EXPECT_TRUE(answer.fail(500, "again", "r1").empty());
}

TEST(AnthropicErrors, HaveATypeForEachStatus) {
    EXPECT_EQ(anthropic_error(413, "too \xFF large", "").dump(), R"({"type":"error","error":{"type":"request_too_large","message":"too )"
                                                                 "\uFFFD"
                                                                 R"( large"},"request_id":null})");
    EXPECT_EQ(anthropic_error(400, "x", "r")["request_id"], "r");
    const std::vector<std::pair<int, std::string_view>> types = {{400, "invalid_request_error"},
                                                                 {401, "authentication_error"},
                                                                 {403, "permission_error"},
                                                                 {404, "not_found_error"},
                                                                 {405, "invalid_request_error"},
                                                                 {408, "invalid_request_error"},
                                                                 {413, "request_too_large"},
                                                                 {422, "invalid_request_error"},
                                                                 {429, "rate_limit_error"},
                                                                 {500, "api_error"},
                                                                 {501, "api_error"},
                                                                 {503, "overloaded_error"},
                                                                 {504, "timeout_error"}};
    for (const auto& [status, type] : types) EXPECT_EQ(anthropic_error_type(status), type) << status;
}

}  // namespace
}  // namespace rafter::protocols
