// The models that a server has: which of them are in memory, and what brings them there and takes them away.
//
//   a request names a model that is not in memory: it waits, and with it all that name the same
//   one model at a time is loaded, on a thread of its own; those that run go on between two parts of it
//   memory is short for what it is planned to take: the models that nobody has asked for longest go, as soon as no request of theirs runs
//   a model that nobody has asked for in idle_unload_seconds goes too, or in as long as a request has said
//   a request whose client has gone waits no more, and a load that nobody waits for does not begin
//
// Counts of requests and steps stay when a model goes. Every function is for the server's thread, but create() and close().
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "grammar/grammar_compiler.h"
#include "server/call.h"
#include "server/models/model_offer.h"
#include "server/services.h"
#include "server/worker_thread.h"

namespace rafter::server {

enum class ModelState {
    kUnloaded,
    kLoading,    // or waiting for its turn to be loaded
    kLoaded,     // requests are taken
    kUnloading,  // requests under way complete; new ones wait until it has been loaded again
};
[[nodiscard]] std::string_view to_string(ModelState state);  // "unloaded", "loading", "loaded", "unloading"

// What there is of a model while it is in memory. Ends from the last to the first.
struct LiveModel {
    BroughtModel brought;
    std::unique_ptr<grammar::GrammarCompiler> grammars;
    std::unique_ptr<Gate> gate;
    std::optional<Services> services;
};

class ModelEntry {
  public:
    ModelEntry(ModelOffer offer, const std::string& metrics_prefix, std::uint32_t context);

    [[nodiscard]] const std::string& name() const { return offer_.names.front(); }
    [[nodiscard]] const std::vector<std::string>& names() const { return offer_.names; }
    [[nodiscard]] ModelState state() const { return state_; }
    [[nodiscard]] const std::string& last_error() const { return last_error_; }   // "": the last load succeeded, or there was none
    [[nodiscard]] double load_seconds() const { return load_seconds_; }           // of the last load; 0: none so far
    [[nodiscard]] std::uint64_t planned_bytes() const { return planned_bytes_; }  // as of the last load
    [[nodiscard]] std::size_t n_calls() const { return n_calls_; }
    [[nodiscard]] std::size_t n_waiting() const { return waiting_.size(); }  // calls, for the model to be loaded
    // Null while the model is not in memory, or about to go.
    [[nodiscard]] Services* services() const { return live_ && live_->services ? &*live_->services : nullptr; }
    [[nodiscard]] Metrics& metrics() { return metrics_; }
    [[nodiscard]] const PrefixWatch& prefixes() const { return prefixes_; }
    // Zeros where the model is not in memory.
    [[nodiscard]] engine::EngineSnapshot engine() const;
    [[nodiscard]] GateLoad load() const;

  private:
    friend class Models;
    struct Waiting {
        std::shared_ptr<Call> call;
        std::function<void(Services&)> then;
    };

    ModelOffer offer_;
    StepWatch watch_;
    PrefixWatch prefixes_;
    Metrics metrics_;
    ModelState state_ = ModelState::kUnloaded;
    std::unique_ptr<LiveModel> live_;
    std::size_t n_calls_ = 0;  // that use it now
    double last_use_seconds_ = 0.0;
    std::optional<double> keep_seconds_;  // that it stays without calls, as a request has said; infinity: for ever
    std::optional<double> wakes_at_;      // when a timer looks whether it has been idle for long enough
    std::uint64_t planned_bytes_ = 0;
    double load_seconds_ = 0.0;
    std::string last_error_;
    std::vector<Waiting> waiting_;
    engine::EngineSnapshot past_;  // counts of engines that have ended
};

// The server's thread, as far as models need it.
struct ModelsHost {
    std::function<void(std::function<void()>)> post;                        // work for it, from any thread
    std::function<void(double seconds, std::function<void()> work)> after;  // work for it, once
    std::function<double()> seconds;                                        // a clock that never goes back
    std::function<std::uint64_t()> available_bytes;                         // of the machine's memory; 0: not known
    std::function<HttpCounters()> http_counters;
    // The thread and the clock of this server, and the memory of this machine.
    [[nodiscard]] static ModelsHost of(HttpServer& http);
};

struct ModelsOptions {
    std::optional<std::uint64_t> memory_bytes;  // that models may take together, as planned; none: what is available when one is loaded
    double idle_unload_seconds = 0.0;           // 0: never
    std::size_t max_queue = 1024;               // as in ServerOptions
    double max_queue_seconds = 0.0;
    double request_timeout_seconds = 0.0;
    std::string metrics_prefix = "rafter_";
    std::function<void(std::string_view)> tell;  // sentences for a person; from the server's thread
};

class Models {
  public:
    // offers: one at least. workers and what host refers to outlive close().
    [[nodiscard]] static Result<std::unique_ptr<Models>> create(ModelsHost host, Workers& workers, std::vector<ModelOffer> offers,
                                                                ModelsOptions options);
    ~Models();
    Models(const Models&) = delete;
    Models& operator=(const Models&) = delete;

