// The program's own operator new, which counts.
#include "tests/kv/failing_memory.h"

#include <cstdlib>
#include <new>

namespace {

thread_local int n_left = -1;  // allocations before the one that fails; negative: none does

}  // namespace

void* operator new(std::size_t n_bytes) {
    if (n_left == 0) throw std::bad_alloc();
    if (n_left > 0) --n_left;
    void* const memory = std::malloc(n_bytes > 0 ? n_bytes : 1);
    if (memory == nullptr) throw std::bad_alloc();
    return memory;
}
// A sanitizer's own form without exceptions would not call the one above, and its memory would go to the operator delete below.
void* operator new(std::size_t n_bytes, const std::nothrow_t& /*tag*/) noexcept {
    try {
        return ::operator new(n_bytes);
    } catch (const std::bad_alloc&) {
        return nullptr;
    }
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t /*n_bytes*/) noexcept { std::free(memory); }

namespace rafter::kv::tests {

bool with_failing_allocation(int n, const std::function<void()>& work) {
    n_left = n;
    bool done = true;
    try {
        work();
    } catch (const std::bad_alloc&) {
        done = false;
    }
    n_left = -1;
    return done;
}

}  // namespace rafter::kv::tests
