// The posted work holds the state only while it runs, so that it may come after the gate is gone.
#include "server/admission/gate.h"

#include <unordered_map>

#include "server/admission/mailbox.h"

namespace rafter::server {

using engine::StreamUpdate;

namespace {

using UpdateCall = std::function<void(std::size_t index, StreamUpdate&& update)>;

Refusal refusal_of(const Error& error) {
    Refusal refusal{.kind = RefusalKind::kFailed, .message = error.message, .retry_after_seconds = std::nullopt};
    if (error.kind == ErrorKind::kBadInput) refusal.kind = RefusalKind::kBadInput;
    if (error.kind == ErrorKind::kBusy) refusal.kind = RefusalKind::kBusy;
    if (error.kind == ErrorKind::kCancelled) refusal.kind = RefusalKind::kStopping;
    return refusal;
}

}  // namespace

class Gate::State : public std::enable_shared_from_this<State> {
  public:
    State(engine::EngineThread& thread, GateOptions options) : thread_(thread), options_(std::move(options)) {}

    void open() {
        mailbox_ = std::make_shared<Mailbox>(options_.post, [weak = weak_from_this()] {
            if (const auto self = weak.lock()) self->work();
        });
        thread_.call_after_steps([mailbox = mailbox_] { mailbox->announce(); });
    }
    void close() {
        thread_.call_after_steps({});
        mailbox_->close();
        cancel_all();
        under_way_.clear();
    }

    std::optional<Refusal> submit(Arrival arrival, Ticket& ticket);
    void cancel(std::uint64_t id);
    void stop_taking() { stopping_ = true; }
    void cancel_all() {
        for (const auto& [id, one] : under_way_) one.cancel();
    }
    [[nodiscard]] GateLoad load() const;

  private:
    struct UnderWay {
        std::shared_ptr<const UpdateCall> on_update;
        std::vector<std::shared_ptr<engine::TokenStream>> streams;  // null: it has had its finish
        std::size_t n_open = 0;
        void cancel() const {
            for (const auto& stream : streams) {
                if (stream) stream->cancel();
            }
        }
    };

    [[nodiscard]] Result<std::shared_ptr<engine::TokenStream>> hand_over(std::uint64_t id, std::size_t index, engine::Request request);
    void work();
    void pass_on(const Flight& flight, StreamUpdate&& update);

    engine::EngineThread& thread_;
    const GateOptions options_;
    std::shared_ptr<Mailbox> mailbox_;
    std::unordered_map<std::uint64_t, UnderWay> under_way_;
    std::uint64_t last_id_ = 0;
    bool stopping_ = false;
};

std::optional<Refusal> Gate::State::submit(Arrival arrival, Ticket& ticket) {
    if (stopping_) return Refusal{.kind = RefusalKind::kStopping, .message = "the server is stopping", .retry_after_seconds = std::nullopt};
    if (arrival.sequences.empty()) return refusal_of(bad_input("the request has no prompt: expected at least one"));
    const std::uint64_t id = ++last_id_;
    UnderWay one{.on_update = std::make_shared<const UpdateCall>(std::move(arrival.on_update)), .streams = {}, .n_open = 0};
    for (std::size_t i = 0; i < arrival.sequences.size(); ++i) {
        arrival.sequences[i].priority = arrival.priority;
        auto stream = hand_over(id, i, std::move(arrival.sequences[i]));
        if (!stream) {
            one.cancel();
            return refusal_of(stream.error());
        }
        one.streams.push_back(*std::move(stream));
        ++one.n_open;
    }
    under_way_.emplace(id, std::move(one));
    ticket.id = id;
    return std::nullopt;
}

Result<std::shared_ptr<engine::TokenStream>> Gate::State::hand_over(std::uint64_t id, std::size_t index, engine::Request request) {
    const auto flight = std::make_shared<Flight>(id, index);
    return thread_.submit(std::move(request),
                          [flight, mailbox = mailbox_](StreamUpdate&& update) { mailbox->put(flight, std::move(update)); });
}

void Gate::State::cancel(std::uint64_t id) {
    const auto at = under_way_.find(id);
    if (at != under_way_.end()) at->second.cancel();
}

// What a reader does may end this gate: the caller holds the state.
void Gate::State::work() {
    mailbox_->begin_work();
    StreamUpdate update;
    while (const auto flight = mailbox_->take(update)) pass_on(*flight, std::move(update));
}

void Gate::State::pass_on(const Flight& flight, StreamUpdate&& update) {
    const auto at = under_way_.find(flight.ticket);
    if (at == under_way_.end()) return;  // a refused arrival's, or the gate is closed
    const std::shared_ptr<const UpdateCall> call = at->second.on_update;
    if (update.finish) {
        at->second.streams[flight.index] = nullptr;
        if (--at->second.n_open == 0) under_way_.erase(at);
    }
    try {
        (*call)(flight.index, std::move(update));
    } catch (...) {
        cancel(flight.ticket);
    }
}

GateLoad Gate::State::load() const {
    engine::EngineSnapshot now = thread_.snapshot();
    if (now.cache.n_blocks == 0) now.cache.n_blocks = thread_.options().n_blocks[0];  // before the first step
    return {.n_waiting = now.n_waiting,
            .n_running = now.n_running,
            .queued_seconds = now.queued_seconds,
            .n_blocks = now.cache.n_blocks,
            .n_free_blocks = now.cache.n_blocks - now.cache.n_used};
}

Gate::Gate(engine::EngineThread& thread, GateOptions options) : state_(std::make_shared<State>(thread, std::move(options))) {
    state_->open();
}

Gate::~Gate() { state_->close(); }

std::optional<Refusal> Gate::submit(Arrival arrival, Ticket& ticket) { return state_->submit(std::move(arrival), ticket); }
void Gate::cancel(std::uint64_t id) { state_->cancel(id); }
void Gate::stop_taking() { state_->stop_taking(); }
void Gate::cancel_all() { state_->cancel_all(); }
GateLoad Gate::load() const { return state_->load(); }

}  // namespace rafter::server
