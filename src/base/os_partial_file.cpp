// See os_partial_file.h: open, pread, pwrite, fsync, rename.
#include "base/os_partial_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace rafter {
namespace {

Error failed(const std::filesystem::path& path, std::string_view what) {
    const int code = errno;
    return {fmt::format("{}: {}: {}", path.string(), what, std::generic_category().message(code)), ErrorKind::kIo};
}

}  // namespace

Result<PartialFile> PartialFile::open(const std::filesystem::path& path) {
    // Non-blocking until it is known to be no pipe, which would wait for its other end.
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0666);
    if (fd < 0) return failed(path, "cannot create");
    PartialFile file(fd, path);
    struct stat status {};
    if (::fstat(fd, &status) != 0) return failed(path, "cannot be examined");
    if (!S_ISREG(status.st_mode)) {
        return Error{fmt::format("{}: expected a regular file, found something else", path.string()), ErrorKind::kIo};
    }
    return file;
}

Result<std::uint64_t> PartialFile::size_bytes() const {
    struct stat status {};
    if (::fstat(fd_, &status) != 0) return failed(path_, "cannot be examined");
    return static_cast<std::uint64_t>(status.st_size);
}

Result<std::uint64_t> PartialFile::allocated_bytes() const {
    constexpr std::uint64_t kStatBlockBytes = 512;  // whatever the file system's own blocks are: stat(2)
    struct stat status {};
    if (::fstat(fd_, &status) != 0) return failed(path_, "cannot be examined");
    return static_cast<std::uint64_t>(status.st_blocks) * kStatBlockBytes;
}

Result<void> PartialFile::resize(std::uint64_t size_bytes) {
    if (::ftruncate(fd_, static_cast<off_t>(size_bytes)) != 0) return failed(path_, "cannot write");
    return {};
}

Result<std::size_t> PartialFile::read_at(std::uint64_t offset, std::span<std::byte> to) const {
    std::size_t n_read = 0;
    while (n_read < to.size()) {
        const ssize_t n = ::pread(fd_, to.data() + n_read, to.size() - n_read, static_cast<off_t>(offset + n_read));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return failed(path_, "cannot be read");
        if (n == 0) break;
        n_read += static_cast<std::size_t>(n);
    }
    return n_read;
}

Result<void> PartialFile::write_at(std::uint64_t offset, std::span<const std::byte> from) const {
    std::size_t n_written = 0;
    while (n_written < from.size()) {
        const ssize_t n = ::pwrite(fd_, from.data() + n_written, from.size() - n_written, static_cast<off_t>(offset + n_written));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return failed(path_, "cannot write");
        n_written += static_cast<std::size_t>(n);
    }
    return {};
}

Result<void> PartialFile::sync() const {
    if (::fsync(fd_) != 0) return failed(path_, "cannot write to the disk");
    return {};
}

PartialFile::~PartialFile() {
    if (fd_ >= 0) ::close(fd_);
}

Result<void> rename_durably(const std::filesystem::path& from, const std::filesystem::path& to) {
    if (::rename(from.c_str(), to.c_str()) != 0) return failed(to, "cannot rename the finished file");
    const std::filesystem::path folder = to.has_parent_path() ? to.parent_path() : ".";
    const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return {};  // some file systems cannot: then there is nothing better
    ::fsync(fd);
    ::close(fd);
    return {};
}

}  // namespace rafter
