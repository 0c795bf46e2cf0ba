// Compares a tokenizer.json's expressions with the table of families; see the header.
#include "text/hf/gguf_pre_tokenizer.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "base/quote.h"
#include "text/hf/characters.h"
#include "text/pre_tokenizer_families.h"

namespace rafter::text::hf {
namespace {

// Of names and rows that do the same, those that most models have.
constexpr std::array<std::string_view, 5> kPreferred = {"llama-bpe", "qwen2", "smollm", "gpt-2", "gpt-4o"};

Result<std::string> expression_of(const SplitByPattern& step) {
    const std::string& source = step.pattern.source();
    if (!step.pattern.is_regex()) return bad_input("pre_tokenizer: GGUF has no name for splitting by the text {}", quote(source));
    // Removing what an expression does not match changes nothing where it matches everything, as those do whose last choice is white space.
    const bool matches_all = step.behavior == Behavior::kRemoved && step.invert && source.ends_with(R"(|\s+)");
    if ((step.behavior != Behavior::kIsolated || step.invert) && !matches_all)
        return bad_input("pre_tokenizer: expected the behavior Isolated for {}, which is all that GGUF has", quote(source));
    return source;
}

Result<std::vector<std::string>> expressions_of(const TokenizerJson& json) {
    std::vector<std::string> expressions;
    for (std::size_t i = 0; i < json.pre_tokenizers.size(); ++i) {
        const PreTokenizer& step = json.pre_tokenizers[i];
        const bool is_last = i + 1 == json.pre_tokenizers.size();
        if (const auto* split = std::get_if<SplitByPattern>(&step)) {
            RAFTER_TRY(std::string expression, expression_of(*split));
            expressions.push_back(std::move(expression));
        } else if (const auto* kind = std::get_if<SplitByKind>(&step); kind != nullptr && kind->is_in == is_number) {
            expressions.emplace_back(kind->behavior == Behavior::kIsolated ? R"(\p{N})" : R"(\p{N}+)");
        } else if (std::holds_alternative<PrefixSpace>(step)) {
            return bad_input("pre_tokenizer: ByteLevel with add_prefix_space true: GGUF has no name for it");
        } else if (!std::holds_alternative<SpelledBytes>(step) || !is_last) {
            return bad_input("pre_tokenizer: expected Split, Digits and a last ByteLevel, which is all that GGUF has names for");
        }
    }
    return expressions;
}

Result<bool> is_nfc(const TokenizerJson& json) {
    for (const Normalizer& step : json.normalizers) {
        const auto* form = std::get_if<ToForm>(&step);
        if (form == nullptr || form->form != UnicodeForm::kNfc)
            return bad_input("normalizer: expected none or NFC, which is all that GGUF has for byte-level BPE");
    }
    return !json.normalizers.empty();
}

bool same_steps(const PreTokenizerFamily& family, const std::vector<std::string>& expressions) {
    std::size_t n_steps = 0;
    for (const PreTokenizerStep& step : family.steps) {
        if (step.regex.empty()) break;
        if (n_steps == expressions.size() || step.cut != Cut::kWhole || step.regex != expressions[n_steps]) return false;
        ++n_steps;
    }
    return n_steps == expressions.size();
}

}  // namespace

Result<std::string> gguf_pre_tokenizer(const TokenizerJson& json) {
    RAFTER_TRY(const std::vector<std::string> expressions, expressions_of(json));
    RAFTER_TRY(const bool nfc, is_nfc(json));
    const auto fits = [&](const PreTokenizerFamily& family, std::string_view name) {
        return !family.space_mark && family.ignore_merges == json.ignore_merges && normalizes_to_nfc(name) == nfc &&
               same_steps(family, expressions);
    };
    for (const std::string_view name : kPreferred) {
        const PreTokenizerFamily* family = find_pre_tokenizer_family(name);
        if (family != nullptr && fits(*family, name)) return std::string(name);
    }
    for (const PreTokenizerFamily& family : pre_tokenizer_families()) {
        for (std::string_view names = family.names; !names.empty();) {
            const std::string_view name = names.substr(0, names.find(' '));
            if (fits(family, name)) return std::string(name);
            names.remove_prefix(std::min(name.size() + 1, names.size()));
        }
    }
    return bad_input("pre_tokenizer: GGUF has no known name for {} with ignore_merges {} and {}",
                     quote(fmt::format("{}", fmt::join(expressions, " then "))), json.ignore_merges,
                     nfc ? "the normaliser NFC" : "no normaliser");
}

}  // namespace rafter::text::hf
