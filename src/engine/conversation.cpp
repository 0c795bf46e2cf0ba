// Tokenising the whole history again could cut an answer into other tokens than the model wrote; so only what the template adds after the
// last answer is tokenised, unless it rewrote what came before (some take old reasoning out).
#include "engine/conversation.h"

#include <algorithm>

#include "base/check.h"
#include "base/quote.h"
#include "text/utf8_stream.h"

namespace rafter::engine {

Result<std::vector<TokenId>> encode_prompt(const OpenedModel& opened, std::string_view text) {
    std::vector<TokenId> tokens = opened.tokenizer->encode(text, text::SpecialTokens::kParse);
    const text::SpecialIds& special = opened.tokenizer->special();
    if (special.add_bos && special.bos) tokens.insert(tokens.begin(), *special.bos);
    if (tokens.empty()) return bad_input("the prompt is empty, and this model has no BOS token to start from");
    return tokens;
}

Result<text::RenderedChat> render_chat(const OpenedModel& opened, const nlohmann::ordered_json& messages) {
    text::ChatTemplateInput input;
    input.messages = messages;
    return opened.chat_template.render_any_system(input);
}

std::optional<std::string> prompt_warning(const OpenedModel& opened, std::span<const TokenId> prompt) {
    const std::optional<TokenId> bos = opened.tokenizer->special().bos;
    if (!bos || prompt.size() < 2 || prompt[0] != *bos || prompt[1] != *bos) return std::nullopt;
    return fmt::format("the prompt begins with two BOS tokens ({}), where the model expects one",
                       quote(opened.tokenizer->piece(*bos, text::SpecialTokens::kParse)));
}

Conversation::Conversation(const OpenedModel& opened, std::string_view system) : opened_(opened) { set_system(system); }

void Conversation::set_system(std::string_view system) {
    system_ = text::valid_utf8(system);
    reset();
}

void Conversation::reset() {
    messages_ = nlohmann::ordered_json::array();
    if (!system_.empty()) messages_.push_back({{"role", "system"}, {"content", system_}});
    asked_ = {};
    answered_ = {};
}

Result<std::vector<TokenId>> Conversation::ask(std::string_view text) {
    messages_.push_back({{"role", "user"}, {"content", text::valid_utf8(text)}});
    auto rendered = render_chat(opened_, messages_);
    if (!rendered) {
        retract();
        return rendered.error();
    }
    system_moved_ = rendered->system_moved;
    const bool goes_on = !answered_.text.empty() && rendered->text.starts_with(answered_.text);
    Known asked;
    if (goes_on) asked.tokens = answered_.tokens;
    const std::string_view added = std::string_view(rendered->text).substr(goes_on ? answered_.text.size() : 0);
    const auto tokens = opened_.tokenizer->encode(added, text::SpecialTokens::kParse);
    asked.tokens.insert(asked.tokens.end(), tokens.begin(), tokens.end());
    asked.text = std::move(rendered->text);
    asked_ = std::move(asked);
    return asked_.tokens;
}

void Conversation::answered(const std::vector<TokenId>& tokens, std::string_view text) {
    messages_.push_back({{"role", "assistant"}, {"content", std::string(text)}});
    const text::Tokenizer& tokenizer = *opened_.tokenizer;
    // The template writes the end of the turn itself.
    const auto& ends = tokenizer.special().end_of_generation;
    std::vector<TokenId> said;
    std::string said_text;
    for (const TokenId token : tokens) {
        if (std::find(ends.begin(), ends.end(), token) != ends.end()) continue;
        said.push_back(token);
        said_text += tokenizer.piece(token, text::SpecialTokens::kAsText);
    }
    // A stop string was cut off, or a character was broken: then the tokens say something else than the message.
    if (said_text != text) said = tokenizer.encode(text, text::SpecialTokens::kAsText);
    answered_ = asked_;
    answered_.text += text;
    answered_.tokens.insert(answered_.tokens.end(), said.begin(), said.end());
}

void Conversation::retract() {
    RAFTER_CHECK(!messages_.empty() && messages_.back()["role"] == "user", "no question to take back");
    messages_.erase(messages_.size() - 1);
}

}  // namespace rafter::engine
