// A file that grows piece by piece, each of them whole or not there, whatever ends the program: results that a later run goes on from.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string_view>
#include <utility>

#include "base/result.h"

namespace rafter {

// Nobody else's while it is open: a second process that opens it so is refused. A kill between two append() loses nothing; a kill inside
// one can leave its first bytes at the end. For one thread.
class AppendFile {
  public:
    // An existing file is kept, a missing one created. A pipe or a device is written to as it comes: it has no size, and cannot be cut.
    [[nodiscard]] static Result<AppendFile> open(const std::filesystem::path& path);

    [[nodiscard]] bool is_regular() const { return is_regular_; }
    [[nodiscard]] std::uint64_t size_bytes() const { return size_bytes_; }  // 0 unless it is regular

    // Cuts off what comes after the first size_bytes.
    [[nodiscard]] Result<void> cut(std::uint64_t size_bytes);
    // The file is this text from now on, and on the disk: after a crash it is either the old or the new one. A file of the same name with
    // ".new" behind it is overwritten on the way. For regular files.
    [[nodiscard]] Result<void> replace(std::string_view text);
    // All of the text or, when this fails, nothing of it.
    [[nodiscard]] Result<void> append(std::string_view text);
    // Returns when everything is on the disk, the file's name too. When this fails, the file ends where the last sync() left it.
    [[nodiscard]] Result<void> sync();

    AppendFile(AppendFile&& other) noexcept;
    AppendFile& operator=(AppendFile&&) = delete;
    ~AppendFile();

  private:
    AppendFile(int fd, std::filesystem::path path, bool is_regular) : fd_(fd), path_(std::move(path)), is_regular_(is_regular) {}

    int fd_;  // -1 once moved from
    std::filesystem::path path_;
    bool is_regular_;
    bool name_is_synced_ = false;
    std::uint64_t size_bytes_ = 0;
    std::uint64_t synced_bytes_ = 0;
};

}  // namespace rafter
