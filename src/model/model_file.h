// A model file ready to be loaded: its config and rope tables, and its tensors bound to a program by name, every shape and type checked.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "files/gguf.h"
#include "model/config.h"
#include "model/program.h"

namespace rafter::model {

struct ConfigOptions {
    std::optional<std::uint32_t> context;  // tokens that will be used at most: chooses between LongRoPE's tables
};

// Reads the config of a file of any known architecture. An unknown one is named in the error, with the known ones beside.
[[nodiscard]] Result<ModelConfig> read_config(const files::GgufFile& file, const ConfigOptions& options);

// Sets each weight's types and checks that the file has it, in that shape.
[[nodiscard]] Result<Program> bind(Program program, const files::GgufFile& file);
// The weight's bytes in the mapping, of its source_dtype: n_experts * n_rows rows of n_cols elements. The program must be bound to this
// file.
[[nodiscard]] std::span<const std::byte> bytes_of(const Weight& weight, const files::GgufFile& file);

[[nodiscard]] std::vector<std::string_view> known_architectures();

}  // namespace rafter::model
