// Lines that a user typed, kept in a file from one run to the next: the user's alone (mode 0600), a line each, line ends and backslashes in
// it escaped. Several processes may append at once. Nothing here fails: a history that cannot be kept is no reason to stop.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

namespace rafter {

// The last n_lines, the oldest first; none where there is no such file. A file of twice as many is cut down to these.
[[nodiscard]] std::vector<std::string> read_line_history(const std::filesystem::path& path, std::size_t n_lines);
// Makes the file and its folders when they are missing.
void append_line_history(const std::filesystem::path& path, const std::string& line);

}  // namespace rafter
