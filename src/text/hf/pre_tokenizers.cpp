// Reading and applying pre-tokenizers; see the header.
#include "text/hf/pre_tokenizers.h"

#include <algorithm>
#include <utility>

#include "base/quote.h"
#include "text/byte_alphabet.h"
#include "text/hf/characters.h"
#include "text/hf/json_values.h"
#include "text/utf8.h"

namespace rafter::text::hf {
namespace {

constexpr std::string_view kPreTokenizer = "pre_tokenizer";
constexpr std::size_t kMaxSteps = 64;
constexpr std::string_view kByteLevelWords = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr std::string_view kWords = R"(\w+|[^\w\s]+)";

struct Stretch {
    std::size_t begin, end;
    bool is_match;
};

Result<Behavior> behavior_of(const nlohmann::json& json, std::string_view fallback) {
    RAFTER_TRY(const std::string name, text_or(json, "behavior", fallback, kPreTokenizer));
    constexpr std::pair<std::string_view, Behavior> kNames[] = {{"Removed", Behavior::kRemoved},
                                                                {"Isolated", Behavior::kIsolated},
                                                                {"MergedWithPrevious", Behavior::kMergedWithPrevious},
                                                                {"MergedWithNext", Behavior::kMergedWithNext},
                                                                {"Contiguous", Behavior::kContiguous}};
    for (const auto& [known, behavior] : kNames) {
        if (known == name) return behavior;
    }
    return bad_input("{}: behavior: expected Removed, Isolated, MergedWithPrevious, MergedWithNext or Contiguous, found {}", kPreTokenizer,
                     quote(name));
}

Result<Metaspace> read_metaspace(const nlohmann::json& json) {
    RAFTER_TRY(std::string replacement, text_or(json, "replacement", kSpaceMark, kPreTokenizer));
    RAFTER_TRY(const bool prefix, bool_or(json, "add_prefix_space", true, kPreTokenizer));
    RAFTER_TRY(const std::string scheme, text_or(json, "prepend_scheme", prefix ? "always" : "never", kPreTokenizer));
    RAFTER_TRY(const bool split, bool_or(json, "split", true, kPreTokenizer));
    if (scheme != "always" && scheme != "first" && scheme != "never") {
        return bad_input("{}: prepend_scheme: expected always, first or never, found {}", kPreTokenizer, quote(scheme));
    }
    if (replacement.empty() || utf8_char_at(replacement, 0).size != replacement.size()) {
        return bad_input("{}: replacement: expected one character, found {}", kPreTokenizer, quote(replacement));
    }
    return Metaspace{std::move(replacement),
                     scheme == "always"  ? PrependScheme::kAlways
                     : scheme == "first" ? PrependScheme::kFirst
                                         : PrependScheme::kNever,
                     split};
}

Result<void> add_pre_tokenizer(const std::string& type, const nlohmann::json& json, std::vector<PreTokenizer>& steps) {
    if (steps.size() >= kMaxSteps) return bad_input("{}: expected at most {} steps, found more", kPreTokenizer, kMaxSteps);
    if (type == "Split") {
        RAFTER_TRY(Pattern pattern, Pattern::read(member(json, "pattern"), "pre_tokenizer: Split"));
        RAFTER_TRY(const Behavior behavior, behavior_of(json, ""));
        RAFTER_TRY(const bool invert, bool_or(json, "invert", false, kPreTokenizer));
        steps.emplace_back(SplitByPattern{std::move(pattern), behavior, invert});
    } else if (type == "ByteLevel") {
        RAFTER_TRY(const bool prefix, bool_or(json, "add_prefix_space", true, kPreTokenizer));
        RAFTER_TRY(const bool use_regex, bool_or(json, "use_regex", true, kPreTokenizer));
        if (prefix) steps.emplace_back(PrefixSpace{});
        if (use_regex) {
            RAFTER_TRY(Pattern pattern, Pattern::of_regex(kByteLevelWords, kPreTokenizer));
            steps.emplace_back(SplitByPattern{std::move(pattern), Behavior::kIsolated, false});
        }
        if (std::ranges::any_of(steps, [](const PreTokenizer& s) { return std::holds_alternative<SpelledBytes>(s); })) {
            return bad_input("{}: expected ByteLevel once, found it twice", kPreTokenizer);
        }
        steps.emplace_back(SpelledBytes{});
    } else if (type == "Metaspace") {
        RAFTER_TRY(Metaspace step, read_metaspace(json));
        steps.emplace_back(std::move(step));
    } else if (type == "Digits") {
        RAFTER_TRY(const bool individual, bool_or(json, "individual_digits", false, kPreTokenizer));
        steps.emplace_back(SplitByKind{is_number, individual ? Behavior::kIsolated : Behavior::kContiguous});
    } else if (type == "Punctuation") {
        RAFTER_TRY(const Behavior behavior, behavior_of(json, "Isolated"));
        steps.emplace_back(SplitByKind{is_punctuation, behavior});
    } else if (type == "WhitespaceSplit") {
        steps.emplace_back(SplitByKind{is_white_space, Behavior::kRemoved});
    } else if (type == "Whitespace") {
        RAFTER_TRY(Pattern pattern, Pattern::of_regex(kWords, kPreTokenizer));
        steps.emplace_back(SplitByPattern{std::move(pattern), Behavior::kRemoved, true});
    } else {
        return bad_input("{}: the type {} is not supported", kPreTokenizer, quote(type));
    }
    return {};
}

// The stretches of a text that a behavior makes of matches and what lies between them, which together are the text.
std::vector<Stretch> joined(std::vector<Stretch> found, Behavior behavior) {
    std::vector<Stretch> out;
    bool previous = false;
    switch (behavior) {
        case Behavior::kIsolated:
            return found;
        case Behavior::kRemoved:
            std::erase_if(found, [](const Stretch& r) { return r.is_match; });
            return found;
        case Behavior::kContiguous:
            for (const Stretch& r : found) {
                if (!out.empty() && out.back().is_match == r.is_match) {
                    out.back().end = r.end;
                } else {
                    out.push_back(r);
                }
            }
            return out;
        case Behavior::kMergedWithPrevious:
            for (const Stretch& r : found) {
                if (r.is_match && !previous && !out.empty()) {
                    out.back().end = r.end;
                } else {
                    out.push_back(r);
                }
                previous = r.is_match;
            }
            return out;
        case Behavior::kMergedWithNext:
            std::ranges::reverse(found);
            for (const Stretch& r : found) {
                if (r.is_match && !previous && !out.empty()) {
                    out.back().begin = r.begin;
                } else {
                    out.push_back(r);
                }
                previous = r.is_match;
            }
            std::ranges::reverse(out);
            return out;
    }
    return out;
}

void cut(const Piece& piece, std::vector<Stretch> found, Behavior behavior, std::vector<Piece>& out) {
    for (const Stretch& r : joined(std::move(found), behavior)) {
        if (r.end > r.begin) out.push_back({piece.text.substr(r.begin, r.end - r.begin), piece.at_start && r.begin == 0});
    }
}

void apply(const SplitByPattern& step, const Piece& piece, Regex::Scratch& scratch, std::vector<Piece>& out) {
    std::vector<Stretch> found;
    step.pattern.for_each(piece.text, scratch, [&](std::size_t begin, std::size_t end, bool is_match) {
        found.push_back({begin, end, is_match != step.invert});
    });
    cut(piece, std::move(found), step.behavior, out);
}

void apply(const SplitByKind& step, const Piece& piece, Regex::Scratch&, std::vector<Piece>& out) {
    std::vector<Stretch> found;
    std::size_t at = 0;
    for_each_character(piece.text, [&](char32_t code, std::string_view bytes) {
        const bool is_match = step.is_in(code);
        if (!is_match && !found.empty() && !found.back().is_match) {
            found.back().end += bytes.size();
        } else {
            found.push_back({at, at + bytes.size(), is_match});
        }
        at += bytes.size();
    });
    cut(piece, std::move(found), step.behavior, out);
}

void apply(const PrefixSpace&, Piece piece, Regex::Scratch&, std::vector<Piece>& out) {
    if (!piece.text.starts_with(' ')) piece.text.insert(0, " ");
    out.push_back(std::move(piece));
}

void apply(const SpelledBytes&, const Piece& piece, Regex::Scratch&, std::vector<Piece>& out) {
    static const ByteAlphabet kAlphabet;
    std::string spelled;
    for (const char c : piece.text) spelled += kAlphabet.spell(static_cast<unsigned char>(c));
    out.push_back({std::move(spelled), piece.at_start});
}

void apply(const Metaspace& step, const Piece& piece, Regex::Scratch& scratch, std::vector<Piece>& out) {
    Piece marked{.text = {}, .at_start = piece.at_start};
    for (const char c : piece.text) {
        if (c == ' ') {
            marked.text += step.replacement;
        } else {
            marked.text += c;
        }
    }
    const bool prepends = step.scheme == PrependScheme::kAlways || (step.scheme == PrependScheme::kFirst && piece.at_start);
    if (prepends && !marked.text.starts_with(step.replacement)) marked.text.insert(0, step.replacement);
    if (!step.split) {
        out.push_back(std::move(marked));
        return;
    }
    apply(SplitByPattern{Pattern::of_text(step.replacement), Behavior::kMergedWithNext, false}, marked, scratch, out);
}

}  // namespace

Result<std::vector<PreTokenizer>> read_pre_tokenizers(const nlohmann::json& json) {
    std::vector<PreTokenizer> steps;
    RAFTER_TRY_VOID(for_each_part(json, "pretokenizers", kPreTokenizer, [&](const std::string& type, const nlohmann::json& part) {
        return add_pre_tokenizer(type, part, steps);
    }));
    return steps;
}

std::vector<Piece> pre_tokenize(const std::vector<PreTokenizer>& steps, Piece text, Regex::Scratch& scratch) {
    std::vector<Piece> pieces;
    if (!text.text.empty()) pieces.push_back(std::move(text));
    for (const PreTokenizer& step : steps) {
        std::vector<Piece> next;
        for (Piece& piece : pieces) {
            std::visit([&](const auto& s) { apply(s, std::move(piece), scratch, next); }, step);
        }
        pieces = std::move(next);
    }
    return pieces;
}

}  // namespace rafter::text::hf
