// A model file ready to be loaded: its config and rope tables, and its tensors bound to a program by name, every shape and type checked.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "files/tensor_source.h"
#include "model/config.h"
#include "model/program.h"

namespace rafter::model {

struct ConfigOptions {
    std::optional<std::uint32_t> context;  // tokens that will be used at most: chooses between LongRoPE's tables
};

// Reads the config of a file of any known architecture. An unknown one is named in the error, with the known ones beside.
[[nodiscard]] Result<ModelConfig> read_config(const files::TensorSource& source, const ConfigOptions& options);

// Sets each weight's types and checks that the source has it, in that shape.
[[nodiscard]] Result<Program> bind(Program program, const files::TensorSource& source);
// Where a weight's rows are: those of expert e begin at row first_row(weight, e) of tensor_of(weight), n_rows of them. The program must be
// bound to this source.
[[nodiscard]] const files::NamedTensor& tensor_of(const Weight& weight, const files::TensorSource& source);
[[nodiscard]] inline std::uint64_t first_row(const Weight& weight, std::uint32_t expert) {
    return std::uint64_t{expert} * weight.n_source_rows + weight.first_row;
}

[[nodiscard]] std::vector<std::string_view> known_architectures();

}  // namespace rafter::model
