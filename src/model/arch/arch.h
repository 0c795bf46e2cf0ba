// What the architecture files share: the keys that all have, rope tables, and the one list of architectures. An architecture is one file
// here with one function from metadata to config, and its row in arch.cpp.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "files/tensor_source.h"
#include "model/config.h"
#include "model/model_file.h"

namespace rafter::model {

// A file's metadata under one architecture's prefix: key("block_count") is "llama.block_count".
class ArchKeys {
  public:
    ArchKeys(const files::TensorSource& source, std::string architecture, ConfigOptions options)
        : source_(&source), architecture_(std::move(architecture)), options_(options) {}

    [[nodiscard]] std::string key(std::string_view name) const { return architecture_ + "." + std::string(name); }
    // Integers are checked against [low, high]; floats must be finite.
    [[nodiscard]] Result<std::uint32_t> get_uint(std::string_view name, std::uint32_t low, std::uint32_t high) const;
    [[nodiscard]] Result<std::uint32_t> get_uint_or(std::string_view name, std::uint32_t fallback, std::uint32_t low,
                                                    std::uint32_t high) const;
    [[nodiscard]] Result<float> get_float_or(std::string_view name, float fallback) const;
    [[nodiscard]] Result<float> get_positive_or(std::string_view name, float fallback) const;
    [[nodiscard]] Result<std::string> get_string_or(std::string_view name, std::string_view fallback) const;
    [[nodiscard]] bool has_tensor(std::string_view name) const { return source_->find_tensor(name) != nullptr; }

    [[nodiscard]] const files::TensorSource& source() const { return *source_; }
    [[nodiscard]] const std::string& architecture() const { return architecture_; }
    [[nodiscard]] const ConfigOptions& options() const { return options_; }

  private:
    const files::TensorSource* source_;
    std::string architecture_;
    ConfigOptions options_;
};

// The fields that every family has, checked; layers all alike, full attention, one rope table (see read_rope), scale 1/sqrt(head_dim).
[[nodiscard]] Result<ModelConfig> read_common(const ArchKeys& keys, RopePairing pairing);
// Adds the mixture-of-experts fields and makes every layer one of experts, if the file says it has any.
[[nodiscard]] Result<void> read_experts(const ArchKeys& keys, ModelConfig& config);

enum class YarnRounding { kWhole, kNone };  // whether the borders of YaRN's ramp are rounded to whole dimensions
// The rope table that the keys describe: rope.freq_base, rope.scaling.*, and the tensors rope_freqs / rope_factors_{long,short}.
[[nodiscard]] Result<RopeTable> read_rope(const ArchKeys& keys, const ModelConfig& config, RopePairing pairing,
                                          YarnRounding rounding = YarnRounding::kWhole);
// A table without scaling.
[[nodiscard]] RopeTable plain_rope(std::uint32_t n_dims, float base, RopePairing pairing);

struct Architecture {
    std::string_view name;  // general.architecture
    Result<ModelConfig> (*read)(const ArchKeys& keys);
};
[[nodiscard]] std::span<const Architecture> architectures();

Result<ModelConfig> read_llama(const ArchKeys& keys);
Result<ModelConfig> read_qwen2(const ArchKeys& keys);
Result<ModelConfig> read_qwen3(const ArchKeys& keys);
Result<ModelConfig> read_qwen3moe(const ArchKeys& keys);
Result<ModelConfig> read_gemma2(const ArchKeys& keys);
Result<ModelConfig> read_gemma3(const ArchKeys& keys);
Result<ModelConfig> read_phi3(const ArchKeys& keys);
Result<ModelConfig> read_gpt_oss(const ArchKeys& keys);

}  // namespace rafter::model
