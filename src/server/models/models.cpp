// A state changes on the server's thread only; the loading thread gets copies and pointers of its own, and posts what has become of them.
#include "server/models/models.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <new>

#include "base/os_memory.h"
#include "base/quote.h"
#include "protocols/ollama_models.h"
#include "server/generation.h"

namespace rafter::server {
namespace {

constexpr std::uint32_t kUsualContext = 8192;  // of models that have never been in memory: the largest bucket of their token counts

std::int64_t start_unix_seconds() {
    return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::uint32_t context_of(const ModelOffer& offer) {
    return offer.at_start ? offer.at_start->served->loaded().scheduler.context : kUsualContext;
}

constexpr double kMaxTimerSeconds = 60.0;  // timers cannot be taken back: one that is not needed any more is gone soon

std::string key_of(const Call& call) { return call.key ? call.key->name : std::string(); }

// Failures of memory and threads too become results.
template <typename Work>
auto guarded(const Work& work) -> decltype(work()) {
    try {
        return work();
    } catch (const std::bad_alloc&) {
        return Error{"no memory to load the model", ErrorKind::kOutOfMemory};
    } catch (const std::exception& error) {
        return Error{error.what(), ErrorKind::kInternal};
    }
}

// What an engine counted is kept when it ends.
void add_counters(engine::EngineSnapshot& sum, const engine::EngineSnapshot& part) {
    sum.prefix.tokens_asked += part.prefix.tokens_asked;
    sum.prefix.tokens_found += part.prefix.tokens_found;
    sum.prefix.tokens_restored += part.prefix.tokens_restored;
    sum.prefix.missed_new += part.prefix.missed_new;
    sum.prefix.missed_evicted += part.prefix.missed_evicted;
    sum.prefix.missed_window += part.prefix.missed_window;
    sum.scheduler.preemptions += part.scheduler.preemptions;
    sum.speculation.n_drafts += part.speculation.n_drafts;
    sum.speculation.n_draft_tokens += part.speculation.n_draft_tokens;
    sum.speculation.n_accepted_tokens += part.speculation.n_accepted_tokens;
    auto& sums = sum.speculation.accepted_per_position;
    const auto& parts = part.speculation.accepted_per_position;
    if (sums.size() < parts.size()) sums.resize(parts.size());
    for (std::size_t i = 0; i < parts.size(); ++i) sums[i] += parts[i];
    sum.n_submitted += part.n_submitted;
    sum.n_busy += part.n_busy;
    sum.n_steps += part.n_steps;
    sum.n_tokens += part.n_tokens;
    sum.step_seconds += part.step_seconds;
    sum.n_draft_tokens += part.n_draft_tokens;
    sum.n_accepted_drafts += part.n_accepted_drafts;
}

}  // namespace

std::string_view to_string(ModelState state) {
    switch (state) {
        case ModelState::kUnloaded:
            return "unloaded";
        case ModelState::kLoading:
            return "loading";
        case ModelState::kLoaded:
            return "loaded";
        case ModelState::kUnloading:
            return "unloading";
    }
    return "unloaded";
}

ModelEntry::ModelEntry(ModelOffer offer, const std::string& metrics_prefix, std::uint32_t context)
    : offer_(std::move(offer)), metrics_({.prefix = metrics_prefix, .model_name = offer_.names.front(), .context = context}, watch_) {}

engine::EngineSnapshot ModelEntry::engine() const {
    if (services() == nullptr) return past_;
    engine::EngineSnapshot snapshot = live_->brought.served->thread().snapshot();
    add_counters(snapshot, past_);
    return snapshot;
}

GateLoad ModelEntry::load() const { return live_ && live_->gate ? live_->gate->load() : GateLoad{}; }

ModelsHost ModelsHost::of(HttpServer& http) {
    return {.post = [&http](std::function<void()> work) { http.post(std::move(work)); },
            .after = [&http](double seconds, std::function<void()> work) { http.after(seconds, std::move(work)); },
            .seconds = watch_seconds,
            .available_bytes = [] { return read_memory_state().available_bytes; },
            .http_counters = [&http] { return http.counters(); }};
}

Models::Models(ModelsHost host, Workers& workers, ModelsOptions options)
    : host_(std::move(host)), workers_(workers), options_(std::move(options)), started_unix_s_(start_unix_seconds()) {}

Models::~Models() = default;

Result<std::unique_ptr<Models>> Models::create(ModelsHost host, Workers& workers, std::vector<ModelOffer> offers, ModelsOptions options) {
    std::unique_ptr<Models> models(new Models(std::move(host), workers, std::move(options)));
    RAFTER_TRY_VOID(models->loading_.start("rafter-load", models->host_.post));
    models->only_model_stays_ = offers.size() == 1 && offers.front().at_start;
    for (ModelOffer& offer : offers) {
        std::optional<BroughtModel> at_start = offer.at_start;
        const std::uint32_t context = context_of(offer);
        offer.at_start.reset();
        models->entries_.push_back(std::make_unique<ModelEntry>(std::move(offer), models->options_.metrics_prefix, context));
        if (at_start) RAFTER_TRY_VOID(models->take_in(*models->entries_.back(), *std::move(at_start)));
    }
    return models;
}

ModelEntry* Models::find(std::string_view name) const {
    using protocols::without_latest;
    for (const bool exactly : {true, false}) {
        for (const auto& entry : entries_) {
            const auto is_it = [&](const std::string& one) { return exactly ? one == name : without_latest(one) == without_latest(name); };
            if (std::ranges::any_of(entry->names(), is_it)) return entry.get();
        }
    }
    return nullptr;
}

ModelEntry* Models::latest() const {
    ModelEntry* found = nullptr;
    for (const auto& entry : entries_) {
        if (entry->services() != nullptr && (found == nullptr || entry->last_use_seconds_ > found->last_use_seconds_)) found = entry.get();
    }
    return found;
}

Refused Models::not_found(std::string_view name, ErrorForm form) const {
    const std::string quoted = quote(name);
    Refused refused{.status = 404, .message = {}, .code = "model_not_found"};
    if (form == ErrorForm::kOllama) {
        refused.message = fmt::format("model '{}' not found", quoted.substr(1, quoted.size() - 2));  // as Ollama words it
        return refused;
    }
    std::vector<std::string_view> names;
    for (const auto& entry : entries_) names.insert(names.end(), entry->names().begin(), entry->names().end());
    refused.message = fmt::format("model: expected {}, found {}", fmt::join(names, " or "), quoted);
    return refused;
}

bool Models::use(ModelEntry& entry, std::shared_ptr<Call> call, std::function<void(Services&)> then) {
    call->record.model = entry.name();
    if (stopping_) {
        call->refuse({.status = 503, .message = "the server is stopping", .code = "stopping", .headers = {{"retry-after", "1"}}});
        return false;
    }
    if (entry.state_ == ModelState::kLoaded) {
        entry.last_use_seconds_ = host_.seconds();
        hold(entry, *call);
        then(*entry.services());
        return false;
    }
    WaitingLines lines;
    add_waiting(lines, nullptr);
    if (const auto refusal = lines.refusal(key_of(*call), 1, options_.max_queue)) {
        entry.metrics_.refused("busy");
        call->refuse(refused_by(*refusal));
        return false;
    }
    entry.last_use_seconds_ = host_.seconds();
    entry.waiting_.push_back({call, std::move(then)});
    if (entry.state_ == ModelState::kUnloaded) want(entry);
    call->on_gone([this, &entry, open = open_, waits = call.get()](Gone) {
        if (*open) leave(entry, waits);
    });
    return true;
}

void Models::add_waiting(WaitingLines& lines, const ModelEntry* but) const {
    for (const auto& entry : entries_) {
        for (const ModelEntry::Waiting& waiting : entry->waiting_) lines.add(key_of(*waiting.call), 1);
        if (entry.get() != but && entry->live_ && entry->live_->gate) entry->live_->gate->add_waiting(lines);
    }
}

// Its client is gone.
void Models::leave(ModelEntry& entry, const Call* call) {
    const auto at = std::ranges::find(entry.waiting_, call, [](const ModelEntry::Waiting& each) { return each.call.get(); });
    if (at == entry.waiting_.end()) return;
    const ModelEntry::Waiting gone = std::move(*at);  // it ends after this
    entry.waiting_.erase(at);
    const bool is_queued = std::ranges::find(queue_, &entry) != queue_.end();
    if (!entry.waiting_.empty() || !is_queued) return;
    std::erase(queue_, &entry);
    entry.state_ = ModelState::kUnloaded;
}

void Models::hold(ModelEntry& entry, Call& call) {
    ++entry.n_calls_;
    call.hold(std::shared_ptr<void>(nullptr, [this, &entry, open = open_](void*) {
        if (*open) release(entry);
    }));
}

void Models::release(ModelEntry& entry) {
    entry.last_use_seconds_ = host_.seconds();
    if (--entry.n_calls_ > 0) return;
    if (entry.state_ == ModelState::kUnloading) unload(entry);
    unload_when_idle(entry);
}

void Models::want(ModelEntry& entry) {
    entry.state_ = ModelState::kLoading;
    queue_.push_back(&entry);
    load_next();
}

// Work for this thread that nobody needs after close() is dropped.
template <typename T>
void Models::on_loading_thread(std::function<Result<T>()> work, void (Models::*then)(Result<T>)) {
    const Error no_memory{"no memory to load the model", ErrorKind::kOutOfMemory};
    try {
        auto result = std::make_shared<Result<T>>(no_memory);
        loading_.run([result, work = std::move(work)] { *result = guarded(work); },
                     [this, open = open_, result, then] {
                         if (*open) (this->*then)(std::move(*result));
                     });
    } catch (const std::bad_alloc&) {
        (this->*then)(no_memory);
    }
}

void Models::load_next() {
    if (current_ != nullptr || queue_.empty()) return;
    current_ = queue_.front();
    queue_.pop_front();
    load_start_seconds_ = host_.seconds();
    on_loading_thread(current_->offer_.plan, &Models::planned);
}

void Models::planned(Result<PlannedModel> plan) {
    if (!plan) {
        failed(plan.error());
        return;
    }
    plan_ = *std::move(plan);
    make_room();
}

std::uint64_t Models::bytes_in_memory() const {
    std::uint64_t sum = 0;
    for (const auto& entry : entries_) sum += entry->live_ ? entry->planned_bytes_ : 0;
    return sum;
}

std::uint64_t Models::free_bytes() const {
    if (options_.memory_bytes) return *options_.memory_bytes - std::min(*options_.memory_bytes, bytes_in_memory());
    const std::uint64_t available = host_.available_bytes();
    return available > 0 ? available : std::numeric_limits<std::uint64_t>::max();  // 0: the system does not say
}

// Those that a request wants to stay for ever come last.
ModelEntry* Models::least_recent() const {
    const auto rank = [](const ModelEntry& entry) {
        return std::pair(std::isinf(entry.keep_seconds_.value_or(0.0)), entry.last_use_seconds_);
    };
    ModelEntry* found = nullptr;
    for (const auto& entry : entries_) {
        if (entry->state_ == ModelState::kLoaded && (found == nullptr || rank(*entry) < rank(*found))) found = entry.get();
    }
    return found;
}

// One after another: the memory that one gives back is seen before the next must go.
void Models::make_room() {
    needs_room_ = false;
    if (current_->waiting_.empty()) {
        give_up();
        return;
    }
    if (options_.memory_bytes && plan_->planned_bytes > *options_.memory_bytes) {  // whatever goes
        failed(Error{fmt::format("it is planned to take {}, but --models-memory allows {}", format_bytes(plan_->planned_bytes),
                                 format_bytes(*options_.memory_bytes)),
                     ErrorKind::kOutOfMemory});
        return;
    }
    const bool one_goes = std::ranges::any_of(entries_, [](const auto& entry) { return entry->state_ == ModelState::kUnloading; });
    if (!one_goes && plan_->planned_bytes <= free_bytes()) {
        load();
        return;
    }
    needs_room_ = true;
    if (one_goes) return;
    if (ModelEntry* victim = least_recent()) {
        begin_unload(*victim);
        return;
    }
    needs_room_ = false;
    load();  // with a smaller cache, or not at all: loading knows how much it needs at least
}

// Everyone who waited for it has gone.
void Models::give_up() {
    std::exchange(current_, nullptr)->state_ = ModelState::kUnloaded;
    plan_.reset();
    load_next();
}

void Models::load() { on_loading_thread(plan_->load, &Models::loaded); }

Result<void> Models::take_in(ModelEntry& entry, BroughtModel brought) {
    engine::ServedModel& served = *brought.served;
    entry.watch_.begin(step_prices_of(served));
    // The gate's limits hold, not the engine's.
    RAFTER_TRY_VOID(served.start({.max_waiting = std::numeric_limits<std::uint32_t>::max(),
                                  .on_step = [watch = &entry.watch_](const engine::StepReport& step) { watch->record(step); }}));
    auto live = std::make_unique<LiveModel>();
    live->grammars = std::make_unique<grammar::GrammarCompiler>(*served.opened().tokenizer);
    live->gate =
        std::make_unique<Gate>(served, GateOptions{.max_queue = options_.max_queue,
                                                   .max_queue_seconds = options_.max_queue_seconds,
                                                   .add_elsewhere = [this, &entry](WaitingLines& lines) { add_waiting(lines, &entry); },
                                                   .post = host_.post});
    live->services.emplace(Services{.models = *this,
                                    .served = served,
                                    .gate = *live->gate,
                                    .workers = workers_,
                                    .metrics = entry.metrics_,
                                    .watch = entry.watch_,
                                    .prefixes = entry.prefixes_,
                                    .grammars = *live->grammars,
                                    .model_names = entry.names(),
                                    .answer_format = entry.offer_.answer_format,
                                    .file_name = brought.file_name,
                                    .quantization = brought.quantization,
                                    .started_unix_s = started_unix_s_,
                                    .request_timeout_seconds = options_.request_timeout_seconds});
    entry.planned_bytes_ = brought.planned_bytes;
    live->brought = std::move(brought);
    entry.live_ = std::move(live);
    entry.state_ = ModelState::kLoaded;
    entry.last_error_.clear();
    entry.last_use_seconds_ = host_.seconds();
    return {};
}

void Models::loaded(Result<BroughtModel> brought) {
    if (!brought) {
        failed(brought.error());
        return;
    }
    ModelEntry& entry = *current_;
    if (const auto taken = guarded([&] { return take_in(entry, *std::move(brought)); }); !taken) {
        failed(taken.error());
        return;
    }
    entry.load_seconds_ = host_.seconds() - load_start_seconds_;
    options_.tell(
        fmt::format("{}: loaded in {:.1f} s, {} as planned", quote(entry.name()), entry.load_seconds_, format_bytes(entry.planned_bytes_)));
    current_ = nullptr;
    plan_.reset();
    ++entry.n_calls_;  // it stays until all have been told
    for (ModelEntry::Waiting& waiting : std::exchange(entry.waiting_, {})) {
        if (waiting.call->gone()) continue;
        hold(entry, *waiting.call);
        waiting.then(*entry.services());
    }
    release(entry);
    load_next();
}

// Those that wait for it now are refused; whoever asks later tries again.
void Models::failed(const Error& error) {
    ModelEntry& entry = *std::exchange(current_, nullptr);
    plan_.reset();
    entry.state_ = ModelState::kUnloaded;
    entry.last_error_ = error.message;
    options_.tell(fmt::format("{}: cannot be loaded: {}", quote(entry.name()), error.message));
    const bool no_memory = error.kind == ErrorKind::kOutOfMemory;
    const Refused refused{.status = no_memory ? 503 : 500,
                          .message = fmt::format("the model {} cannot be loaded: {}", quote(entry.name()), error.message),
                          .code = no_memory ? "out_of_memory" : "model_not_loaded"};
    for (ModelEntry::Waiting& waiting : std::exchange(entry.waiting_, {})) waiting.call->refuse(refused);
    load_next();
}

void Models::begin_unload(ModelEntry& entry) {
    entry.state_ = ModelState::kUnloading;
    if (entry.n_calls_ == 0) unload(entry);
}

void Models::unload(ModelEntry& entry) {
    entry.past_ = entry.engine();
    entry.past_.n_running = entry.past_.n_waiting = entry.past_.n_not_ready = 0;
    entry.past_.queued_seconds = 0.0;
    entry.past_.cache = {};
    entry.live_->services.reset();
    entry.live_->gate.reset();
    try {
        loading_.run(
            [&live = *entry.live_] {
                live.grammars.reset();
                live.brought.served.reset();  // what its cache holds goes to the file on disk
            },
            [this, open = open_, &entry] {
                if (*open) unloaded(entry);
            });
    } catch (const std::bad_alloc&) {
        unloaded(entry);  // here and now, though it takes its time
    }
}

void Models::unloaded(ModelEntry& entry) {
    entry.live_.reset();
    entry.state_ = ModelState::kUnloaded;
    entry.keep_seconds_.reset();
    options_.tell(fmt::format("{}: unloaded", quote(entry.name())));
    if (!entry.waiting_.empty()) want(entry);
    if (needs_room_) make_room();
}

void Models::keep(ModelEntry& entry, double seconds) {
    if (only_model_stays_) return;
    entry.keep_seconds_ = seconds;
    unload_when_idle(entry);
}

double Models::stay_seconds(const ModelEntry& entry) const {
    constexpr double kForEver = std::numeric_limits<double>::infinity();
    return entry.keep_seconds_.value_or(options_.idle_unload_seconds > 0.0 ? options_.idle_unload_seconds : kForEver);
}

std::optional<double> Models::seconds_left(const ModelEntry& entry) const {
    if (entry.state_ != ModelState::kLoaded) return std::nullopt;
    const double stays = stay_seconds(entry);
    if (std::isinf(stays)) return std::nullopt;
    return entry.n_calls_ > 0 ? stays : std::max(0.0, entry.last_use_seconds_ + stays - host_.seconds());
}

void Models::unload_when_idle(ModelEntry& entry) {
    if (entry.state_ != ModelState::kLoaded || entry.n_calls_ > 0) return;
    if (seconds_left(entry) == 0.0) {
        begin_unload(entry);
    } else {
        watch_idle(entry);
    }
}

// A timer that comes before a use has made it too early looks again.
void Models::watch_idle(ModelEntry& entry) {
    const std::optional<double> left = seconds_left(entry);
    if (!left) return;
    const double seconds = std::min(*left, kMaxTimerSeconds);
    const double at = host_.seconds() + seconds;
    if (entry.wakes_at_ && *entry.wakes_at_ <= at) return;
    entry.wakes_at_ = at;
    host_.after(seconds, [this, &entry, open = open_, at] {
        if (!*open || entry.wakes_at_ != at) return;
        entry.wakes_at_.reset();
        unload_when_idle(entry);
    });
}

void Models::stop_taking() {
    stopping_ = true;
    for (const auto& entry : entries_) {
        if (entry->live_ && entry->live_->gate) entry->live_->gate->stop_taking();
    }
}

void Models::cancel_all() {
    for (const auto& entry : entries_) {
        if (entry->live_ && entry->live_->gate) entry->live_->gate->cancel_all();
        for (ModelEntry::Waiting& waiting : std::exchange(entry->waiting_, {})) {
            waiting.call->refuse({.status = 503,
                                  .message = "the server stopped before the model was loaded",
                                  .code = "stopping",
                                  .headers = {{"retry-after", "1"}}});
        }
    }
}

void Models::stop_engines() {
    cancel_all();
    for (const auto& entry : entries_) {
        if (entry->live_ && entry->live_->gate) entry->live_->brought.served->thread().stop(engine::StopMode::kCancel);
    }
}

void Models::close() {
    *open_ = false;
    loading_.stop();
    for (const auto& entry : entries_) {
        entry->waiting_.clear();
        if (!entry->live_) continue;
        entry->live_.reset();
    }
}

}  // namespace rafter::server
