// Every form of operator new that is not replaced here calls one that is, but for aligned ones, which the engine does not use (a
// sanitizer's array forms without exceptions are not used either).
#include "tests/engine/failing_allocations.h"

#include <malloc.h>

#include <cstdlib>
#include <new>

namespace rafter::engine::tests {
namespace {

thread_local AllocationFault* armed = nullptr;
thread_local std::int64_t n_bytes = 0;

}  // namespace

AllocationFault::Armed::Armed(AllocationFault& fault) : before_(armed) { armed = &fault; }
AllocationFault::Armed::~Armed() { armed = before_; }

bool AllocationFault::next_fails() noexcept {
    if (armed == nullptr || armed->fired_) return false;
    if (armed->n_left_-- > 0) return false;
    armed->fired_ = true;
    return true;
}

std::int64_t bytes_allocated_here() { return n_bytes; }

namespace {

void* allocate(std::size_t size) {
    if (AllocationFault::next_fails()) throw std::bad_alloc();
    void* const memory = std::malloc(size > 0 ? size : 1);
    if (memory == nullptr) throw std::bad_alloc();
    n_bytes += static_cast<std::int64_t>(malloc_usable_size(memory));
    return memory;
}

void release(void* memory) noexcept {
    if (memory != nullptr) n_bytes -= static_cast<std::int64_t>(malloc_usable_size(memory));
    std::free(memory);
}

}  // namespace
}  // namespace rafter::engine::tests

void* operator new(std::size_t size) { return rafter::engine::tests::allocate(size); }
void* operator new[](std::size_t size) { return rafter::engine::tests::allocate(size); }
// A sanitizer's own form without exceptions would not call the one above, and its memory would go to the operator delete below.
void* operator new(std::size_t size, const std::nothrow_t& /*tag*/) noexcept {
    try {
        return ::operator new(size);
    } catch (const std::bad_alloc&) {
        return nullptr;
    }
}
void operator delete(void* memory) noexcept { rafter::engine::tests::release(memory); }
void operator delete[](void* memory) noexcept { rafter::engine::tests::release(memory); }
void operator delete(void* memory, std::size_t /*size*/) noexcept { rafter::engine::tests::release(memory); }
void operator delete[](void* memory, std::size_t /*size*/) noexcept { rafter::engine::tests::release(memory); }
