// The CPU as a backend: any instruction set of isa.h, all formats, all ops.
#pragma once

#include <memory>

#include "backend/backend.h"
#include "backend/cpu/isa.h"
#include "base/thread_pool.h"

namespace rafter::backend::cpu {

// pool is borrowed: it must outlive the backend and the models that it loads, which run on all its threads. isa must be available.
[[nodiscard]] std::unique_ptr<Backend> make_cpu_backend(ThreadPool& pool, Isa isa);

// What loading a bound program takes, with options.n_blocks of cache.
[[nodiscard]] MemoryUse memory_to_load(const model::Program& program, StepLimits limits, const KvCacheOptions& options);

}  // namespace rafter::backend::cpu
