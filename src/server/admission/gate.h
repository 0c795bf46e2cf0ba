// Between the routes and the engine: who asks is told how long the first token will take, waits in a fair queue, and gets each step's
// updates on the server's own thread.
//
//   submit()   predicts the seconds to the first and the last token from what runs and waits; refuses what would wait too long
//   queue      one line a key, served in turn by predicted seconds (deficit round robin), higher priorities first within a key
//   engine     gets only what starts soon: the order of what waits can change until then
//   updates    all of a step come in one call of post()
//
// Every function is for the server's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "engine/loading/served_model.h"
#include "engine/request.h"
#include "engine/token_stream.h"
#include "server/admission/refusal.h"
#include "server/admission/waiting_lines.h"

namespace rafter::server {

struct GateOptions {
    std::size_t max_queue = 1024;    // sequences that wait for the engine; more are refused
    double max_queue_seconds = 0.0;  // predicted until the first token; more are refused; 0: any
    // What waits elsewhere under the same limit. Empty: nothing does.
    std::function<void(WaitingLines& lines)> add_elsewhere;
    // Runs work on the server's thread, soon. Called from any thread.
    std::function<void(std::function<void()>)> post;
};

// What one HTTP request asks of the engine: its choices, of prompts that may be the same.
struct Arrival {
    std::string key;  // whose line it waits in
    int priority = 0;
    std::vector<engine::Request> sequences;
    std::optional<double> max_ttft_seconds;  // it is refused when its first token would come later
    // Called on the server's thread; index: of the sequence. Each one's last update has its finish.
    std::function<void(std::size_t index, engine::StreamUpdate&& update)> on_update;
};

// Seconds from the arrival. None: the machine has no profile, or nothing is known of such an answer.
struct Prediction {
    std::optional<double> first_token_seconds;  // of the first sequence that has one
    std::optional<double> last_token_seconds;   // when every sequence has max_tokens
    std::uint32_t n_cached_tokens = 0;          // of its prompts, expected in the prefix cache
    std::string bound;  // what takes most of the time until the first token: "queue", "compute", "memory"; "": not known
};

struct Ticket {
    std::uint64_t id = 0;
    Prediction prediction;
};

struct GateLoad {
    std::uint64_t n_queued = 0;   // sequences that wait here
    std::uint64_t n_waiting = 0;  // and in the engine
    std::uint64_t n_running = 0;
    double queued_seconds = 0.0;                    // predicted until all that is here now has ended
    std::uint32_t n_blocks = 0, n_free_blocks = 0;  // of the KV cache: free, or kept for reuse only
    double first_token_seconds = 0.0;               // predicted for a short prompt that came now
};

class Gate {
  public:
    // served: started(); it and what post refers to outlive this.
    Gate(engine::ServedModel& served, GateOptions options) : Gate(served.thread(), std::move(options)) {}
    // The same for an engine's thread that has no other gate.
    Gate(engine::EngineThread& thread, GateOptions options);
    // Sequences under way are cancelled, and nobody hears of them.
    ~Gate();
    Gate(const Gate&) = delete;
    Gate& operator=(const Gate&) = delete;

    // on_update is not called before this returns, nor while another function of this runs. One that throws ends its arrival.
    [[nodiscard]] std::optional<Refusal> submit(Arrival arrival, Ticket& ticket);
    // Its sequences end before the engine's next step, as FinishReason::kCancelled; unknown ids count for nothing.
    void cancel(std::uint64_t id);
    // Nothing is taken any more (kStopping); what is here goes on.
    void stop_taking();
    void cancel_all();
    [[nodiscard]] GateLoad load() const;
    // What waits here.
    void add_waiting(WaitingLines& lines) const;

  private:
    class State;
    std::shared_ptr<State> state_;
};

}  // namespace rafter::server
