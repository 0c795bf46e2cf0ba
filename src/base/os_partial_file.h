// A file that takes long to write: several threads fill it at any place, under a name of its own that a later run can continue, until it is
// whole and takes its own name.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <utility>

#include "base/result.h"

namespace rafter {

// write_at() and read_at() may be called by several threads at a time. That no two processes write to it is for the caller to see to.
class PartialFile {
  public:
    // Keeps what is there, or creates the file. Regular files only.
    [[nodiscard]] static Result<PartialFile> open(const std::filesystem::path& path);

    [[nodiscard]] Result<std::uint64_t> size_bytes() const;
    // On the disk: less than the size where the file has holes.
    [[nodiscard]] Result<std::uint64_t> allocated_bytes() const;
    // Cuts off what is beyond, or adds a hole that reads as zeros.
    [[nodiscard]] Result<void> resize(std::uint64_t size_bytes);
    // How many bytes were there: fewer where the file ends.
    [[nodiscard]] Result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> to) const;
    // All of it; when it fails, any part of it may be there.
    [[nodiscard]] Result<void> write_at(std::uint64_t offset, std::span<const std::byte> from) const;
    // Returns when all is on the disk.
    [[nodiscard]] Result<void> sync() const;

    PartialFile(PartialFile&& other) noexcept : fd_(std::exchange(other.fd_, -1)), path_(std::move(other.path_)) {}
    PartialFile& operator=(PartialFile&&) = delete;
    ~PartialFile();

  private:
    PartialFile(int fd, std::filesystem::path path) : fd_(fd), path_(std::move(path)) {}

    int fd_;  // -1 once moved from
    std::filesystem::path path_;
};

// Gives a finished file its name, in the place of what has that name, and returns when the folder says so on the disk.
[[nodiscard]] Result<void> rename_durably(const std::filesystem::path& from, const std::filesystem::path& to);

}  // namespace rafter
