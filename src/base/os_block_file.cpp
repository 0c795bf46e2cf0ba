// See os_block_file.h: open, flock, pread, pwrite.
#include "base/os_block_file.h"

#include <fcntl.h>
#include <sys/file.h>
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

Result<BlockFile> BlockFile::open(const std::filesystem::path& path) {
    // Non-blocking until it is known to be no pipe, which would wait for its other end.
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0600);
    if (fd < 0) return failed(path, "cannot be opened");
    BlockFile file(fd, path);
    struct stat status {};
    if (::fstat(fd, &status) != 0) return failed(path, "cannot be examined");
    if (!S_ISREG(status.st_mode)) {
        return Error{fmt::format("{}: expected a regular file, found something else", path.string()), ErrorKind::kIo};
    }
    // A file system without locks says so with another error; then it is up to the caller to run once.
    if (::flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
        return Error{fmt::format("{}: another process is using this file", path.string()), ErrorKind::kBusy};
    }
    return file;
}

Result<std::uint64_t> BlockFile::size_bytes() const {
    struct stat status {};
    if (::fstat(fd_, &status) != 0) return failed(path_, "cannot be examined");
    return static_cast<std::uint64_t>(status.st_size);
}

Result<std::size_t> BlockFile::read_at(std::uint64_t offset, std::span<std::byte> to) const {
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

Result<void> BlockFile::write_at(std::uint64_t offset, std::span<const std::byte> from) {
    std::size_t n_written = 0;
    while (n_written < from.size()) {
        const ssize_t n = ::pwrite(fd_, from.data() + n_written, from.size() - n_written, static_cast<off_t>(offset + n_written));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return failed(path_, "cannot be written");
        n_written += static_cast<std::size_t>(n);
    }
    return {};
}

Result<void> BlockFile::cut(std::uint64_t size_bytes) {
    if (::ftruncate(fd_, static_cast<off_t>(size_bytes)) != 0) return failed(path_, "cannot be cut");
    return {};
}

void BlockFile::will_need(std::uint64_t offset, std::uint64_t size_bytes) const {
    (void)::posix_fadvise(fd_, static_cast<off_t>(offset), static_cast<off_t>(size_bytes), POSIX_FADV_WILLNEED);
}

BlockFile::~BlockFile() {
    if (fd_ >= 0) ::close(fd_);
}

}  // namespace rafter
