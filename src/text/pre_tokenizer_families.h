// How each byte-level vocabulary cuts text into words before merging: one row a family, found by the file's tokenizer.ggml.pre.
#pragma once

#include <array>
#include <span>
#include <string_view>

namespace rafter::text {

// What becomes of a match. Text between matches is always a piece of its own.
enum class Cut {
    kWhole,               // it is one piece
    kThreesFromTheRight,  // it is cut into threes from its right end: 1 234 567
    kBeforeThrees,        // the same cuts, but what stands before the match stays with its first characters
};

struct PreTokenizerStep {
    std::string_view regex;  // empty: no further step
    Cut cut = Cut::kWhole;
};

struct PreTokenizerFamily {
    std::string_view names;                 // as in tokenizer.ggml.pre, separated by spaces
    std::array<PreTokenizerStep, 6> steps;  // each is applied to the pieces of the one before
    bool ignore_merges = false;             // a word that is a token as a whole is that token
    bool add_bos = false;                   // unless the file says otherwise
    bool space_mark = false;                // text is UTF-8 with U+2581 for spaces instead of bytes spelled in the GPT-2 alphabet
};

[[nodiscard]] std::span<const PreTokenizerFamily> pre_tokenizer_families();
// Whether tokenizers of this name bring text into normalisation form C first.
[[nodiscard]] bool normalizes_to_nfc(std::string_view name);
// Null when no family has this name.
[[nodiscard]] const PreTokenizerFamily* find_pre_tokenizer_family(std::string_view name);
// For files that name none: the oldest expressions of llama.cpp's converter, which wrote no name.
[[nodiscard]] const PreTokenizerFamily& default_pre_tokenizer_family();

}  // namespace rafter::text
