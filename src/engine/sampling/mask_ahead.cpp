// The engine begins and ends each piece of work; the thread takes sequence after sequence in between.
#include "engine/sampling/mask_ahead.h"

#include <exception>

namespace rafter::engine {

MaskAhead::~MaskAhead() {
    {
        const std::lock_guard lock(mutex_);
        waiting_.clear();
        stops_ = true;
    }
    changed_.notify_all();
    if (thread_.joinable()) thread_.join();
}

bool MaskAhead::has_thread() {
    if (thread_.joinable()) return true;
    try {
        thread_ = std::thread([this] { run(); });
    } catch (const std::exception&) {
        return false;  // no thread, or no memory for one: tried again with the next step
    }
    return true;
}

void MaskAhead::begin(const Plan& plan) {
    const auto is_masked = [](const PlannedSequence& planned) { return planned.n_outputs > 0 && planned.sequence->sampler.has_mask(); };
    bool any = false;
    for (const PlannedSequence& planned : plan.sequences) any = any || is_masked(planned);
    if (!any || !has_thread()) return;
    {
        const std::lock_guard lock(mutex_);
        waiting_.reserve(plan.sequences.size());  // what throws leaves nothing to do behind
        for (const PlannedSequence& planned : plan.sequences) {
            if (is_masked(planned)) waiting_.push_back(&planned);
        }
    }
    changed_.notify_all();
}

void MaskAhead::end() {
    std::unique_lock lock(mutex_);
    waiting_.clear();
    changed_.wait(lock, [this] { return !computes_; });
}

void MaskAhead::run() {
    std::unique_lock lock(mutex_);
    for (;;) {
        changed_.wait(lock, [this] { return stops_ || !waiting_.empty(); });
        if (stops_) return;
        const PlannedSequence& planned = *waiting_.back();
        waiting_.pop_back();
        computes_ = true;
        lock.unlock();
        planned.sequence->sampler.look_ahead(planned.drafts, n_logits_);
        lock.lock();
        computes_ = false;
        changed_.notify_all();
    }
}

}  // namespace rafter::engine
