// Fetching a model from a repository on Hugging Face, or an endpoint like it (HF_ENDPOINT). A transfer that ended early is continued by the
// same command; a file has its name only once it is whole and its checksum is right.
#pragma once

#include <filesystem>
#include <optional>

#include "apps/cli.h"
#include "apps/hub.h"

namespace rafter::apps {

// The model to run, in `folder`, which is made if need be: a GGUF file, the first part of a split one, or the folder REPO of a checkpoint.
// None after Ctrl-C.
[[nodiscard]] Result<std::optional<std::filesystem::path>> fetch_from_hub(const Environment& environment, const HubName& name,
                                                                          const std::filesystem::path& folder);

}  // namespace rafter::apps
