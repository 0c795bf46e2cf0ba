// The normalisers of a tokenizer.json (https://huggingface.co/docs/tokenizers/api/normalizers): what happens to a text before it is cut.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "text/hf/pattern.h"
#include "text/nfc.h"

namespace rafter::text::hf {

inline constexpr double kMaxGrowth = 256;
// How much longer a text can become when each `pattern` in it (a regular expression may match one byte) is replaced by `content`.
[[nodiscard]] double growth_of(const Pattern& pattern, std::string_view content);

struct ToForm {
    UnicodeForm form;
};
struct Lowercase {};
struct StripAccents {};
struct Strip {
    bool left, right;
};
struct Prepend {
    std::string text;
};
struct Replace {
    Pattern pattern;
    std::string content;
};
struct SpellBytes {};  // each byte as GPT-2's alphabet writes it
using Normalizer = std::variant<ToForm, Lowercase, StripAccents, Strip, Prepend, Replace, SpellBytes>;

// Sequences are opened up; null gives none. Types that are not supported are refused by name.
// So are steps that together could make a text more than kMaxGrowth times as long.
[[nodiscard]] Result<std::vector<Normalizer>> read_normalizers(const nlohmann::json& json);

// text is valid UTF-8.
[[nodiscard]] std::string normalize(const std::vector<Normalizer>& steps, std::string text, Regex::Scratch& scratch);

}  // namespace rafter::text::hf
