// A tokenizer.json as data: its vocabulary, its model and the steps around it, all checked.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "text/hf/normalizers.h"
#include "text/hf/pre_tokenizers.h"
#include "text/tokenizer.h"
#include "text/vocabulary.h"

namespace rafter::text::hf {

struct AddedToken {
    TokenId id;
    std::string text;
    bool single_word, lstrip, rstrip, normalized, special;
};

enum class ModelKind { kBpe, kUnigram };

struct Decoding {
    enum class Spelling { kPlain, kByteAlphabet };
    Spelling spelling = Spelling::kPlain;
    std::vector<std::pair<std::string, std::string>> replacements;  // in a token's text, in this order
    bool bytes = false;                                             // <0xHH> is that byte
    std::string strip_start;                                        // taken from the start of a whole text,
    std::size_t n_strip_start = 0;                                  // at most so often
    std::string first_mark;                                         // left out of a whole text's first token
};

struct TokenizerJson {
    std::vector<std::string> tokens;  // by id, without gaps: "[PAD7]" where the file has no token 7
    std::vector<TokenType> types;     // [tokens]
    std::vector<bool> in_model;       // [tokens]: of the model's own vocabulary, which merges and words can give
    std::vector<AddedToken> added;
    std::vector<Normalizer> normalizers;
    std::vector<PreTokenizer> pre_tokenizers;
    Decoding decoding;
    ModelKind kind = ModelKind::kBpe;
    std::vector<std::pair<TokenId, TokenId>> merges;  // of a kBpe, by rank
    std::vector<TokenId> merged;                      // [merges]: what each gives
    std::vector<double> scores;                       // of a kUnigram: of its first tokens, those of the model
    std::optional<TokenId> unknown;
    bool byte_fallback = false;
    bool fuse_unknown = false;
    bool ignore_merges = false;
    bool adds_bos = false;  // the post-processor puts a token before a text, or behind it
    bool adds_eos = false;
    std::optional<TokenId> bos, eos;  // those tokens
};

// The text of a tokenizer.json. What changes tokens and is not supported is refused by name.
[[nodiscard]] Result<TokenizerJson> read_tokenizer_json(std::string_view text);

}  // namespace rafter::text::hf
