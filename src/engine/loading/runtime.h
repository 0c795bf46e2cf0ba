// What several models share: the compute threads and the backend that uses them.
#pragma once

#include <memory>
#include <optional>

#include "backend/backend.h"
#include "backend/cpu/isa.h"
#include "base/result.h"
#include "base/thread_pool.h"
#include "engine/lease.h"

namespace rafter::engine {

struct RuntimeOptions {
    unsigned n_threads = 0;                // 0: all that this process may use
    std::optional<backend::cpu::Isa> isa;  // none: the best one
};

// Outlives the models loaded with it.
class Runtime {
  public:
    // Fails on an instruction set that this machine does not have.
    [[nodiscard]] static Result<Runtime> create(const RuntimeOptions& options);

    [[nodiscard]] ThreadPool& pool() { return *pool_; }
    [[nodiscard]] backend::Backend& backend() { return *backend_; }
    // Turns at the compute threads, for engines that share them.
    [[nodiscard]] ComputeLease& lease() { return *lease_; }
    [[nodiscard]] backend::cpu::Isa isa() const { return isa_; }  // of its kernels

  private:
    Runtime() = default;
    backend::cpu::Isa isa_ = backend::cpu::Isa::kScalar;
    std::unique_ptr<ThreadPool> pool_;
    std::unique_ptr<ComputeLease> lease_;
    std::unique_ptr<backend::Backend> backend_;
};

}  // namespace rafter::engine
