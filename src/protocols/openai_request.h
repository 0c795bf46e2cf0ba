// OpenAI's requests as the engine's: the body of a POST to /v1/chat/completions or /v1/completions, checked key by key. Keys that nothing
// here knows are left to the caller; unsupported features that would change the answer are refused.
// https://platform.openai.com/docs/api-reference/chat/create and .../completions/create
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/loading/loaded_model.h"
#include "engine/request.h"
#include "grammar/grammar.h"
#include "grammar/grammar_compiler.h"
#include "protocols/answers/answer_format.h"
#include "protocols/answers/answer_parser.h"
#include "protocols/ordered_body.h"

namespace rafter::protocols {

enum class OpenAiEndpoint { kChatCompletions, kCompletions };
// By its path, "/v1/chat/completions"; none for another.
[[nodiscard]] std::optional<OpenAiEndpoint> find_openai_endpoint(std::string_view path);

// Values of keys that a request does not have, and what a prompt may be. A missing temperature is 1, as with OpenAI.
struct OpenAiDefaults {
    std::optional<std::uint32_t> max_tokens = 512;  // none: the rest of the context, as OpenAI's chats have it
    std::uint64_t seed = 0;
    // The tokens of the body's prompts, as an earlier parse of the same body gave them: it is then neither rendered nor tokenised again.
    const std::vector<std::vector<engine::TokenId>>* prompts = nullptr;
    std::optional<std::uint32_t> context;           // of a sequence; longer prompts are refused. None: only Engine::submit knows
    std::optional<std::uint64_t> max_prompt_bytes;  // longer texts are refused before they take time
    BodyText body = {};                             // keeps the order of keys, which schemas need
    AnswerFormatNames format = {};                  // how the model writes calls and thoughts
    grammar::GrammarCompiler* grammars = nullptr;   // null: a request that constrains its answers is refused
    bool waits_for_grammars = false;                // the masks of the requests are compiled when they are returned
};

// What "echo" puts before each answer to a prompt.
struct OpenAiEcho {
    std::string text;                                          // the prompt, or what its tokens show
    text::SpecialTokens shown = text::SpecialTokens::kAsText;  // kParse: special tokens of the prompt show in the text
    std::vector<engine::TokenId> tokens;                       // of the prompt, where log-probabilities are wanted
};

struct OpenAiRequest {
    OpenAiEndpoint endpoint = OpenAiEndpoint::kChatCompletions;
    std::optional<std::string> model;      // as the client calls it; nothing here compares it
    std::vector<engine::Request> choices;  // in order of their index: n for each prompt. Choice i of a prompt has derived_seed(seed, i)
    std::uint32_t n = 1;                   // choices of each prompt
    std::vector<OpenAiEcho> echoes;        // [n_prompts], or none
    std::uint64_t n_prompt_tokens = 0;     // each prompt counted once
    std::uint32_t n_system_tokens = 0;     // of a chat's prompt, before the conversation
    bool ignore_eos = false;               // of every choice
    // Log-probabilities that the answer shows: of its tokens and of the prompt's, and of so many likeliest. The engine may be asked for
    // more.
    std::optional<std::uint32_t> n_logprobs;
    std::optional<std::uint32_t> n_prompt_logprobs;
    std::vector<std::vector<engine::TokenId>> scored_prompts;  // [n_prompts] with n_prompt_logprobs, else none
    int priority = 0;                                          // of every choice
    std::optional<double> max_ttft_seconds;                    // the client would rather be refused than wait longer
    bool timings = true;                                       // the client wants them
    bool stream = false;                                       // the client wants a stream, and stream_usage: one that ends with the usage
    bool stream_usage = false;
    std::shared_ptr<const AnswerRules> rules;  // how an answer's text is parted; null: it is the answer
    std::optional<grammar::Grammar> grammar;   // of every choice: what the answer must keep to
    std::vector<std::string> unknown_keys;     // of the body
    std::vector<std::string> warnings;         // of its prompts, for a person: sentences, each once
};

// What an answer may have: given, of the request or of the defaults; or the rest of the context; or, where neither is known, anything.
[[nodiscard]] std::uint32_t answer_tokens(std::optional<std::uint32_t> given, std::optional<std::uint32_t> context, std::size_t n_prompt);

// body: any JSON value. Fails with kBadInput on what cannot be served: "body: top_p: expected a number from 0 to 1, found 2".
// Engine::submit checks whether a prompt and a token of its answer fit into the context.
[[nodiscard]] Result<OpenAiRequest> parse_openai_request(OpenAiEndpoint endpoint, const nlohmann::json& body,
                                                         const engine::OpenedModel& opened, const OpenAiDefaults& defaults);

}  // namespace rafter::protocols
