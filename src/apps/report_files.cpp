// Paths are compared as the file system resolves them.
#include "apps/report_files.h"

#include <fmt/format.h>

#include <filesystem>

#include "base/os_file.h"

namespace rafter::apps {

Result<void> check_report_files(const std::vector<ReportFile>& files, std::vector<TakenFile> taken) {
    namespace fs = std::filesystem;
    for (const ReportFile& file : files) {
        if (file.path.empty()) continue;
        std::error_code failed;
        const fs::path absolute = fs::weakly_canonical(fs::absolute(file.path, failed), failed);
        for (const TakenFile& other : taken) {
            if (absolute != fs::weakly_canonical(fs::absolute(other.path, failed), failed)) continue;
            return Error{fmt::format("{}: expected another file than {}, found {}", file.flag, other.whose, file.path), ErrorKind::kUsage};
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
        const Result<void> written = write_file(report.path, report.text);
        if (all) all = written;
    }
    return all;
}

}  // namespace rafter::apps
