// The posted work holds the state only while it runs, so that it may come after the gate is gone. A sequence is prepared when it arrives,
// so that it is refused at once where it can never run, and handed to the engine when its slot is about to be free.
#include "server/admission/gate.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <unordered_map>

#include "engine/current_error.h"
#include "report/units.h"
#include "server/admission/fair_queue.h"
#include "server/admission/mailbox.h"
#include "server/admission/predictor.h"

namespace rafter::server {

using engine::FinishReason;
using engine::StreamUpdate;

namespace {

constexpr double kQuantumSeconds = 0.1;
// Sequences that wait in the engine beyond those whose slots are known to be free soon: for answers that end by themselves.
constexpr std::size_t kMinLine = 2;
constexpr std::uint32_t kShortPrompt = 32;  // tokens

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
    State(engine::EngineThread& thread, GateOptions options)
        : thread_(thread),
          options_(std::move(options)),
          n_slots_(thread.options().n_sequences > 0 ? thread.options().n_sequences : thread.options().limits.n_outputs),
          queue_(kQuantumSeconds),
          predictor_(thread) {}

    void open();
    void close();
    std::optional<Refusal> submit(Arrival arrival, Ticket& ticket);
    void cancel(std::uint64_t id);
    void stop_taking() { stopping_ = true; }
    void cancel_all();
    [[nodiscard]] GateLoad load();
    void add_waiting(WaitingLines& lines) const;

  private:
    struct OneSequence {
        std::shared_ptr<Flight> flight;
        std::shared_ptr<engine::TokenStream> stream;  // null: it has had its finish
        bool in_engine = false;
        GrowingText text;
        bool takes_slot = false;  // in the engine, and with nothing to wait for but a slot
    };
    struct UnderWay {
        std::shared_ptr<const UpdateCall> on_update;
        std::vector<OneSequence> sequences;
        std::size_t n_open = 0;
    };

    [[nodiscard]] std::optional<Refusal> take_in(Arrival&& arrival, std::uint64_t id, Ticket& ticket);
    [[nodiscard]] Result<QueuedArrival> prepare(Arrival& arrival, std::uint64_t id, UnderWay& one, Prediction& prediction);
    [[nodiscard]] std::optional<Refusal> refusal_by_seconds(const engine::Forecast& forecast, std::optional<double> max_ttft_seconds) const;
    [[nodiscard]] std::optional<Refusal> refusal_by_count(const std::string& key, std::size_t n_new) const;
    void drop(std::uint64_t id);
    void refill() noexcept;
    [[nodiscard]] bool may_hand_over() const;
    void hand_over(GivenSequence&& given);
    void end_here(std::uint64_t id, std::size_t index, engine::Sequence& sequence, FinishReason reason, engine::SharedError error = {});
    void end_queued(std::uint64_t id, FinishReason reason);
    void end_overdue();
    void work();
    void pass_on(const Flight& flight, StreamUpdate&& update);

