// Conversations as files: a JSON object with `messages`, as requests to a chat API have it and `rafter template --messages` takes it.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "base/result.h"

namespace rafter::apps {

// Replaces a saved conversation, and no other file.
[[nodiscard]] Result<void> save_conversation(const std::filesystem::path& path, const std::string& model,
                                             const nlohmann::ordered_json& messages);
// The list of messages of such an object, or of a bare list.
[[nodiscard]] Result<nlohmann::ordered_json> read_conversation(const std::filesystem::path& path);

// "~/x" below the user's home folder.
[[nodiscard]] std::filesystem::path in_home(const std::string& path, const std::optional<std::filesystem::path>& home);

}  // namespace rafter::apps
