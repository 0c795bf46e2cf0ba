// See os_block_file.h: open, flock, pread, pwrite.
#include "base/os_block_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "base/os_descriptor.h"

namespace rafter {

Result<BlockFile> BlockFile::open(const std::filesystem::path& path) {
    RAFTER_TRY(const int fd, open_regular_file(path, 0600));
    BlockFile file(fd, path);
    // A file system without locks says so with another error; then it is up to the caller to run once.
    if (::flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
        return Error{fmt::format("{}: another process is using this file", path.string()), ErrorKind::kBusy};
    }
    return file;
}

Result<std::uint64_t> BlockFile::size_bytes() const { return file_size_bytes(fd_, path_); }

Result<std::size_t> BlockFile::read_at(std::uint64_t offset, std::span<std::byte> to) const { return read_file_at(fd_, path_, offset, to); }

Result<void> BlockFile::write_at(std::uint64_t offset, std::span<const std::byte> from) { return write_file_at(fd_, path_, offset, from); }

Result<void> BlockFile::cut(std::uint64_t size_bytes) {
    if (::ftruncate(fd_, static_cast<off_t>(size_bytes)) != 0) return errno_error(path_, "cannot be cut");
    return {};
}

void BlockFile::will_need(std::uint64_t offset, std::uint64_t size_bytes) const {
    (void)::posix_fadvise(fd_, static_cast<off_t>(offset), static_cast<off_t>(size_bytes), POSIX_FADV_WILLNEED);
}

BlockFile::~BlockFile() {
    if (fd_ >= 0) ::close(fd_);
}

}  // namespace rafter
