// What XGrammar is given is EBNF or a structural tag; its errors and its warnings are reasons to refuse a grammar.
#include "grammar/grammar_mask.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "base/json_reader.h"
#include "base/quote.h"
#include "engine/current_error.h"
#include "grammar/ebnf.h"
#include "grammar/json_bounds.h"
#include "grammar/pattern.h"
#include "grammar/structural_tag.h"
#include "grammar/xgrammar_messages.h"

namespace rafter::grammar {
namespace {

using engine::TokenId;

constexpr std::size_t kMaxChoices = 10'000;
constexpr char kControlByte = '\xFF';  // begins what stands for the text of a token that has none; no UTF-8 has it

class GrammarMatcher : public engine::MaskMatcher {
  public:
    // never: tokens that may not come whatever the grammar says; outlives this.
    GrammarMatcher(const xgrammar::CompiledGrammar& compiled, std::size_t n_vocab, std::span<const TokenId> never)
        : matcher_(compiled), n_words_(engine::n_mask_words(n_vocab)), never_(never) {}

    void fill(std::span<std::uint32_t> allowed) override {
        std::int64_t shape = static_cast<std::int64_t>(allowed.size());
        DLTensor words{.data = allowed.data(),
                       .device = {.device_type = kDLCPU, .device_id = 0},
                       .ndim = 1,
                       .dtype = xgrammar::GetBitmaskDLType(),
                       .shape = &shape,
                       .strides = nullptr,
                       .byte_offset = 0};
        matcher_.FillNextTokenBitmask(&words);
        for (const TokenId token : never_) allowed[static_cast<std::size_t>(token) / 32] &= ~(1U << static_cast<std::size_t>(token) % 32);
    }
    [[nodiscard]] bool accept(TokenId token) override { return matcher_.AcceptToken(token); }
    void rollback(std::size_t n) override { matcher_.Rollback(static_cast<int>(n)); }
    [[nodiscard]] bool may_end() const override { return matcher_.IsCompleted(); }
    [[nodiscard]] bool is_finished() const override {
        if (!matcher_.IsCompleted()) return false;
        std::vector<std::uint32_t> allowed(n_words_);
        const_cast<GrammarMatcher*>(this)->fill(allowed);  // changes nothing that shows
        return std::ranges::all_of(allowed, [](std::uint32_t word) { return word == 0; });
    }

  private:
    xgrammar::GrammarMatcher matcher_;
    std::size_t n_words_;
    std::span<const TokenId> never_;
};

class GrammarMask : public engine::CompiledMask {
  public:
    // names_control_tokens: as a structural tag may. In others, XGrammar's free texts let them come.
    GrammarMask(xgrammar::CompiledGrammar compiled, bool names_control_tokens)
        : compiled_(std::move(compiled)), n_vocab_(static_cast<std::size_t>(compiled_.GetTokenizerInfo().GetVocabSize())) {
        if (names_control_tokens) return;
        const auto& pieces = compiled_.GetTokenizerInfo().GetDecodedVocab();
        for (std::size_t i = 0; i < pieces.size(); ++i) {
            if (pieces[i].starts_with(kControlByte)) never_.push_back(static_cast<TokenId>(i));
        }
    }
    [[nodiscard]] std::size_t n_vocab() const override { return n_vocab_; }
    [[nodiscard]] std::unique_ptr<engine::MaskMatcher> make_matcher() const override {
        return std::make_unique<GrammarMatcher>(compiled_, n_vocab_, never_);
    }

  private:
    xgrammar::CompiledGrammar compiled_;
    std::size_t n_vocab_;
    std::vector<TokenId> never_;
};

Result<Grammar> checked_choice(const std::string& text) {
    RAFTER_TRY(const nlohmann::ordered_json choices, parse_bounded_json(text, "choice"));
    if (!choices.is_array() || choices.empty())
        return bad_input("choice: expected an array of texts, found {}", shown_json(nlohmann::json(choices)));
    if (choices.size() > kMaxChoices) return bad_input("choice: expected at most {} texts, found {}", kMaxChoices, choices.size());
    std::vector<std::string> ways;
    for (const auto& choice : choices) {
        if (!choice.is_string() || choice.get<std::string>().empty()) {
            return bad_input("choice: expected texts that are not empty, found {}", shown_json(nlohmann::json(choice)));
        }
        ways.push_back(ebnf_text(choice.get<std::string>()));
    }
    return Grammar{GrammarKind::kEbnf, EbnfRules().grammar(ebnf_any_of(ways))};
}

xgrammar::Grammar parsed(const Grammar& grammar) {
    switch (grammar.kind) {
        case GrammarKind::kJson:
        case GrammarKind::kJsonSchema:
        case GrammarKind::kRegex:
        case GrammarKind::kEbnf:
        case GrammarKind::kChoice:
            return xgrammar::Grammar::FromEBNF(grammar.text);
        case GrammarKind::kStructuralTag:
            break;
    }
    auto made = xgrammar::Grammar::FromStructuralTag(grammar.text);
    if (const auto* error = std::get_if<xgrammar::StructuralTagError>(&made)) {
        throw std::runtime_error(std::visit([](const auto& e) { return std::string(e.what()); }, *error));
    }
    return std::get<xgrammar::Grammar>(std::move(made));
}

std::string_view name_of(GrammarKind kind) {
    switch (kind) {
        case GrammarKind::kJson:
        case GrammarKind::kJsonSchema:
            return "schema";
        case GrammarKind::kRegex:
            return "regex";
        case GrammarKind::kEbnf:
            return "grammar";
        case GrammarKind::kChoice:
            return "choice";
        case GrammarKind::kStructuralTag:
            return "structural tag";
    }
    return "grammar";
}

// Of XGrammar's messages: one line of printable ASCII, without the source's place.
std::string message_of(std::string_view text) {
    std::string message(text.substr(0, 300));
    std::ranges::replace_if(
        message, [](char c) { return c < 0x20 || c > 0x7E; }, ' ');
    while (!message.empty() && message.back() == ' ') message.pop_back();
    return message;
}

// What XGrammar finds wrong with a grammar before it looks at any vocabulary.
Result<void> check_parses(const Grammar& grammar, std::string_view name) {
    const WarningCollector warnings;
    try {
        static_cast<void>(parsed(grammar));
    } catch (const std::bad_alloc&) {
        return Error{fmt::format("out of memory for the {}", name), ErrorKind::kOutOfMemory};
    } catch (const std::exception& thrown) {
        return bad_input("{}: expected one that can be compiled, found a fault: {}", name, message_of(thrown.what()));
    }
    if (warnings.any()) return bad_input("{}: expected one that can be compiled, found a fault: {}", name, message_of(warnings.first()));
    return {};
}

}  // namespace

Grammar choice_grammar(std::span<const std::string> texts) {
    const nlohmann::json list(std::vector<std::string>(texts.begin(), texts.end()));
    return {GrammarKind::kChoice, list.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)};
}

