// Documents are written n_together at a time; their order in the text is that of their numbers, so it does not depend on which ended first.
#include "engine/importance/own_text.h"

#include <algorithm>
#include <array>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "engine/conversation.h"

namespace rafter::engine {
namespace {

// Short, and of many kinds: the model goes on with what it was trained on.
constexpr std::array<std::string_view, 20> kOpenings = {
    "The",       "In the year", "# ",   "def ", "#include <", "Once upon a time", "{\"name\":",  "Question: ", "Dear",    "Abstract. We",
    "1. First,", "El ",         "Die ", "Le ",  "SELECT ",    "\"Well,\" said",   "Chapter 1\n", "Theorem. ",  "import ", "He was born in",
};
constexpr std::array<std::string_view, 12> kQuestions = {
    "Why is the sky blue?",
    "Write a short poem about the sea.",
    "What is 17 times 23? Think step by step.",
    "Write a Python function that reverses a list.",
    "Translate into French: The train leaves at noon.",
    "Give me three ideas for a birthday dinner.",
    "Explain how a vaccine works to a child.",
    "Who was Ada Lovelace?",
    "Summarise the causes of the First World War.",
    "What can I do against a headache?",
    "Tell me a joke.",
    "Was sind die Vorteile erneuerbarer Energien?",
};
constexpr std::uint32_t kMinDocumentTokens = 16;  // a model that ends at once would never fill the text

std::vector<TokenId> opening_of(const OpenedModel& opened, std::size_t document) {
    const text::SpecialIds& special = opened.tokenizer->special();
    if (document % 3 == 0 && special.bos) return {*special.bos};
    if (document % 3 == 1 && opened.has_own_template) {
        const auto messages =
            nlohmann::ordered_json::array({{{"role", "user"}, {"content", std::string(kQuestions[document / 3 % kQuestions.size()])}}});
        if (const auto chat = render_chat(opened, messages)) {
            std::vector<TokenId> tokens = opened.tokenizer->encode(chat->text, text::SpecialTokens::kParse);
            if (!tokens.empty()) return tokens;
        }
    }
    std::vector<TokenId> tokens = opened.tokenizer->encode(kOpenings[document % kOpenings.size()], text::SpecialTokens::kAsText);
    if (special.add_bos && special.bos) tokens.insert(tokens.begin(), *special.bos);
    return tokens;
}

struct Document {
    std::vector<TokenId> tokens;
    std::shared_ptr<TokenStream> stream;
};

Result<Document> begin_document(Engine& engine, const OpenedModel& opened, std::size_t number, const OwnTextOptions& options) {
    Request request;
    request.prompt = opening_of(opened, number);
    request.prompt.resize(std::min<std::size_t>(request.prompt.size(), options.context - 1));
    if (request.prompt.empty()) request.prompt = {0};  // a vocabulary without a word for any opening: any token is a beginning
    request.sampling.temperature = 1.0;
    request.sampling.seed = backend::derived_seed(options.seed, static_cast<std::uint32_t>(number));
    request.max_tokens = options.context - static_cast<std::uint32_t>(request.prompt.size());
    request.min_tokens = std::min(kMinDocumentTokens, request.max_tokens - 1);
    request.end_tokens = opened.tokenizer->special().end_of_generation;
    Document document{.tokens = request.prompt, .stream = {}};
    RAFTER_TRY(document.stream, engine.submit(std::move(request)));
    return document;
}

Result<void> take_tokens(Document& document) {
    const StreamUpdate update = document.stream->take();
    for (const GeneratedToken& token : update.tokens) document.tokens.push_back(token.id);
    if (update.finish && update.finish->error) return *update.finish->error;
    return {};
}

}  // namespace

Result<std::optional<std::vector<TokenId>>> write_own_text(Engine& engine, const OpenedModel& opened, const OwnTextOptions& options) {
    std::vector<TokenId> text;
    for (std::size_t first = 0; text.size() < options.n_tokens; first += options.n_together) {
        std::vector<Document> documents;
        for (std::size_t i = 0; i < options.n_together; ++i) {
            RAFTER_TRY(Document document, begin_document(engine, opened, first + i, options));
            documents.push_back(std::move(document));
        }
        for (bool go_on = true; go_on;) {
            go_on = engine.step();
            std::size_t n_written = text.size();
            for (Document& document : documents) {
                RAFTER_TRY_VOID(take_tokens(document));
                n_written += document.tokens.size();
            }
            if (options.written && !options.written(n_written)) {
                engine.end_all({.reason = FinishReason::kCancelled, .context_full = false, .error = {}, .times = {}});
                return std::optional<std::vector<TokenId>>();
            }
        }
        for (const Document& document : documents) text.insert(text.end(), document.tokens.begin(), document.tokens.end());
    }
    return std::optional(std::move(text));
}

}  // namespace rafter::engine
