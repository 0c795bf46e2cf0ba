// Requests that are answered together, by the engine or by its simulation: the same scheduler, so that one is what the other should take.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "engine/measure/workload.h"
#include "planning/ladder/ladder.h"

namespace rafter::planning {

// What counts as the point's time and tokens.
enum class AnswerSpan {
    kAll,     // from the first request to the last token: tokens of answers
    kDecode,  // steps in which every sequence goes on with its answer
};

struct AnswerRun {
    LadderPoint point;              // tokens, seconds (as measured_seconds, whoever's clock it is), flops, bytes, roof
    std::uint64_t tokens_hash = 0;  // of all answers: the same work gives the same
    std::uint64_t n_failed = 0;
};

// price: a step's, without a measurement. Ends the worker's requests; steps after the first answer's end do not count as decoding.
[[nodiscard]] Result<AnswerRun> run_answers(engine::Worker& worker, const std::vector<engine::Request>& requests, AnswerSpan span,
                                            const std::function<LadderPoint(const model::StepShape&)>& price);

// The requests of the last rungs. All prompts begin with the same n_shared tokens, which are of `text` (repeated as need be); then come
// n_own that no other prompt has.
struct RequestSizes {
    std::uint32_t n_requests = 1;
    std::uint32_t n_shared = 0;
    std::uint32_t n_own = 1;
    std::uint32_t n_generated = 1;
    std::uint32_t n_vocab = 1;
};
[[nodiscard]] std::vector<engine::Request> sharing_requests(const RequestSizes& sizes, const std::vector<engine::TokenId>& text);

}  // namespace rafter::planning
