// A list of flights, each at most once, linked through the flights themselves.
#include "server/admission/mailbox.h"

#include <chrono>
#include <iterator>
#include <thread>
#include <utility>

namespace rafter::server {
namespace {

constexpr int kMaxPosts = 100;  // without memory, before the next step tries again

template <typename T>
void append_to(std::vector<T>& to, std::vector<T>& from) {
    if (to.empty()) {
        to.swap(from);
    } else {
        to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
        from.clear();
    }
}

void join(engine::StreamUpdate& to, engine::StreamUpdate& from) {
    append_to(to.tokens, from.tokens);
    append_to(to.prompt_scores, from.prompt_scores);
    append_to(to.embedding, from.embedding);
    if (to.text.empty()) {
        to.text.swap(from.text);
    } else {
        to.text += from.text;
    }
}

}  // namespace

Mailbox::~Mailbox() {
    while (first_) first_ = std::move(first_->next_);  // not by recursion
}

void Mailbox::put(const std::shared_ptr<Flight>& flight, engine::StreamUpdate&& update) {
    const std::lock_guard lock(mutex_);
    if (flight->finished_) return;
    engine::StreamUpdate& pending = flight->pending_;
    try {
        join(pending, update);
    } catch (...) {
        if (!update.finish) throw;
        update.finish->reason = engine::FinishReason::kError;
        update.finish->error = out_of_memory_;
    }
    if (update.finish) {
        pending.finish = std::move(update.finish);
        flight->finished_ = true;
    }
    if (std::exchange(flight->listed_, true)) return;
    (last_ != nullptr ? last_->next_ : first_) = flight;
    last_ = flight.get();
}

void Mailbox::announce() noexcept {
    {
        const std::lock_guard lock(mutex_);
        if (announced_ || (!always_ && !first_)) return;
        announced_ = true;
    }
    const std::lock_guard lock(post_mutex_);
    for (int i = 0; i < kMaxPosts && post_; ++i) {
        try {
            post_(work_);
            return;
        } catch (...) {  // no memory: perhaps soon
            std::this_thread::sleep_for(std::chrono::microseconds(100));
        }
    }
    const std::lock_guard lock_of_list(mutex_);
    announced_ = false;
}

void Mailbox::begin_work() {
    const std::lock_guard lock(mutex_);
    announced_ = false;
}

std::shared_ptr<Flight> Mailbox::take(engine::StreamUpdate& update) {
    update.clear();
    const std::lock_guard lock(mutex_);
    if (!first_) return nullptr;
    std::shared_ptr<Flight> flight = std::move(first_);
    first_ = std::move(flight->next_);
    if (!first_) last_ = nullptr;
    flight->listed_ = false;
    std::swap(update, flight->pending_);  // the flight goes on with the memory of what was taken before
    return flight;
}

void Mailbox::close() {
    const std::lock_guard lock(post_mutex_);
    post_ = nullptr;
}

}  // namespace rafter::server
