// What convert and quantize share: a planned conversion is run with a progress bar, and said in a line.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>

#include "apps/cli.h"
#include "base/result.h"
#include "base/thread_pool.h"
#include "engine/convert/convert.h"
#include "files/tensor_source.h"
#include "tensor/dtype.h"

namespace rafter::apps {

// "210 Q8_0, 61 F32"
[[nodiscard]] std::string types_text(const std::map<tensor::DType, std::uint32_t>& n_of_type);

// The folder or file that the words mean. A folder that is a checkpoint is meant itself, not a GGUF file in it.
[[nodiscard]] Result<std::filesystem::path> conversion_source(const Environment& environment, const std::string& words);

struct ConversionWords {
    std::string_view verb;      // "convert"
    std::string_view progress;  // "Converting"
    bool quiet = false;
};
// Returns the exit status; its summary is on stdout unless it is quiet. feedback: of a plan with `refine`, else null.
[[nodiscard]] Result<int> carry_out(const Environment& environment, const engine::ConversionPlan& plan, const files::TensorSource& source,
                                    ThreadPool& pool, const ConversionWords& words, engine::InputFeedback* feedback = nullptr);

}  // namespace rafter::apps
