// What the classes for files (os_append_file.h, os_block_file.h, os_partial_file.h) share: calls on a descriptor, with the path for
// messages.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>

#include "base/result.h"

namespace rafter {

// "PATH: WHAT: what errno says". ErrorKind::kIo.
[[nodiscard]] Error errno_error(const std::filesystem::path& path, std::string_view what);

// Opens an existing file for reading and writing, or creates it with these permissions (less the umask). Regular files only: a pipe is not
// waited for. The caller owns the descriptor.
[[nodiscard]] Result<int> open_regular_file(const std::filesystem::path& path, unsigned permissions);
[[nodiscard]] Result<std::uint64_t> file_size_bytes(int fd, const std::filesystem::path& path);
// How many bytes there were: fewer where the file ends.
[[nodiscard]] Result<std::size_t> read_file_at(int fd, const std::filesystem::path& path, std::uint64_t offset, std::span<std::byte> to);
// All of it; when it fails, any part of it may be there.
[[nodiscard]] Result<void> write_file_at(int fd, const std::filesystem::path& path, std::uint64_t offset, std::span<const std::byte> from);

// So that the file is found again after a power failure. Some file systems cannot: then there is nothing better.
void sync_folder_of(const std::filesystem::path& path);

}  // namespace rafter
