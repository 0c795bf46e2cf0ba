// A file that is read and written at any place of it, for one process at a time: what outlives a run but may be lost without harm.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <utility>

#include "base/result.h"

namespace rafter {

// Writes go to the kernel's cache and from there to the disk when the kernel likes: a kill loses nothing that was written, a power failure
// may lose any of it in any order. For one thread.
class BlockFile {
  public:
    // An existing file is kept, a missing one created for this user alone. Regular files only. Somebody else's while they have it open:
    // ErrorKind::kBusy.
    [[nodiscard]] static Result<BlockFile> open(const std::filesystem::path& path);

    [[nodiscard]] const std::filesystem::path& path() const { return path_; }
    [[nodiscard]] Result<std::uint64_t> size_bytes() const;
    // How many bytes there were: fewer where the file ends.
    [[nodiscard]] Result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> to) const;
    // All of it; when it fails, any part of it may be there. The file grows as needed, holes read as zeros.
    [[nodiscard]] Result<void> write_at(std::uint64_t offset, std::span<const std::byte> from);
    // What comes after the first size_bytes is gone.
    [[nodiscard]] Result<void> cut(std::uint64_t size_bytes);
    // Asks the kernel to start reading.
    void will_need(std::uint64_t offset, std::uint64_t size_bytes) const;

    BlockFile(BlockFile&& other) noexcept : fd_(std::exchange(other.fd_, -1)), path_(std::move(other.path_)) {}
    BlockFile& operator=(BlockFile&&) = delete;
    ~BlockFile();

  private:
    BlockFile(int fd, std::filesystem::path path) : fd_(fd), path_(std::move(path)) {}

    int fd_;  // -1 once moved from
    std::filesystem::path path_;
};

}  // namespace rafter
