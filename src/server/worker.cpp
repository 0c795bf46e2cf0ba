// Two threads, each with its own queue.
#include "server/worker.h"

namespace rafter::server {

Result<std::unique_ptr<Workers>> Workers::start(const WorkerThread::Post& post) {
    std::unique_ptr<Workers> workers(new Workers());
    RAFTER_TRY_VOID(workers->small_.start("rafter-parse", post));
    RAFTER_TRY_VOID(workers->large_.start("rafter-parse", post));
    return workers;
}

}  // namespace rafter::server
