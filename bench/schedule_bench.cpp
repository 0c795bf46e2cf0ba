// One Scheduler::schedule() with many requests in line: 31 sequences decode, one computes a prompt of 8,000 tokens and a few of its own,
// and all who wait begin with the same 8,000. Nothing is computed; `roof` has no meaning here.
//   schedule/waiting/1000      none may go on
//   schedule/last_block/1000   all but less than a block of what they share is there: each asks the cache what it has
//   schedule/arrive/1000       none was looked at before
#include <benchmark/benchmark.h>

#include <memory>
#include <vector>

#include "engine/scheduler.h"

namespace rafter::bench {
namespace {

using engine::Request;
using engine::Scheduler;
using engine::Sequence;
using engine::TokenId;

constexpr std::uint32_t kShared = 8000;
constexpr std::uint32_t kBlockSize = 16;
// Beside the decoding ones 499 tokens of a prompt: after 16 steps 7,984, a block less than what all share.
constexpr std::uint32_t kStepTokens = 530;
constexpr std::uint32_t kDecoding = 31;

class NoText : public text::Tokenizer {
  public:
    [[nodiscard]] std::vector<TokenId> encode(std::string_view /*text*/, text::SpecialTokens /*special*/) const override { return {}; }
    [[nodiscard]] std::string_view piece(TokenId /*id*/, text::SpecialTokens /*special*/) const override { return {}; }
    [[nodiscard]] std::string decode(std::span<const TokenId> /*ids*/, text::SpecialTokens /*special*/) const override { return {}; }
    [[nodiscard]] std::size_t n_tokens() const override { return 1U << 30U; }
    [[nodiscard]] const text::SpecialIds& special() const override { return special_; }
    [[nodiscard]] std::optional<TokenId> find(std::string_view /*token_text*/) const override { return std::nullopt; }
    [[nodiscard]] std::string description() const override { return "none"; }

  private:
    text::SpecialIds special_;
};

class Line {
  public:
    explicit Line(std::uint32_t n_waiting)
        : scheduler_({.limits = {.n_tokens = kStepTokens, .n_outputs = 64}, .context = 2 * kShared, .n_blocks = {4000}, .windows = {0}}) {
        for (std::uint32_t i = 0; i < kDecoding; ++i) add(0, i);
        step();
        add(kShared, 0);
        step();
        for (std::uint32_t i = 1; i <= n_waiting; ++i) add(kShared, i);
    }
    [[nodiscard]] engine::Plan schedule() { return scheduler_.schedule(); }
    void step() {
        const engine::Plan plan = schedule();
        accepted_.resize(plan.sequences.size());
        for (std::size_t i = 0; i < plan.sequences.size(); ++i) {
            accepted_[i].clear();
            if (plan.sequences[i].n_new == plan.sequences[i].sequence->n_pending())
                accepted_[i].tokens.push_back({.id = 7, .logprobs = {}});
        }
        scheduler_.commit(plan, accepted_);
    }
    [[nodiscard]] std::size_t n_waiting() const { return scheduler_.n_waiting(); }

  private:
    void add(std::uint32_t n_shared, std::uint32_t own) {
        Request request;
        for (std::uint32_t i = 0; i < n_shared; ++i) request.prompt.push_back(static_cast<TokenId>(i));
        for (std::uint32_t i = 0; i < 2 * kBlockSize; ++i) request.prompt.push_back(static_cast<TokenId>(100'000 + own));
        request.max_tokens = 128;  // all fit
        auto sequence = std::make_unique<Sequence>(std::move(request), std::make_shared<engine::TokenStream>(), no_text_);
        (void)sequence->cache_key(kBlockSize);  // as submit() does
        scheduler_.add(std::move(sequence));
    }

    NoText no_text_;
    Scheduler scheduler_;
    std::vector<engine::Accepted> accepted_;
};

void none_may_go_on(benchmark::State& state) {
    const auto n_waiting = static_cast<std::uint32_t>(state.range(0));
    Line line(n_waiting);
    (void)line.schedule();
    for (auto _ : state) benchmark::DoNotOptimize(line.schedule());
    if (line.n_waiting() != n_waiting) state.SkipWithError("not all wait");
}

void last_block(benchmark::State& state) {
    const auto n_waiting = static_cast<std::uint32_t>(state.range(0));
    Line line(n_waiting);
    // Each step computes what the decoding ones leave of its budget; the last step before the shared tokens are complete is the one to see.
    for (std::uint32_t n = kStepTokens - kDecoding; n + kStepTokens - kDecoding < kShared; n += kStepTokens - kDecoding) line.step();
    for (auto _ : state) benchmark::DoNotOptimize(line.schedule());
    if (line.n_waiting() != n_waiting) state.SkipWithError("not all wait");
}

void arrive(benchmark::State& state) {
    const auto n_waiting = static_cast<std::uint32_t>(state.range(0));
    bool all_wait = true;
    for (auto _ : state) {
        state.PauseTiming();
        auto line = std::make_unique<Line>(n_waiting);
        state.ResumeTiming();
        benchmark::DoNotOptimize(line->schedule());
        state.PauseTiming();
        all_wait = all_wait && line->n_waiting() == n_waiting;
        line.reset();
        state.ResumeTiming();
    }
    if (!all_wait) state.SkipWithError("not all wait");
}

const int kRegistered = [] {
    for (const int n : {1000, 10'000}) {
        benchmark::RegisterBenchmark("schedule/waiting", none_may_go_on)->Arg(n)->Unit(benchmark::kMicrosecond);
        benchmark::RegisterBenchmark("schedule/last_block", last_block)->Arg(n)->Unit(benchmark::kMicrosecond);
        benchmark::RegisterBenchmark("schedule/arrive", arrive)->Arg(n)->Unit(benchmark::kMicrosecond)->Iterations(3);
    }
    return 0;
}();

}  // namespace
}  // namespace rafter::bench
