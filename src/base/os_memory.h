// Large memory straight from the operating system: page-aligned, zeroed, in huge pages where it will give them. A matrix read through 4-KiB
// pages streams at about 60% of the speed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

#include "base/result.h"

namespace rafter {

// Owns zeroed anonymous memory aligned to 2 MiB. Pages come into being when they are first written, near the CPU of the writing thread.
class PageBuffer {
  public:
    static constexpr std::size_t kAlignment = std::size_t{2} << 20U;

    PageBuffer() = default;
    // `what` names it in the error: "weights: 12.3 GiB could not be allocated: Cannot allocate memory".
    [[nodiscard]] static Result<PageBuffer> allocate(std::size_t size_bytes, std::string_view what);

    PageBuffer(PageBuffer&& other) noexcept
        : data_(std::exchange(other.data_, nullptr)),
          size_bytes_(std::exchange(other.size_bytes_, 0)),
          mapped_bytes_(std::exchange(other.mapped_bytes_, 0)) {}
    PageBuffer& operator=(PageBuffer&& other) noexcept {
        std::swap(data_, other.data_);
        std::swap(size_bytes_, other.size_bytes_);
        std::swap(mapped_bytes_, other.mapped_bytes_);
        return *this;
    }
    ~PageBuffer();

    [[nodiscard]] std::byte* data() const { return data_; }
    [[nodiscard]] std::size_t size_bytes() const { return size_bytes_; }

  private:
    std::byte* data_ = nullptr;
    std::size_t size_bytes_ = 0;
    std::size_t mapped_bytes_ = 0;
};

struct MemoryState {
    std::uint64_t total_bytes = 0;      // of the machine, or of the cgroup where that is less
    std::uint64_t available_bytes = 0;  // what can be taken now without swapping: free, and caches that are given back
};
[[nodiscard]] MemoryState read_memory_state();

// "12.3 GiB": for messages.
[[nodiscard]] std::string format_bytes(std::uint64_t size_bytes);

}  // namespace rafter
