// Log-probabilities are reported for the tokens that the text shows: not for the end token, and not for what a stop text cut off.
#include "protocols/openai_answer.h"

#include <algorithm>

#include "text/utf8.h"
#include "text/utf8_stream.h"

namespace rafter::protocols {
namespace {

using engine::TokenId;
using nlohmann::ordered_json;

constexpr double kMinLogprob = -9999.0;  // JSON has no infinity; OpenAI's number for it

double finite_logprob(double logprob) { return logprob >= kMinLogprob ? logprob : kMinLogprob; }

bool is_continuation(char byte) { return (static_cast<unsigned char>(byte) & 0xC0U) == 0x80U; }

std::size_t n_characters(std::string_view text) {
    return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char byte) { return !is_continuation(byte); }));
}

struct ShownToken {
    const engine::GeneratedToken* token;
    std::size_t offset;  // in the text, in characters
};

// Where each token of a text begins, in characters.
class Offsets {
  public:
    // Of the next token. One that does not continue the character begun before it comes after that character's U+FFFD.
    std::size_t add(std::string_view bytes) {
        const bool goes_on = !bytes.empty() && is_continuation(bytes.front());
        const std::size_t begin = end_ + (goes_on ? 0 : n_characters(text::Utf8Stream(characters_).finish()));
        end_ += n_characters(characters_.push(bytes));
        return begin;
    }
    [[nodiscard]] std::size_t end() const { return end_ + n_characters(text::Utf8Stream(characters_).finish()); }

  private:
    text::Utf8Stream characters_;
    std::size_t end_ = 0;
};

std::vector<ShownToken> shown_tokens(const OpenAiChoice& choice, const text::Tokenizer& tokenizer) {
    std::vector<ShownToken> shown;
    if (choice.tokens.empty()) return shown;
    const auto& ends = tokenizer.special().end_of_generation;
    const bool has_end = std::find(ends.begin(), ends.end(), choice.tokens.back().id) != ends.end();
    const bool was_cut = choice.finish.reason == engine::FinishReason::kStop && !has_end;
    const std::size_t size = n_characters(choice.text);
    Offsets offsets;
    for (const engine::GeneratedToken& token : choice.tokens) {
        if (has_end && &token == &choice.tokens.back()) break;
        const std::size_t begin = offsets.add(tokenizer.piece(token.id, text::SpecialTokens::kAsText));
        if (was_cut && begin >= size) break;
        shown.push_back({&token, begin});
    }
    return shown;
}

// A completion identifies tokens by their texts alone; half a character is "bytes:\xe2\x82".
std::string token_name(std::string_view bytes) {
    if (text::find_invalid_utf8(bytes) == bytes.size()) return std::string(bytes);
    std::string name = "bytes:";
    for (const char byte : bytes) name += fmt::format("\\x{:02x}", static_cast<unsigned char>(byte));
    return name;
}

ordered_json chat_logprob(TokenId id, double logprob, const text::Tokenizer& tokenizer) {
    const std::string_view bytes = tokenizer.piece(id, text::SpecialTokens::kParse);
    ordered_json list = ordered_json::array();
    for (const char byte : bytes) list.push_back(static_cast<unsigned char>(byte));
    return {{"token", text::valid_utf8(bytes)}, {"logprob", finite_logprob(logprob)}, {"bytes", std::move(list)}};
}

ordered_json chat_logprobs(const OpenAiChoice& choice, const text::Tokenizer& tokenizer) {
    ordered_json content = ordered_json::array();
    for (const ShownToken& shown : shown_tokens(choice, tokenizer)) {
        ordered_json entry = chat_logprob(shown.token->id, shown.token->logprobs->logprob, tokenizer);
        entry["top_logprobs"] = ordered_json::array();
        for (const auto& [id, logprob] : shown.token->logprobs->top) {
            entry["top_logprobs"].push_back(chat_logprob(id, logprob, tokenizer));
        }
        content.push_back(std::move(entry));
    }
    return {{"content", std::move(content)}, {"refusal", nullptr}};
}

// The tokens of an echoed prompt end where its text ends: what stands before that text (BOS, a leading space that the vocabulary adds) has
// no characters of it.
std::vector<std::size_t> echo_offsets(const OpenAiEcho& echo, const text::Tokenizer& tokenizer) {
    std::vector<std::size_t> begins;
    Offsets offsets;
    for (const TokenId id : echo.tokens) begins.push_back(offsets.add(tokenizer.piece(id, echo.shown)));
    const std::size_t size = n_characters(echo.text);
    const std::size_t n_before = offsets.end() - std::min(offsets.end(), size);
    for (std::size_t& begin : begins) begin = std::min(begin - std::min(begin, n_before), size);
    return begins;
}

