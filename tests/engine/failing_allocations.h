// Makes chosen allocations of this thread fail, and counts what is allocated: operator new of the whole test program is replaced in
// failing_allocations.cpp.
#pragma once

#include <cstddef>
#include <cstdint>

namespace rafter::engine::tests {

// The allocation after n others throws bad_alloc, once; those of other threads never do.
class AllocationFault {
  public:
    explicit AllocationFault(std::uint64_t n) : n_left_(n) {}
    [[nodiscard]] bool fired() const { return fired_; }

    // Counts while it lives.
    class Armed {
      public:
        explicit Armed(AllocationFault& fault);
        ~Armed();
        Armed(const Armed&) = delete;
        Armed& operator=(const Armed&) = delete;

      private:
        AllocationFault* before_;
    };

    // operator new's side.
    [[nodiscard]] static bool next_fails() noexcept;

  private:
    std::uint64_t n_left_;
    bool fired_ = false;
};

// Bytes that this thread has allocated with new and nobody has freed, the heap's own use included: counted where it freed them too.
[[nodiscard]] std::int64_t bytes_allocated_here();

}  // namespace rafter::engine::tests
