// A model from its file to something that an Engine can run. Two stages: an opened model knows its words (tokenizer, template, config) and
// has read no weights, so that a prompt can be counted first; a loaded one has weights and a KV cache of the size that the prompt needs.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "engine/loading/runtime.h"
#include "engine/scheduler.h"
#include "files/tensor_source.h"
#include "model/config.h"
#include "model/held_types.h"
#include "model/rewrites.h"
#include "roofline/op_cost.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace rafter::engine {

inline constexpr std::uint32_t kStepTokens = 512;  // that a step computes at most

struct OpenedModel {
    std::unique_ptr<files::TensorSource> source;  // never null
    std::unique_ptr<text::Tokenizer> tokenizer;
    model::ModelConfig config;         // for the context that it was trained for
    text::ChatTemplate chat_template;  // the file's, or a known one that fits
    bool has_own_template = false;     // the file's, or that of the options
    text::Warnings warnings = {};      // what of the file is ignored though nothing fails: sentences without its name
};
struct OpenOptions {
    std::optional<text::NamedTemplate> chat_template;  // in place of the file's; fails when it does not parse
};
[[nodiscard]] Result<OpenedModel> open_model(const std::filesystem::path& path, const OpenOptions& options = {});

struct LoadModelOptions {
    std::optional<std::uint32_t> context;  // tokens a sequence may have; none: as many as needed, 4096 at least where the model has them
    std::uint64_t context_needed = 0;
    std::uint32_t n_sequences = 1;                 // that the KV cache has room for at full context, as far as there is memory
    std::optional<std::uint64_t> kv_memory_bytes;  // that the KV cache may take; none: what is available
    std::uint32_t n_outputs = 1;                   // rows with logits a step
    model::ActivationMode activations = model::ActivationMode::kQ8;
    std::uint32_t block_size = 16;                     // positions a block of the KV cache; a power of two from 16 to 256
    backend::KvType key_type = backend::KvType::kF16;  // of the KV cache
    backend::KvType value_type = backend::KvType::kF16;
    model::Without without_fusions;
    bool observe_inputs = false;  // of matrices (model::observe_inputs), instead of computing logits: no engine can use such a model
    std::vector<model::ObservedMoments> observe_moments;  // with observe_inputs: second moments of these alone (model::observe_moments)
    // That matrices are held in, the embedding's table among them (model/held_types.h): decoded and encoded again on the way from the file.
    // none: the file's types. It must have an encoder.
    std::optional<tensor::DType> weights;
    std::function<void(double fraction)> progress;
    // Of the same opened model with weights of the same types: they share its weights in memory. Null: its own.
    const backend::DeviceModel* weights_of = nullptr;
};

// What a model will be loaded as, without its weights.
struct PreparedModel {
    model::Program program;      // bound and rewritten
    SchedulerOptions scheduler;  // for the Engine
    roofline::KvElementBytes kv_element_bytes;
    std::map<tensor::DType, std::uint32_t> n_substituted;  // model::HeldWeights, where options.weights is set
};
// Fails on a context beyond the model's, on an op that the backend does not run, and when memory does not suffice for one sequence.
[[nodiscard]] Result<PreparedModel> prepare_model(const backend::Backend& backend, const OpenedModel& opened,
                                                  const LoadModelOptions& options);

// The memory that load_model() would take, were there room for all of options.n_sequences: weights, workspace and KV cache.
[[nodiscard]] Result<std::uint64_t> planned_memory(const backend::Backend& backend, const OpenedModel& opened,
                                                   const LoadModelOptions& options);

struct LoadedModel {
    std::unique_ptr<backend::DeviceModel> device;
    SchedulerOptions scheduler;                                 // for the Engine
    roofline::KvElementBytes kv_element_bytes;                  // with the scales of quantised types
    std::map<tensor::DType, std::uint32_t> n_substituted = {};  // as in PreparedModel
};
// Fails as prepare_model does, and on what only the backend finds.
[[nodiscard]] Result<LoadedModel> load_model(Runtime& runtime, const OpenedModel& opened, const LoadModelOptions& options);

// The context that load_model would take.
[[nodiscard]] Result<std::uint32_t> choose_context(const model::ModelConfig& config, const LoadModelOptions& options);

}  // namespace rafter::engine
