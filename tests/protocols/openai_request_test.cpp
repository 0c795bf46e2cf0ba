// OpenAI's requests, key by key: what each key does to the engine's request, and what is refused with which words.
#include "protocols/openai_request.h"

#include <gtest/gtest.h>

#include <set>

#include "engine/sampling/multiple_answers.h"
#include "tests/engine/engine_rig.h"
#include "tests/protocols/tiny_opened_model.h"

namespace rafter::protocols {
namespace {

using nlohmann::json;

using tests::kVocab;
using tests::tiny_opened_model;

class OpenAiRequests : public testing::Test {
  protected:
    Result<OpenAiRequest> complete(json body) {
        if (!body.contains("prompt")) body["prompt"] = "hello";
        return parse_openai_request(OpenAiEndpoint::kCompletions, body, opened_, defaults_);
    }
    Result<OpenAiRequest> chat(json body) {
        if (!body.contains("messages")) body["messages"] = {{{"role", "user"}, {"content", "hello"}}};
        return parse_openai_request(OpenAiEndpoint::kChatCompletions, body, opened_, defaults_);
    }
    static engine::Request only(const Result<OpenAiRequest>& request) {
        EXPECT_TRUE(request) << request.error().message;
        EXPECT_EQ(request->choices.size(), 1U);
        return request->choices.at(0);
    }
    static void expect_refused(const Result<OpenAiRequest>& request, std::string_view words) {
        ASSERT_FALSE(request) << words;
        EXPECT_EQ(request.error().kind, ErrorKind::kBadInput);
        EXPECT_EQ(request.error().message.find(words), 0U) << request.error().message << "\nexpected: " << words;
    }
    [[nodiscard]] std::vector<engine::TokenId> encode(std::string_view text) const {
        return opened_.tokenizer->encode(text, text::SpecialTokens::kParse);
    }

