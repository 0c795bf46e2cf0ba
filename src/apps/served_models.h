// The models of `rafter serve`: MODEL, --model NAME=MODEL and --models FOLDER, as the server's offers.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "apps/session.h"
#include "protocols/answers/answer_format.h"
#include "server/models/model_offer.h"

namespace rafter::apps {

struct ServedModelsOptions {
    SessionOptions session;                      // of all models, but what is about MODEL alone; session.model: MODEL; "": none
    std::vector<std::string> served_names;       // of MODEL; none: the model's own
    protocols::AnswerFormatNames answer_format;  // of MODEL
    std::vector<std::string> named;              // NAME=MODEL, or NAME=MODEL,draft=MODEL
    std::string folder;                          // "": none
    std::uint32_t n_together = 32;               // sequences of each model
    std::optional<std::uint64_t> kv_memory_bytes;
    bool no_prefix_cache = false;
    std::optional<double> target_itl_ms;
};

// Fails, with kUsage, on options that make no sense together.
[[nodiscard]] Result<void> check_usage(const ServedModelsOptions& options);

struct ServedModels {
    std::vector<server::ModelOffer> offers;
    std::string title;                                      // what is served, for people
    std::vector<std::filesystem::path> kv_files_left_over;  // in the folder of --kv-disk: of no model that is served
};
// MODEL is loaded; of the others only names are looked up. Fails where there is no such model, and where two have one name.
[[nodiscard]] Result<ServedModels> open_served_models(const Environment& environment, const ServedModelsOptions& options);

}  // namespace rafter::apps
