// What the engine's thread has for the server's thread: the updates of the sequences under way, joined until they are taken, and one call
// of post() for all of a step.
//
// A sequence brings the memory that its finish needs, so that a finish is never lost: put() allocates only to join updates.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>

#include "base/result.h"
#include "engine/token_stream.h"

namespace rafter::server {

// One sequence between the gate and its reader.
struct Flight {
    Flight(std::uint64_t id, std::size_t i) : ticket(id), index(i) {}
    const std::uint64_t ticket;
    const std::size_t index;  // among its ticket's sequences

  private:
    friend class Mailbox;  // with its lock held:
    engine::StreamUpdate pending_;
    std::shared_ptr<Flight> next_;
    bool listed_ = false;
    bool finished_ = false;  // its finish was put here: nothing comes after it
};

// Any thread, but for take() and close().
class Mailbox {
  public:
    // post: runs work on the server's thread; does not run it before it returns.
    Mailbox(std::function<void(std::function<void()>)> post, std::function<void()> work) : post_(std::move(post)), work_(std::move(work)) {}
    ~Mailbox();
    Mailbox(const Mailbox&) = delete;
    Mailbox& operator=(const Mailbox&) = delete;

    // Without memory to join it with what nobody has taken yet: throws where it has no finish; a finish then says so.
    void put(const std::shared_ptr<Flight>& flight, engine::StreamUpdate&& update);
    // Has work posted where something was put that no posted work has taken yet. Without memory for that, the next call tries again.
    void announce() noexcept;
    // From the next announce() on, work is posted even where nothing was put.
    void announce_always(bool always) { always_ = always; }
    [[nodiscard]] const engine::SharedError& out_of_memory() const { return out_of_memory_; }

    // The server's thread. The posted work has begun: what is put from here on is announced again.
    void begin_work();
    // The oldest flight with something, and that; null: there is none.
    [[nodiscard]] std::shared_ptr<Flight> take(engine::StreamUpdate& update);
    // post is not called from here on.
    void close();

  private:
    std::mutex post_mutex_;  // held while post is called, and for close()
    std::function<void(std::function<void()>)> post_;
    const std::function<void()> work_;
    std::atomic<bool> always_ = false;
    const engine::SharedError out_of_memory_ = Error{"out of memory for the answer", ErrorKind::kOutOfMemory};

    std::mutex mutex_;  // for what follows
    std::shared_ptr<Flight> first_;
    Flight* last_ = nullptr;
    bool announced_ = false;
};

}  // namespace rafter::server
