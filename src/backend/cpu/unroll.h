// Loops whose index is a constant in the body: for shift counts and other operands of instructions.
#pragma once

namespace rafter::backend::cpu {
namespace {

template <int kValue>
struct Index {
    static constexpr int value = kValue;
};

// body(Index<0>), ..., body(Index<n - 1>)
template <int kCount, int kFrom = 0, typename Body>
[[gnu::always_inline]] inline void unroll(const Body& body) {
    if constexpr (kFrom < kCount) {
        body(Index<kFrom>());
        unroll<kCount, kFrom + 1>(body);
    }
}

}  // namespace
}  // namespace rafter::backend::cpu
