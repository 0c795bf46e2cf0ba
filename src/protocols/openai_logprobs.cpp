// A token is shown when it begins before the end of the text that has come. When the answer ends without a stop text, all its tokens are
// shown but an end token.
#include "protocols/openai_logprobs.h"

#include <algorithm>

#include "text/utf8.h"

namespace rafter::protocols {
namespace {

using engine::TokenId;
using nlohmann::ordered_json;

constexpr double kMinLogprob = -9999.0;

bool is_continuation(char byte) { return (static_cast<unsigned char>(byte) & 0xC0U) == 0x80U; }

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

bool is_end_token(const text::Tokenizer& tokenizer, TokenId id) {
    const auto& ends = tokenizer.special().end_of_generation;
    return std::find(ends.begin(), ends.end(), id) != ends.end();
}

std::span<const std::pair<TokenId, double>> likeliest(const engine::TokenLogprobs& logprobs, std::size_t n) {
    return std::span(logprobs.top).first(std::min(n, logprobs.top.size()));
}

// The tokens of an echoed prompt end where its text ends: what stands before that text (BOS, a leading space that the vocabulary adds) has
// no characters of it.
std::vector<std::size_t> echo_offsets(const OpenAiEcho& echo, const text::Tokenizer& tokenizer) {
    std::vector<std::size_t> begins;
    TokenOffsets offsets;
    for (const TokenId id : echo.tokens) begins.push_back(offsets.add(tokenizer.piece(id, echo.shown)));
    const std::size_t size = n_characters(echo.text);
    const std::size_t n_before = offsets.end() - std::min(offsets.end(), size);
    for (std::size_t& begin : begins) begin = std::min(begin - std::min(begin, n_before), size);
    return begins;
}

}  // namespace

std::size_t n_characters(std::string_view text) {
    return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char byte) { return !is_continuation(byte); }));
}

double finite_logprob(double logprob) { return logprob >= kMinLogprob ? logprob : kMinLogprob; }

std::size_t TokenOffsets::add(std::string_view bytes) {
    const bool goes_on = !bytes.empty() && is_continuation(bytes.front());
    const std::size_t begin = goes_on ? end_ : end();
    end_ += n_characters(characters_.push(bytes));
    return begin;
}

std::size_t TokenOffsets::end() const { return end_ + n_characters(text::Utf8Stream(characters_).finish()); }

std::string_view shown_piece(const text::Tokenizer& tokenizer, TokenId id, std::span<const TokenId> shown_tokens) {
    if (is_end_token(tokenizer, id)) return {};
    const bool is_shown = std::find(shown_tokens.begin(), shown_tokens.end(), id) != shown_tokens.end();
    return tokenizer.piece(id, is_shown ? text::SpecialTokens::kParse : text::SpecialTokens::kAsText);
}

std::vector<ShownToken> ShownTokens::take(engine::StreamUpdate& update) {
    for (engine::GeneratedToken& token : update.tokens) {
        const std::size_t begin = offsets_.add(shown_piece(tokenizer_, token.id, shown_tokens_));
        waiting_.push_back({std::move(token), begin});
    }
    update.tokens.clear();
    n_characters_ += n_characters(update.text);
    bool all = false;
    if (update.finish) {
        const bool stopped = update.finish->reason == engine::FinishReason::kStop;
        const bool has_end = stopped && !ignore_eos_ && !waiting_.empty() && is_end_token(tokenizer_, waiting_.back().token.id);
        if (has_end) waiting_.pop_back();
        all = has_end || !stopped;
    }
    std::vector<ShownToken> shown;
    while (!waiting_.empty() && (all || waiting_.front().offset < n_characters_)) {
        shown.push_back(std::move(waiting_.front()));
        waiting_.pop_front();
    }
    return shown;
}

