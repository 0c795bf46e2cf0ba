// A stream stays in the list until the sink has returned: one that throws leaves every stream that may lack its finish in the list.
#include "engine/outbox.h"

#include <utility>

namespace rafter::engine {

void deliver_to_streams(std::span<Delivery> updates) noexcept {
    for (Delivery& delivery : updates) delivery.stream->publish(std::move(delivery.update));
}

StreamUpdate& StepUpdates::add(const std::shared_ptr<TokenStream>& stream) {
    if (n_ == deliveries_.size()) deliveries_.emplace_back();
    Delivery& delivery = deliveries_[n_++];
    delivery.stream = stream;
    delivery.update.clear();
    return delivery.update;
}

void StepUpdates::clear() noexcept {
    for (Delivery& delivery : all()) delivery.stream.reset();
    n_ = 0;
}

bool Outbox::open(const std::shared_ptr<TokenStream>& stream) {
    std::list<std::shared_ptr<TokenStream>> node{stream};
    const std::lock_guard lock(mutex_);
    if (ended_) return false;
    stream->open_at_ = node.begin();
    open_.splice(open_.end(), node);
    return true;
}

void Outbox::close(TokenStream& stream) noexcept {
    std::list<std::shared_ptr<TokenStream>> node;  // freed without the lock
    const std::lock_guard lock(mutex_);
    if (!ended_) node.splice(node.end(), open_, stream.open_at_);
}

void Outbox::deliver(std::span<Delivery> updates) {
    if (updates.empty()) return;
    finished_.clear();
    for (Delivery& delivery : updates) {
        if (delivery.update.finish) finished_.push_back(&delivery);
    }
    try {
        sink_(updates);
    } catch (...) {
        for (const Delivery* const delivery : finished_) {
            if (!delivery->update.finish) close(*delivery->stream);  // it took that before it threw
        }
        throw;
    }
    for (const Delivery* const delivery : finished_) close(*delivery->stream);
}

void Outbox::end_all(const Finish& finish) noexcept {
    std::list<std::shared_ptr<TokenStream>> open;
    {
        const std::lock_guard lock(mutex_);
        ended_ = true;
        open.swap(open_);
    }
    for (const std::shared_ptr<TokenStream>& stream : open) {
        Delivery last{.stream = stream, .update = {}};
        last.update.finish = finish;
        try {
            sink_({&last, 1});
        } catch (...) {  // the stream still has it
            last.update.clear();
            last.update.finish = finish;
            stream->publish(std::move(last.update));
        }
    }
}

}  // namespace rafter::engine