    engine::EngineThread& thread_;
    const GateOptions options_;
    const std::size_t n_slots_;
    std::shared_ptr<Mailbox> mailbox_;
    std::unordered_map<std::uint64_t, UnderWay> under_way_;
    FairQueue queue_;
    Predictor predictor_;
    std::size_t n_in_slots_ = 0;           // sequences in the engine that have a slot or wait for one
    std::optional<double> next_deadline_;  // of those that are queued, at the earliest
    std::uint64_t last_id_ = 0;
    bool stopping_ = false;
    bool closed_ = false;
};

void Gate::State::open() {
    mailbox_ = std::make_shared<Mailbox>(options_.post, [weak = weak_from_this()] {
        if (const auto self = weak.lock()) self->work();
    });
    thread_.call_after_steps([mailbox = mailbox_] { mailbox->announce(); });
}

void Gate::State::close() {
    thread_.call_after_steps({});
    mailbox_->close();
    for (const auto& [id, one] : under_way_) {
        for (const OneSequence& sequence : one.sequences) {
            if (sequence.stream) sequence.stream->cancel();
        }
    }
    under_way_.clear();
    queue_ = FairQueue(kQuantumSeconds);
    closed_ = true;
}

std::optional<Refusal> Gate::State::submit(Arrival arrival, Ticket& ticket) {
    const std::uint64_t id = ++last_id_;
    std::optional<Refusal> refusal;
    try {
        refusal = take_in(std::move(arrival), id, ticket);
    } catch (...) {
        refusal = refusal_of(engine::current_error().within("the request cannot be accepted"));
    }
    if (refusal) {
        drop(id);
        return refusal;
    }
    refill();
    ticket.id = id;
    return std::nullopt;
}

std::optional<Refusal> Gate::State::take_in(Arrival&& arrival, std::uint64_t id, Ticket& ticket) {
    if (stopping_) return Refusal{.kind = RefusalKind::kStopping, .message = "the server is stopping", .retry_after_seconds = std::nullopt};
    if (arrival.sequences.empty()) return refusal_of(bad_input("the request has no prompt: expected at least one"));
    if (const auto failed = thread_.failure()) return refusal_of(*failed);
    if (auto refusal = refusal_by_count(arrival.key, arrival.sequences.size())) return refusal;
    predictor_.refresh();
    UnderWay& one = under_way_[id];
    one.on_update = std::make_shared<const UpdateCall>(std::move(arrival.on_update));
    Prediction prediction;
    auto queued = prepare(arrival, id, one, prediction);
    if (!queued) return refusal_of(queued.error());
    const bool has_answer = std::ranges::any_of(queued->sequences, [](const auto& each) { return each->request.max_tokens > 0; });
    std::optional<double> deadline;
    for (const auto& sequence : queued->sequences) {
        if (const auto each = sequence->deadline()) deadline = std::min(deadline.value_or(*each), *each);
    }
    queue_.add(*std::move(queued));
    if (predictor_.has_prices()) {
        const engine::Forecast forecast = predictor_.predict(queue_, id, thread_.now());
        if (has_answer) prediction.first_token_seconds = forecast.first_token_seconds;
        prediction.last_token_seconds = forecast.last_token_seconds;
        prediction.bound = forecast.bound();
        if (auto refusal = refusal_by_seconds(forecast, arrival.max_ttft_seconds)) return refusal;
    }
    if (deadline) next_deadline_ = std::min(next_deadline_.value_or(*deadline), *deadline);
    ticket.prediction = std::move(prediction);
    return std::nullopt;
}

Result<QueuedArrival> Gate::State::prepare(Arrival& arrival, std::uint64_t id, UnderWay& one, Prediction& prediction) {
    QueuedArrival queued{.id = id, .key = std::move(arrival.key), .priority = arrival.priority, .sequences = {}};
    const std::size_t n_together = std::min(n_slots_, n_in_slots_ + queue_.n_sequences() + arrival.sequences.size());
    queued.sequences.reserve(arrival.sequences.size());
    one.sequences.reserve(arrival.sequences.size());
    for (std::size_t i = 0; i < arrival.sequences.size(); ++i) {
        auto flight = std::make_shared<Flight>(id, i);
        RAFTER_TRY(auto sequence, thread_.prepare(std::move(arrival.sequences[i]), [flight, mailbox = mailbox_](StreamUpdate&& update) {
            mailbox->put(flight, std::move(update));
        }));
        one.sequences.push_back({.flight = std::move(flight), .stream = sequence->stream, .text = predictor_.text_of(*sequence)});
        ++one.n_open;
        prediction.n_cached_tokens += predictor_.add(*sequence);
        queued.seconds += predictor_.work_seconds(*sequence, n_together);
        if (i == 0) queued.arrived = sequence->arrived();
        queued.sequences.push_back(std::move(sequence));
    }
    return queued;
}

std::optional<Refusal> Gate::State::refusal_by_count(const std::string& key, std::size_t n_new) const {
    WaitingLines lines;
    add_waiting(lines);
    if (options_.add_elsewhere) options_.add_elsewhere(lines);
    return lines.refusal(key, n_new, options_.max_queue);
}

void Gate::State::add_waiting(WaitingLines& lines) const {
    queue_.add_to(lines);
    if (predictor_.has_prices()) lines.add_seconds(queue_.seconds());
}

std::optional<Refusal> Gate::State::refusal_by_seconds(const engine::Forecast& forecast, std::optional<double> max_ttft_seconds) const {
    const double seconds = forecast.first_token_seconds;
    const double server_limit = options_.max_queue_seconds > 0.0 ? options_.max_queue_seconds : std::numeric_limits<double>::infinity();
    const double limit = std::min(server_limit, max_ttft_seconds.value_or(server_limit));
    if (!(seconds > limit)) return std::nullopt;
    return Refusal{.kind = RefusalKind::kBusy,
                   .message = fmt::format("busy: the first token is predicted in {:.3f} s, and {} is {:.3f} s", seconds,
                                          limit < server_limit ? "the request's max_ttft_seconds" : "the server's limit", limit),
                   .retry_after_seconds = seconds - limit};
}

// Of an arrival that was refused: nobody hears of it.
void Gate::State::drop(std::uint64_t id) {
    if (const auto rest = queue_.remove(id)) {
        for (const auto& sequence : rest->sequences) predictor_.forget(*sequence);
    }
    const auto one = under_way_.find(id);
    if (one == under_way_.end()) return;
    for (const OneSequence& sequence : one->second.sequences) predictor_.forget(sequence.stream.get());
    under_way_.erase(one);
}

bool Gate::State::may_hand_over() const {
    if (n_in_slots_ == 0) return true;
    const std::size_t n_line = kMinLine + predictor_.n_ending_soon();
    if (n_in_slots_ >= n_slots_ + n_line) return false;
    // Slots are free and yet some wait: for room in the cache, or for a prompt that another computes.
    return predictor_.outlook().waiting.empty() || predictor_.outlook().waiting.size() + predictor_.n_on_the_way() < n_line;
}

// Whatever has no memory now is tried again after the next step.
void Gate::State::refill() noexcept {
    try {
        while (!queue_.empty() && may_hand_over()) {
            if (auto given = queue_.next()) hand_over(*std::move(given));
        }
    } catch (...) {
        mailbox_->announce_always(true);
        if (n_in_slots_ == 0) mailbox_->announce();  // no step comes
        return;
    }
    mailbox_->announce_always(!queue_.empty());
}

void Gate::State::hand_over(GivenSequence&& given) {
    OneSequence& one = under_way_.at(given.id).sequences[given.index];
    engine::Sequence& sequence = *given.sequence;
    // Its place among others was the queue's matter.
    const double now = thread_.now();
    sequence.request.priority = 0;
    sequence.mark_lined_up(now);
    one.takes_slot = !sequence.request.mask || sequence.request.mask->decided();
    predictor_.handed_over(sequence, now);
    StreamUpdate last;
    last.finish = engine::Finish{.reason = FinishReason::kError, .error = mailbox_->out_of_memory()};
    try {
        const auto stream = thread_.enqueue(std::move(given.sequence));
        if (stream) {
            one.in_engine = true;
            n_in_slots_ += one.takes_slot ? 1 : 0;
            return;
        }
        if (stream.error().kind == ErrorKind::kCancelled) last.finish = engine::Finish{.reason = FinishReason::kCancelled};
        if (last.finish->error) last.finish->error = stream.error();
    } catch (...) {  // no memory to say more
    }
    mailbox_->put(one.flight, std::move(last));
    mailbox_->announce();
}

// Of a queued one.
void Gate::State::end_here(std::uint64_t id, std::size_t index, engine::Sequence& sequence, FinishReason reason,
                           engine::SharedError error) {
    StreamUpdate last;
    last.finish = engine::Finish{.reason = reason, .error = std::move(error), .times = sequence.times(thread_.now())};
    mailbox_->put(under_way_.at(id).sequences[index].flight, std::move(last));
    predictor_.forget(sequence);
}

void Gate::State::end_queued(std::uint64_t id, FinishReason reason) {
    const auto rest = queue_.remove(id);
    if (!rest) return;
    for (std::size_t i = rest->n_given; i < rest->sequences.size(); ++i) end_here(id, i, *rest->sequences[i], reason);
    mailbox_->announce();
}

void Gate::State::end_overdue() {
    const double now = thread_.now();
    if (!next_deadline_ || now < *next_deadline_) return;
    std::vector<std::uint64_t> overdue;
    next_deadline_.reset();
    for (const auto& [arrival, index] : queue_.in_order()) {
        const auto deadline = arrival->sequences[index]->deadline();
        if (!deadline) continue;
        if (*deadline <= now) {
            overdue.push_back(arrival->id);
        } else {
            next_deadline_ = std::min(next_deadline_.value_or(*deadline), *deadline);
        }
    }
    for (const std::uint64_t id : overdue) end_queued(id, FinishReason::kTimeout);
}

void Gate::State::cancel(std::uint64_t id) {
    const auto at = under_way_.find(id);
    if (at == under_way_.end()) return;
    end_queued(id, FinishReason::kCancelled);
    for (const OneSequence& one : at->second.sequences) {
        if (one.stream && one.in_engine) one.stream->cancel();
    }
}

void Gate::State::cancel_all() {
    for (const auto& [id, one] : under_way_) cancel(id);
}

// What a reader does may end this gate: the caller holds the state.
void Gate::State::work() {
    mailbox_->begin_work();
    StreamUpdate update;
    while (const auto flight = mailbox_->take(update)) pass_on(*flight, std::move(update));
    if (closed_) return;  // by a reader
    try {
        predictor_.refresh();
        end_overdue();
    } catch (const std::bad_alloc&) {  // the next step is time enough
    }
    refill();
}

void Gate::State::pass_on(const Flight& flight, StreamUpdate&& update) {
    const auto at = under_way_.find(flight.ticket);
    if (at == under_way_.end()) return;  // the gate is closed
    const std::shared_ptr<const UpdateCall> call = at->second.on_update;
    OneSequence& one = at->second.sequences[flight.index];
    one.text.add(update.tokens);
    if (update.finish) {
        predictor_.ended(one.stream.get(), *update.finish, one.text);
        one.text = {};
        if (one.in_engine && one.takes_slot) --n_in_slots_;
        one.stream = nullptr;
        if (--at->second.n_open == 0) under_way_.erase(at);
    }
    try {
        (*call)(flight.index, std::move(update));
    } catch (...) {
        cancel(flight.ticket);
    }
}

// Without memory, what it knows without the engine.
GateLoad Gate::State::load() {
    GateLoad load{.n_queued = queue_.n_sequences()};
    try {
        const engine::EngineSnapshot now = thread_.snapshot();
        load.n_waiting = now.n_waiting;
        load.n_running = now.n_running;
        load.n_blocks = now.cache.n_blocks > 0 ? now.cache.n_blocks : thread_.options().n_blocks[0];  // before the first step
        load.n_free_blocks = load.n_blocks - now.cache.n_used;
        predictor_.refresh();
        if (!predictor_.has_prices()) return load;
        load.queued_seconds = now.queued_seconds + queue_.seconds();
        load.first_token_seconds = predictor_.predict_next(queue_, kShortPrompt, thread_.now()).first_token_seconds;
    } catch (const std::bad_alloc&) {}
    return load;
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
void Gate::add_waiting(WaitingLines& lines) const { state_->add_waiting(lines); }

}  // namespace rafter::server
