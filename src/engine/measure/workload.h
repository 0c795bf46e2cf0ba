// Work for the engine to be measured with: requests that arrive over time or that so many users send one after another, made up from a seed
// or read from a trace. And what running them gave: how long first and later tokens took, how full the cache was, what was found in it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/log_histogram.h"
#include "base/result.h"
#include "engine/engine.h"
#include "engine/request.h"
#include "roofline/op_cost.h"

namespace rafter {
class JsonReader;
}

namespace rafter::engine {

struct WorkloadOptions {
    std::uint64_t n_requests = 0;
    std::uint32_t prompt = 512;        // tokens, the shared ones included
    std::uint32_t generate = 64;       // tokens; an answer never ends before
    std::uint32_t shared_prefix = 0;   // tokens that all prompts begin with
    double requests_per_second = 0.0;  // on average, with exponential gaps (a Poisson process); 0: all are there at once
    // A closed loop: each user sends its next request think_seconds after the answer to its last one, the first ones all at once. 0 users:
    // an open loop, where requests arrive whether or not the engine keeps up.
    std::uint32_t n_users = 0;
    double think_seconds = 0.0;
    std::uint64_t seed = 0;
    std::uint32_t n_vocab = 0;
};

struct Arrival {
    double seconds = 0.0;  // since the beginning; of no meaning in a closed loop
    Request request;
};

class Workload {
  public:
    // options.prompt > options.shared_prefix.
    explicit Workload(const WorkloadOptions& options);
    // A line a request, in order of arrival: {"arrival_seconds": 0.25, "prompt_tokens": 812, "output_tokens": 64, "shared_tokens": 0,
    // "priority": 0}, all but the first optional; prompts are made up as with the other constructor. Or a line of Mooncake's traces
    // (github.com/kvcache-ai/Mooncake, FAST25-release/traces): {"timestamp": 27482, "input_length": 1500, "output_length": 52, "hash_ids":
    // [46, 47, 48]}, milliseconds, counted from the first line's, and an id for each 512 tokens of the prompt: prompts with the same ids
    // begin with the same tokens. Fails on what is neither; keys that are not known are ignored, with a warning.
    [[nodiscard]] static Result<Workload> read(const std::filesystem::path& path, const WorkloadOptions& options);

    [[nodiscard]] std::optional<Arrival> next();
    [[nodiscard]] std::uint64_t n_requests() const { return trace_.empty() ? options_.n_requests : trace_.size(); }
    // Tokens of the longest request, prompt and answer.
    [[nodiscard]] std::uint32_t longest() const;
    [[nodiscard]] const WorkloadOptions& options() const { return options_; }
    // What was ignored in the trace, each key once.
    [[nodiscard]] const std::vector<std::string>& warnings() const { return warnings_; }

  private:
    struct Traced {
        double seconds = 0.0;
        std::uint32_t prompt = 0, generate = 0, shared = 0;
        int priority = 0;
        std::vector<std::uint64_t> hash_ids;  // of blocks of kHashedTokens; what is behind them is the prompt's own
    };
    [[nodiscard]] Result<Traced> read_line(const JsonReader& line) const;
    [[nodiscard]] static Result<Traced> read_mooncake_line(const JsonReader& line, double first_ms);
    [[nodiscard]] Result<void> add_line(std::string_view text, const std::string& where, std::set<std::string>& warned);
    [[nodiscard]] Arrival arrival(const Traced& wanted) const;

    WorkloadOptions options_;
    std::vector<Traced> trace_;
    std::vector<std::string> warnings_;
    std::optional<double> first_ms_;  // the timestamp of the first line of Mooncake's form
    std::uint64_t next_ = 0;
    double seconds_ = 0.0;
};

// Who does the work: the engine by the wall's clock, or its simulation by its own.
class Worker {
  public:
    virtual ~Worker() = default;
    [[nodiscard]] virtual Result<std::shared_ptr<TokenStream>> submit(Request request) = 0;
    // False when there was nothing to do.
    virtual bool step() = 0;
    [[nodiscard]] virtual double now() const = 0;  // seconds
    virtual void wait_until(double seconds) = 0;
    [[nodiscard]] virtual const StepReport& last_step() const = 0;
    [[nodiscard]] virtual const Scheduler& scheduler() const = 0;
    [[nodiscard]] virtual roofline::OpCost work() const { return {}; }  // flops and bytes of all steps so far
};

struct WorkloadReport {
    std::uint64_t n_requests = 0;
    std::uint64_t n_failed = 0;
    std::uint64_t prompt_tokens = 0;
    std::uint64_t generated_tokens = 0;
    std::uint64_t most_in_flight = 0;  // requests at once, waiting ones included
    std::uint64_t n_steps = 0;
    double seconds = 0.0;            // from the first arrival to the last token
    LogHistogram ttft_seconds;       // from arrival to the first token
    LogHistogram itl_seconds;        // from one token to the next
    LogHistogram request_seconds;    // from arrival to the last token
    double step_seconds = 0.0;       // sums over steps
    double forward_seconds = 0.0;    // of them, in the model
    double predicted_seconds = 0.0;  // for the model
    double priced_seconds = 0.0;     // the same without what earlier steps taught
    roofline::OpCost work;           // of all steps; zeros from a worker that does not count it
    CacheUse most_used;              // when most blocks were in use
    double mean_wasted = 0.0;        // positions a running sequence, reserved and not used
    double mean_contiguous = 0.0;    // the same if its whole context were reserved
    kv::BlockCacheCounters cache;
    SchedulerCounters scheduler;
    std::uint64_t tokens_hash = 0;  // of all that was generated, whatever the order: the same work gives the same tokens
    [[nodiscard]] double tokens_per_second() const { return seconds > 0.0 ? static_cast<double>(generated_tokens) / seconds : 0.0; }
};

// progress: how many requests have ended; may be empty.
[[nodiscard]] Result<WorkloadReport> run_workload(Workload& workload, Worker& worker,
                                                  const std::function<void(std::uint64_t n_ended)>& progress);

// The engine on the wall's clock.
class EngineWorker : public Worker {
  public:
    // engine outlives this. cost_of: a step's flops and bytes; may be empty.
    explicit EngineWorker(Engine& engine, std::function<roofline::OpCost(const model::StepShape&)> cost_of = {})
        : engine_(engine), cost_of_(std::move(cost_of)) {}
    [[nodiscard]] Result<std::shared_ptr<TokenStream>> submit(Request request) override { return engine_.submit(std::move(request)); }
    bool step() override;
    [[nodiscard]] double now() const override;
    void wait_until(double seconds) override;
    [[nodiscard]] const StepReport& last_step() const override { return engine_.last_step(); }
    [[nodiscard]] const Scheduler& scheduler() const override { return engine_.scheduler(); }
    [[nodiscard]] roofline::OpCost work() const override { return work_; }

  private:
    Engine& engine_;
    std::function<roofline::OpCost(const model::StepShape&)> cost_of_;
    roofline::OpCost work_;
};

}  // namespace rafter::engine