xgrammar::TokenizerInfo vocabulary_of(const text::Tokenizer& tokenizer) {
    std::vector<std::string> pieces;
    pieces.reserve(tokenizer.n_tokens());
    for (std::size_t i = 0; i < tokenizer.n_tokens(); ++i) {
        pieces.emplace_back(tokenizer.piece(static_cast<TokenId>(i), text::SpecialTokens::kAsText));
        // XGrammar lets no token without a text come, also where a structural tag names it. No text of a grammar has such bytes.
        if (pieces.back().empty()) pieces.back() = fmt::format("{}{}", kControlByte, i);
    }
    for (const TokenId end : tokenizer.special().end_of_generation) pieces[static_cast<std::size_t>(end)].clear();
    // The engine knows the end tokens.
    return {pieces, xgrammar::VocabType::RAW, std::nullopt, std::vector<std::int32_t>()};
}

Result<Grammar> checked_grammar(const Grammar& grammar) {
    const std::string& text = grammar.text;
    const std::string_view name = name_of(grammar.kind);
    if (text.size() > kMaxGrammarBytes) return bad_input("{}: expected at most {} bytes, found {}", name, kMaxGrammarBytes, text.size());
    if (text.find('\0') != std::string::npos) return bad_input("{}: expected text, found a byte that is 0", name);
    switch (grammar.kind) {
        case GrammarKind::kJson:
        case GrammarKind::kJsonSchema: {
            RAFTER_TRY(std::string ebnf, schema_ebnf(grammar.kind == GrammarKind::kJson ? R"({"type": "object"})" : text));
            return Grammar{GrammarKind::kEbnf, std::move(ebnf)};
        }
        case GrammarKind::kRegex: {
            RAFTER_TRY(std::string ebnf, regex_ebnf(text, name));
            return Grammar{GrammarKind::kEbnf, std::move(ebnf)};
        }
        case GrammarKind::kEbnf:
            RAFTER_TRY_VOID(check_pattern_size(text, PatternSyntax::kEbnf, name));
            RAFTER_TRY_VOID(check_parses(grammar, name));
            return grammar;
        case GrammarKind::kChoice:
            return checked_choice(text);
        case GrammarKind::kStructuralTag: {
            RAFTER_TRY(std::string tag, followed_tag(text));
            Grammar followed{GrammarKind::kStructuralTag, std::move(tag)};
            RAFTER_TRY_VOID(check_parses(followed, name));
            return followed;
        }
    }
    return grammar;
}

Result<CompiledGrammarMask> compile_mask(xgrammar::GrammarCompiler& compiler, const Grammar& grammar) {
    const std::string_view name = name_of(grammar.kind);
    const WarningCollector warnings;
    try {
        const xgrammar::Grammar made = parsed(grammar);
        if (warnings.any())
            return bad_input("{}: expected one that can be compiled, found a fault: {}", name, message_of(warnings.first()));
        xgrammar::CompiledGrammar compiled = compiler.CompileGrammar(made);
        if (warnings.any())
            return bad_input("{}: expected one that can be compiled, found a fault: {}", name, message_of(warnings.first()));
        const std::size_t size_bytes = compiled.MemorySizeBytes();
        // "token", "any_tokens", "token_triggered_tags" and their like.
        const bool names_tokens = grammar.kind == GrammarKind::kStructuralTag && grammar.text.find("token") != std::string::npos;
        return CompiledGrammarMask{.mask = std::make_shared<GrammarMask>(std::move(compiled), names_tokens), .size_bytes = size_bytes};
    } catch (const std::bad_alloc&) {
        return Error{fmt::format("out of memory for the {}", name), ErrorKind::kOutOfMemory};
    } catch (const std::exception& thrown) {
        return bad_input("{}: expected one that can be compiled, found a fault: {}", name, message_of(thrown.what()));
    } catch (...) {
        return engine::current_error();
    }
}

}  // namespace rafter::grammar
