// A model that the server may be asked for: its names, and how it comes into memory. The server knows nothing of files: who starts it does.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/loading/served_model.h"
#include "protocols/answers/answer_format.h"

namespace rafter::server {

struct BroughtModel {
    std::shared_ptr<engine::ServedModel> served;  // loaded, not started
    std::string file_name;                        // without its folder
    std::string quantization;                     // "Q4_1"; "": not known
    std::uint64_t planned_bytes = 0;              // what it was expected to take
};

// A model whose metadata has been read: how much memory it wants is known.
struct PlannedModel {
    std::uint64_t planned_bytes = 0;  // weights, workspace and the KV cache at its full size
    std::function<Result<BroughtModel>()> load;
};

struct ModelOffer {
    std::vector<std::string> names;              // as clients call it; answers give the first
    protocols::AnswerFormatNames answer_format;  // how it writes calls and thoughts
    // Reads its metadata. Both this and PlannedModel::load are called on the server's loading thread, one at a time, each time that the
    // model is wanted and not in memory.
    std::function<Result<PlannedModel>()> plan;
    std::optional<BroughtModel> at_start;  // it is in memory already
};

}  // namespace rafter::server
