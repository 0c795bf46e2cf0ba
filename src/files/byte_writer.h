// Appends numbers and strings to bytes as GGUF files store them: little-endian, strings behind their length.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

namespace rafter::files {

inline void append_bytes(std::vector<std::byte>& out, const void* data, std::size_t size_bytes) {
    if (size_bytes == 0) return;  // data may be null then
    out.resize(out.size() + size_bytes);
    std::memcpy(&out[out.size() - size_bytes], data, size_bytes);
}

template <typename Number>
void append_number(std::vector<std::byte>& out, Number number) {
    append_bytes(out, &number, sizeof number);
}

inline void append_string(std::vector<std::byte>& out, std::string_view text) {
    append_number<std::uint64_t>(out, text.size());
    append_bytes(out, text.data(), text.size());
}

}  // namespace rafter::files
