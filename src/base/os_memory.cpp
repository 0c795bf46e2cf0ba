// mmap, madvise and /proc/meminfo behind os_memory.h.
#include "base/os_memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <string>

#include "base/os_cgroup.h"

namespace rafter {

Result<PageBuffer> PageBuffer::allocate(std::size_t size_bytes, std::string_view what) {
    PageBuffer buffer;
    if (size_bytes == 0) return buffer;
    const auto failed = [&](int code) {
        return Error{fmt::format("{}: {} could not be allocated: {}", what, format_bytes(size_bytes), std::strerror(code)),
                     ErrorKind::kOutOfMemory};
    };
    if (size_bytes > SIZE_MAX - 2 * kAlignment) return failed(ENOMEM);
    const std::size_t mapped = (size_bytes + kAlignment - 1) / kAlignment * kAlignment;
    const std::size_t reserved = mapped + kAlignment;
    void* at = mmap(nullptr, reserved, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED) return failed(errno);
    // Keep the aligned middle, give both ends back.
    auto* const begin = static_cast<std::byte*>(at);
    const std::size_t head = (kAlignment - reinterpret_cast<std::uintptr_t>(begin) % kAlignment) % kAlignment;
    if (head > 0) munmap(begin, head);
    munmap(begin + head + mapped, reserved - head - mapped);
    madvise(begin + head, mapped, MADV_HUGEPAGE);  // a kernel without huge pages says no, and that is fine
    buffer.data_ = begin + head;
    buffer.size_bytes_ = size_bytes;
    buffer.mapped_bytes_ = mapped;
    return buffer;
}

PageBuffer::~PageBuffer() {
    if (data_ != nullptr) munmap(data_, mapped_bytes_);
}

MemoryState read_memory_state() {
    MemoryState state;
    std::ifstream in("/proc/meminfo");
    std::string name;
    std::string unit;
    std::uint64_t kib = 0;
    while (in >> name >> kib && std::getline(in, unit)) {
        if (name == "MemTotal:") state.total_bytes = kib * 1024;
        if (name == "MemAvailable:") state.available_bytes = kib * 1024;
    }
    const CgroupLimits limits = read_cgroup_limits();
    if (limits.memory_bytes) state.total_bytes = std::min(state.total_bytes, *limits.memory_bytes);
    if (limits.memory_available) state.available_bytes = std::min(state.available_bytes, *limits.memory_available);
    return state;
}

std::string format_bytes(std::uint64_t size_bytes) {
    constexpr std::array kUnits = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    auto value = static_cast<double>(size_bytes);
    std::size_t unit = 0;
    while (value >= 1024 && unit + 1 < kUnits.size()) {
        value /= 1024;
        ++unit;
    }
    return unit == 0 ? fmt::format("{} B", size_bytes) : fmt::format("{:.1f} {}", value, kUnits[unit]);
}

}  // namespace rafter
