// The model that others are judged by: in memory beside them, on the same threads, and without an engine.
#pragma once

#include <memory>
#include <string>

#include "apps/cli.h"
#include "apps/session.h"
#include "engine/loading/loaded_model.h"

namespace rafter::apps {

struct ReferenceOptions {
    std::string model;
    // "exact": float32 activations and a float32 cache, whatever the judged model computes with, so that all that it loses is counted.
    // "same": as the judged model.
    std::string mode = "exact";
    std::uint32_t context = 512;
    std::uint32_t n_outputs = 1;
};

struct ReferenceModel {
    engine::OpenedModel opened;
    engine::LoadedModel loaded;
};
// judged: whose vocabulary must be the same. session: the options of its session.
[[nodiscard]] Result<std::unique_ptr<ReferenceModel>> load_reference(const ReferenceOptions& options, const Environment& environment,
                                                                     engine::Runtime& runtime, const engine::OpenedModel& judged,
                                                                     const SessionOptions& session);
// "float32 activations and cache": of a mode.
[[nodiscard]] std::string_view reference_mode_words(std::string_view mode);

}  // namespace rafter::apps
