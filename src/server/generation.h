// Requests that the engine computes: parsed on a worker, taken in by the gate, and answered by a writer of the API that was asked. A new
// API needs a parser and a writer.
//
//   parse     on a worker thread: the body becomes a Job, or a refusal
//   submit    the gate predicts, and queues or refuses
//   updates   the job's writer makes the answer, or events, of them
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/request.h"
#include "engine/token_stream.h"
#include "protocols/answer_timings.h"
#include "server/call.h"
#include "server/services.h"

namespace rafter::server {

// Makes the answer. On the server's thread.
class AnswerWriter {
  public:
    AnswerWriter() = default;
    virtual ~AnswerWriter() = default;
    AnswerWriter(const AnswerWriter&) = delete;
    AnswerWriter& operator=(const AnswerWriter&) = delete;

    // Its request was taken.
    virtual void begin(Call& call) = 0;
    // Of sequence `index`; the finish is in the last one of each, without an error.
    virtual void update(Call& call, std::size_t index, engine::StreamUpdate&& update) = 0;
    // After the last update of the last sequence.
    virtual void end(Call& call, const protocols::AnswerTimings& timings) = 0;
    // A sequence failed; nothing follows. True: the writer has said so itself, because its answer had begun.
    virtual bool fail(Call& call, const Refused& refused) = 0;
};

struct Job {
    std::vector<engine::Request> sequences;
    int priority = 0;
    std::optional<double> max_ttft_seconds;
    std::optional<double> keep_alive_seconds;  // Models::keep(); none: as it is
    std::optional<std::string> model;          // as the client calls it
    std::vector<std::string> ignored_keys;     // of the body
    std::vector<std::string> warnings;
    std::uint32_t n_system_tokens = 0;  // of a chat's prompt, before the conversation
    std::unique_ptr<AnswerWriter> writer;
    std::function<void(Call&)>
        without_engine;  // answers the call at once, in place of all of the above but the model; empty: the engine does
};
// What every API's request says of its job; the caller adds sequences and writer.
template <typename Request>
[[nodiscard]] Job job_of(const Request& request) {
    Job job{.sequences = {},
            .priority = request.priority,
            .max_ttft_seconds = request.max_ttft_seconds,
            .model = request.model,
            .ignored_keys = request.unknown_keys,
            .warnings = request.warnings,
            .writer = nullptr};
    if constexpr (requires { request.n_system_tokens; }) job.n_system_tokens = request.n_system_tokens;
    if constexpr (requires { request.keep_alive_seconds; }) job.keep_alive_seconds = request.keep_alive_seconds;
    return job;
}
// On a worker thread. The body and the key are the call's; nothing else of it may be touched.
using JobParser = std::function<Result<Job>(const std::string& body, const std::string& call_id)>;

// Answers the call, now or later.
void generate(Services& services, std::shared_ptr<Call> call, JobParser parse);

// Becomes true, for a worker to see, when the call's client is gone. Until somebody else asks for on_gone().
[[nodiscard]] std::shared_ptr<std::atomic<bool>> note_when_gone(Call& call);
// How long parsing a request's body will take.
[[nodiscard]] JobSize job_size(const HttpRequest& request);
// 404 where the client names another model than this one.
[[nodiscard]] std::optional<Refused> refuse_model(const Services& services, const std::optional<std::string>& model);
// What an error of ours, or of a gate, is in HTTP.
[[nodiscard]] Refused refused_by(const Error& error);
[[nodiscard]] Refused refused_by(const Refusal& refusal);

}  // namespace rafter::server