ordered_json chat_logprobs(std::span<const ShownToken> shown, std::size_t n_top, const text::Tokenizer& tokenizer) {
    ordered_json content = ordered_json::array();
    for (const ShownToken& one : shown) {
        ordered_json entry = chat_logprob(one.token.id, one.token.logprobs->logprob, tokenizer);
        entry["top_logprobs"] = ordered_json::array();
        for (const auto& [id, logprob] : likeliest(*one.token.logprobs, n_top))
            entry["top_logprobs"].push_back(chat_logprob(id, logprob, tokenizer));
        content.push_back(std::move(entry));
    }
    return {{"content", std::move(content)}, {"refusal", nullptr}};
}

CompletionLogprobs::CompletionLogprobs(std::size_t n_top, const text::Tokenizer& tokenizer)
    : n_top_(n_top),
      tokenizer_(tokenizer),
      json_{{"tokens", ordered_json::array()},
            {"token_logprobs", ordered_json::array()},
            {"top_logprobs", ordered_json::array()},
            {"text_offset", ordered_json::array()}} {}

void CompletionLogprobs::add(TokenId id, const engine::TokenLogprobs* logprobs, std::size_t offset) {
    const auto name = [&](TokenId token) { return token_name(tokenizer_.piece(token, text::SpecialTokens::kParse)); };
    json_["tokens"].push_back(name(id));
    json_["text_offset"].push_back(offset);
    if (logprobs == nullptr) {
        for (const char* key : {"token_logprobs", "top_logprobs"}) json_[key].push_back(nullptr);
        return;
    }
    ordered_json top = ordered_json::object();
    // Of several tokens with the same text the likeliest counts: it comes first.
    for (const auto& [likely, logprob] : likeliest(*logprobs, n_top_)) top.emplace(name(likely), finite_logprob(logprob));
    top.emplace(name(id), finite_logprob(logprobs->logprob));
    json_["token_logprobs"].push_back(finite_logprob(logprobs->logprob));
    json_["top_logprobs"].push_back(std::move(top));
}

void CompletionLogprobs::add_echo(const OpenAiEcho& echo, std::span<const engine::TokenLogprobs> scores) {
    const std::vector<std::size_t> offsets = echo_offsets(echo, tokenizer_);
    for (std::size_t i = 0; i < echo.tokens.size(); ++i) {
        const bool has_score = i > 0 && i - 1 < scores.size();
        add(echo.tokens[i], has_score ? &scores[i - 1] : nullptr, offsets[i]);
    }
}

void CompletionLogprobs::add(std::span<const ShownToken> shown, std::size_t begin) {
    for (const ShownToken& one : shown) add(one.token.id, &*one.token.logprobs, begin + one.offset);
}

ordered_json prompt_logprobs(std::span<const TokenId> prompt, std::span<const engine::TokenLogprobs> scores, std::size_t n_top,
                             const text::Tokenizer& tokenizer) {
    ordered_json list = ordered_json::array();
    for (std::size_t i = 0; i < prompt.size(); ++i) {
        if (i == 0 || i - 1 >= scores.size()) {
            list.push_back(nullptr);
            continue;
        }
        const engine::TokenLogprobs& score = scores[i - 1];
        ordered_json entry = ordered_json::object();
        const auto add = [&](TokenId id, double logprob, ordered_json rank) {
            const bool has_text = static_cast<std::size_t>(id) < tokenizer.n_tokens();  // a model may have more ids than texts
            const std::string text = has_text ? text::valid_utf8(tokenizer.piece(id, text::SpecialTokens::kParse)) : "";
            entry[std::to_string(id)] = {{"logprob", finite_logprob(logprob)}, {"rank", std::move(rank)}, {"decoded_token", text}};
        };
        const auto found = std::ranges::find(score.top, prompt[i], &std::pair<TokenId, double>::first);
        add(prompt[i], score.logprob, found == score.top.end() ? ordered_json() : ordered_json(found - score.top.begin() + 1));
        std::size_t rank = 0;
        for (const auto& [id, logprob] : likeliest(score, n_top)) {
            ++rank;
            if (id != prompt[i]) add(id, logprob, rank);
        }
        list.push_back(std::move(entry));
    }
    return list;
}

}  // namespace rafter::protocols