    [[nodiscard]] const std::vector<std::unique_ptr<ModelEntry>>& entries() const { return entries_; }
    // Of this name, with or without ":latest"; null: none.
    [[nodiscard]] ModelEntry* find(std::string_view name) const;
    // The one that requests get which name none.
    [[nodiscard]] ModelEntry& first() const { return *entries_.front(); }
    // The one in memory that was asked for last; null: none is in memory.
    [[nodiscard]] ModelEntry* latest() const;
    // A name that none has.
    [[nodiscard]] Refused not_found(std::string_view name, ErrorForm form) const;

    // Calls `then` with the model's services, now or when it has been loaded; they stay until the call ends. Refuses the call where the
    // model cannot be loaded, and where too much waits already; drops it where its client goes meanwhile.
    // True: it waits.
    bool use(ModelEntry& entry, std::shared_ptr<Call> call, std::function<void(Services&)> then);
    // From now on the model stays in memory for so long after its last call; infinity: for ever, as long as there is memory; 0: it goes
    // with the calls that it has. Holds until it is said anew, or the model goes. Nothing happens to the only model of a server that came
    // with it.
    void keep(ModelEntry& entry, double seconds);
    // Seconds from now until the model goes, if nobody asks for it; none: it stays, or is not in memory.
    [[nodiscard]] std::optional<double> seconds_left(const ModelEntry& entry) const;
    // What waits for models to be loaded, and at the gates of those in memory; but: whose gate does not count.
    void add_waiting(WaitingLines& lines, const ModelEntry* but) const;

    // Nothing is taken any more; what is under way goes on.
    void stop_taking();
    [[nodiscard]] bool stopping() const { return stopping_; }
    void cancel_all();
    // The same, and no engine computes any more; every answer has its end.
    void stop_engines();
    // Every model leaves memory: after http's last work, before its end. Nothing but ~Models may follow, and calls may still end.
    void close();

    [[nodiscard]] HttpCounters http_counters() const { return host_.http_counters(); }
    [[nodiscard]] Workers& workers() { return workers_; }
    [[nodiscard]] std::size_t max_queue() const { return options_.max_queue; }
    [[nodiscard]] std::int64_t started_unix_s() const { return started_unix_s_; }

  private:
    Models(ModelsHost host, Workers& workers, ModelsOptions options);
    void hold(ModelEntry& entry, Call& call);
    void release(ModelEntry& entry);
    void want(ModelEntry& entry);
    void leave(ModelEntry& entry, const Call* call);
    void load_next();
    void planned(Result<PlannedModel> plan);
    void make_room();
    void load();
    [[nodiscard]] Result<void> take_in(ModelEntry& entry, BroughtModel brought);
    void loaded(Result<BroughtModel> brought);
    void failed(const Error& error);
    void give_up();
    void begin_unload(ModelEntry& entry);
    void unload(ModelEntry& entry);
    void unloaded(ModelEntry& entry);
    void unload_when_idle(ModelEntry& entry);
    void watch_idle(ModelEntry& entry);
    [[nodiscard]] double stay_seconds(const ModelEntry& entry) const;
    [[nodiscard]] std::uint64_t bytes_in_memory() const;
    [[nodiscard]] std::uint64_t free_bytes() const;
    [[nodiscard]] ModelEntry* least_recent() const;
    template <typename T>
    void on_loading_thread(std::function<Result<T>()> work, void (Models::*then)(Result<T>));

    const ModelsHost host_;
    Workers& workers_;
    const ModelsOptions options_;
    const std::int64_t started_unix_s_;
    bool only_model_stays_ = false;
    std::vector<std::unique_ptr<ModelEntry>> entries_;
    std::deque<ModelEntry*> queue_;     // to be loaded
    ModelEntry* current_ = nullptr;     // that is being loaded
    bool needs_room_ = false;           // for current_
    std::optional<PlannedModel> plan_;  // of current_
    double load_start_seconds_ = 0.0;   // of current_
    bool stopping_ = false;
    std::shared_ptr<bool> open_ = std::make_shared<bool>(true);  // false after close(): for what still has a pointer to this
    WorkerThread loading_;
};

}  // namespace rafter::server
