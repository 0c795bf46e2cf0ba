// The backends by name: the one place that knows each device's folder. What comes after backend/ names a backend and its instruction set by
// text only.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "backend/backend.h"
#include "base/result.h"
#include "base/thread_pool.h"

namespace rafter::backend {

// Names of backends; the first is the default.
[[nodiscard]] std::vector<std::string_view> backend_names();  // "cpu"

// pool is borrowed: it must outlive the backend and the models that it loads, which run on all its threads. instruction_set: one of
// instruction_sets(), or empty for the best one. Fails on unknown names, and on an instruction set that this machine does not have.
[[nodiscard]] Result<std::unique_ptr<Backend>> make_backend(std::string_view name, ThreadPool& pool, std::string_view instruction_set);

// Names of all instruction sets that there are kernels for, whether or not this machine has them: "scalar", "avx2", "avx512", "amx".
[[nodiscard]] std::vector<std::string_view> instruction_sets();
// The best one that this machine has.
[[nodiscard]] std::string_view best_instruction_set();
// Fails on an unknown name, and on an instruction set that this machine does not have. Empty: the best one.
[[nodiscard]] Result<std::string_view> find_instruction_set(std::string_view name);

}  // namespace rafter::backend
