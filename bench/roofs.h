// What a kernel's call is held against: the roof of one thread of this machine, as the probe measures it for each instruction set.
#pragma once

#include <benchmark/benchmark.h>

#include <functional>

#include "backend/cpu/isa.h"

namespace rafter::bench {

// The arithmetic that a kernel multiplies with, whose peak it cannot pass.
enum class Unit { kFloat, kInt8 };

// One call.
struct CallCost {
    double read_bytes = 0.0;  // that it must read, each once
    double ops = 0.0;         // a multiplication and an addition being two; 0: it only moves bytes
    Unit unit = Unit::kFloat;
    double working_set_bytes = 0.0;  // that calls read in turn, where that is more than one call reads: a ring that comes from memory
};

// Runs `call` as often as `state` wants and sets the row's bytes_per_second, op/s and `roof`: the seconds that a call must take over those
// that it took. It must take the larger of bytes over the best bandwidth for the working set and ops over the unit's peak of `isa`. The
// first call for an instruction set measures its roofs, for about a second, and prints them to standard error. One thread at a time.
void measure(benchmark::State& state, backend::cpu::Isa isa, const CallCost& cost, const std::function<void()>& call);

}  // namespace rafter::bench
