// See os_partial_file.h: open, pread, pwrite, fsync, rename.
#include "base/os_partial_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "base/os_descriptor.h"

namespace rafter {

Result<PartialFile> PartialFile::open(const std::filesystem::path& path) {
    RAFTER_TRY(const int fd, open_regular_file(path, 0666));
    return PartialFile(fd, path);
}

Result<std::uint64_t> PartialFile::size_bytes() const { return file_size_bytes(fd_, path_); }

Result<std::uint64_t> PartialFile::allocated_bytes() const {
    constexpr std::uint64_t kStatBlockBytes = 512;  // whatever the file system's own blocks are: stat(2)
    struct stat status {};
    if (::fstat(fd_, &status) != 0) return errno_error(path_, "cannot be examined");
    return static_cast<std::uint64_t>(status.st_blocks) * kStatBlockBytes;
}

Result<void> PartialFile::resize(std::uint64_t size_bytes) {
    if (::ftruncate(fd_, static_cast<off_t>(size_bytes)) != 0) return errno_error(path_, "cannot be written");
    return {};
}

Result<std::size_t> PartialFile::read_at(std::uint64_t offset, std::span<std::byte> to) const {
    return read_file_at(fd_, path_, offset, to);
}

Result<void> PartialFile::write_at(std::uint64_t offset, std::span<const std::byte> from) const {
    return write_file_at(fd_, path_, offset, from);
}

Result<void> PartialFile::sync() const {
    if (::fsync(fd_) != 0) return errno_error(path_, "cannot write to the disk");
    return {};
}

PartialFile::~PartialFile() {
    if (fd_ >= 0) ::close(fd_);
}

Result<void> rename_durably(const std::filesystem::path& from, const std::filesystem::path& to) {
    if (::rename(from.c_str(), to.c_str()) != 0) return errno_error(to, "cannot rename the finished file");
    sync_folder_of(to);
    return {};
}

}  // namespace rafter
