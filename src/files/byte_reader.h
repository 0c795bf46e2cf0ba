// A cursor over the bytes of an untrusted file. Every read is checked against what is left, so no arithmetic on sizes can wrap, and a
// failed read says what was expected and where the bytes end.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include "base/result.h"

namespace rafter::files {

static_assert(std::endian::native == std::endian::little, "files are little-endian and read as they are");

class ByteReader {
  public:
    explicit ByteReader(std::span<const std::byte> bytes) : bytes_(bytes) {}

    [[nodiscard]] std::size_t offset() const { return offset_; }
    [[nodiscard]] std::size_t n_left() const { return bytes_.size() - offset_; }

    // `what` names the bytes in the error: "version".
    [[nodiscard]] Result<std::span<const std::byte>> read_bytes(std::size_t n, std::string_view what) {
        if (n > n_left()) {
            return bad_input("{} at byte {}: expected {} bytes, found {} before the file ends: is it cut off?", what, offset_, n, n_left());
        }
        const std::span<const std::byte> found = bytes_.subspan(offset_, n);
        offset_ += n;
        return found;
    }

    template <typename Number>
    [[nodiscard]] Result<Number> read(std::string_view what) {
        RAFTER_TRY(const auto found, read_bytes(sizeof(Number), what));
        Number number;
        std::memcpy(&number, found.data(), sizeof number);
        return number;
    }

    // A 64-bit length, and that many bytes, of any content.
    [[nodiscard]] Result<std::string_view> read_string(std::uint64_t max_size, std::string_view what) {
        const std::size_t begin = offset_;
        RAFTER_TRY(const auto size, read<std::uint64_t>(what));
        if (size > max_size) return bad_input("{} at byte {}: expected at most {} characters, found {}", what, begin, max_size, size);
        RAFTER_TRY(const auto found, read_bytes(size, what));
        return std::string_view(reinterpret_cast<const char*>(found.data()), found.size());
    }

    // A 64-bit count of things of at least min_bytes each: refused when what is left cannot hold them, so that it is safe to reserve memory
    // for.
    [[nodiscard]] Result<std::size_t> read_count(std::size_t min_bytes, std::string_view what) {
        const std::size_t begin = offset_;
        RAFTER_TRY(const auto count, read<std::uint64_t>(what));
        if (count > n_left() / min_bytes) {
            return bad_input("{} at byte {}: expected at most {}, which is what the {} bytes left could hold, found {}", what, begin,
                             n_left() / min_bytes, n_left(), count);
        }
        return count;
    }

  private:
    std::span<const std::byte> bytes_;
    std::size_t offset_ = 0;
};

}  // namespace rafter::files
