// Rungs whose points are requests that the engine answers, each simulated first.
#include <algorithm>

#include "engine/measure/simulator.h"
#include "engine/speculation/ngram_drafter.h"
#include "planning/ladder/climber.h"
#include "planning/ladder/texts.h"

namespace rafter::planning {

using engine::TokenId;

namespace {

OutputCheck same_tokens(bool same, std::uint64_t n, std::string against) {
    return {.kind = OutputCheck::Kind::kSameTokens, .passed = same, .n_tokens = n, .against = std::move(against)};
}

}  // namespace

Result<void> Climb::load_for_requests() {
    RAFTER_TRY(requests_, stand({.weights = four_bit_type(),
                                 .without_fusions = {},
                                 .kv_type = backend::KvType::kQ8,
                                 .context = sizes_.request_context(),
                                 .n_sequences = sizes_.n_together},
                                quantised_.get()));
    quantised_.reset();
    engine::Engine engine(*requests_->loaded().device, *opened_.tokenizer, scheduler_for({.n_together = 1}));
    RAFTER_TRY(host_, engine::measure_host_times(
                          engine, {.n_sequences = 1, .n_vocab = opened_.config.n_vocab, .context = requests_->loaded().scheduler.context}));
    return {};
}

engine::SchedulerOptions Climb::scheduler_for(const Answering& how) const {
    engine::SchedulerOptions options = requests_->loaded().scheduler;
    options.n_sequences = how.n_together;
    options.prefix_cache = how.prefix_cache;
    options.cost = engine::StepCost(requests_->backend(), requests_->program(), machine_, requests_->price_options(),
                                    options.limits.n_tokens, options.context);
    return options;
}

Result<AnswerRun> Climb::answer(const Answering& how, const std::vector<engine::Request>& requests) {
    RAFTER_TRY_VOID(go_on());
    const auto price = [&](const model::StepShape& step) {
        return priced_point(requests_->backend(), requests_->program(), step, machine_, requests_->price_options());
    };
    refresh(static_cast<double>(requests_->loaded().device->memory().weights_bytes));
    engine::SchedulerOptions options = scheduler_for(how);
    const auto drafting = [&](engine::NgramDrafter& drafter) {
        if (how.drafts) options.speculation.drafter = &drafter;
        return options;
    };
    engine::NgramDrafter simulated_drafter{engine::NgramOptions{}};
    engine::SimulatedWorker simulated(drafting(simulated_drafter), host_.host_seconds + host_.sample_seconds,
                                      [&](const model::StepShape& step) { return price(step).predicted_seconds; });
    RAFTER_TRY(const AnswerRun predicted, run_answers(simulated, requests, how.span, price));

    engine::NgramDrafter drafter{engine::NgramOptions{}};
    engine::Engine engine(*requests_->loaded().device, *opened_.tokenizer, drafting(drafter));
    engine::EngineWorker worker(engine);
    RAFTER_TRY(AnswerRun run, run_answers(worker, requests, how.span, price));
    engine.forget_unused();
    // Per token of the real run, so that a few tokens more or less in the span do not count as an error.
    run.point.predicted_seconds = *predicted.point.measured_seconds / predicted.point.tokens * run.point.tokens;
    double n_positions = 0.0;
    for (const engine::Request& request : requests) n_positions += static_cast<double>(request.prompt.size() + request.max_tokens);
    run.point.memory_bytes = requests_->memory_bytes(1.0, n_positions);
    return run;
}

Result<std::uint64_t> Climb::greedy_hash(const Answering& how, std::vector<engine::Request> requests) {
    for (engine::Request& request : requests) {
        request.forced.clear();
        request.max_tokens = std::min(request.max_tokens, kFewTokens);
    }
    RAFTER_TRY(const AnswerRun run, answer(how, requests));
    return run.tokens_hash;
}

Result<void> Climb::prefix_cache() {
    const std::vector<engine::Request> requests = sharing_requests({.n_requests = sizes_.n_prefix_requests,
                                                                    .n_shared = sizes_.n_shared,
                                                                    .n_own = sizes_.n_own,
                                                                    .n_generated = sizes_.n_prefix_generated,
                                                                    .n_vocab = opened_.config.n_vocab},
                                                                   prose_);
    LadderRung climbed = make_rung(
        "prefix_cache", fmt::format("{} requests, {} tokens shared, {} own, {} generated; prompts included", sizes_.n_prefix_requests,
                                    report::grouped(sizes_.n_shared), sizes_.n_own, sizes_.n_prefix_generated));
    Answering how{.n_together = sizes_.n_prefix_requests};
    RAFTER_TRY(const AnswerRun before, answer(how, requests));
    how.prefix_cache = true;
    RAFTER_TRY(const AnswerRun after, answer(how, requests));
    climbed.before = before.point;
    climbed.after = after.point;
    climbed.before.n_context = climbed.after.n_context = sizes_.n_shared + sizes_.n_own + sizes_.n_prefix_generated;
    climbed.check = same_tokens(before.tokens_hash == after.tokens_hash,
                                std::uint64_t{sizes_.n_prefix_requests} * sizes_.n_prefix_generated, "no prefix cache");
    add_rung(std::move(climbed));
    return {};
}

Result<void> Climb::speculation() {
    engine::Request request;
    request.prompt = opened_.tokenizer->encode(kProgram, text::SpecialTokens::kAsText);
    const std::vector<TokenId> edited = opened_.tokenizer->encode(kEditedProgram, text::SpecialTokens::kAsText);
    request.sampling.temperature = 0.0;
    request.ignore_eos = true;
    const std::size_t room = requests_->loaded().scheduler.context;
    if (request.prompt.size() + edited.size() > room) {
        return bad_input("the program and its edit take {} tokens, more than the {} of this model's context that the ladder uses",
                         request.prompt.size() + edited.size(), room);
    }
    request.max_tokens = static_cast<std::uint32_t>(edited.size());
    request.forced = {{.tokens = edited}};
    LadderRung climbed = make_rung("speculation", fmt::format("1 sequence, a program of {} tokens edited", request.prompt.size()));
    Answering how{.n_together = 1, .span = AnswerSpan::kDecode};
    RAFTER_TRY(const AnswerRun before, answer(how, {request}));
    RAFTER_TRY(const std::uint64_t plain, greedy_hash(how, {request}));
    how.drafts = true;
    RAFTER_TRY(const AnswerRun after, answer(how, {request}));
    RAFTER_TRY(const std::uint64_t drafted, greedy_hash(how, {request}));
    climbed.before = before.point;
    climbed.after = after.point;
    climbed.before.n_context = climbed.after.n_context = static_cast<double>(request.prompt.size() + edited.size());
    climbed.check = same_tokens(plain == drafted, kFewTokens, "no draft tokens");
    climbed.notes.push_back(fmt::format("{:.2f} tokens a step on average.", after.point.tokens));
    climbed.notes.push_back(
        "The answer is given, so that every model has the same draft tokens right: an edit that repeats most of its prompt.");
    add_rung(std::move(climbed));
    return {};
}

Result<void> Climb::all_together() {
    std::vector<TokenId> text = opened_.tokenizer->encode(kProgram, text::SpecialTokens::kAsText);
    std::vector<engine::Request> requests = sharing_requests({.n_requests = sizes_.n_together,
                                                              .n_shared = sizes_.n_shared,
                                                              .n_own = sizes_.n_own,
                                                              .n_generated = sizes_.n_generated,
                                                              .n_vocab = opened_.config.n_vocab},
                                                             text);
    const std::vector<TokenId> edited = opened_.tokenizer->encode(kEditedProgram, text::SpecialTokens::kAsText);
    for (std::size_t i = 0; i < requests.size(); ++i) {
        engine::ForcedTokens forced;
        for (std::size_t t = 0; t < sizes_.n_generated; ++t) forced.tokens.push_back(edited[(7 * i + t) % edited.size()]);
        requests[i].forced = {std::move(forced)};
    }
    LadderRung climbed = make_rung(
        "all",
        fmt::format("{}, {} tokens shared, {} own, decoding", sequences(sizes_.n_together), report::grouped(sizes_.n_shared), sizes_.n_own),
        sizes_.n_together);
    if (const LadderRung* base = ladder_.find("kv_cache"); base != nullptr && !base->skipped) climbed.before = base->after;
    climbed.notes.push_back("Its gain is over the KV cache and nothing else.");
    if (path_.tokens > sizes_.n_together || path_.n_context < sizes_.n_shared) {
        climbed.notes.push_back(fmt::format("{} that see about {} tokens each, where the rung before has {} that see {}.",
                                            sequences(sizes_.n_together), report::grouped(sizes_.request_context()),
                                            report::whole(path_.n_sequences), report::whole(path_.n_context)));
    }
    const Answering how{.n_together = sizes_.n_together, .prefix_cache = true, .drafts = true, .span = AnswerSpan::kDecode};
    RAFTER_TRY(const AnswerRun run, answer(how, requests));
    climbed.after = run.point;
    climbed.after.n_context = sizes_.n_shared + sizes_.n_own + sizes_.n_generated;
    // Free answers of two of them: the second one's prefix comes from the cache, unless there is none.
    const std::vector<engine::Request> two = {requests[0], requests[1]};
    RAFTER_TRY(const std::uint64_t together, greedy_hash({.n_together = 2, .prefix_cache = true, .drafts = true}, two));
    RAFTER_TRY(const std::uint64_t alone, greedy_hash({.n_together = 1}, two));
    climbed.check = same_tokens(together == alone, std::uint64_t{2} * kFewTokens, "each alone, without draft tokens and prefix cache");
    climbed.notes.push_back(
        "The answers are given, as in the rung of speculation, so that draft tokens are as often right in every model.");
    add_rung(std::move(climbed));
    return {};
}

}  // namespace rafter::planning
