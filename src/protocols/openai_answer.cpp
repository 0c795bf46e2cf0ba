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

std::vector<ShownToken> shown_tokens(const OpenAiChoice& choice, const text::Tokenizer& tokenizer) {
    std::vector<ShownToken> shown;
    if (choice.tokens.empty()) return shown;
    const auto& ends = tokenizer.special().end_of_generation;
    const bool has_end = std::find(ends.begin(), ends.end(), choice.tokens.back().id) != ends.end();
    const bool was_cut = choice.finish.reason == engine::FinishReason::kStop && !has_end;
    const std::size_t size = n_characters(choice.text);
    text::Utf8Stream characters;
    std::size_t offset = 0;
    for (const engine::GeneratedToken& token : choice.tokens) {
        if (has_end && &token == &choice.tokens.back()) break;
        const std::string_view bytes = tokenizer.piece(token.id, text::SpecialTokens::kAsText);
        // A token that does not continue the character begun before it comes after that character's U+FFFD.
        const bool goes_on = !bytes.empty() && is_continuation(bytes.front());
        const std::size_t begin = offset + (goes_on ? 0 : n_characters(text::Utf8Stream(characters).finish()));
        if (was_cut && begin >= size) break;
        shown.push_back({&token, begin});
        offset += n_characters(characters.push(bytes));
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

ordered_json completion_logprobs(const OpenAiChoice& choice, const text::Tokenizer& tokenizer) {
    const auto name = [&](TokenId id) { return token_name(tokenizer.piece(id, text::SpecialTokens::kParse)); };
    ordered_json result{{"tokens", ordered_json::array()},
                        {"token_logprobs", ordered_json::array()},
                        {"top_logprobs", ordered_json::array()},
                        {"text_offset", ordered_json::array()}};
    for (const ShownToken& shown : shown_tokens(choice, tokenizer)) {
        const engine::TokenLogprobs& logprobs = *shown.token->logprobs;
        ordered_json top = ordered_json::object();
        // Of several tokens with the same text the likeliest counts: it comes first.
        for (const auto& [id, logprob] : logprobs.top) top.emplace(name(id), finite_logprob(logprob));
        top.emplace(name(shown.token->id), finite_logprob(logprobs.logprob));
        result["tokens"].push_back(name(shown.token->id));
        result["token_logprobs"].push_back(finite_logprob(logprobs.logprob));
        result["top_logprobs"].push_back(std::move(top));
        result["text_offset"].push_back(shown.offset);
    }
    return result;
}

ordered_json choice_json(const OpenAiChoice& choice, std::size_t index, bool is_chat, bool has_logprobs, const text::Tokenizer& tokenizer) {
    ordered_json result;
    result["index"] = index;
    if (is_chat) {
        result["message"] = {{"role", "assistant"}, {"content", choice.text}, {"refusal", nullptr}};
    } else {
        result["text"] = choice.text;
    }
    result["logprobs"] = nullptr;
    if (has_logprobs) result["logprobs"] = is_chat ? chat_logprobs(choice, tokenizer) : completion_logprobs(choice, tokenizer);
    result["finish_reason"] = engine::to_string(choice.finish.reason);
    return result;
}

}  // namespace

bool OpenAiChoice::take(engine::StreamUpdate&& update) {
    std::move(update.tokens.begin(), update.tokens.end(), std::back_inserter(tokens));
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
        const bool has_logprobs = !choices[i].tokens.empty() && choices[i].tokens.front().logprobs.has_value();
        list.push_back(choice_json(choices[i], i, is_chat, has_logprobs, tokenizer));
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
