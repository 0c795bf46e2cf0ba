// A mistyped name must not cost a file.
#include "apps/chat_files.h"

#include <fmt/format.h>

#include "base/os_file.h"

namespace rafter::apps {

Result<void> save_conversation(const std::filesystem::path& path, const std::string& model, const nlohmann::ordered_json& messages) {
    std::error_code error;
    if (std::filesystem::exists(path, error) && !read_conversation(path)) {
        return bad_input("{}: expected a new file or a saved conversation, found another file", path.string());
    }
    nlohmann::ordered_json file;
    file["model"] = model;
    file["messages"] = messages;
    return write_file(path, file.dump(1) + "\n");
}

Result<nlohmann::ordered_json> read_conversation(const std::filesystem::path& path) {
    constexpr std::uintmax_t kMaxBytes = 64U << 20U;
    std::error_code error;
    const std::uintmax_t size_bytes = std::filesystem::file_size(path, error);
    if (!error && size_bytes > kMaxBytes)
        return bad_input("{}: expected a conversation, found a file of {} bytes", path.string(), size_bytes);
    RAFTER_TRY(const std::string text, read_file(path));
    nlohmann::ordered_json json = nlohmann::ordered_json::parse(text, nullptr, false);
    if (json.is_object() && json.contains("messages")) json = nlohmann::ordered_json(json["messages"]);
    if (!json.is_array()) return bad_input("{}: expected a JSON object with a list of messages", path.string());
    return json;
}

std::filesystem::path in_home(const std::string& path, const std::optional<std::filesystem::path>& home) {
    if (home && path.starts_with("~/")) return *home / path.substr(2);
    return path;
}

}  // namespace rafter::apps
