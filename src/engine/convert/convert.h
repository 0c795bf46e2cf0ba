// From any tensor source to GGUF files on the disk: a plan, which is plain data, and the run that carries it out with all threads. A run
// that is killed leaves a partial file and a journal beside it, from which the same plan continues.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/thread_pool.h"
#include "engine/refine/input_feedback.h"
#include "files/imatrix_file.h"
#include "files/tensor_source.h"
#include "tensor/dtype.h"

namespace rafter::engine {

// How numbers become blocks of a quantised type.
enum class Encoding {
    kRounded,   // by each block's extremes: the bytes that the field's converters write
    kSearched,  // with the scales that lose least (backend/encoding.h)
};

// What a file says of the text that its errors were fed back by (engine/refine/input_feedback.h).
struct RefineMark {
    std::string text;  // its name
    std::uint64_t n_tokens = 0;
    std::uint64_t identity = 0;  // of its tokens: a run continues only one with the same
};

struct ConvertOptions {
    std::optional<tensor::DType> type;  // of matrices (engine/convert/tensor_types.h); none: the source's. It must have an encoder.
    std::map<std::string, tensor::DType, std::less<>> types;  // of the matrices named, in place of `type`
    std::optional<std::uint32_t> file_type;                   // general.file_type; none: as `type` has it
    Encoding encoding = Encoding::kRounded;
    const files::ImportanceMatrix* importance = nullptr;  // of the source's model, for kSearched; null: all columns count the same
    std::string importance_name;                          // its file, for messages; may be empty
    std::optional<std::uint64_t> split_bytes;             // of a part at most, as far as one tensor is not larger; none: one file
    std::optional<RefineMark> refine;                     // with kSearched: the run will have an InputFeedback (ConvertHooks)
    bool allow_nan = false;                               // weights that are no finite numbers: else an error
    bool replace = false;                                 // a file that has the output's name: else an error
};

struct PlannedTensor {
    const files::NamedTensor* source = nullptr;
    tensor::DType dtype = tensor::DType::kF32;  // that it is written in
    std::size_t part = 0;
    std::uint64_t offset_bytes = 0;  // in the part's file
    std::vector<float> importance;   // [matrices stacked in the tensor, n_cols] where it is known and the tensor is encoded; else empty
};

struct PlannedPart {
    std::filesystem::path path;
    std::vector<std::byte> header;
    std::uint64_t size_bytes = 0;
};

struct ConversionPlan {
    std::filesystem::path out;           // as given, links followed
    std::vector<PlannedPart> parts;      // one, named `out`, unless it is split
    std::vector<PlannedTensor> tensors;  // in the source's order
    std::map<tensor::DType, std::uint32_t> n_of_type;
    std::map<tensor::DType, std::uint32_t> n_substituted;  // matrices of other types than the wanted one, whose blocks do not fit
    std::vector<std::string> warnings;                     // sentences for a person: what other readers of the output do otherwise
    std::uint32_t n_encoded = 0;                           // tensors that become blocks of another type
    std::uint32_t n_with_importance = 0;                   // of them
    Encoding encoding = Encoding::kRounded;
    std::optional<RefineMark> refine;
    std::uint64_t size_bytes = 0;
    std::uint64_t identity = 0;  // of the source's files, the output's header and this program: what a run may continue
    bool allow_nan = false;
    bool replace = false;
};

// The plan points into `source`, which was opened from source_path. Reads no weights and writes nothing. Fails where the output is a file
// of the source or no place for a file, and on what a GGUF file cannot say.
[[nodiscard]] Result<ConversionPlan> plan_conversion(const files::TensorSource& source, const std::filesystem::path& source_path,
                                                     const std::filesystem::path& out, const ConvertOptions& options);

// Before hours of measuring for the plan: whether run_conversion() may write its files. Fails where one of them exists that it would not
// replace, and on a folder that cannot be written. An earlier run that was interrupted may have named some of its files already.
[[nodiscard]] Result<void> check_place(const ConversionPlan& plan);

struct ConvertHooks {
    std::function<void(double fraction)> progress;          // on the calling thread
    std::function<void(const std::string& words)> stage;    // what is done from here on, where a run has several; may be empty
    std::function<bool()> is_stopped;                       // a stopped run can be continued
    std::function<void(const std::string& sentence)> note;  // what a person should know, such as that an earlier run is continued
    InputFeedback* feedback = nullptr;                      // of a plan with `refine`
};
// What error feedback brought, over the tensors and rows that this run encoded with it.
struct RefineOutcome {
    std::uint64_t n_tensors = 0;
    std::uint64_t n_tensors_unknown = 0;  // of which nothing is known, so that they were encoded without
    std::uint64_t n_tensors_plain = 0;    // of n_tensors: no row was better with feedback
    std::uint64_t n_rows = 0;
    std::uint64_t n_rows_plain = 0;  // that it did not improve, so that they were encoded without
    double error_ratio = 1.0;        // expected output error of a tensor with feedback over that without: the mean over tensors
};
struct Conversion {
    std::uint64_t size_bytes = 0;
    std::uint64_t reused_bytes = 0;  // that an earlier run had written
    double seconds = 0.0;
    bool complete = false;  // false: stopped
    RefineOutcome refined;
};
// No file has an output's name before all of them are whole and on the disk.
[[nodiscard]] Result<Conversion> run_conversion(const ConversionPlan& plan, const files::TensorSource& source, ThreadPool& pool,
                                                const ConvertHooks& hooks);

}  // namespace rafter::engine
