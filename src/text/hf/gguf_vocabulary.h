// The vocabulary of a Hugging Face checkpoint as the GGUF file that it converts to holds it: the tokenizer.json that the metadata carries
// becomes tokens, types, merges or scores, and special ids. What GGUF cannot say is refused.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "files/metadata.h"
#include "text/hf/json_tokenizer.h"

namespace rafter::text {

inline constexpr std::string_view kTokenizerJsonKey = hf::kTokenizerKey;

struct GgufVocabulary {
    std::string model;  // tokenizer.ggml.model: "gpt2" or "llama"
    std::string pre;    // tokenizer.ggml.pre; "default" for "llama", which does not cut its text
    std::vector<std::string> tokens;
    std::vector<std::int64_t> token_types;  // [tokens], as TokenType
    std::vector<double> scores;             // [tokens]; of "llama" only
    std::vector<std::string> merges;        // of "gpt2" only
    std::optional<std::uint32_t> bos_id, eos_id, unk_id, pad_id, sep_id, mask_id;
    std::optional<std::uint32_t> eot_id, eom_id;  // what else ends an answer: GGUF has room for these two
    bool add_bos = false;
    bool add_eos = false;
    std::optional<bool> add_space_prefix;     // of "llama" only
    std::optional<std::string> space_prefix;  // kSpacePrefixKey
    // Added tokens that swallow the white space beside them. None where a reader without this program's keys takes the right ones.
    std::optional<std::vector<std::int64_t>> lstrip_ids, rstrip_ids;
    Warnings warnings;  // what other readers of the GGUF file do otherwise
};

// Byte-level BPE becomes "gpt2"; BPE with byte fallback that marks spaces becomes "llama", where its scores can give the same tokens as its
// merges. Unigram is refused. Ids missing up to the metadata's ARCHITECTURE.vocab_size become unused tokens, "[PAD7]". Valid UTF-8 becomes
// the same ids, with one exception: where a tokenizer.json finds added tokens of U+2581 in the text as it comes, the GGUF file's takes that
// character for a space. Of bytes that are not UTF-8, it keeps what the tokenizer.json's replaces by U+FFFD.
[[nodiscard]] Result<GgufVocabulary> gguf_vocabulary(const files::Metadata& metadata);

// The tokenizer.ggml keys of a vocabulary, then `metadata`'s other keys. Views both, which must outlive it.
[[nodiscard]] files::Metadata metadata_with_vocabulary(const files::Metadata& metadata, const GgufVocabulary& vocabulary);

}  // namespace rafter::text
