// The pre-tokenizers of a tokenizer.json (https://huggingface.co/docs/tokenizers/api/pre-tokenizers): cut a text into pieces, which merges
// never cross.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <variant>
#include <vector>

#include "base/result.h"
#include "text/hf/pattern.h"

namespace rafter::text::hf {

struct Piece {
    std::string text;
    bool at_start = false;  // of the whole text
};

// What becomes of the places that a pattern finds.
enum class Behavior { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };

struct SplitByPattern {
    Pattern pattern;
    Behavior behavior;
    bool invert;
};
// Cuts at characters of a kind.
struct SplitByKind {
    bool (*is_in)(char32_t code);
    Behavior behavior;
};
struct PrefixSpace {};   // a space before a piece that has none
struct SpelledBytes {};  // each byte as GPT-2's alphabet writes it
enum class PrependScheme { kAlways, kFirst, kNever };
struct Metaspace {
    std::string replacement;
    PrependScheme scheme;
    bool split;
};
using PreTokenizer = std::variant<SplitByPattern, SplitByKind, PrefixSpace, SpelledBytes, Metaspace>;

// Sequences are opened up, ByteLevel is three steps (a prefix, its expression, its spelling); null gives none. Types that are not supported
// are refused by name.
[[nodiscard]] Result<std::vector<PreTokenizer>> read_pre_tokenizers(const nlohmann::json& json);

// No piece is empty. A text in which a pattern exceeds its steps (pattern.h) is cut up to that place only.
[[nodiscard]] std::vector<Piece> pre_tokenize(const std::vector<PreTokenizer>& steps, Piece text, Regex::Scratch& scratch);

}  // namespace rafter::text::hf
