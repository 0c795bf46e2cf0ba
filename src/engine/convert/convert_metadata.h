// The metadata of a converted file: the source's, but for what the conversion changes.
#pragma once

#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/convert/tensor_types.h"
#include "files/gguf_layout.h"
#include "files/metadata.h"
#include "tensor/dtype.h"
#include "text/hf/gguf_vocabulary.h"

namespace rafter::engine {

struct RefineMark;  // convert.h

// A checkpoint's metadata carries its tokenizer's own files (tokenizer.huggingface.*), which a GGUF file has no keys for.
[[nodiscard]] SourceKind source_kind(const files::Metadata& metadata);

// Strings of the entries are views of the source's metadata and of `vocabulary`, which is null unless a tokenizer.json was converted.
struct ConvertedMetadata {
    std::unique_ptr<const text::GgufVocabulary> vocabulary;
    std::vector<files::GgufEntry> entries;
};
// file_type: general.file_type (tensor_types.h), where it is to be written; none: as the source has it.
[[nodiscard]] Result<ConvertedMetadata> converted_metadata(const files::Metadata& metadata, std::optional<std::uint32_t> file_type);

// Says by what text errors were fed back; null: that they were not. The mark outlives the entries.
void mark_refined(std::vector<files::GgufEntry>& entries, const RefineMark* mark);

// The keys that gguf-split gives part `number` (from 0) of n_parts.
[[nodiscard]] std::vector<files::GgufEntry> split_entries(std::size_t number, std::size_t n_parts, std::size_t n_tensors);

}  // namespace rafter::engine
