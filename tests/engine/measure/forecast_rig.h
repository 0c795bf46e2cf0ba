// Forecasts against what then happens: the real scheduler with the price of a step as its clock, and requests that come while steps are
// computed, each with its forecast.
#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <memory>
#include <queue>
#include <random>
#include <vector>

#include "engine/measure/forecast.h"
#include "engine/measure/simulator.h"

namespace rafter::engine::tests {

struct Coming {
    double seconds = 0.0;  // since the beginning
    Request request;
    std::uint32_t said_max_tokens = 0;  // what the forecast is told; 0: the truth
};

struct ForecastCase {
    SchedulerOptions options;
    double host_seconds = 0.0;
    std::vector<Coming> coming;  // in order
    // So many send them, all at first, and each the next one some milliseconds after its answer; 0: each comes when it says.
    std::uint32_t n_clients = 0;
    std::function<double(const model::StepShape&)> step_seconds = {};  // what steps really take; empty: as predicted
};

struct Outcome {
    Forecast predicted;
    double first_token_seconds = 0.0;
    double last_token_seconds = 0.0;
};

class ForecastRun {
  public:
    explicit ForecastRun(ForecastCase made)
        : case_(std::move(made)),
          worker_(case_.options, case_.host_seconds, case_.step_seconds),
          forecaster_(case_.options),
          prompts_(case_.options.n_blocks[0], case_.options.block_size) {}
    // Of each, in their order.
    std::vector<Outcome> run() {
        describe();
        for (std::uint32_t i = 0; i < case_.n_clients; ++i) ready_.push(think_seconds());
        while (next_ < case_.coming.size() || !open_.empty()) {
            if (open_.empty()) worker_.wait_until(next_arrival());
            send_until(worker_.now());
            (void)worker_.step();
            send_until(worker_.now());  // while the step was computed: the outlook is of its beginning
            read_streams();
            describe();
        }
        return outcomes_;
    }
    const SchedulerCounters& counters() const { return worker_.scheduler().counters(); }

  private:
    struct Open {
        std::shared_ptr<TokenStream> stream;
        std::size_t index;
        double arrived;
        std::uint32_t said_max_tokens;
        bool has_token = false;
    };

    void describe() {
        worker_.scheduler().describe(outlook_);
        outlook_.at = worker_.now();
        outlook_.host_seconds = case_.host_seconds;
        line_.clear();  // the outlook has them
        for (auto* const sequences : {&outlook_.running, &outlook_.waiting}) {
            for (SequenceOutlook& sequence : *sequences) {
                const auto open = std::ranges::find(open_, sequence.id, [](const Open& each) { return each.stream.get(); });
                sequence.max_tokens = open->said_max_tokens;
            }
        }
    }
    double think_seconds() { return std::uniform_real_distribution<double>(0.5e-3, 5e-3)(random_); }
    [[nodiscard]] double next_arrival() const {
        if (next_ == case_.coming.size()) return std::numeric_limits<double>::infinity();
        if (case_.n_clients == 0) return case_.coming[next_].seconds;
        return ready_.empty() ? std::numeric_limits<double>::infinity() : ready_.top();
    }
    void send_until(double seconds) {
        while (next_arrival() <= seconds) {
            const double now = next_arrival();
            if (case_.n_clients > 0) ready_.pop();
            send(now);
        }
    }
    void send(double now) {
        Coming& coming = case_.coming[next_];
        kv::BlockHashes hashes;
        const kv::PrefixKey key = hashes.key(coming.request.prompt, "", case_.options.block_size);
        const auto n_prompt = static_cast<std::uint32_t>(coming.request.prompt.size());
        const std::uint32_t max_tokens = coming.said_max_tokens > 0 ? coming.said_max_tokens : coming.request.max_tokens;
        const ExpectedPrefix expected = prompts_.expect(key.first(n_prompt - 1));
        line_.push_back(
            {.prompt = {.number = 0, .expected = expected}, .n_prompt = n_prompt, .max_tokens = max_tokens, .since = now, .asked = true});
        outcomes_.push_back(
            {.predicted = forecaster_.forecast(
                 {.outlook = outlook_, .line = line_, .prompts = prompts_, .answers = answers_, .coming = coming_, .now = now})});
        coming_.came(now, n_prompt, expected.n_tokens, max_tokens);
        const auto stream = *worker_.submit(coming.request);
        prompts_.add(stream.get(), expected, key);
        line_.back().prompt = *prompts_.find(stream.get());
        line_.back().asked = false;
        open_.push_back({.stream = stream, .index = next_, .arrived = now, .said_max_tokens = max_tokens});
        ++next_;
    }
    void read_streams() {
        std::erase_if(open_, [&](Open& open) {
            const StreamUpdate update = open.stream->take();
            Outcome& outcome = outcomes_[open.index];
            if (!update.tokens.empty() && !open.has_token) {
                open.has_token = true;
                outcome.first_token_seconds = worker_.now() - open.arrived;
            }
            if (!update.finish) return false;
            outcome.last_token_seconds = worker_.now() - open.arrived;
            answers_.add(update.finish->times.n_generated, case_.coming[open.index].said_max_tokens == 0);
            prompts_.end(open.stream.get());
            coming_.ended(worker_.now());
            if (case_.n_clients > 0) ready_.push(worker_.now() + think_seconds());
            return true;
        });
    }

    ForecastCase case_;
    SimulatedWorker worker_;
    Forecaster forecaster_;
    RecentPrompts prompts_;
    AnswerLengths answers_;
    ComingRequests coming_;
    SchedulerOutlook outlook_;
    std::vector<WaitingSequence> line_;                                       // sent since the outlook
    std::priority_queue<double, std::vector<double>, std::greater<>> ready_;  // when clients send their next
    std::mt19937 random_{3};
    std::size_t next_ = 0;
    std::vector<Open> open_;
    std::vector<Outcome> outcomes_;
};

}  // namespace rafter::engine::tests
