// The loop that both workers go through.
#include "planning/ladder/answers.h"

#include <algorithm>

#include "base/xxh3.h"
#include "engine/measure/step_profile.h"
#include "engine/sampling/noise.h"
#include "planning/ladder/stand.h"

namespace rafter::planning {

using engine::TokenId;

namespace {

// The mean of so many steps.
void divide_by(LadderPoint& point, double n_steps) {
    for (double* sum :
         {&point.tokens, &point.predicted_seconds, &*point.measured_seconds, &point.flops, &point.bytes, &point.roof_seconds}) {
        *sum /= n_steps;
    }
}

}  // namespace

Result<AnswerRun> run_answers(engine::Worker& worker, const std::vector<engine::Request>& requests, AnswerSpan span,
                              const std::function<LadderPoint(const model::StepShape&)>& price) {
    AnswerRun run;
    std::vector<std::shared_ptr<engine::TokenStream>> streams;
    std::vector<std::uint64_t> hashes(requests.size());
    const double start = worker.now();
    for (const engine::Request& request : requests) {
        RAFTER_TRY(auto stream, worker.submit(request));
        streams.push_back(std::move(stream));
    }
    std::size_t n_ended = 0;
    std::vector<bool> ended(requests.size(), false);
    double seconds = 0.0;
    double n_decoded = 0.0;
    double n_answered = 0.0;
    double n_steps = 0.0;  // that the point is of
    while (n_ended < requests.size()) {
        if (!worker.step()) return Error{"the engine stopped before its requests were answered", ErrorKind::kInternal};
        const engine::StepReport& step = worker.last_step();
        std::size_t n_tokens = 0;
        const bool all_decode = n_ended == 0 && step.shape.sequences.size() == requests.size() && engine::is_decode(step.shape);
        for (std::size_t i = 0; i < streams.size(); ++i) {
            const engine::StreamUpdate update = streams[i]->take();
            for (const engine::GeneratedToken& token : update.tokens) hashes[i] = xxh3(static_cast<std::uint64_t>(token.id), hashes[i]);
            n_tokens += update.tokens.size();
            if (!update.finish || ended[i]) continue;
            if (update.finish->error) return *update.finish->error;
            ended[i] = true;
            ++n_ended;
        }
        n_answered += static_cast<double>(n_tokens);
        if (step.shape.sequences.empty()) continue;
        if (span == AnswerSpan::kAll || all_decode) {
            add_step(run.point, price(step.shape));
            ++n_steps;
        }
        if (all_decode) {
            seconds += step.step_seconds;
            n_decoded += static_cast<double>(n_tokens);
        }
    }
    run.point.tokens = span == AnswerSpan::kAll ? n_answered : n_decoded;
    run.point.measured_seconds = span == AnswerSpan::kAll ? worker.now() - start : seconds;
    run.point.n_sequences = static_cast<double>(requests.size());
    if (run.point.tokens <= 0.0 || *run.point.measured_seconds <= 0.0) {
        return Error{"no step decoded all sequences: the requests do not fit into the cache together", ErrorKind::kBadInput};
    }
    run.point.is_run = span == AnswerSpan::kAll;
    if (!run.point.is_run) divide_by(run.point, n_steps);
    for (std::size_t i = 0; i < hashes.size(); ++i) run.tokens_hash += xxh3(i, hashes[i]);
    return run;
}

std::vector<engine::Request> sharing_requests(const RequestSizes& sizes, const std::vector<TokenId>& text) {
    std::vector<engine::Request> requests(sizes.n_requests);
    for (std::uint32_t i = 0; i < sizes.n_requests; ++i) {
        engine::Request& request = requests[i];
        for (std::uint32_t t = 0; t < sizes.n_shared; ++t) request.prompt.push_back(text[t % text.size()]);
        for (std::uint32_t t = 0; t < sizes.n_own; ++t) {
            request.prompt.push_back(static_cast<TokenId>(engine::uniform(i + 1, t) * static_cast<double>(sizes.n_vocab)));
        }
        request.sampling.temperature = 0.0;
        request.max_tokens = sizes.n_generated;
        request.ignore_eos = true;
    }
    return requests;
}

}  // namespace rafter::planning
