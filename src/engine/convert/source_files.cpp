// Looks at names, sizes and times only.
#include "engine/convert/source_files.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "base/os_file.h"
#include "base/xxh3.h"
#include "files/split_name.h"

namespace rafter::engine {

namespace fs = std::filesystem;

std::vector<fs::path> source_files(const fs::path& source) {
    constexpr std::array<std::string_view, 6> kCheckpointExtensions{".safetensors", ".json", ".jinja", ".model", ".txt", ".tiktoken"};
    std::vector<fs::path> files;
    std::error_code failed;
    if (fs::is_directory(source, failed)) {
        for (fs::directory_iterator it(source, failed), end; !failed && it != end; it.increment(failed)) {
            const std::string extension = it->path().extension().string();
            if (std::ranges::find(kCheckpointExtensions, extension) != kCheckpointExtensions.end()) files.push_back(it->path());
        }
        std::ranges::sort(files);
        return files;
    }
    const auto split = files::parse_split_name(source.filename().string());
    if (!split) return {source};
    for (unsigned number = 1; number <= split->n_parts; ++number) {
        const fs::path part = source.parent_path() / (split->model + files::split_suffix(number, split->n_parts) + ".gguf");
        if (!fs::exists(part, failed)) return {source};  // it only looks like a part's name
        files.push_back(part);
    }
    return files;
}

std::uint64_t files_identity(const std::vector<fs::path>& files) {
    std::uint64_t identity = 0;
    for (const fs::path& file : files) {
        std::error_code failed;
        identity = xxh3(file.filename().string(), identity);
        identity = xxh3(std::uint64_t{fs::file_size(file, failed)}, identity);
        identity = xxh3(static_cast<std::uint64_t>(fs::last_write_time(file, failed).time_since_epoch().count()), identity);
        // Copies and unpacked archives have the time of modification of their origin.
        identity = xxh3(static_cast<std::uint64_t>(file_change_ns(file)), identity);
    }
    return identity;
}

bool is_one_of(const fs::path& path, const std::vector<fs::path>& files) {
    return std::ranges::any_of(files, [&path](const fs::path& file) {
        std::error_code failed;
        return fs::equivalent(path, file, failed);
    });
}

}  // namespace rafter::engine
