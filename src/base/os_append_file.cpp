// See os_append_file.h: open, flock, write, ftruncate, fsync.
#include "base/os_append_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <system_error>

#include "base/os_descriptor.h"

namespace rafter {

Result<AppendFile> AppendFile::open(const std::filesystem::path& path) {
    // Non-blocking until it is open: a pipe that nobody reads would wait for ever.
    const int fd = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0666);
    if (fd < 0) return errno_error(path, "cannot write");
    ::fcntl(fd, F_SETFL, O_APPEND);
    struct stat status {};
    AppendFile file(fd, path, false);
    if (::fstat(fd, &status) != 0) return errno_error(path, "cannot read its size");
    file.is_regular_ = S_ISREG(status.st_mode);
    if (!file.is_regular_) return file;
    // A file system without locks says so with another error; then it is up to the caller to run once.
    if (::flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
        return Error{fmt::format("{}: another process is writing to this file", path.string()), ErrorKind::kIo};
    }
    // Another process may have put a new file in this one's place before it let go of the lock.
    struct stat named {};
    if (::stat(path.c_str(), &named) != 0 || ::fstat(fd, &status) != 0 || named.st_ino != status.st_ino || named.st_dev != status.st_dev) {
        return Error{fmt::format("{}: another process is writing to it", path.string()), ErrorKind::kIo};
    }
    // Again: another process may have written between the two calls.
    if (::fstat(fd, &status) != 0) return errno_error(path, "cannot read its size");
    file.size_bytes_ = file.synced_bytes_ = static_cast<std::uint64_t>(status.st_size);
    return file;
}

Result<void> AppendFile::cut(std::uint64_t size_bytes) {
    RAFTER_CHECK(is_regular_ && size_bytes <= size_bytes_, "cut to {} of {} bytes", size_bytes, size_bytes_);
    if (::ftruncate(fd_, static_cast<off_t>(size_bytes)) != 0) return errno_error(path_, "cannot cut off its end");
    size_bytes_ = size_bytes;
    synced_bytes_ = std::min(synced_bytes_, size_bytes);
    return {};
}

Result<void> AppendFile::replace(std::string_view text) {
    RAFTER_CHECK(is_regular_, "{}: replaced, but no regular file", path_.string());
    std::error_code code;
    const std::filesystem::path target = std::filesystem::canonical(path_, code);  // a link stays one
    if (code) return Error{fmt::format("{}: {}", path_.string(), code.message()), ErrorKind::kIo};
    const std::filesystem::path made = target.string() + ".new";
    RAFTER_TRY(AppendFile file, open(made));
    struct stat status {};
    Result<void> done = file.cut(0);
    if (done) done = file.append(text);
    if (done && (::fstat(fd_, &status) != 0 || ::fchmod(file.fd_, status.st_mode & 07777U) != 0))
        done = errno_error(made, "cannot set its mode");
    if (done) done = file.sync();
    if (done && ::rename(made.c_str(), target.c_str()) != 0) done = errno_error(target, "cannot be replaced");
    if (!done) {
        ::unlink(made.c_str());
        return done;
    }
    sync_folder_of(target);
    std::swap(fd_, file.fd_);  // the old file's lock ends once the new one is in its place
    size_bytes_ = synced_bytes_ = text.size();
    name_is_synced_ = true;
    return {};
}

Result<void> AppendFile::append(std::string_view text) {
    std::string_view rest = text;
    while (!rest.empty()) {
        const ssize_t n = ::write(fd_, rest.data(), rest.size());
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) {
            Error error = errno_error(path_, "cannot write");
            if (is_regular_ && ::ftruncate(fd_, static_cast<off_t>(size_bytes_)) != 0) {
                error.message += "; the file now ends with an incomplete line";
            }
            return error;
        }
        rest.remove_prefix(static_cast<std::size_t>(n));
    }
    if (is_regular_) size_bytes_ += text.size();
    return {};
}

Result<void> AppendFile::sync() {
    if (!is_regular_) return {};
    if (::fsync(fd_) != 0) {
        // What the disk took of the rest is not known.
        Error error = errno_error(path_, "cannot write to the disk");
        if (::ftruncate(fd_, static_cast<off_t>(synced_bytes_)) == 0) size_bytes_ = synced_bytes_;
        return error;
    }
    synced_bytes_ = size_bytes_;
    if (!name_is_synced_) sync_folder_of(path_);
    name_is_synced_ = true;
    return {};
}

AppendFile::AppendFile(AppendFile&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      path_(std::move(other.path_)),
      is_regular_(other.is_regular_),
      name_is_synced_(other.name_is_synced_),
      size_bytes_(other.size_bytes_),
      synced_bytes_(other.synced_bytes_) {}

AppendFile::~AppendFile() {
    if (fd_ >= 0) ::close(fd_);
}

}  // namespace rafter
