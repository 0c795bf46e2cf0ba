// The plan: what each tensor becomes, in which part it lies, and where.
#include <algorithm>
#include <span>
#include <string>
#include <utility>

#include "base/version.h"
#include "base/xxh3.h"
#include "engine/convert/convert.h"
#include "engine/convert/convert_journal.h"
#include "engine/convert/convert_metadata.h"
#include "engine/convert/source_files.h"
#include "engine/convert/tensor_importance.h"
#include "engine/convert/tensor_types.h"
#include "files/gguf_layout.h"
#include "files/split_name.h"
#include "tensor/formats/formats.h"

namespace rafter::engine {
namespace {

namespace fs = std::filesystem;
using files::GgufEntry;
using files::GgufTensorShape;
using tensor::DType;

// Of the tensor as it is written.
std::uint64_t written_bytes(const PlannedTensor& tensor) {
    return tensor.source->n_rows() * tensor::format_of(tensor.dtype).row_bytes(tensor.source->shape.back());
}

// What most matrices are, by bytes. Of a file without matrices: F32.
DType main_type(const std::vector<PlannedTensor>& tensors) {
    std::map<DType, std::uint64_t> bytes;
    for (const PlannedTensor& tensor : tensors) {
        if (is_converted_matrix(*tensor.source)) bytes[tensor.dtype] += written_bytes(tensor);
    }
    const auto most = std::ranges::max_element(bytes, {}, &std::pair<const DType, std::uint64_t>::second);
    return most == bytes.end() ? DType::kF32 : most->first;
}

// Gives each tensor its part, in order: a part ends where the next tensor would make it too large. Returns the number of parts.
std::size_t split_tensors(std::vector<PlannedTensor>& tensors, std::uint64_t most_bytes, std::uint64_t header_bytes) {
    std::uint64_t part_bytes = header_bytes;
    std::size_t part = 0;
    bool is_empty = true;
    for (PlannedTensor& tensor : tensors) {
        const std::uint64_t bytes = written_bytes(tensor) + files::kDefaultAlignment;
        if (!is_empty && part_bytes + bytes > most_bytes) {
            ++part;
            part_bytes = 0;
        }
        tensor.part = part;
        part_bytes += bytes;
        is_empty = false;
    }
    return part + 1;
}

fs::path part_path(const fs::path& out, std::size_t number, std::size_t n_parts) {
    fs::path stem = out;
    if (stem.extension() == ".gguf") stem.replace_extension();
    stem += files::split_suffix(static_cast<unsigned>(number + 1), static_cast<unsigned>(n_parts)) + ".gguf";
    return stem;
}

Result<void> lay_out_part(ConversionPlan& plan, std::size_t number, const std::vector<GgufEntry>& entries) {
    std::vector<GgufTensorShape> shapes;
    std::vector<PlannedTensor*> tensors;
    for (PlannedTensor& tensor : plan.tensors) {
        if (tensor.part != number) continue;
        shapes.push_back({tensor.source->name, tensor.dtype, tensor.source->shape});
        tensors.push_back(&tensor);
    }
    RAFTER_TRY(files::GgufLayout layout, files::lay_out_gguf(entries, shapes));
    for (std::size_t i = 0; i < tensors.size(); ++i) tensors[i]->offset_bytes = layout.offsets_bytes[i];
    plan.parts[number].header = std::move(layout.header);
    plan.parts[number].size_bytes = layout.size_bytes;
    plan.size_bytes += layout.size_bytes;
    return {};
}

// A place where the output can lie, links followed.
Result<fs::path> output_path(const fs::path& out) {
    std::error_code failed;
    const fs::path target = fs::weakly_canonical(fs::absolute(out, failed), failed);
    if (failed || !target.has_filename()) return bad_input("{}: expected the path of a file, found none", out.string());
    if (fs::exists(target, failed) && !fs::is_regular_file(target, failed)) {
        return bad_input("{}: expected a regular file or none, found {}", out.string(),
                         fs::is_directory(target, failed) ? "a folder" : "something else");
    }
    if (!fs::is_directory(target.parent_path(), failed)) {
        return bad_input("{}: expected an existing folder, found no {}", out.string(), target.parent_path().string());
    }
    return target;
}

Result<void> check_not_source(const ConversionPlan& plan, const std::vector<fs::path>& sources) {
    std::vector<fs::path> written{journal_path(plan.out)};
    for (const PlannedPart& part : plan.parts) {
        written.push_back(part.path);
        written.push_back(partial_path(part.path));
    }
    for (const fs::path& path : written) {
        if (!is_one_of(path, sources)) continue;
        return Error{fmt::format("{}: expected an output that is no file of the source, found the same file", path.string()),
                     ErrorKind::kUsage};
    }
    return {};
}

std::uint64_t identity_of(const ConversionPlan& plan, const std::vector<fs::path>& sources) {
    std::uint64_t identity = xxh3(version());
    for (const PlannedPart& part : plan.parts) {
        identity = xxh3(part.path.filename().string(), identity);
        identity = xxh3(part.header, identity);
    }
    identity = xxh3(std::uint64_t{plan.allow_nan ? 1U : 0U}, identity);
    identity = xxh3(static_cast<std::uint64_t>(plan.encoding), identity);
    if (plan.refine) identity = xxh3(plan.refine->identity, identity);
    for (const PlannedTensor& tensor : plan.tensors) identity = xxh3(std::as_bytes(std::span(tensor.importance)), identity);
    return xxh3(files_identity(sources), identity);
}

std::optional<DType> wanted_type(const files::NamedTensor& tensor, const ConvertOptions& options) {
    const auto named = options.types.find(tensor.name);
    return named != options.types.end() ? std::optional(named->second) : options.type;
}

Result<void> add_importance(ConversionPlan& plan, const files::ImportanceMatrix& matrix) {
    for (PlannedTensor& tensor : plan.tensors) {
        if (tensor.dtype == tensor.source->dtype || tensor::format_of(tensor.dtype).block_elements == 1) continue;
        RAFTER_TRY(tensor.importance, tensor_importance(*tensor.source, matrix));
        plan.n_with_importance += tensor.importance.empty() ? 0 : 1;
    }
    if (plan.n_encoded == 0 || plan.n_with_importance > 0) return {};
    return bad_input("expected importances of this model's tensors, such as {}, found none of them (the first it has: {})",
                     plan.tensors.front().source->name, matrix.entries.empty() ? "none" : matrix.entries.begin()->first);
}

}  // namespace

Result<ConversionPlan> plan_conversion(const files::TensorSource& source, const fs::path& source_path, const fs::path& out,
                                       const ConvertOptions& options) {
    ConversionPlan plan{.encoding = options.encoding, .refine = options.refine, .allow_nan = options.allow_nan, .replace = options.replace};
    RAFTER_TRY(plan.out, output_path(out));
    const SourceKind kind = source_kind(source.metadata());
    for (const files::NamedTensor& tensor : source.tensors()) {
        const std::optional<DType> wanted = wanted_type(tensor, options);
        const DType dtype = converted_type(tensor, wanted, kind);
        plan.tensors.push_back({.source = &tensor, .dtype = dtype});
        ++plan.n_of_type[dtype];
        if (wanted && dtype != *wanted && is_converted_matrix(tensor)) ++plan.n_substituted[dtype];
        if (dtype != tensor.dtype && tensor::format_of(dtype).block_elements > 1) ++plan.n_encoded;
    }
    if (options.importance != nullptr) {
        const auto added = add_importance(plan, *options.importance);
        if (!added) return options.importance_name.empty() ? added.error() : added.error().within(options.importance_name);
    }
    std::optional<std::uint32_t> file_type = options.file_type;
    if (!file_type && options.type) file_type = file_type_of(*options.type);
    if (!file_type && kind == SourceKind::kCheckpoint) file_type = file_type_of(main_type(plan.tensors));
    auto metadata = converted_metadata(source.metadata(), file_type);
    if (!metadata) return metadata.error().within(source.name());
    if (metadata->vocabulary) plan.warnings = metadata->vocabulary->warnings;
    std::vector<GgufEntry>& entries = metadata->entries;
    if (plan.n_encoded > 0) mark_refined(entries, plan.refine ? &*plan.refine : nullptr);
    if (options.split_bytes) {
        RAFTER_TRY(const files::GgufLayout alone, files::lay_out_gguf(entries, {}));
        plan.parts.resize(split_tensors(plan.tensors, *options.split_bytes, alone.header.size()));
        for (std::size_t i = 0; i < plan.parts.size(); ++i) plan.parts[i].path = part_path(plan.out, i, plan.parts.size());
    } else {
        plan.parts.push_back({.path = plan.out, .header = {}, .size_bytes = 0});
    }
    for (std::size_t i = 0; i < plan.parts.size(); ++i) {
        std::vector<GgufEntry> of_part = std::exchange(entries, {});  // all of them in the first part
        if (options.split_bytes) std::ranges::move(split_entries(i, plan.parts.size(), plan.tensors.size()), std::back_inserter(of_part));
        if (auto laid_out = lay_out_part(plan, i, of_part); !laid_out) return laid_out.error().within(source.name());
    }
    const std::vector<fs::path> sources = source_files(source_path);
    RAFTER_TRY_VOID(check_not_source(plan, sources));
    plan.identity = identity_of(plan, sources);
    return plan;
}

}  // namespace rafter::engine
