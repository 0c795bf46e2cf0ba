// Which form a request has shows in the key that holds its text.
#include "protocols/tokenize.h"

#include <cmath>

#include "base/json_reader.h"
#include "engine/conversation.h"
#include "protocols/openai_prompts.h"
#include "protocols/service_parameters.h"
#include "text/utf8.h"
#include "text/utf8_stream.h"

namespace rafter::protocols {
namespace {

using engine::TokenId;
using nlohmann::ordered_json;

// Of a token, as text; ids beyond the vocabulary's texts have none.
std::string_view piece_of(const engine::OpenedModel& opened, TokenId id) {
    if (static_cast<std::size_t>(id) >= opened.tokenizer->n_tokens()) return "";
    return opened.tokenizer->piece(id, text::SpecialTokens::kParse);
}

// Half a character is a list of bytes, as with llama-server.
ordered_json piece_json(std::string_view piece) {
    if (text::find_invalid_utf8(piece) == piece.size()) return std::string(piece);
    ordered_json bytes = ordered_json::array();
    for (const char byte : piece) bytes.push_back(static_cast<unsigned char>(byte));
    return bytes;
}

void add_bos(std::vector<TokenId>& tokens, const engine::OpenedModel& opened, bool wanted) {
    const text::SpecialIds& special = opened.tokenizer->special();
    if (wanted && special.add_bos && special.bos) tokens.insert(tokens.begin(), *special.bos);
}

// What /tokenize may be asked, in either form.
struct TokenizeOptions {
    bool add_special = false;  // of llama-server's form, and parse_special, and with_pieces
    bool parse_special = true;
    bool with_pieces = false;
    bool with_texts = false;  // of vLLM's form
    std::optional<bool> add_special_tokens;
};

Result<TokenizeOptions> read_options(const JsonReader& body) {
    RAFTER_TRY(const auto add_special, read_bool(body, parameters::kAddSpecial));
    RAFTER_TRY(const auto parse_special, read_bool(body, parameters::kParseSpecial));
    RAFTER_TRY(const auto with_pieces, read_bool(body, parameters::kWithPieces));
    RAFTER_TRY(const auto with_texts, read_bool(body, parameters::kReturnTokenStrs));
    RAFTER_TRY(const auto add_special_tokens, read_bool(body, parameters::kAddSpecialTokens));
    // Of messages only, but known and checked in every form.
    RAFTER_TRY_VOID(read_bool(body, parameters::kAddGenerationPrompt));
    RAFTER_TRY_VOID(read_text(body, parameters::kReasoningEffort));
    RAFTER_TRY_VOID(read_bool(body, parameters::kEnableThinking));
    RAFTER_TRY_VOID(read_tools(body, {}, {}));
    RAFTER_TRY_VOID(body.find_object(parameters::kChatTemplateKwargs.name));
    return TokenizeOptions{.add_special = add_special.value_or(false),
                           .parse_special = parse_special.value_or(true),
                           .with_pieces = with_pieces.value_or(false),
                           .with_texts = with_texts.value_or(false),
                           .add_special_tokens = add_special_tokens};
}

ordered_json tokenize_content(const std::string& content, const engine::OpenedModel& opened, const TokenizeOptions& options) {
    const auto special = options.parse_special ? text::SpecialTokens::kParse : text::SpecialTokens::kAsText;
    std::vector<TokenId> tokens = opened.tokenizer->encode(content, special);
    add_bos(tokens, opened, options.add_special);
    if (!options.with_pieces) return {{"tokens", tokens}};
    ordered_json list = ordered_json::array();
    for (const TokenId id : tokens) list.push_back({{"id", id}, {"piece", piece_json(piece_of(opened, id))}});
    return {{"tokens", std::move(list)}};
}

ordered_json tokenized(const std::vector<TokenId>& tokens, const engine::OpenedModel& opened, const OpenAiDefaults& defaults,
                       bool with_texts) {
    ordered_json texts;
    if (with_texts) {
        texts = ordered_json::array();
        for (const TokenId id : tokens) texts.push_back(text::valid_utf8(piece_of(opened, id)));
    }
    return {{"count", tokens.size()},
            {"max_model_len", defaults.context ? ordered_json(*defaults.context) : ordered_json()},
            {"tokens", tokens},
            {"token_strs", std::move(texts)}};
}

}  // namespace

Result<TokenizeAnswer> tokenize(const nlohmann::json& body_json, const engine::OpenedModel& opened, const OpenAiDefaults& given) {
    RAFTER_TRY(const JsonReader body, JsonReader::open(body_json, "body"));
    OpenAiDefaults defaults = given;
    RAFTER_TRY(const auto model, read_text(body, parameters::kModel));
    RAFTER_TRY(const auto content, read_text(body, parameters::kContent));
    RAFTER_TRY(const auto prompt, read_text(body, parameters::kTokenizePrompt));
    const bool has_messages = body.find(parameters::kTokenizeMessages.name) != nullptr;
    const int n_forms = (content ? 1 : 0) + (prompt ? 1 : 0) + (has_messages ? 1 : 0);
    if (n_forms != 1) return bad_input("body: expected one of the keys prompt, messages and content, found {} of them", n_forms);
    RAFTER_TRY(const TokenizeOptions options, read_options(body));
    if (content) {
        RAFTER_TRY_VOID(check_prompt_bytes(content->size(), defaults, "body: content"));
        return TokenizeAnswer{tokenize_content(*content, opened, options), model, body.unknown_keys()};
    }
    // Whether a prompt fits is what the client wants to know: a longer one is counted.
    defaults.context.reset();
    std::vector<TokenId> tokens;
    if (prompt) {
        RAFTER_TRY_VOID(check_prompt_bytes(prompt->size(), defaults, "body: prompt"));
        tokens = opened.tokenizer->encode(*prompt, text::SpecialTokens::kParse);
        add_bos(tokens, opened, options.add_special_tokens.value_or(true));
    } else {
        RAFTER_TRY(const ChatBody read, read_chat(body, defaults.body));
        RAFTER_TRY(ChatPrompt chat,
                   chat_prompt(opened, read.input, "body: messages", defaults, options.add_special_tokens.value_or(false)));
        tokens = std::move(chat.tokens);
    }
    return TokenizeAnswer{tokenized(tokens, opened, given, options.with_texts), model, body.unknown_keys()};
}

Result<TokenizeAnswer> detokenize(const nlohmann::json& body_json, const engine::OpenedModel& opened, const OpenAiDefaults& /*defaults*/) {
    RAFTER_TRY(const JsonReader body, JsonReader::open(body_json, "body"));
    RAFTER_TRY(const auto model, read_text(body, parameters::kModel));
    const nlohmann::json* list = body.find(parameters::kTokens.name);
    if (list == nullptr || !list->is_array()) {
        return bad_input("body: tokens: expected a list of token ids, found {}", list == nullptr ? "no such key" : shown_json(*list));
    }
    std::vector<TokenId> tokens;
    for (const nlohmann::json& id : *list) {
        const double token = id.is_number() ? id.get<double>() : -1.0;
        if (!(token >= 0 && token < static_cast<double>(opened.tokenizer->n_tokens())) || token != std::floor(token)) {
            return bad_input("body: tokens: expected token ids from 0 to {}, found {}", opened.tokenizer->n_tokens() - 1, shown_json(id));
        }
        tokens.push_back(static_cast<TokenId>(token));
    }
    const std::string text = text::valid_utf8(opened.tokenizer->decode(tokens, text::SpecialTokens::kParse));
    return TokenizeAnswer{{{"prompt", text}, {"content", text}}, model, body.unknown_keys()};
}

Result<TokenizeAnswer> apply_template(const nlohmann::json& body_json, const engine::OpenedModel& opened, const OpenAiDefaults& defaults) {
    RAFTER_TRY(const JsonReader body, JsonReader::open(body_json, "body"));
    RAFTER_TRY(const auto model, read_text(body, parameters::kModel));
    RAFTER_TRY(const ChatBody read, read_chat(body, defaults.body));
    RAFTER_TRY(const text::RenderedChat chat, render_chat(opened, read.input, "body: messages", defaults));
    return TokenizeAnswer{{{"prompt", chat.text}}, model, body.unknown_keys()};
}

}  // namespace rafter::protocols
