// Order is kept: a replaced key stays where it was, a new one follows the others.
#include "engine/convert/convert_metadata.h"

#include <algorithm>
#include <memory>
#include <string_view>
#include <utility>

#include "engine/convert/convert.h"

namespace rafter::engine {
namespace {

using files::GgufEntry;
using files::GgufType;

constexpr std::string_view kSplitPrefix = "split.";
constexpr std::string_view kHuggingFacePrefix = "tokenizer.huggingface.";
constexpr std::string_view kFileType = "general.file_type";
constexpr std::string_view kQuantizationVersion = "general.quantization_version";
constexpr std::uint64_t kGgmlQuantizationVersion = 2;  // of the layouts of all block formats since 2023: ggml.h, GGML_QNT_VERSION

void set(std::vector<GgufEntry>& entries, GgufEntry entry) {
    const auto found = std::ranges::find(entries, entry.key, &GgufEntry::key);
    if (found == entries.end()) {
        entries.push_back(std::move(entry));
    } else {
        *found = std::move(entry);
    }
}

void append_entries(std::vector<GgufEntry>& entries, const files::Metadata& metadata) {
    for (const auto& [key, value] : metadata.entries()) {
        if (std::string_view(key).starts_with(kSplitPrefix) || std::string_view(key).starts_with(kHuggingFacePrefix)) continue;
        entries.push_back({key, value, metadata.stored_type(key).value_or(files::usual_type(value))});
    }
}

}  // namespace

SourceKind source_kind(const files::Metadata& metadata) {
    const bool is_checkpoint = std::ranges::any_of(
        metadata.entries(), [](const auto& entry) { return std::string_view(entry.first).starts_with(kHuggingFacePrefix); });
    return is_checkpoint ? SourceKind::kCheckpoint : SourceKind::kGguf;
}

Result<ConvertedMetadata> converted_metadata(const files::Metadata& metadata, std::optional<std::uint32_t> file_type) {
    ConvertedMetadata converted;
    if (metadata.has(text::kTokenizerJsonKey)) {
        RAFTER_TRY(text::GgufVocabulary vocabulary, text::gguf_vocabulary(metadata));
        converted.vocabulary = std::make_unique<const text::GgufVocabulary>(std::move(vocabulary));
        append_entries(converted.entries, text::metadata_with_vocabulary(metadata, *converted.vocabulary));
    } else {
        append_entries(converted.entries, metadata);
    }
    if (file_type) {
        set(converted.entries, {std::string(kFileType), std::uint64_t{*file_type}, GgufType::kUint32});
        set(converted.entries, {std::string(kQuantizationVersion), kGgmlQuantizationVersion, GgufType::kUint32});
    }
    return converted;
}

void mark_refined(std::vector<GgufEntry>& entries, const RefineMark* mark) {
    constexpr std::string_view kText = "quantize.refine.dataset";
    constexpr std::string_view kTokens = "quantize.refine.tokens_count";
    if (mark == nullptr) {
        std::erase_if(entries, [=](const GgufEntry& entry) { return entry.key == kText || entry.key == kTokens; });
        return;
    }
    set(entries, {std::string(kText), std::string_view(mark->text), GgufType::kString});
    set(entries, {std::string(kTokens), mark->n_tokens, GgufType::kUint64});
}

std::vector<GgufEntry> split_entries(std::size_t number, std::size_t n_parts, std::size_t n_tensors) {
    return {{"split.no", std::uint64_t{number}, GgufType::kUint16},
            {"split.count", std::uint64_t{n_parts}, GgufType::kUint16},
            {"split.tensors.count", std::uint64_t{n_tensors}, GgufType::kInt32}};
}

}  // namespace rafter::engine