// An echo's tokens come first; the first of them has no log-probability, as nothing stands before it. scores: those of the others.
ordered_json completion_logprobs(const OpenAiChoice& choice, const OpenAiEcho& echo, std::span<const engine::TokenLogprobs> scores,
                                 const text::Tokenizer& tokenizer) {
    const auto name = [&](TokenId id) { return token_name(tokenizer.piece(id, text::SpecialTokens::kParse)); };
    ordered_json result{{"tokens", ordered_json::array()},
                        {"token_logprobs", ordered_json::array()},
                        {"top_logprobs", ordered_json::array()},
                        {"text_offset", ordered_json::array()}};
    const auto add = [&](TokenId id, const engine::TokenLogprobs& logprobs, std::size_t offset) {
        ordered_json top = ordered_json::object();
        // Of several tokens with the same text the likeliest counts: it comes first.
        for (const auto& [likely, logprob] : logprobs.top) top.emplace(name(likely), finite_logprob(logprob));
        top.emplace(name(id), finite_logprob(logprobs.logprob));
        result["tokens"].push_back(name(id));
        result["token_logprobs"].push_back(finite_logprob(logprobs.logprob));
        result["top_logprobs"].push_back(std::move(top));
        result["text_offset"].push_back(offset);
    };
    const std::vector<std::size_t> offsets = echo_offsets(echo, tokenizer);
    for (std::size_t i = 0; i < echo.tokens.size(); ++i) {
        if (i > 0) {
            add(echo.tokens[i], scores[i - 1], offsets[i]);
            continue;
        }
        result["tokens"].push_back(name(echo.tokens[i]));
        for (const char* key : {"token_logprobs", "top_logprobs"}) result[key].push_back(nullptr);
        result["text_offset"].push_back(offsets[i]);
    }
    const std::size_t begin = n_characters(echo.text);
    for (const ShownToken& shown : shown_tokens(choice, tokenizer)) add(shown.token->id, *shown.token->logprobs, begin + shown.offset);
    return result;
}

ordered_json choice_json(const OpenAiRequest& request, std::span<const OpenAiChoice> choices, std::size_t index,
                         const text::Tokenizer& tokenizer) {
    const OpenAiChoice& choice = choices[index];
    const bool is_chat = request.endpoint == OpenAiEndpoint::kChatCompletions;
    const OpenAiEcho echo = request.echoes.empty() ? OpenAiEcho() : request.echoes[index / request.n];
    const bool has_logprobs = !echo.tokens.empty() || (!choice.tokens.empty() && choice.tokens.front().logprobs.has_value());
    ordered_json result;
    result["index"] = index;
    if (is_chat) {
        result["message"] = {{"role", "assistant"}, {"content", choice.text}, {"refusal", nullptr}};
    } else {
        result["text"] = echo.text + choice.text;
    }
    result["logprobs"] = nullptr;
    if (has_logprobs && is_chat) result["logprobs"] = chat_logprobs(choice, tokenizer);
    if (has_logprobs && !is_chat) {
        // The first choice of each prompt brings its scores.
        const OpenAiChoice& first = choices[index - index % request.n];
        result["logprobs"] = completion_logprobs(choice, echo, first.prompt_scores, tokenizer);
    }
    result["finish_reason"] = engine::to_string(choice.finish.reason);
    return result;
}

}  // namespace

bool OpenAiChoice::take(engine::StreamUpdate&& update) {
    std::move(update.tokens.begin(), update.tokens.end(), std::back_inserter(tokens));
    std::move(update.prompt_scores.begin(), update.prompt_scores.end(), std::back_inserter(prompt_scores));
    text += update.text;
    if (!update.finish) return false;
    finish = *std::move(update.finish);
    return true;
}

ordered_json openai_answer(const OpenAiRequest& request, std::span<const OpenAiChoice> choices, const OpenAiIdentity& identity,
                           const text::Tokenizer& tokenizer) {
    const bool is_chat = request.endpoint == OpenAiEndpoint::kChatCompletions;
    ordered_json list = ordered_json::array();
    std::uint64_t n_generated = 0;
    for (std::size_t i = 0; i < choices.size(); ++i) {
        list.push_back(choice_json(request, choices, i, tokenizer));
        n_generated += choices[i].finish.times.n_generated;
    }
    return {{"id", (is_chat ? "chatcmpl-" : "cmpl-") + identity.id},
            {"object", is_chat ? "chat.completion" : "text_completion"},
            {"created", identity.created_unix_s},
            {"model", identity.model},
            {"choices", std::move(list)},
            {"usage",
             {{"prompt_tokens", request.n_prompt_tokens},
              {"completion_tokens", n_generated},
              {"total_tokens", request.n_prompt_tokens + n_generated}}}};
}

ordered_json openai_error(int status, const std::string& message) {
    constexpr int kFirstServerError = 500;
    return {{"error",
             {{"message", message},
              {"type", status < kFirstServerError ? "invalid_request_error" : "server_error"},
              {"param", nullptr},
              {"code", nullptr}}}};
}

}  // namespace rafter::protocols
