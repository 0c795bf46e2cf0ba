// Paths are compared as the file system resolves them.
#include "apps/report_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "base/os_file.h"
#include "engine/convert/source_files.h"
#include "text/utf8_stream.h"

namespace rafter::apps {

std::vector<TakenFile> model_files(const std::string& whose, const std::filesystem::path& model) {
    std::vector<TakenFile> files;
    for (const std::filesystem::path& file : engine::source_files(model)) files.push_back({.whose = whose, .path = file.string()});
    return files;
}

const TakenFile* find_taken(const std::string& path, const std::vector<TakenFile>& taken) {
    namespace fs = std::filesystem;
    std::error_code failed;
    const fs::path absolute = fs::weakly_canonical(fs::absolute(path, failed), failed);
    const auto found = std::ranges::find_if(taken, [&](const TakenFile& other) {
        std::error_code ignored;
        return absolute == fs::weakly_canonical(fs::absolute(other.path, ignored), ignored) ||
               (fs::is_regular_file(absolute, ignored) && fs::equivalent(absolute, other.path, ignored));
    });
    return found == taken.end() ? nullptr : &*found;
}

Result<void> check_report_files(const std::vector<ReportFile>& files, std::vector<TakenFile> taken) {
    namespace fs = std::filesystem;
    for (const ReportFile& file : files) {
        if (file.path.empty()) continue;
        std::error_code failed;
        const fs::path absolute = fs::weakly_canonical(fs::absolute(file.path, failed), failed);
        if (const TakenFile* const other = find_taken(file.path, taken)) {
            return Error{fmt::format("{}: expected another file than {}, found {}", file.flag, other->whose, file.path), ErrorKind::kUsage};
        }
        if (fs::is_directory(absolute, failed)) return bad_input("{}: expected a file, found the folder {}", file.flag, file.path);
        if (!fs::is_directory(absolute.parent_path(), failed)) {
            return bad_input("{}: {}: expected an existing folder, found no {}", file.flag, file.path, absolute.parent_path().string());
        }
        taken.push_back({.whose = std::string(file.flag), .path = file.path});
    }
    return {};
}

Result<void> write_report_files(const std::vector<Report>& reports) {
    Result<void> all;
    for (const Report& report : reports) {
        if (report.path.empty()) continue;
        const Result<void> written = write_file(report.path, text::valid_utf8(report.text));
        if (all) all = written;
    }
    return all;
}

}  // namespace rafter::apps
