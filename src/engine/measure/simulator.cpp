// A made-up token depends on request and position, as a real answer's would: answers of different requests share nothing.
#include "engine/measure/simulator.h"

#include <utility>

#include "engine/sampling/noise.h"

namespace rafter::engine {
namespace {

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

}  // namespace

SimulatedWorker::SimulatedWorker(SchedulerOptions options, double host_seconds, std::function<double(const model::StepShape&)> step_seconds)
    : host_seconds_(host_seconds),
      step_seconds_(std::move(step_seconds)),
      context_(options.context),
      tokenizer_(std::make_unique<NoText>()) {
    options.clock = [this] { return now_; };
    scheduler_ = std::make_unique<Scheduler>(std::move(options));
}

SimulatedWorker::~SimulatedWorker() = default;

// As Engine::sample(): draft tokens are accepted up to the first one that is not what the answer has there.
void SimulatedWorker::choose(const PlannedSequence& planned, Accepted& accepted) {
    Sequence& sequence = *planned.sequence;
    const auto who =
        static_cast<std::uint64_t>(sequence.arrived() * 1e9) ^ static_cast<std::uint64_t>(sequence.tokens[sequence.n_prompt - 1]) << 40U;
    const auto first = static_cast<std::uint32_t>(sequence.tokens.size());
    for (std::uint32_t n_right = 0;; ++n_right) {
        auto token = sequence.sampler.forced_token();
        if (!token) token = static_cast<TokenId>(uniform(who, first + n_right) * 0x1p30);
        accepted.tokens.push_back({.id = *token});
        if (n_right == planned.drafts.size() || planned.drafts[n_right] != *token) break;
        sequence.sampler.accept(*token);
    }
    sequence.sampler.rollback(accepted.tokens.size() - 1);
}

Result<std::shared_ptr<TokenStream>> SimulatedWorker::submit(Request request) {
    if (request.prompt.empty() || request.prompt.size() >= context_) {
        return bad_input("a prompt of {} tokens: expected 1 to {}, for a context of {}", request.prompt.size(), context_ - 1, context_);
    }
    auto stream = std::make_shared<TokenStream>(0, OnUpdate{}, scheduler_->cancellations());
    auto sequence = std::make_unique<Sequence>(std::move(request), stream, *tokenizer_);
    sequence->mark_arrived(now_);
    scheduler_->add(std::move(sequence));
    return stream;
}

bool SimulatedWorker::step() {
    Plan plan = scheduler_->schedule();
    report_ = {};
    if (plan.sequences.empty()) {
        deliver_to_streams(scheduler_->updates());
        return scheduler_->has_work();
    }
    scheduler_->draft(plan);
    report_.kind = plan.kind();
    report_.shape.sequences.reserve(plan.sequences.size());
    accepted_.resize(plan.sequences.size());
    for (std::size_t i = 0; i < plan.sequences.size(); ++i) {
        const PlannedSequence& planned = plan.sequences[i];
        report_.shape.sequences.push_back(planned.step());
        accepted_[i].clear();
        if (planned.n_new < planned.sequence->n_pending() || planned.sequence->request.max_tokens == 0) continue;
        choose(planned, accepted_[i]);
    }
    report_.predicted_seconds = scheduler_->cost().seconds(report_.shape);
    report_.priced_seconds = report_.predicted_seconds / scheduler_->cost().correction(report_.shape.n_tokens());
    report_.forward_seconds = step_seconds_ ? step_seconds_(report_.shape) : report_.predicted_seconds;
    report_.step_seconds = report_.forward_seconds + host_seconds_;
    now_ += report_.step_seconds;
    deliver_to_streams(scheduler_->commit(plan, accepted_));
    report_.cache = scheduler_->cache_use();
    return true;
}

}  // namespace rafter::engine
