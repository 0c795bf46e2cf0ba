// What several models share: the compute threads and the backend that uses them.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "backend/backend.h"
#include "base/result.h"
#include "base/thread_pool.h"
#include "engine/lease.h"

namespace rafter::engine {

struct RuntimeOptions {
    unsigned n_threads = 0;       // 0: all that this process may use
    std::string backend = "cpu";  // one of backend::backend_names()
    std::string isa;              // one of backend::instruction_sets(); empty: the best one
};

// Outlives the models loaded with it.
class Runtime {
  public:
    // Fails on unknown names, and on an instruction set that this machine does not have.
    [[nodiscard]] static Result<Runtime> create(const RuntimeOptions& options);

    [[nodiscard]] ThreadPool& pool() { return *pool_; }
    [[nodiscard]] backend::Backend& backend() { return *backend_; }
    // Turns at the compute threads, for engines that share them.
    [[nodiscard]] ComputeLease& lease() { return *lease_; }
    [[nodiscard]] std::string_view isa() const { return backend_->instruction_set(); }

  private:
    Runtime() = default;
    std::unique_ptr<ThreadPool> pool_;
    std::unique_ptr<ComputeLease> lease_;
    std::unique_ptr<backend::Backend> backend_;
};

}  // namespace rafter::engine
