// Repositories of models on Hugging Face or an endpoint like it: what one holds, and which of its files a person means.
// https://huggingface.co/docs/hub/api
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace rafter::apps {

// USER/REPO[:QUANT]
struct HubName {
    std::string user;
    std::string repo;
    std::string quant;  // "": not said. A quantisation, or a file's name

    [[nodiscard]] std::string repository() const { return user + "/" + repo; }
};
// Also with "hf.co/", "huggingface.co/" or "https://huggingface.co/" before it. None where the text is no such name: it has no slash.
[[nodiscard]] std::optional<Result<HubName>> parse_hub_name(std::string_view text);

struct HubFile {
    std::string path;  // in the repository, with slashes
    std::optional<std::uint64_t> size_bytes;
    std::string sha256;  // "": not known

    [[nodiscard]] std::string name() const { return path.substr(path.rfind('/') + 1); }
};

// The files that a model may need, of the answer to /api/models/USER/REPO?blobs=true. Fails on paths that lead out of the repository.
[[nodiscard]] Result<std::vector<HubFile>> hub_files(std::string_view json, const HubName& name);

struct HubModel {
    std::vector<HubFile> files;
    bool is_checkpoint = false;  // a folder of safetensors files, which keep their names; else GGUF
};
// The model that the name means: one GGUF file, or all parts of a split one in their order. Without a quantisation: the only model, or that
// of Q4_K_M; where the repository has no GGUF file, its checkpoint. Fails, and lists what there is, when no model is meant or several are.
[[nodiscard]] Result<HubModel> choose_hub_model(const std::vector<HubFile>& files, const HubName& name);

}  // namespace rafter::apps
