// Texts that a person names, whole and in memory: none so long that the machine has no room for them and their tokens.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>

#include "base/result.h"

namespace rafter {

// A token takes 4 bytes, so that a text and its tokens can take five times as much.
inline constexpr std::size_t kMaxTextBytes = std::size_t{1} << 30U;

// read_file() for a text of at most kMaxTextBytes. No more is read of one that is longer, or that has no end, as /dev/zero.
[[nodiscard]] Result<std::string> read_whole_text(const std::filesystem::path& path);

}  // namespace rafter
