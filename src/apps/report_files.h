// Files that a verb writes its report to: checked before minutes of measuring, written at its end.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace rafter::apps {

struct ReportFile {
    std::string_view flag;  // "--html"
    std::string path;       // "": not asked for
};
struct TakenFile {
    std::string whose;  // "the model"
    std::string path;
};
// What a model is read from: its file, all parts of a split one, the files of a folder.
[[nodiscard]] std::vector<TakenFile> model_files(const std::string& whose, const std::filesystem::path& model);
// The one that a path leads to, by whatever links; null: none.
[[nodiscard]] const TakenFile* find_taken(const std::string& path, const std::vector<TakenFile>& taken);
// Fails on a file that could not be written, and on one that is another of the reports or is taken.
[[nodiscard]] Result<void> check_report_files(const std::vector<ReportFile>& files, std::vector<TakenFile> taken);

// What fails of one keeps no other from being written; the first failure is the answer. Texts without a path are left out;
// bytes that are not UTF-8, as names of files may have, become U+FFFD.
struct Report {
    std::string path;
    std::string text;
};
[[nodiscard]] Result<void> write_report_files(const std::vector<Report>& reports);

}  // namespace rafter::apps