    engine::OpenedModel opened_ = tiny_opened_model();
    OpenAiDefaults defaults_{.max_tokens = 77, .seed = 99};
};

TEST_F(OpenAiRequests, EndpointsAreKnownByTheirPaths) {
    EXPECT_EQ(find_openai_endpoint("/v1/chat/completions"), OpenAiEndpoint::kChatCompletions);
    EXPECT_EQ(find_openai_endpoint("/v1/completions"), OpenAiEndpoint::kCompletions);
    for (const char* path : {"", "/v1/completions/", "v1/completions", "/v1/embeddings"}) EXPECT_FALSE(find_openai_endpoint(path)) << path;
}

TEST_F(OpenAiRequests, DefaultsAreTheCallersAndOpenAis) {
    const engine::Request request = only(complete({}));
    EXPECT_EQ(request.max_tokens, 77U);
    EXPECT_EQ(request.min_tokens, 0U);
    EXPECT_EQ(request.sampling.seed, 99U);
    EXPECT_EQ(request.sampling.temperature, 1.0);
    EXPECT_EQ(request.sampling.top_p, 1.0);
    EXPECT_EQ(request.sampling.top_k, 0U);
    EXPECT_EQ(request.sampling.repeat_penalty, 1.0);
    EXPECT_FALSE(request.n_logprobs);
    EXPECT_TRUE(request.stop.empty());
    EXPECT_EQ(request.end_tokens, opened_.tokenizer->special().end_of_generation);
    const auto whole = complete({});
    EXPECT_FALSE(whole->model);
    EXPECT_FALSE(whole->stream);
    EXPECT_TRUE(whole->unknown_keys.empty());
}

TEST_F(OpenAiRequests, SamplingKeysReachTheEngine) {
    const engine::SamplingOptions s = only(complete({{"temperature", 0.5},
                                                     {"top_p", 0.9},
                                                     {"min_p", 0.1},
                                                     {"top_k", 40},
                                                     {"presence_penalty", 0.25},
                                                     {"frequency_penalty", -0.5},
                                                     {"repetition_penalty", 1.5},
                                                     {"seed", 7},
                                                     {"logit_bias", {{"5", -100}, {"299", 2.5}}}}))
                                          .sampling;
    EXPECT_EQ(s.temperature, 0.5);
    EXPECT_EQ(s.top_p, 0.9);
    EXPECT_EQ(s.min_p, 0.1);
    EXPECT_EQ(s.top_k, 40U);
    EXPECT_EQ(s.presence_penalty, 0.25);
    EXPECT_EQ(s.frequency_penalty, -0.5);
    EXPECT_EQ(s.repeat_penalty, 1.5);
    EXPECT_EQ(s.seed, 7U);
    EXPECT_EQ(std::set(s.logit_bias.begin(), s.logit_bias.end()), (std::set<std::pair<engine::TokenId, float>>{{5, -100.0F}, {299, 2.5F}}));
    EXPECT_EQ(only(complete({{"top_k", -1}})).sampling.top_k, 0U);
    EXPECT_EQ(only(complete({{"seed", -1}})).sampling.seed, UINT64_MAX);
    EXPECT_EQ(only(complete({{"seed", UINT64_MAX}})).sampling.seed, UINT64_MAX);
}

TEST_F(OpenAiRequests, SamplingOutOfRangeIsRefused) {
    expect_refused(complete({{"temperature", -1}}), "body: temperature: expected a number from 0");
    expect_refused(complete({{"temperature", "hot"}}), "body: temperature: expected");
    expect_refused(complete({{"top_p", 1.5}}), "body: top_p: expected a number from 0 to 1, found 1.5");
    expect_refused(complete({{"min_p", -0.5}}), "body: min_p: expected a number from 0 to 1, found -0.5");
    expect_refused(complete({{"top_k", -2}}), "body: top_k: expected a whole number");
    expect_refused(complete({{"presence_penalty", json::array({1})}}), "body: presence_penalty: expected");
    expect_refused(complete({{"frequency_penalty", 1e9}}), "body: frequency_penalty: expected");
    expect_refused(complete({{"repetition_penalty", 0}}), "body: repetition_penalty: expected");
    expect_refused(complete({{"seed", 1.5}}), "body: seed: expected a whole number of at most 64 bits, found 1.5");
    expect_refused(complete({{"logit_bias", json::array({1})}}), "body: logit_bias: expected an object");
    expect_refused(complete({{"logit_bias", {{"300", 1}}}}), "body: logit_bias: expected token ids from 0 to 299 as keys, found \"300\"");
    expect_refused(complete({{"logit_bias", {{"5x", 1}}}}), "body: logit_bias: expected token ids from 0 to 299 as keys, found \"5x\"");
    expect_refused(complete({{"logit_bias", {{"5", "much"}}}}), "body: logit_bias: 5: expected a number");
}

TEST_F(OpenAiRequests, LengthsAndStopsReachTheEngine) {
    const engine::Request request = only(complete({{"max_tokens", 20}, {"min_tokens", 20}, {"stop", {"\n", "END"}}}));
    EXPECT_EQ(request.max_tokens, 20U);
    EXPECT_EQ(request.min_tokens, 20U);
    EXPECT_EQ(request.stop, (std::vector<std::string>{"\n", "END"}));
    EXPECT_EQ(only(complete({{"stop", "."}})).stop, std::vector<std::string>{"."});
    EXPECT_EQ(only(complete({{"min_tokens", 77}})).min_tokens, 77U);
    EXPECT_EQ(only(complete({{"min_tokens", nullptr}})).min_tokens, 0U);
    EXPECT_EQ(only(chat({{"max_completion_tokens", 9}})).max_tokens, 9U);
    EXPECT_EQ(only(chat({{"max_completion_tokens", 9}, {"max_tokens", 9}, {"min_tokens", 3}})).min_tokens, 3U);
}

TEST_F(OpenAiRequests, LengthsAndStopsThatCannotBeAreRefused) {
    expect_refused(complete({{"max_tokens", 0}}), "body: max_tokens: expected a whole number from 1 to 4294967295, found 0");
    expect_refused(complete({{"max_tokens", true}}), "body: max_tokens: expected");
    expect_refused(complete({{"min_tokens", -1}}), "body: min_tokens: expected a whole number from 0 to 4294967295, found -1");
    expect_refused(complete({{"min_tokens", 1.5}}), "body: min_tokens: expected a whole number");
    expect_refused(complete({{"min_tokens", 78}}), "body: min_tokens: expected at most the 77 of max_tokens, found 78");
    expect_refused(complete({{"max_tokens", 5}, {"min_tokens", 6}}), "body: min_tokens: expected at most the 5 of max_tokens, found 6");
    expect_refused(chat({{"max_completion_tokens", 5}, {"max_tokens", 6}}),
                   "body: max_completion_tokens: expected max_tokens's 6 or only one of the two, found 5");
    expect_refused(complete({{"stop", 5}}), "body: stop: expected a text or a list of texts, found 5");
    expect_refused(complete({{"stop", {"a", ""}}}), "body: stop: expected texts that are not empty, found \"\"");
    expect_refused(complete({{"stop", std::vector<std::string>(65, "a")}}), "body: stop: expected at most 64 texts, found 65");
    EXPECT_TRUE(complete({{"stop", {std::string(8000, 'x'), std::string(192, 'y')}}}));
    expect_refused(complete({{"stop", {std::string(8000, 'x'), std::string(193, 'y')}}}),
                   "body: stop: expected texts of at most 8192 bytes together, found 8193");
}

TEST_F(OpenAiRequests, KeysOfOtherServersReachTheEngine) {
    const auto request = complete(
        {{"typical_p", 0.5}, {"ignore_eos", true}, {"priority", -3}, {"cache_salt", "s"}, {"max_ttft_seconds", 1.5}, {"timings", false}});
    const engine::Request choice = only(request);
    EXPECT_EQ(choice.sampling.typical_p, 0.5);
    EXPECT_TRUE(choice.ignore_eos);
    EXPECT_TRUE(request->ignore_eos);
    EXPECT_EQ(choice.priority, -3);
    EXPECT_EQ(request->priority, -3);
    EXPECT_EQ(choice.cache_salt, "s");
    EXPECT_EQ(request->max_ttft_seconds, 1.5);
    EXPECT_FALSE(request->timings);
    const auto plain = complete({});
    EXPECT_TRUE(plain->timings);
    EXPECT_FALSE(plain->max_ttft_seconds);
    EXPECT_EQ(only(plain).sampling.typical_p, 1.0);
    expect_refused(complete({{"typical_p", 1.5}}), "body: typical_p: expected a number from 0 to 1, found 1.5");
    expect_refused(complete({{"ignore_eos", 1}}), "body: ignore_eos: expected true or false, found 1");
    expect_refused(complete({{"priority", 101}}), "body: priority: expected a whole number from -100 to 100, found 101");
    expect_refused(complete({{"priority", 0.5}}), "body: priority: expected a whole number");
    expect_refused(complete({{"priority", "high"}}), "body: priority: expected a whole number");
    expect_refused(complete({{"cache_salt", ""}}), "body: cache_salt: expected a text of 1 to 1024 characters, found 0");
    expect_refused(complete({{"cache_salt", std::string(1025, 'x')}}), "body: cache_salt: expected a text of 1 to 1024 characters");
    expect_refused(complete({{"max_ttft_seconds", 0}}), "body: max_ttft_seconds: expected a number from 0.001 to 86400");
    expect_refused(complete({{"timings", "no"}}), "body: timings: expected true or false");
}

// Each key that takes a number, with values that break parsers elsewhere: each is refused by name.
TEST_F(OpenAiRequests, NumbersThatCannotBeAreRefusedByName) {
    const std::vector<json> bad = {-1e300, 1e300, "1", "NaN", true, json::array(), json::object(), -9223372036854775807LL - 1};
    for (const char* key :
         {"temperature", "top_p", "min_p", "typical_p", "top_k", "presence_penalty", "frequency_penalty", "repetition_penalty",
          "max_tokens", "min_tokens", "n", "logprobs", "prompt_logprobs", "priority", "max_ttft_seconds"}) {
        for (const json& value : bad) expect_refused(complete({{key, value}}), fmt::format("body: {}: expected ", key));
    }
    for (const char* key : {"max_tokens", "min_tokens", "n", "logprobs", "prompt_logprobs", "top_k"}) {
        for (const json& value : {json(0.5), json(9223372036854775808ULL), json(4294967296ULL), json(-2)}) {
            expect_refused(complete({{key, value}}), fmt::format("body: {}: expected ", key));
        }
    }
    for (const json& value : {json(0.5), json(1e300), json(true), json("1")}) {
        expect_refused(complete({{"seed", value}}), "body: seed: expected ");
    }
}

TEST_F(OpenAiRequests, WithoutALengthAnAnswerMayTakeTheRestOfTheContext) {
    defaults_.max_tokens.reset();
    EXPECT_EQ(only(complete({{"prompt", {1, 2, 3}}})).max_tokens, UINT32_MAX);
    defaults_.context = 10;
    EXPECT_EQ(only(complete({{"prompt", {1, 2, 3}}})).max_tokens, 7U);
    EXPECT_EQ(only(complete({{"prompt", {1, 2, 3}}, {"max_tokens", 9}})).max_tokens, 9U);  // the context ends it
    const auto several = complete({{"prompt", {json::array({1}), json::array({1, 2})}}});
    EXPECT_EQ(several->choices[0].max_tokens, 9U);
    EXPECT_EQ(several->choices[1].max_tokens, 8U);
    expect_refused(complete({{"prompt", {1, 2, 3}}, {"min_tokens", 8}}), "body: min_tokens: expected at most the 7 of max_tokens, found 8");
    EXPECT_EQ(only(complete({{"prompt", {1, 2, 3}}, {"min_tokens", 7}})).min_tokens, 7U);
}

TEST_F(OpenAiRequests, PromptsThatCannotFitAreRefusedBeforeTheyCostAnything) {
    defaults_.context = 3;
    expect_refused(complete({{"prompt", {1, 2, 3, 4}}}), "body: prompt: the prompt is too long: expected at most 3 tokens");
    expect_refused(chat({}), "body: messages: the prompt is too long: expected at most 3 tokens");
    defaults_.max_prompt_bytes = 4;
    expect_refused(complete({{"prompt", "hello"}}), "body: prompt: the prompt is too long: expected a text of at most 4 bytes, found 5");
    expect_refused(chat({}), "body: messages: the prompt is too long: expected a text of at most 4 bytes, found 5");
    // Each choice has the biases.
    defaults_ = {};
    json biases = json::object();
    for (int i = 0; i < 3000; ++i) biases[std::to_string(i)] = 1;
    opened_.config.n_vocab = 3000;
    expect_refused(complete({{"prompt", std::vector<std::string>(128, "x")}, {"n", 16}, {"logit_bias", biases}}),
                   "body: logit_bias: expected at most 4000000 over all choices, found 6144000");
    opened_.config.n_vocab = kVocab;
    // 100,000 tokens for each of 2,048 choices would be 800 MB.
    defaults_ = {};
    const std::vector<std::vector<int>> prompts(16, std::vector<int>(100'000, 1));
    expect_refused(complete({{"prompt", prompts}, {"n", 128}}),
                   "body: expected at most 16000000 tokens in the prompts of all choices, found 204800000");
}

TEST_F(OpenAiRequests, PromptLogprobsAskTheFirstChoiceForScores) {
    const auto request =
        complete({{"prompt", {json::array({1, 2, 3}), json::array({4, 5})}}, {"n", 2}, {"prompt_logprobs", 5}, {"logprobs", 1}});
    ASSERT_TRUE(request);
    EXPECT_EQ(request->n_prompt_logprobs, 5U);
    EXPECT_EQ(request->n_logprobs, 1U);
    EXPECT_EQ(request->scored_prompts, (std::vector<std::vector<engine::TokenId>>{{1, 2, 3}, {4, 5}}));
    for (const std::size_t i : {0U, 2U}) {
        EXPECT_EQ(request->choices[i].score_prompt_from, 0U);
        EXPECT_EQ(request->choices[i].n_logprobs, 5U);
        EXPECT_FALSE(request->choices[i + 1].score_prompt_from);
        EXPECT_EQ(request->choices[i + 1].n_logprobs, 1U);
    }
    const auto of_chat = chat({{"prompt_logprobs", 0}});
    ASSERT_TRUE(of_chat);
    EXPECT_EQ(of_chat->choices[0].n_logprobs, 0U);
    EXPECT_FALSE(of_chat->n_logprobs);
    EXPECT_EQ(only(complete({{"prompt_logprobs", 0}, {"max_tokens", 0}})).max_tokens, 0U);
    expect_refused(complete({{"prompt_logprobs", 21}}), "body: prompt_logprobs: expected a whole number from 0 to 20, found 21");
    expect_refused(complete({{"prompt_logprobs", 1}, {"stream", true}}), "body: prompt_logprobs: expected stream to be false with it");
}

TEST_F(OpenAiRequests, LogprobsAreANumberOrAFlagByEndpoint) {
    EXPECT_EQ(only(complete({{"logprobs", 0}})).n_logprobs, 0U);
    EXPECT_EQ(only(complete({{"logprobs", 20}})).n_logprobs, 20U);
    EXPECT_EQ(only(chat({{"logprobs", true}})).n_logprobs, 0U);
    EXPECT_EQ(only(chat({{"logprobs", true}, {"top_logprobs", 5}})).n_logprobs, 5U);
    EXPECT_FALSE(only(chat({{"logprobs", false}})).n_logprobs);
    expect_refused(complete({{"logprobs", 21}}), "body: logprobs: expected a whole number from 0 to 20, found 21");
    expect_refused(complete({{"logprobs", true}}), "body: logprobs: expected a whole number");
    expect_refused(chat({{"logprobs", 5}}), "body: logprobs: expected true or false");
    expect_refused(chat({{"top_logprobs", 5}}), "body: top_logprobs: expected logprobs to be true with it, found no such key");
    expect_refused(chat({{"top_logprobs", 5}, {"logprobs", false}}),
                   "body: top_logprobs: expected logprobs to be true with it, found false");
}

TEST_F(OpenAiRequests, PromptsAreTextsTokensOrListsOfEither) {
    const auto hello = only(complete({})).prompt;
    EXPECT_EQ(only(complete({{"prompt", {1, 2, 299}}})).prompt, (std::vector<engine::TokenId>{1, 2, 299}));
    const auto lists = complete({{"prompt", {json::array({1, 2}), "hello"}}, {"n", 2}});
    ASSERT_TRUE(lists);
    ASSERT_EQ(lists->choices.size(), 4U);
    EXPECT_EQ(lists->choices[1].prompt, (std::vector<engine::TokenId>{1, 2}));
    EXPECT_EQ(lists->choices[2].prompt, hello);
    EXPECT_EQ(lists->n_prompt_tokens, 2 + hello.size());  // each prompt once
    expect_refused(parse_openai_request(OpenAiEndpoint::kCompletions, json::object(), opened_, defaults_),
                   "body: prompt: expected a text or token ids, found no such key");
    expect_refused(complete({{"prompt", 5}}), "body: prompt: expected a text or token ids, found 5");
    expect_refused(complete({{"prompt", json::array()}}), "body: prompt: expected at least one prompt, found []");
    expect_refused(complete({{"prompt", {"x", nullptr}}}), "body: prompt[1]: expected a text or token ids, found null");
    expect_refused(complete({{"prompt", {"x", json::array()}}}), "body: prompt[1]: expected at least one token, found none");
    expect_refused(complete({{"prompt", {1, 300}}}), "body: prompt: expected token ids from 0 to 299, found 300");
    expect_refused(complete({{"prompt", {1, 1.5}}}), "body: prompt: expected token ids from 0 to 299, found 1.5");
    expect_refused(parse_openai_request(OpenAiEndpoint::kCompletions, json::array(), opened_, defaults_), "body: expected an object");
}

TEST_F(OpenAiRequests, MessagesGoThroughTheTemplate) {
    const auto prompt =
        only(chat({{"messages",
                    {{{"role", "developer"}, {"content", "be brief"}},
                     {{"role", "user"}, {"content", {{{"type", "text"}, {"text", "a"}}, {{"type", "text"}, {"text", "b"}}}}}}}}))
            .prompt;
    EXPECT_EQ(prompt, encode("<|im_start|>system\nbe brief<|im_end|>\n<|im_start|>user\na\nb<|im_end|>\n<|im_start|>assistant\n"));
    EXPECT_TRUE(chat({{"reasoning_effort", "low"}, {"chat_template_kwargs", {{"x", nullptr}}}}));
}

TEST_F(OpenAiRequests, MessagesThatCannotBeRenderedAreRefused) {
    const auto messages = [&](json list) { return chat({{"messages", std::move(list)}}); };
    expect_refused(messages(json::array()), "body: messages: expected a list of at least one message, found []");
    expect_refused(messages("hello"), "body: messages: expected a list of at least one message, found \"hello\"");
    expect_refused(messages({"hello"}), "body: messages[0]: expected an object, found \"hello\"");
    expect_refused(messages({{{"content", "x"}}}),
                   "body: messages[0]: role: expected system, developer, user, assistant or tool, found no such key");
    expect_refused(messages({{{"role", "function"}, {"content", "x"}}}),
                   "body: messages[0]: role: expected system, developer, user, assistant or tool, found \"function\"");
    expect_refused(messages({{{"role", "user"}}}), "body: messages[0]: content: expected a text or a list of parts, found no such key");
    expect_refused(messages({{{"role", "user"}, {"content", 5}}}),
                   "body: messages[0]: content: expected a text or a list of parts, found 5");
    expect_refused(messages({{{"role", "user"}, {"content", {{{"type", "image_url"}}}}}}),
                   "body: messages[0]: content[0]: type: expected \"text\"");
    expect_refused(messages({{{"role", "user"}, {"content", {{{"type", "text"}}}}}}),
                   "body: messages[0]: content[0]: text: expected a text");
    expect_refused(messages({{{"role", "assistant"}, {"content", ""}, {"tool_calls", {{{"id", "1"}}}}}}),
                   "body: messages[0]: tool_calls[0]: function: expected an object, found no such key");
    expect_refused(chat({{"chat_template_kwargs", 5}}), "body: chat_template_kwargs: expected an object");
    expect_refused(chat({{"chat_template_kwargs", {{"messages", nullptr}}}}), "body: chat_template_kwargs: ");
}

// A template sees what the client says of itself, and nothing of what the server says.
TEST_F(OpenAiRequests, TemplateArgumentsReplaceNothingThatIsThereAlready) {
    for (const char* name : {"messages", "tools", "add_generation_prompt", "bos_token", "eos_token", "raise_exception", "strftime_now",
                             "range", "namespace", "loop", "chat_template", "tokenize", "", "a b", "a.b", "__class__.x"}) {
        expect_refused(chat({{"chat_template_kwargs", {{name, "x"}}}}),
                       fmt::format("body: chat_template_kwargs: expected names of variables that the template does not have already, found "
                                   "\"{}\"",
                                   name));
    }
}

TEST_F(OpenAiRequests, TemplateArgumentsCannotMakeATemplateLoopForLong) {
    opened_.chat_template = text::ChatTemplate::parse("{% for i in range(n) %}{{ 'x' * 100000 }}{% endfor %}", "t").value();
    EXPECT_TRUE(chat({{"chat_template_kwargs", {{"n", 3}}}}));
    const auto loops = chat({{"chat_template_kwargs", {{"n", 90000}}}});
    ASSERT_FALSE(loops);
    EXPECT_EQ(loops.error().message.find("body: messages: "), 0U) << loops.error().message;
    expect_refused(chat({{"chat_template_kwargs", {{"n", "many"}}}}), "body: messages: ");
    expect_refused(chat({{"chat_template_kwargs", {{"n", 1e300}}}}), "body: messages: ");
}

TEST_F(OpenAiRequests, FeaturesThatAreMissingAreRefusedUnlessTheySayNothing) {
    for (const char* key : {"audio", "functions", "suffix", "tools", "use_beam_search", "logits_processors"}) {
        expect_refused(complete({{key, {{"x", 1}}}}), fmt::format("body: {}: expected no such key: this is not supported; found ", key));
        for (const json& nothing : {json(nullptr), json(false), json(0), json(""), json::array(), json::object()}) {
            EXPECT_TRUE(complete({{key, nothing}})) << key << " " << nothing;
        }
    }
    for (const json& nothing : {json(nullptr), json(false), json(0), json(""), json::array(), json::object()}) {
        EXPECT_TRUE(complete({{"echo", nothing}})) << nothing;
    }
    expect_refused(complete({{"echo", {{"x", 1}}}}), "body: echo: expected true or false, found ");
    expect_refused(chat({{"echo", true}}), "body: echo: expected no such key: this is not supported; found true");
    expect_refused(complete({{"best_of", 2}}), "body: best_of: expected 1");
    EXPECT_TRUE(complete({{"best_of", 1}}));
    expect_refused(chat({{"tool_choice", "required"}}), "body: tool_choice: expected tools with it, found none");
    EXPECT_TRUE(chat({{"tool_choice", "auto"}}));
    expect_refused(chat({{"modalities", {"text", "audio"}}}), "body: modalities: expected [\"text\"]");
    EXPECT_TRUE(chat({{"modalities", {"text"}}}));
    expect_refused(chat({{"response_format", {{"type", "yaml"}}}}), "body: response_format: type: expected \"text\"");
    expect_refused(chat({{"response_format", {{"type", "json_object"}}}}), "body: response_format: this is not supported here");
    expect_refused(chat({{"response_format", "json"}}), "body: response_format: expected an object");
    EXPECT_TRUE(chat({{"response_format", {{"type", "text"}}}}));
}

TEST_F(OpenAiRequests, EachWayToConstrainAnAnswerBecomesAMask) {
    grammar::GrammarCompiler compiler(*opened_.tokenizer);
    defaults_.grammars = &compiler;
    defaults_.waits_for_grammars = true;
    using grammar::GrammarKind;
    const json schema = {{"type", "object"}};
    const std::pair<json, GrammarKind> bodies[] = {
        {{{"response_format", {{"type", "json_object"}}}}, GrammarKind::kJson},
        {{{"response_format", {{"type", "json_object"}, {"schema", schema}}}}, GrammarKind::kJsonSchema},
        {{{"response_format", {{"type", "json_schema"}, {"json_schema", {{"name", "n"}, {"schema", schema}}}}}}, GrammarKind::kJsonSchema},
        {{{"guided_json", schema}}, GrammarKind::kJsonSchema},
        {{{"guided_json", schema.dump()}}, GrammarKind::kJsonSchema},
        {{{"json_schema", schema}}, GrammarKind::kJsonSchema},
        {{{"guided_regex", "[a-z]+"}}, GrammarKind::kRegex},
        {{{"guided_choice", {"a", "b"}}}, GrammarKind::kChoice},
        {{{"guided_grammar", "root ::= \"a\""}}, GrammarKind::kEbnf},
        {{{"grammar", "root ::= \"a\""}}, GrammarKind::kEbnf},
        {{{"structured_outputs", {{"json", schema}}}}, GrammarKind::kJsonSchema},
        {{{"structured_outputs", {{"json_object", true}, {"regex", nullptr}}}}, GrammarKind::kJson},
        {{{"structured_outputs", {{"choice", {"a"}}}}}, GrammarKind::kChoice},
    };
    for (const auto& [body, kind] : bodies) {
        const auto request = chat(body);
        ASSERT_TRUE(request) << body << request.error().message;
        ASSERT_TRUE(request->grammar) << body;
        EXPECT_EQ(request->grammar->kind, kind) << body;
        for (const auto& choice : request->choices) EXPECT_TRUE(choice.mask != nullptr && choice.mask->mask()) << body;
    }
    EXPECT_EQ(chat({{"response_format", {{"type", "text"}}}})->grammar, std::nullopt);
    EXPECT_EQ(chat({{"structured_outputs", json::object()}})->grammar, std::nullopt);

    const std::pair<json, const char*> wrong[] = {
        {{{"guided_json", schema}, {"guided_regex", "a"}},
         "body: guided_regex: expected only one constraint of the answer, found guided_json too"},
        {{{"structured_outputs", {{"json", schema}, {"regex", "a"}}}}, "body: structured_outputs: expected one constraint"},
        {{{"structured_outputs", {{"xml", "a"}}}}, "body: structured_outputs: expected json"},
        {{{"response_format", "json"}}, "body: response_format: expected an object"},
        {{{"response_format", {{"type", "json_schema"}}}}, "body: response_format: json_schema: expected an object with a schema"},
        {{{"guided_json", {{"type", "object"}, {"not", schema}}}},
         "body: guided_json: schema: expected keywords that are supported, found \"not\""},
        {{{"guided_json", 3}}, "body: guided_json: expected a JSON schema, found 3"},
        {{{"guided_json", "{"}}, "body: guided_json: schema: expected JSON"},
        {{{"guided_regex", "("}}, "body: guided_regex: regex: expected )"},
        {{{"guided_choice", {"a", 1}}}, "body: guided_choice: choice: expected texts"},
        {{{"guided_choice", "a"}}, "body: guided_choice: expected a list of texts"},
        {{{"grammar", "root ::= missing"}}, "body: grammar: grammar: expected one that can be compiled"},
    };
    for (const auto& [body, message] : wrong) expect_refused(chat(body), message);
}

TEST_F(OpenAiRequests, ASchemaKeepsTheOrderOfItsProperties) {
    grammar::GrammarCompiler compiler(*opened_.tokenizer);
    defaults_.grammars = &compiler;
    const std::string text =
        R"({"messages": [{"role": "user", "content": "x"}], "guided_json": {"type": "object", "properties": {"z": {}, "a": {}}}})";
    defaults_.body.text = text;
    const auto request = parse_openai_request(OpenAiEndpoint::kChatCompletions, json::parse(text), opened_, defaults_);
    ASSERT_TRUE(request) << request.error().message;
    EXPECT_EQ(request->grammar->text, R"({"type":"object","properties":{"z":{},"a":{}}})");
}

TEST_F(OpenAiRequests, EchoBringsThePromptAndItsScoresOnce) {
    const auto request = complete({{"echo", true}, {"prompt", {"hello", "you"}}, {"n", 2}, {"logprobs", 1}, {"max_tokens", 0}}).value();
    ASSERT_EQ(request.echoes.size(), 2U);
    EXPECT_EQ(request.n, 2U);
    EXPECT_EQ(request.echoes[1].text, "you");
    EXPECT_EQ(request.echoes[1].tokens, request.choices[2].prompt);
    EXPECT_EQ(request.choices[0].max_tokens, 0U);
    for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(request.choices[i].score_prompt_from.has_value(), i % 2 == 0) << i;
    const auto of_tokens = complete({{"echo", true}, {"prompt", encode("hello")}}).value();
    EXPECT_EQ(of_tokens.echoes.at(0).text, "hello");
    EXPECT_TRUE(of_tokens.echoes.at(0).tokens.empty());
    EXPECT_FALSE(of_tokens.choices.at(0).score_prompt_from);
    EXPECT_TRUE(complete({{"echo", false}}).value().echoes.empty());
    expect_refused(complete({{"echo", true}, {"prompt", {kVocab - 1}}}), "body: prompt: expected token ids from 0 to ");
}

TEST_F(OpenAiRequests, KnownTokensOfPromptsAreTakenAsTheyAre) {
    const std::vector<std::vector<engine::TokenId>> known = {{1, 2, 3}};
    defaults_.prompts = &known;
    EXPECT_EQ(only(complete({})).prompt, known[0]);
    EXPECT_EQ(only(chat({})).prompt, known[0]);
}

TEST_F(OpenAiRequests, ModelStreamAndUnknownKeysAreReported) {
    const auto request =
        complete({{"model", "m"}, {"stream", true}, {"stream_options", {{"include_usage", true}}}, {"user", "u"}, {"tpo_p", 1}});
    ASSERT_TRUE(request);
    EXPECT_EQ(request->model, "m");
    EXPECT_TRUE(request->stream);
    EXPECT_TRUE(request->stream_usage);
    EXPECT_EQ(request->unknown_keys, std::vector<std::string>{"tpo_p"});
    expect_refused(complete({{"model", 5}}), "body: model: expected a text, found 5");
    expect_refused(complete({{"stream", 1}}), "body: stream: expected true or false");
}

TEST_F(OpenAiRequests, ChoicesAreAsManyAsAskedAndAtMostSo) {
    EXPECT_EQ(complete({{"n", 128}})->choices.size(), 128U);
    expect_refused(complete({{"n", 0}}), "body: n: expected a whole number from 1 to 128, found 0");
    expect_refused(complete({{"n", 129}}), "body: n: expected a whole number from 1 to 128, found 129");
    expect_refused(complete({{"prompt", std::vector<std::string>(100, "x")}, {"n", 100}}),
                   "body: expected at most 2048 choices, found n = 100 of 100 prompts");
}

// The command line's --n makes its requests by several_requests().
TEST_F(OpenAiRequests, ChoicesHaveTheSeedsOfTheCommandLine) {
    const auto request = complete({{"n", 5}, {"seed", 42}, {"prompt", {"a", "b"}}});
    ASSERT_TRUE(request);
    ASSERT_EQ(request->choices.size(), 10U);
    engine::Request one;
    one.sampling.seed = 42;
    const auto expected = engine::several_requests(one, {.n = 5});
    for (std::size_t i = 0; i < 10; ++i) EXPECT_EQ(request->choices[i].sampling.seed, expected[i % 5].sampling.seed) << i;
    EXPECT_EQ(request->choices[0].sampling.seed, 42U);
}

TEST_F(OpenAiRequests, NeighbouringSeedsShareNoAnswer) {
    std::set<std::vector<engine::TokenId>> answers;
    std::size_t n_choices = 0;
    for (const std::uint64_t seed : {41U, 42U, 43U}) {
        const auto request = complete({{"n", 16}, {"seed", seed}, {"prompt", {1, 2, 3}}, {"max_tokens", 20}});
        ASSERT_TRUE(request);
        engine::tests::Rig rig;
        for (const engine::Request& choice : request->choices) {
            std::vector<engine::TokenId> answer;
            for (const engine::GeneratedToken& token : rig.run(choice).tokens) answer.push_back(token.id);
            EXPECT_EQ(answer.size(), 20U);
            answers.insert(answer);
            ++n_choices;
        }
    }
    EXPECT_EQ(n_choices, 48U);
    EXPECT_EQ(answers.size(), n_choices);
}

}  // namespace
}  // namespace rafter::protocols
