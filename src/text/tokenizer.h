// Text to token ids and back. One interface over byte-level BPE, SentencePiece-style and rank-merged BPE vocabularies; which one a file
// holds, and its pre-tokenizer, comes from the file's metadata (tokenizer.ggml.*).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "files/gguf.h"

namespace rafter::text {

using TokenId = std::int32_t;
using Warnings = std::vector<std::string>;  // sentences for a person: what of a file is ignored though nothing fails

enum class SpecialTokens {
    kAsText,  // "<|im_end|>" in the text is eleven characters: what users type
    kParse,   // it is one token: what chat templates write
};

struct SpecialIds {
    std::optional<TokenId> bos, eos, unknown, padding;
    std::vector<TokenId> end_of_generation;  // eos, end of turn, ...: any of these ends an answer
    bool add_bos = false;                    // the model expects BOS before a raw prompt
    bool add_eos = false;
};

// Immutable after load, so any number of threads may use one. Time is linear in the text. Owns all it needs: the file may go.
class Tokenizer {
  public:
    [[nodiscard]] static Result<std::unique_ptr<Tokenizer>> load(const files::Metadata& metadata);
    virtual ~Tokenizer() = default;

    // Any bytes are accepted (invalid UTF-8 too). BOS and EOS are never added here: see special().
    [[nodiscard]] virtual std::vector<TokenId> encode(std::string_view text, SpecialTokens special) const = 0;
    // What the token adds to the text, as bytes, possibly a part of a character. Control tokens give "" unless `special` is kParse.
    // For SentencePiece-style vocabularies the leading space of a text's first token is kept: Decoder strips it. id must be < n_tokens().
    [[nodiscard]] virtual std::string_view piece(TokenId id, SpecialTokens special) const = 0;
    [[nodiscard]] virtual std::string decode(std::span<const TokenId> ids, SpecialTokens special) const = 0;

    [[nodiscard]] virtual std::size_t n_tokens() const = 0;
    [[nodiscard]] virtual const SpecialIds& special() const = 0;
    [[nodiscard]] virtual std::optional<TokenId> find(std::string_view token_text) const = 0;  // by its text in the vocabulary
    // "BPE (llama-bpe), 128,256 tokens"
    [[nodiscard]] virtual std::string description() const = 0;
    [[nodiscard]] virtual std::span<const std::string> warnings() const { return {}; }  // about the file, from load()
};

}  // namespace rafter::text
