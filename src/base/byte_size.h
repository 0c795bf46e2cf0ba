// A number of bytes as people write it: "9.4GiB", "512 MB", "1000".
#pragma once

#include <optional>
#include <string_view>

namespace rafter {

// kB, MB, GB and TB are powers of 1000; KiB, MiB, GiB and TiB of 1024; any case, with or without the B. Nothing where the text is no size.
[[nodiscard]] std::optional<double> byte_size(std::string_view text);

}  // namespace rafter
