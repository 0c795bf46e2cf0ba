// Files by way of the operating system: read-only memory maps, and files that appear whole or not at all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"

namespace rafter {

// All of a file's bytes, or what a pipe gives until its end. For small files: a model is mapped.
[[nodiscard]] Result<std::string> read_file(const std::filesystem::path& path);

// When the file's bytes, name or rights last changed, by the system's clock, which no program can set back as it can the time of
// modification; nanoseconds. 0: there is none. A file system that has no such time gives that of modification.
[[nodiscard]] std::int64_t file_change_ns(const std::filesystem::path& path);

// A whole file, mapped read-only: pages are read when first touched and shared with every process that maps the same file. Movable; the
// bytes stay where they are. Safe to read from several threads. Nothing can be done about a file that somebody truncates while it is
// mapped: touching what is gone ends the program (SIGBUS).
class MappedFile {
  public:
    // Regular files only; an empty file gives no bytes. Costs no reading and no memory.
    [[nodiscard]] static Result<MappedFile> open(const std::filesystem::path& path);

    [[nodiscard]] std::span<const std::byte> bytes() const { return bytes_; }

    // Asks the kernel to start reading this part of bytes() into its cache.
    void will_need(std::span<const std::byte> part) const;
    // Takes the pages that lie wholly in this part of bytes() out of this process's memory. They come back from the file when touched
    // again.
    void release(std::span<const std::byte> part) const;

    MappedFile(MappedFile&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}
    MappedFile& operator=(MappedFile&& other) noexcept;
    ~MappedFile();

  private:
    explicit MappedFile(std::span<const std::byte> bytes) : bytes_(bytes) {}
    std::span<const std::byte> bytes_;
};

// Writes beside `path` and puts the file in its place with commit(). Without commit(), or when it fails, path is as it was before and
// nothing is left behind.
class AtomicFile {
  public:
    // path may name an existing regular file, which commit() replaces; or nothing, in a folder that exists.
    [[nodiscard]] static Result<AtomicFile> create(const std::filesystem::path& path);
    [[nodiscard]] Result<void> write(std::span<const std::byte> bytes);
    // Returns when the bytes are on the disk and the name is theirs.
    [[nodiscard]] Result<void> commit();

    AtomicFile(AtomicFile&& other) noexcept;
    AtomicFile& operator=(AtomicFile&&) = delete;
    ~AtomicFile();

  private:
    AtomicFile(int fd, std::filesystem::path path, std::filesystem::path part) : fd_(fd), path_(std::move(path)), part_(std::move(part)) {}
    int fd_;  // -1 once committed or moved from
    std::filesystem::path path_;
    std::filesystem::path part_;  // what is being written
};

// A whole file by AtomicFile: all of the text, or path as it was.
[[nodiscard]] Result<void> write_file(const std::filesystem::path& path, std::string_view text);

}  // namespace rafter
