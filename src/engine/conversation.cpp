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

Result<text::RenderedChat> render_chat(const OpenedModel& opened, const nlohmann::ordered_json& messages,
                                       const nlohmann::ordered_json& variables) {
    text::ChatTemplateInput input;
    input.messages = messages;
    input.variables = variables;
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
    turns_.clear();
    n_dropped_ = 0;
    question_.reset();
    asked_ = {};
}

nlohmann::ordered_json Conversation::messages_from(std::size_t first_turn) const {
    nlohmann::ordered_json messages = nlohmann::ordered_json::array();
    if (!system_.empty()) messages.push_back({{"role", "system"}, {"content", system_}});
    for (std::size_t i = first_turn; i < turns_.size(); ++i) {
        messages.push_back({{"role", "user"}, {"content", turns_[i].question}});
        messages.push_back({{"role", "assistant"}, {"content", turns_[i].answer}});
    }
    if (question_) messages.push_back({{"role", "user"}, {"content", *question_}});
    return messages;
}

nlohmann::ordered_json Conversation::messages() const { return messages_from(0); }
std::size_t Conversation::n_messages() const { return messages_from(n_dropped_).size(); }

Result<std::vector<TokenId>> Conversation::ask(std::string_view text) {
    question_ = text::valid_utf8(text);
    auto tokens = prompt();
    if (!tokens) retract();
    return tokens;
}

Result<std::vector<TokenId>> Conversation::prompt() {
    RAFTER_TRY(text::RenderedChat rendered, render_chat(opened_, messages_from(n_dropped_), variables_));
    system_moved_ = rendered.system_moved;
    const Known* const before = turns_.empty() || turns_.back().known.text.empty() ? nullptr : &turns_.back().known;
    const bool goes_on = before != nullptr && rendered.text.starts_with(before->text);
    Known asked;
    if (goes_on) asked.tokens = before->tokens;
    const std::string_view added = std::string_view(rendered.text).substr(goes_on ? before->text.size() : 0);
    const auto tokens = opened_.tokenizer->encode(added, text::SpecialTokens::kParse);
    asked.tokens.insert(asked.tokens.end(), tokens.begin(), tokens.end());
    asked.text = std::move(rendered.text);
    asked_ = std::move(asked);
    return asked_.tokens;
}

void Conversation::answered(const std::vector<TokenId>& tokens, std::string_view text) {
    RAFTER_CHECK(question_, "an answer without a question");
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
    Turn turn{.question = *std::move(question_), .answer = std::string(text), .known = std::move(asked_)};
    turn.known.text += text;
    turn.known.tokens.insert(turn.known.tokens.end(), said.begin(), said.end());
    turns_.push_back(std::move(turn));
    question_.reset();
}

void Conversation::retract() {
    RAFTER_CHECK(question_, "no question to take back");
    question_.reset();
}

std::optional<std::string> Conversation::undo() {
    RAFTER_CHECK(!question_, "a question waits for its answer");
    if (turns_.empty()) return std::nullopt;
    std::string question = std::move(turns_.back().question);
    turns_.pop_back();
    n_dropped_ = std::min(n_dropped_, turns_.size());
    return question;
}

bool Conversation::drop_oldest_turn() {
    if (n_dropped_ == turns_.size()) return false;
    ++n_dropped_;
    return true;
}

Result<void> Conversation::load(const nlohmann::ordered_json& messages) {
    if (!messages.is_array()) return bad_input("messages: expected a list");
    std::string system;
    std::vector<Turn> turns;
    std::optional<std::string> question;
    for (std::size_t i = 0; i < messages.size(); ++i) {
        const auto text_at = [&](const char* key) -> const std::string* {
            const bool has_key = messages[i].is_object() && messages[i].contains(key);
            return has_key ? messages[i][key].get_ptr<const std::string*>() : nullptr;
        };
        const std::string* const role = text_at("role");
        const std::string* const content = text_at("content");
        if (role == nullptr || content == nullptr) return bad_input("messages[{}]: expected an object with the texts role and content", i);
        if (*role == "system" && i == 0) {
            system = *content;
        } else if (*role == "user" && !question) {
            question = *content;
        } else if (*role == "assistant" && question) {
            turns.push_back({.question = *std::move(question), .answer = *content, .known = {}});
            question.reset();
        } else {
            const char* const expected = question ? "assistant" : i == 0 ? "system or user" : "user";
            return bad_input("messages[{}].role: expected {}, found {}", i, expected, quote(*role));
        }
    }
    if (question) return bad_input("messages: expected an answer to the last question");
    set_system(system);
    turns_ = std::move(turns);
    return {};
}

}  // namespace rafter::engine
