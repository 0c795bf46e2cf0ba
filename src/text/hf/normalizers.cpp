// Reading and applying normalisers; see the header.
#include "text/hf/normalizers.h"

#include <utf8proc.h>

#include <algorithm>

#include "base/quote.h"
#include "text/byte_alphabet.h"
#include "text/hf/characters.h"
#include "text/hf/json_values.h"
#include "text/utf8.h"

namespace rafter::text::hf {
namespace {

constexpr std::string_view kNormalizer = "normalizer";

constexpr std::size_t kMaxNormalizers = 64;
constexpr std::size_t kMaxPrependBytes = 256;

double growth_of(const Normalizer& step) {
    if (const auto* replace = std::get_if<Replace>(&step)) return growth_of(replace->pattern, replace->content);
    return std::holds_alternative<SpellBytes>(step) ? 2 : 1;  // a form of Unicode does not grow its own results
}

Result<void> add_normalizer(const std::string& type, const nlohmann::json& json, std::vector<Normalizer>& steps) {
    if (steps.size() == kMaxNormalizers) return bad_input("{}: expected at most {} steps, found more", kNormalizer, kMaxNormalizers);
    if (type == "NFC") {
        steps.emplace_back(ToForm{UnicodeForm::kNfc});
    } else if (type == "NFD") {
        steps.emplace_back(ToForm{UnicodeForm::kNfd});
    } else if (type == "NFKC") {
        steps.emplace_back(ToForm{UnicodeForm::kNfkc});
    } else if (type == "NFKD") {
        steps.emplace_back(ToForm{UnicodeForm::kNfkd});
    } else if (type == "Lowercase") {
        steps.emplace_back(Lowercase{});
    } else if (type == "StripAccents") {
        steps.emplace_back(StripAccents{});
    } else if (type == "ByteLevel") {
        steps.emplace_back(SpellBytes{});
    } else if (type == "Strip") {
        RAFTER_TRY(const bool left, bool_or(json, "strip_left", true, kNormalizer));
        RAFTER_TRY(const bool right, bool_or(json, "strip_right", true, kNormalizer));
        steps.emplace_back(Strip{left, right});
    } else if (type == "Prepend") {
        RAFTER_TRY(std::string text, text_or(json, "prepend", "", kNormalizer));
        if (text.size() > kMaxPrependBytes)
            return bad_input("{}: prepend: expected at most {} bytes, found {}", kNormalizer, kMaxPrependBytes, text.size());
        steps.emplace_back(Prepend{std::move(text)});
    } else if (type == "Replace") {
        RAFTER_TRY(Pattern pattern, Pattern::read(member(json, "pattern"), "normalizer: Replace"));
        RAFTER_TRY(std::string content, text_or(json, "content", "", kNormalizer));
        steps.emplace_back(Replace{std::move(pattern), std::move(content)});
    } else {
        return bad_input("{}: the type {} is not supported", kNormalizer, quote(type));
    }
    return {};
}

std::string applied(const ToForm& step, const std::string& text, Regex::Scratch&) {
    std::string buffer;
    const std::string_view changed = to_form(step.form, text, buffer);
    return std::string(changed);
}

// Character by character, each by Unicode's full mapping: only U+0130 becomes two.
std::string applied(const Lowercase&, const std::string& text, Regex::Scratch&) {
    std::string out;
    for_each_character(text, [&](char32_t code, std::string_view) {
        if (code == 0x130) {
            append_utf8(out, U'i');
            append_utf8(out, 0x307);
        } else {
            append_utf8(out, static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(code))));
        }
    });
    return out;
}

std::string applied(const StripAccents&, const std::string& text, Regex::Scratch&) {
    std::string out;
    for_each_character(text, [&](char32_t code, std::string_view bytes) {
        if (!is_mark(code)) out += bytes;
    });
    return out;
}

std::string applied(const Strip& step, const std::string& text, Regex::Scratch&) {
    const auto [begin, end] = without_white_space(text, step.left, step.right);
    return text.substr(begin, end - begin);
}

std::string applied(const Prepend& step, const std::string& text, Regex::Scratch&) { return text.empty() ? text : step.text + text; }

std::string applied(const Replace& step, const std::string& text, Regex::Scratch& scratch) {
    std::string out;
    step.pattern.for_each(text, scratch, [&](std::size_t begin, std::size_t end, bool is_match) {
        out += is_match ? std::string_view(step.content) : std::string_view(text).substr(begin, end - begin);
    });
    return out;
}

std::string applied(const SpellBytes&, const std::string& text, Regex::Scratch&) {
    static const ByteAlphabet kAlphabet;
    std::string out;
    for (const char c : text) out += kAlphabet.spell(static_cast<unsigned char>(c));
    return out;
}

}  // namespace

double growth_of(const Pattern& pattern, std::string_view content) {
    const std::size_t found_bytes = pattern.is_regex() ? 1 : std::max<std::size_t>(1, pattern.source().size());
    return std::max(1.0, static_cast<double>(content.size()) / static_cast<double>(found_bytes));
}

Result<std::vector<Normalizer>> read_normalizers(const nlohmann::json& json) {
    std::vector<Normalizer> steps;
    RAFTER_TRY_VOID(for_each_part(json, "normalizers", kNormalizer,
                                  [&](const std::string& type, const nlohmann::json& part) { return add_normalizer(type, part, steps); }));
    double growth = 1;
    for (const Normalizer& step : steps) growth *= growth_of(step);
    if (growth > kMaxGrowth) {
        return bad_input("{}: expected steps that make a text at most {} times as long, found {:.4g} times", kNormalizer, kMaxGrowth,
                         growth);
    }
    return steps;
}

std::string normalize(const std::vector<Normalizer>& steps, std::string text, Regex::Scratch& scratch) {
    for (const Normalizer& step : steps) {
        text = std::visit([&](const auto& s) { return applied(s, std::move(text), scratch); }, step);
    }
    return text;
}

}  // namespace rafter::text::hf
