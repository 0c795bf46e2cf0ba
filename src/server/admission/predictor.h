// What the gate knows of the engine's next steps: the outlook of its last one, who was handed over since, which prompts were sent lately
// and how long answers get. From that, when a request's first and last tokens come.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "engine/engine_thread.h"
#include "engine/measure/forecast.h"
#include "server/admission/fair_queue.h"

namespace rafter::server {

// A sequence's tokens after its prompt's last full block, as they come: what its answer leaves in the cache.
struct GrowingText {
    std::uint64_t previous = 0;  // the hash of that block, or of the salt
    std::vector<engine::TokenId> tokens;
    bool complete = true;  // false: some found no memory
    void add(const std::vector<engine::GeneratedToken>& more) noexcept;
};

// One thread, the server's.
class Predictor {
  public:
    // thread outlives this.
    explicit Predictor(const engine::EngineThread& thread);

    // As of the engine's last step.
    void refresh();
    [[nodiscard]] bool has_prices() const { return outlook_.cost.known(); }
    [[nodiscard]] const engine::SchedulerOutlook& outlook() const { return outlook_; }
    // Of running sequences, those that end in the next two steps at the latest.
    [[nodiscard]] std::size_t n_ending_soon() const;
    // Handed over, and in no outlook yet.
    [[nodiscard]] std::size_t n_on_the_way() const { return on_the_way_.size(); }

    // A sequence came. Returns how many tokens of its prompt the cache will probably have.
    std::uint32_t add(engine::Sequence& sequence);
    // It will never be computed.
    void forget(engine::Sequence& sequence);
    // The same where the sequence itself is gone.
    void forget(const engine::TokenStream* stream);
    // The engine has it since `now`. Without memory, forecasts do without it for a step.
    void handed_over(const engine::Sequence& sequence, double now) noexcept;
    void ended(const engine::TokenStream* stream, const engine::Finish& finish, const GrowingText& text) noexcept;
    [[nodiscard]] GrowingText text_of(engine::Sequence& sequence) const;

    // Of a sequence that came: its prompt, and its share of the steps of its answer. Without prices, in proportion to tokens.
    [[nodiscard]] double work_seconds(const engine::Sequence& sequence, std::size_t n_together) const;

    // Of the queue's arrival of this number; has_prices().
    [[nodiscard]] engine::Forecast predict(const FairQueue& queue, std::uint64_t asked, double now);
    // Of a prompt of so many tokens that came now, behind all others.
    [[nodiscard]] engine::Forecast predict_next(const FairQueue& queue, std::uint32_t n_prompt, double now);

  private:
    struct OnTheWay {
        const engine::TokenStream* stream;
        engine::WaitingSequence waiting;
    };
    [[nodiscard]] engine::WaitingSequence waiting(const engine::Sequence& sequence, double since) const;
    void line_up(const FairQueue& queue, double now);
    [[nodiscard]] engine::Forecast forecast(double now);

    const engine::EngineThread& thread_;
    const std::uint32_t block_size_;
    engine::SchedulerOutlook outlook_;
    engine::Forecaster forecaster_;
    engine::RecentPrompts prompts_;
    engine::AnswerLengths answers_;
    engine::ComingRequests coming_;
    std::vector<OnTheWay> on_the_way_;
    std::uint64_t asked_ = 0;
    std::vector<engine::WaitingSequence> line_;  // of the last forecast
};

}  // namespace rafter::server
