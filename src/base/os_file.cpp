// See os_file.h: open, mmap, madvise, write, fsync, rename.
#include "base/os_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <limits>
#include <system_error>

#include "base/os_text_file.h"

namespace rafter {
namespace {

Error os_error(const std::filesystem::path& path, std::string_view what, int code) {
    return {fmt::format("{}: {}: {}", path.string(), what, std::generic_category().message(code)), ErrorKind::kIo};
}

// The part of `part` that is whole pages, as the address and length that madvise takes. All of a mapping's last page belongs to it.
std::pair<void*, std::size_t> whole_pages(std::span<const std::byte> mapping, std::span<const std::byte> part) {
    const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
    const auto begin = reinterpret_cast<std::uintptr_t>(part.data());
    const std::uintptr_t end = begin + part.size();
    const bool is_tail = part.data() + part.size() == mapping.data() + mapping.size();
    const std::uintptr_t first = (begin + page - 1) / page * page;
    const std::uintptr_t last = is_tail ? (end + page - 1) / page * page : end / page * page;
    return {reinterpret_cast<void*>(first), last > first ? last - first : 0};
}

Result<std::string> read_at_most(const std::filesystem::path& path, std::size_t max_bytes) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return os_error(path, "cannot be read", errno);
    constexpr std::size_t kPartBytes = std::size_t{1} << 16U;
    struct stat status {};
    const bool has_size = ::fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0;
    const auto too_long = [&] {
        ::close(fd);
        return bad_input("{}: expected at most {} bytes of text, found more: its beginning will do", path.string(), max_bytes);
    };
    if (has_size && static_cast<std::size_t>(status.st_size) > max_bytes) return too_long();
    // One byte more than the file has: its end shows without growing.
    std::string text(has_size ? static_cast<std::size_t>(status.st_size) + 1 : kPartBytes, '\0');
    std::size_t n_read = 0;
    ssize_t n = 0;
    while ((n = ::read(fd, text.data() + n_read, text.size() - n_read)) > 0 || (n < 0 && errno == EINTR)) {
        if (n > 0) n_read += static_cast<std::size_t>(n);
        if (n_read > max_bytes) return too_long();
        if (n_read == text.size()) text.resize(text.size() + std::max(text.size(), kPartBytes));
    }
    const int failed = n < 0 ? errno : 0;
    ::close(fd);
    if (failed != 0) return os_error(path, "cannot be read", failed);
    text.resize(n_read);
    return text;
}

}  // namespace

Result<std::string> read_file(const std::filesystem::path& path) { return read_at_most(path, std::numeric_limits<std::size_t>::max()); }

Result<std::string> read_whole_text(const std::filesystem::path& path) { return read_at_most(path, kMaxTextBytes); }

Result<MappedFile> MappedFile::open(const std::filesystem::path& path) {
    // Non-blocking: opening a pipe that nobody writes to would wait for ever.
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return os_error(path, "cannot open", errno);
    struct stat status {};
    const int failed = ::fstat(fd, &status) != 0 ? errno : 0;
    if (failed != 0 || !S_ISREG(status.st_mode)) {
        ::close(fd);
        if (failed != 0) return os_error(path, "cannot read its size", failed);
        return bad_input("{}: expected a regular file, found {}", path.string(), S_ISDIR(status.st_mode) ? "a folder" : "something else");
    }
    const auto size_bytes = static_cast<std::size_t>(status.st_size);
    if (size_bytes == 0) {  // which mmap refuses
        ::close(fd);
        return MappedFile({});
    }
    void* const address = ::mmap(nullptr, size_bytes, PROT_READ, MAP_PRIVATE, fd, 0);
    const int code = errno;
    ::close(fd);
    if (address == MAP_FAILED) return os_error(path, fmt::format("cannot map {} bytes", size_bytes), code);
    return MappedFile({static_cast<const std::byte*>(address), size_bytes});
}

void MappedFile::will_need(std::span<const std::byte> part) const {
    const auto [address, size_bytes] = whole_pages(bytes_, part);
    if (size_bytes > 0) ::madvise(address, size_bytes, MADV_WILLNEED);
}

void MappedFile::release(std::span<const std::byte> part) const {
    const auto [address, size_bytes] = whole_pages(bytes_, part);
    if (size_bytes > 0) ::madvise(address, size_bytes, MADV_DONTNEED);
}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
    std::swap(bytes_, other.bytes_);
    return *this;
}

MappedFile::~MappedFile() {
    if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

std::int64_t file_change_ns(const std::filesystem::path& path) {
    constexpr std::int64_t kNsPerS = 1'000'000'000;
    struct ::stat status {};
    if (::stat(path.c_str(), &status) != 0) return 0;
    return std::int64_t{status.st_ctim.tv_sec} * kNsPerS + status.st_ctim.tv_nsec;
}

Result<AtomicFile> AtomicFile::create(const std::filesystem::path& path) {
    // A link stays a link: what it points to is replaced. A device must not be replaced by a file of its name.
    std::error_code code;
    std::filesystem::path target = std::filesystem::weakly_canonical(path, code);
    if (code) return os_error(path, "cannot find the folder", code.value());
    const std::filesystem::file_status status = std::filesystem::status(target, code);
    if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status)) {
        return bad_input("{}: cannot write: expected a regular file or none, found {}", path.string(),
                         std::filesystem::is_directory(status) ? "a folder" : "something else");
    }
    constexpr int kTries = 100;  // names left over by programs that were killed
    for (int i = 0; i < kTries; ++i) {
        std::filesystem::path part = target;
        part += fmt::format(".part-{}-{}", ::getpid(), i);
        const int fd = ::open(part.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd >= 0) return AtomicFile(fd, std::move(target), std::move(part));
        if (errno != EEXIST) return os_error(target, "cannot create", errno);
    }
    return os_error(target, "cannot create a file beside it", EEXIST);
}

Result<void> AtomicFile::write(std::span<const std::byte> bytes) {
    RAFTER_CHECK(fd_ >= 0, "write() after commit()");
    while (!bytes.empty()) {
        const ssize_t n = ::write(fd_, bytes.data(), bytes.size());
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return os_error(path_, "cannot write", errno);
        bytes = bytes.subspan(static_cast<std::size_t>(n));
    }
    return {};
}

Result<void> AtomicFile::commit() {
    RAFTER_CHECK(fd_ >= 0, "commit() twice");
    if (::fsync(fd_) != 0) return os_error(path_, "cannot write to the disk", errno);
    const int fd = std::exchange(fd_, -1);
    // Some network file systems report a full disk only here.
    const bool closed = ::close(fd) == 0;
    if (closed && ::rename(part_.c_str(), path_.c_str()) == 0) return {};
    const int code = errno;
    ::unlink(part_.c_str());
    return os_error(path_, closed ? "cannot rename the finished file" : "cannot write", code);
}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), path_(std::move(other.path_)), part_(std::move(other.part_)) {}

AtomicFile::~AtomicFile() {
    if (fd_ < 0) return;
    ::close(fd_);
    ::unlink(part_.c_str());
}

Result<void> write_file(const std::filesystem::path& path, std::string_view text) {
    RAFTER_TRY(AtomicFile file, AtomicFile::create(path));
    RAFTER_TRY_VOID(file.write(std::as_bytes(std::span(text))));
    return file.commit();
}

}  // namespace rafter
