// open, fstat, pread, pwrite.
#include "base/os_descriptor.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace rafter {

Error errno_error(const std::filesystem::path& path, std::string_view what) {
    const int code = errno;
    return {fmt::format("{}: {}: {}", path.string(), what, std::generic_category().message(code)), ErrorKind::kIo};
}

Result<int> open_regular_file(const std::filesystem::path& path, unsigned permissions) {
    // Non-blocking until it is known to be no pipe, which would wait for its other end.
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK, permissions);
    if (fd < 0) return errno_error(path, "cannot be opened");
    struct stat status {};
    if (::fstat(fd, &status) != 0) {
        const Error error = errno_error(path, "cannot be examined");
        ::close(fd);
        return error;
    }
    if (!S_ISREG(status.st_mode)) {
        ::close(fd);
        return Error{fmt::format("{}: expected a regular file, found something else", path.string()), ErrorKind::kIo};
    }
    return fd;
}

Result<std::uint64_t> file_size_bytes(int fd, const std::filesystem::path& path) {
    struct stat status {};
    if (::fstat(fd, &status) != 0) return errno_error(path, "cannot be examined");
    return static_cast<std::uint64_t>(status.st_size);
}

Result<std::size_t> read_file_at(int fd, const std::filesystem::path& path, std::uint64_t offset, std::span<std::byte> to) {
    std::size_t n_read = 0;
    while (n_read < to.size()) {
        const ssize_t n = ::pread(fd, to.data() + n_read, to.size() - n_read, static_cast<off_t>(offset + n_read));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return errno_error(path, "cannot be read");
        if (n == 0) break;
        n_read += static_cast<std::size_t>(n);
    }
    return n_read;
}

Result<void> write_file_at(int fd, const std::filesystem::path& path, std::uint64_t offset, std::span<const std::byte> from) {
    std::size_t n_written = 0;
    while (n_written < from.size()) {
        const ssize_t n = ::pwrite(fd, from.data() + n_written, from.size() - n_written, static_cast<off_t>(offset + n_written));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return errno_error(path, "cannot be written");
        n_written += static_cast<std::size_t>(n);
    }
    return {};
}

void sync_folder_of(const std::filesystem::path& path) {
    const std::filesystem::path folder = path.has_parent_path() ? path.parent_path() : ".";
    const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return;
    ::fsync(fd);
    ::close(fd);
}

}  // namespace rafter
