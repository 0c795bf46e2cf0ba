// Prints answers of every kind that OpenAI's endpoints give, one a line: {"type": name of the client's type, "value": JSON}. They are of an
// imaginary model of letters. A test reads them with the official client's types.
#include <fmt/format.h>

#include <span>

#include "protocols/embeddings.h"
#include "protocols/model_info.h"
#include "protocols/openai_answer.h"
#include "protocols/openai_stream.h"
#include "protocols/responses_answer.h"
#include "protocols/schemas.h"
#include "tests/protocols/letters.h"

namespace {

using namespace rafter;
using namespace rafter::protocols;

void print(const char* type, const nlohmann::ordered_json& value) {
    fmt::print("{}\n", nlohmann::ordered_json{{"type", type}, {"value", value}}.dump());
}

void print_events(const char* type, const std::vector<std::string>& events) {
    for (const std::string& event : events) {
        if (event != "[DONE]") print(type, nlohmann::ordered_json::parse(event));
    }
}

void print_events(const std::vector<NamedEvent>& events) {
    for (const NamedEvent& event : events) {
        if (event.data != "[DONE]") print("ResponseStreamEvent", nlohmann::ordered_json::parse(event.data));
    }
}

std::vector<engine::StreamUpdate> updates(engine::FinishReason reason) {
    std::vector<engine::StreamUpdate> all(3);
    all[0].tokens = {tests::token(0), tests::token(tests::Letters::kHalf)};
    all[0].text = "a";
    all[0].prompt_scores = {{.logprob = -1.0, .top = {{1, -1.0}}}, {.logprob = -3.0, .top = {{1, -1.0}}}};
    all[1].tokens = {tests::token(tests::Letters::kOtherHalf)};
    all[1].text = "\u00e9";
    all[2].finish = engine::Finish{.reason = reason};
    if (reason == engine::FinishReason::kError) all[2].finish->error = Error{"nothing works", ErrorKind::kInternal};
    return all;
}

void print_completions(OpenAiEndpoint endpoint, std::optional<std::uint32_t> n_logprobs) {
    const tests::Letters tokenizer;
    const bool is_chat = endpoint == OpenAiEndpoint::kChatCompletions;
    const OpenAiIdentity identity{.id = "7", .created_unix_s = 123, .model = "m"};
    const AnswerTimings timings{.bound = "memory"};
    OpenAiRequest request{.endpoint = endpoint, .n_prompt_tokens = 3, .n_logprobs = n_logprobs, .stream_usage = true};
    request.choices.resize(1);
    if (!is_chat && n_logprobs) request.echoes = {{.text = "abc", .tokens = {0, 1, 2}}};
    OpenAiStream stream(request, identity, tokenizer);
    std::vector<OpenAiChoice> choices(1);
    for (engine::StreamUpdate& update : updates(engine::FinishReason::kLength)) {
        engine::StreamUpdate copy = update;
        static_cast<void>(choices[0].take(std::move(copy)));
        print_events(is_chat ? "ChatCompletionChunk" : "Completion", stream.update(0, std::move(update)));
    }
    print_events(is_chat ? "ChatCompletionChunk" : "Completion", stream.end(&timings));
    request.n_prompt_logprobs = 1;
    request.scored_prompts = {{0, 1, 2}};
    print(is_chat ? "ChatCompletion" : "Completion", openai_answer(request, choices, identity, tokenizer, {.timings = &timings}));
}

void print_responses(engine::FinishReason reason, std::optional<std::uint32_t> n_logprobs) {
    const tests::Letters tokenizer;
    const AnswerTimings timings{.bound = "memory"};
    const ResponsesRequest request{.n_prompt_tokens = 3, .n_logprobs = n_logprobs, .instructions = "be brief", .metadata = {{"a", "b"}}};
    ResponsesAnswer answer(request, {.id = "7", .created_unix_s = 123, .model = "m"}, tokenizer);
    print_events(answer.begin());
    for (engine::StreamUpdate& update : updates(reason)) print_events(answer.update(std::move(update)));
    print_events(answer.end(&timings));
    if (!answer.failed()) print("Response", answer.answer(&timings));
}

// An answer with a thought, a text and a call.
void print_parts() {
    const tests::Letters tokenizer;
    const OpenAiIdentity identity{.id = "7", .created_unix_s = 123, .model = "m"};
    AnswerRules rules{.format = {.calls = CallFamily::kHermes, .thought = ThoughtForm::kTags, .tags = &thought_notations()[0]},
                      .functions = {{"f", nlohmann::json()}}};
    const auto shared = std::make_shared<const AnswerRules>(std::move(rules));
    const std::string text = "<think>a</think>b<tool_call>{\"name\": \"f\", \"arguments\": {\"x\": 1}}</tool_call>";
    const engine::Finish finish{.reason = engine::FinishReason::kStop};

    OpenAiRequest chat{.endpoint = OpenAiEndpoint::kChatCompletions, .n_prompt_tokens = 3, .stream_usage = true, .rules = shared};
    chat.choices.resize(1);
    OpenAiStream stream(chat, identity, tokenizer);
    print_events("ChatCompletionChunk", stream.update(0, {.text = text, .finish = finish}));
    print_events("ChatCompletionChunk", stream.end());
    const OpenAiChoice choice{.text = text, .finish = finish};
    print("ChatCompletion", openai_answer(chat, {&choice, 1}, identity, tokenizer));

    const ResponsesRequest request{.n_prompt_tokens = 3, .rules = shared};
    ResponsesAnswer answer(request, identity, tokenizer);
    print_events(answer.begin());
    print_events(answer.update({.text = text, .finish = finish}));
    print_events(answer.end());
    print("Response", answer.answer());
}

}  // namespace

int main() {
    print_parts();
    for (const OpenAiEndpoint endpoint : {OpenAiEndpoint::kChatCompletions, OpenAiEndpoint::kCompletions}) {
        print_completions(endpoint, std::nullopt);
        print_completions(endpoint, 2);
    }
    for (const auto reason : {engine::FinishReason::kStop, engine::FinishReason::kLength, engine::FinishReason::kError}) {
        print_responses(reason, std::nullopt);
        print_responses(reason, 2);
    }
    const std::vector<std::vector<float>> hidden = {{0.5F, 1e-9F}, {1.0F, -3.0F}};
    print("CreateEmbeddingResponse",
          nlohmann::ordered_json::parse(embeddings_answer({.n_prompt_tokens = 3}, hidden, "m", timings_json({}).dump())));
    print("Model", model_answer({.name = "m", .path = "/models/m.gguf", .created_unix_s = 1, .context = 512}));
    print("Schemas", component_schemas());
    print("Error", openai_error(400, "body: top_p: expected a number from 0 to 1, found 2"));
    return 0;
}
