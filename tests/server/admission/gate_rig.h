// A gate before an engine on a model without weights, with a thread as the server's.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "server/admission/gate.h"
#include "tests/engine/failing_allocations.h"
#include "tests/engine/thread_rig.h"

namespace rafter::server::tests {

// Runs what is posted, in order.
class ServerThread {
  public:
    ServerThread() : thread_([this] { run(); }) {}
    ~ServerThread() {
        post({});
        thread_.join();
    }
    ServerThread(const ServerThread&) = delete;
    ServerThread& operator=(const ServerThread&) = delete;
    void post(std::function<void()> work) {
        const std::lock_guard lock(mutex_);
        work_.push_back(std::move(work));
        ++n_posted_;
        changed_.notify_one();
    }
    // Posts it and waits for it.
    void call(const std::function<void()>& work) {
        std::promise<void> done;
        post([&] {
            work();
            done.set_value();
        });
        done.get_future().wait();
    }
    engine::tests::AllocationFault* fault = nullptr;  // of all that runs here; to be set there

    [[nodiscard]] std::uint64_t n_posted() {
        const std::lock_guard lock(mutex_);
        return n_posted_;
    }

  private:
    void run() {
        for (;;) {
            std::unique_lock lock(mutex_);
            changed_.wait(lock, [this] { return !work_.empty(); });
            const auto work = std::move(work_.front());
            work_.pop_front();
            lock.unlock();
            if (!work) return;
            std::optional<engine::tests::AllocationFault::Armed> armed;
            if (fault != nullptr) armed.emplace(*fault);
            work();
        }
    }
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<std::function<void()>> work_;
    std::uint64_t n_posted_ = 0;
    std::thread thread_;
};

// What readers got, of each sequence all together.
class Readers {
  public:
    // The reader of an arrival of n sequences; `index` is its place in take().
    std::function<void(std::size_t, engine::StreamUpdate&&)> reader(std::size_t index, std::size_t n) {
        const std::lock_guard lock(mutex_);
        answers_[index].resize(n);
        n_open_ += n;
        return [this, index](std::size_t i, engine::StreamUpdate&& update) {
            const std::lock_guard lock_of_update(mutex_);
            engine::StreamUpdate& all = answers_.at(index).at(i);
            ASSERT_FALSE(all.finish.has_value()) << "an update after the finish";
            engine::tests::append(all, std::move(update));
            if (!all.finish) return;
            order_.emplace_back(index, i);
            --n_open_;
            changed_.notify_all();
        };
    }
    void forget(std::size_t index) {
        const std::lock_guard lock(mutex_);
        n_open_ -= answers_.at(index).size();
        answers_.erase(index);
    }
    // When each sequence has had its finish.
    void wait() {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return n_open_ == 0; });
    }
    [[nodiscard]] std::map<std::size_t, std::vector<engine::StreamUpdate>>& answers() { return answers_; }
    // In which they ended.
    [[nodiscard]] const std::vector<std::pair<std::size_t, std::size_t>>& order() const { return order_; }

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::map<std::size_t, std::vector<engine::StreamUpdate>> answers_;
    std::vector<std::pair<std::size_t, std::size_t>> order_;
    std::size_t n_open_ = 0;
};

struct GateRig {
    explicit GateRig(const engine::tests::RigOptions& setup = {}, GateOptions options = {}) : engine(setup) { start(std::move(options)); }
    GateRig(const engine::tests::RigOptions& setup, std::function<void()> before_step, GateOptions options = {})
        : engine(setup, std::move(before_step)) {
        start(std::move(options));
    }
    ~GateRig() { close(); }
    void start(GateOptions options) {
        options.post = [this](std::function<void()> work) { server.post(std::move(work)); };
        server.call([&] { gate = std::make_unique<Gate>(*engine.thread, std::move(options)); });
    }
    void close() {
        server.call([&] { gate.reset(); });
    }
    // Its index among the readers; none: it was refused.
    std::optional<Refusal> submit(Arrival arrival, Ticket& ticket, std::size_t index) {
        std::optional<Refusal> refusal;
        server.call([&] {
            arrival.on_update = readers.reader(index, arrival.sequences.size());
            refusal = gate->submit(std::move(arrival), ticket);
            if (refusal) readers.forget(index);
        });
        return refusal;
    }

    engine::tests::ThreadRig engine;
    Readers readers;
    ServerThread server;
    std::unique_ptr<Gate> gate;
};

}  // namespace rafter::server::tests
