// The CPU is the one backend yet.
#include "engine/loading/runtime.h"

#include <fmt/ranges.h>

#include "backend/cpu/cpu_backend.h"

namespace rafter::engine {

Result<Runtime> Runtime::create(const RuntimeOptions& options) {
    using namespace backend::cpu;
    const Isa isa = options.isa.value_or(best_isa());
    if (!is_available(isa)) {
        std::vector<std::string_view> names;
        for (const Isa available : available_isas()) names.push_back(to_string(available));
        return bad_input("instruction set {}: this machine has only {}", to_string(isa), fmt::join(names, ", "));
    }
    Runtime runtime;
    runtime.isa_ = isa;
    runtime.pool_ = std::make_unique<ThreadPool>(ThreadPool::Options{.n_threads = options.n_threads});
    runtime.lease_ = std::make_unique<ComputeLease>();
    runtime.backend_ = make_cpu_backend(*runtime.pool_, isa);
    return runtime;
}

}  // namespace rafter::engine
