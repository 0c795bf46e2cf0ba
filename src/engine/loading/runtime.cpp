// The threads come first: the backend borrows them.
#include "engine/loading/runtime.h"

#include "backend/backends.h"

namespace rafter::engine {

Result<Runtime> Runtime::create(const RuntimeOptions& options) {
    // Looked up before threads are started: an error is the answer at once.
    RAFTER_TRY(const std::string_view isa, backend::find_instruction_set(options.isa));
    Runtime runtime;
    runtime.pool_ = std::make_unique<ThreadPool>(ThreadPool::Options{.n_threads = options.n_threads});
    runtime.lease_ = std::make_unique<ComputeLease>();
    RAFTER_TRY(runtime.backend_, backend::make_backend(options.backend, *runtime.pool_, isa));
    return runtime;
}

}  // namespace rafter::engine
