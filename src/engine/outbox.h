// The engine's way out: what a step has for its streams goes to a sink, in one call; and every stream that was handed out is listed here
// until it has had its finish, so that none lacks it, whatever fails.
#pragma once

#include <atomic>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "engine/token_stream.h"

namespace rafter::engine {

struct Delivery {
    std::shared_ptr<TokenStream> stream;
    StreamUpdate update;
};

// Called on the thread that steps the engine, outside all locks: once a step, with all that the step has for streams, and once for each
// stream when the engine fails. A sink that takes an update itself clear()s it; others it gives to TokenStream::publish. What OnUpdate must
// not do, a sink must not either; one that throws has failed the engine.
using Sink = std::function<void(std::span<Delivery> updates)>;

// Each update to its stream's own callback or mailbox.
void deliver_to_streams(std::span<Delivery> updates) noexcept;

// The updates of one step while it is made. Kept for its memory.
class StepUpdates {
  public:
    // An empty update for this stream.
    [[nodiscard]] StreamUpdate& add(const std::shared_ptr<TokenStream>& stream);
    // Takes back the last add().
    void take_back() noexcept { --n_; }
    [[nodiscard]] std::span<Delivery> all() { return std::span(deliveries_).first(n_); }
    // The next step's.
    void clear() noexcept;

  private:
    std::vector<Delivery> deliveries_;
    std::size_t n_ = 0;  // of them, in use
};

class Outbox {
  public:
    explicit Outbox(Sink sink) : sink_(sink ? std::move(sink) : Sink(deliver_to_streams)) {}

    // From any thread: this stream is owed a finish. False when all has ended: nothing would come.
    [[nodiscard]] bool open(const std::shared_ptr<TokenStream>& stream);
    // It is not handed out after all.
    void close(TokenStream& stream) noexcept;
    // One call of the sink, or none where there is nothing.
    void deliver(std::span<Delivery> updates);
    // Each open stream gets this finish, and no stream is opened any more. Allocates nothing, and touches streams and sink only.
    void end_all(const Finish& finish) noexcept;

  private:
    Sink sink_;
    std::mutex mutex_;
    std::list<std::shared_ptr<TokenStream>> open_;
    bool ended_ = false;
    std::vector<const Delivery*> finished_;  // of the step; kept for its memory
};

}  // namespace rafter::engine
