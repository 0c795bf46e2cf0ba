// A line is appended by one write(), which O_APPEND keeps whole.
#include "base/os_line_history.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os_file.h"

namespace rafter {
namespace {

std::string escaped(const std::string& line) {
    std::string text;
    for (const char c : line) {
        if (c == '\n') {
            text += "\\n";
        } else if (c == '\\') {
            text += "\\\\";
        } else {
            text += c;
        }
    }
    return text + '\n';
}

std::string unescaped(std::string_view text) {
    std::string line;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const bool is_escape = text[i] == '\\' && i + 1 < text.size();
        if (is_escape) ++i;
        line += is_escape && text[i] == 'n' ? '\n' : text[i];
    }
    return line;
}

// Whatever the user's umask, nobody else may read it.
int open_private(const std::filesystem::path& path, int flags) {
    const int fd = ::open(path.c_str(), flags | O_CREAT | O_WRONLY | O_CLOEXEC | O_NONBLOCK, S_IRUSR | S_IWUSR);
    struct stat status {};
    if (fd >= 0 && ::fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && ::fchmod(fd, S_IRUSR | S_IWUSR) == 0) return fd;
    if (fd >= 0) ::close(fd);
    return -1;
}

bool write_to(int fd, const std::string& text) {
    if (fd < 0) return false;
    const bool is_whole = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
    return ::close(fd) == 0 && is_whole;
}

}  // namespace

std::vector<std::string> read_line_history(const std::filesystem::path& path, std::size_t n_lines) {
    std::error_code error;
    if (!std::filesystem::is_regular_file(path, error)) return {};
    const auto text = read_file(path);
    if (!text) return {};
    std::vector<std::string> lines;
    for (std::size_t begin = 0; begin < text->size();) {
        const std::size_t end = std::min(text->find('\n', begin), text->size());
        lines.push_back(unescaped(std::string_view(*text).substr(begin, end - begin)));
        begin = end + 1;
    }
    if (lines.size() <= n_lines) return lines;
    const bool is_long = lines.size() > 2 * n_lines;
    lines.erase(lines.begin(), lines.end() - static_cast<std::ptrdiff_t>(n_lines));
    if (!is_long) return lines;
    std::string kept;
    for (const std::string& line : lines) kept += escaped(line);
    const std::filesystem::path part = path.string() + ".part";
    if (write_to(open_private(part, O_TRUNC), kept)) {
        std::filesystem::rename(part, path, error);
    } else {
        std::filesystem::remove(part, error);
    }
    return lines;
}

void append_line_history(const std::filesystem::path& path, const std::string& line) {
    std::error_code ignored;
    if (path.has_parent_path()) std::filesystem::create_directories(path.parent_path(), ignored);
    write_to(open_private(path, O_APPEND), escaped(line));
}

}  // namespace rafter
