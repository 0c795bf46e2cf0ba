// A request while the engine computes it: its times, its prediction, its end.
#include "server/generation.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <atomic>
#include <cmath>

#include "server/models/models.h"

namespace rafter::server {
namespace {

using engine::FinishReason;

constexpr std::size_t kLargeBody = 256 * 1024;  // takes tens of milliseconds to parse
constexpr int kMinRetrySeconds = 1;

// One request while the engine computes it.
class Generation : public std::enable_shared_from_this<Generation> {
  public:
    // Takes the job's writer.
    Generation(Services& services, std::shared_ptr<Call> call, Job& job)
        : services_(services), call_(std::move(call)), writer_(std::move(job.writer)), n_open_(job.sequences.size()) {
        RequestRecord& record = call_->record;
        record.computed = true;
        record.n_sequences = static_cast<std::uint32_t>(n_open_);
        record.ignored_keys = job.ignored_keys;
        at_.resize(n_open_, 0.0);
    }

    void start(Job& job) {
        if (call_->gone()) return;
        Arrival arrival{.key = call_->key ? call_->key->name : std::string(),
                        .priority = job.priority,
                        .sequences = std::move(job.sequences),
                        .max_ttft_seconds = job.max_ttft_seconds,
                        .on_update = [self = shared_from_this()](std::size_t index, engine::StreamUpdate&& update) {
                            self->take(index, std::move(update));
                        }};
        for (engine::Request& sequence : arrival.sequences) {
            if (call_->key) sequence.cache_salt = salted(*call_->key, sequence.cache_salt);
            if (services_.request_timeout_seconds > 0) {
                sequence.timeout_seconds = std::min(sequence.timeout_seconds.value_or(INFINITY), services_.request_timeout_seconds);
            }
        }
        watch_prefixes(arrival.sequences, job.n_system_tokens);
        const bool waits_for_grammar =
            std::ranges::any_of(arrival.sequences, [](const engine::Request& r) { return r.mask && !r.mask->decided(); });
        const RoofClock before = services_.watch.roof_clock();
        if (auto refusal = services_.gate.submit(std::move(arrival), ticket_)) {
            refuse(*refusal);
            return;
        }
        before_ = before;
        const Prediction& prediction = ticket_.prediction;
        call_->record.predicted_first_token_seconds = prediction.first_token_seconds;
        call_->record.predicted_last_token_seconds = prediction.last_token_seconds;
        call_->record.bound = prediction.bound;
        if (prediction.first_token_seconds) {
            call_->add_header("rafter-predicted-first-token-seconds", fmt::format("{:.3f}", *prediction.first_token_seconds));
        }
        call_->on_gone([self = shared_from_this()](Gone) { self->cancel(); });
        // Until its grammar is compiled it may yet be refused, with a status of its own.
        if (!waits_for_grammar) begin();
    }

  private:
    // Keys of one group share what requests of the same salt share.
    static std::string salted(const ApiKey& key, const std::string& salt) { return key.cache_salt + '\x1f' + salt; }

    // Each prompt once: choices of one prompt stand beside each other.
    void watch_prefixes(const std::vector<engine::Request>& sequences, std::uint32_t n_system_tokens) {
        for (std::size_t i = 0; i < sequences.size(); ++i) {
            if (i > 0 && sequences[i].prompt == sequences[i - 1].prompt) continue;
            services_.prefixes.arrived(sequences[i].cache_salt, {.tokens = sequences[i].prompt, .n_system = n_system_tokens});
        }
    }

    void cancel() { services_.gate.cancel(ticket_.id); }

    void begin() {
        if (!std::exchange(began_, true)) writer_->begin(*call_);
    }

    void refuse(const Refusal& refusal) {
        if (refusal.kind == RefusalKind::kBusy) services_.metrics.refused("busy");
        if (refusal.kind == RefusalKind::kStopping) services_.metrics.refused("stopping");
        call_->record.computed = false;
        call_->refuse(refused_by(refusal));
    }

    void take(std::size_t index, engine::StreamUpdate&& update) {
        if (failed_) return;
        note(index, update);
        if (call_->gone()) {  // what is still to come is only counted
            if (update.finish && --n_open_ == 0) note_roof();
            return;
        }
        if (update.finish && update.finish->error) {
            fail(refused_by(*update.finish->error));
            return;
        }
        const std::optional<engine::Finish> finished = update.finish;
        if (finished && n_open_ == 1 && call_->record.times.n_generated == 0) {
            if (const auto refused = refused_before_start(finished->reason)) {
                fail(*refused);
                return;
            }
        }
        begin();
        writer_->update(*call_, index, std::move(update));
        if (finished && --n_open_ == 0) {
            note_roof();
            writer_->end(*call_, timings());
        }
    }

    // Times between tokens, and what the finish says.
    void note(std::size_t index, const engine::StreamUpdate& update) {
        RequestRecord& record = call_->record;
        if (!update.tokens.empty()) {
            const double now = call_->seconds();
            if (!record.first_token_seconds) {
                record.first_token_seconds = now;
                services_.metrics.first_token(now);
            }
            if (at_[index] > 0.0) {
                const auto n = static_cast<double>(update.tokens.size());
                for (std::size_t i = 0; i < update.tokens.size(); ++i) services_.metrics.between_tokens((now - at_[index]) / n);
            }
            at_[index] = now;
        }
        if (!update.finish) return;
        const engine::RequestTimes& times = update.finish->times;
        engine::RequestTimes& sum = record.times;
        if (index == 0) {
            sum.queue_seconds = times.queue_seconds;
            sum.prefill_seconds = times.prefill_seconds;
            sum.decode_seconds = times.decode_seconds;
            record.finish_reason = engine::to_string(update.finish->reason);
        }
        sum.n_prompt += times.n_prompt;
        sum.n_reused += times.n_reused;
        sum.n_generated += times.n_generated;
        sum.n_preemptions += times.n_preemptions;
        sum.n_draft_tokens += times.n_draft_tokens;
        sum.n_accepted_drafts += times.n_accepted_drafts;
    }

    void note_roof() { call_->record.roof_fraction = roof_fraction_between(before_, services_.watch.roof_clock()); }

    void fail(const Refused& refused) {
        failed_ = true;
        note_roof();
        cancel();
        if (began_ && writer_->fail(*call_, refused)) {
            call_->record.error = logged(refused.message);
        } else {
            call_->refuse(refused);
        }
    }

    // An answer that ended without a token is none.
    static std::optional<Refused> refused_before_start(engine::FinishReason reason) {
        if (reason == FinishReason::kTimeout) {
            return Refused{
                .status = 504, .message = "no token came within the time that a request has (--request-timeout)", .code = "timeout"};
        }
        if (reason == FinishReason::kCancelled) {
            return Refused{.status = 503,
                           .message = "the server stopped before the answer began",
                           .code = "stopping",
                           .headers = {{"retry-after", "1"}}};
        }
        return std::nullopt;
    }

    [[nodiscard]] protocols::AnswerTimings timings() const {
        const RequestRecord& record = call_->record;
        protocols::AnswerTimings timings = protocols::timings_of(record.times);
        if (services_.served.thread().options().speculation.drafter != nullptr) {
            timings.n_draft_tokens = record.times.n_draft_tokens;
            timings.n_accepted_draft_tokens = record.times.n_accepted_drafts;
        }
        timings.roof_fraction = record.roof_fraction;
        timings.first_token_seconds = record.first_token_seconds;
        timings.predicted_first_token_seconds = record.predicted_first_token_seconds;
        timings.predicted_last_token_seconds = record.predicted_last_token_seconds;
        timings.bound = record.bound;
        return timings;
    }

    Services& services_;
    std::shared_ptr<Call> call_;
    std::unique_ptr<AnswerWriter> writer_;
    std::size_t n_open_;      // sequences without a finish
    std::vector<double> at_;  // [n_sequences]: seconds of the call at the last tokens; 0: none yet
    Ticket ticket_;
    RoofClock before_;  // when it was taken
    bool failed_ = false;
    bool began_ = false;  // the writer has
};

// Names of keys may be anything: only plain ones may stand in a header.
std::string header_of(const std::vector<std::string>& keys) {
    constexpr std::size_t kMaxNames = 8;
    constexpr std::size_t kMaxLength = 40;
    const auto is_plain = [](const std::string& key) {
        return !key.empty() && key.size() <= kMaxLength && std::ranges::all_of(key, [](char c) {
            return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
        });
    };
    std::vector<std::string> names;
    std::ranges::copy_if(keys, std::back_inserter(names), is_plain);
    names.resize(std::min(names.size(), kMaxNames));
    std::string text = fmt::format("{}", fmt::join(names, ", "));
    if (const std::size_t n_others = keys.size() - names.size(); n_others > 0) {
        text += fmt::format("{}{} more", text.empty() ? "" : " and ", n_others);
    }
    return text;
}

void start(Services& services, const std::shared_ptr<Call>& call, Result<Job>& job) {
    if (!job) {
        call->refuse(refused_by(job.error()));
        return;
    }
    if (const auto refused = refuse_model(services, job->model)) {
        call->refuse(*refused);
        return;
    }
    if (job->keep_alive_seconds) {
        if (ModelEntry* entry = services.models.find(services.model_name())) services.models.keep(*entry, *job->keep_alive_seconds);
    }
    if (!job->ignored_keys.empty()) call->add_header("rafter-ignored-keys", header_of(job->ignored_keys));
    if (job->without_engine) {
        job->without_engine(*call);
        return;
    }
    if (!job->warnings.empty()) call->add_header("rafter-warnings", fmt::format("{}", fmt::join(job->warnings, "; ")));
    std::make_shared<Generation>(services, call, *job)->start(*job);
}

}  // namespace

Refused refused_by(const Error& error) {
    switch (error.kind) {
        case ErrorKind::kBusy:
            return {.status = 429, .message = error.message, .code = "rate_limit_exceeded"};
        case ErrorKind::kOutOfMemory:
            return {.status = 503, .message = error.message, .code = "out_of_memory"};
        case ErrorKind::kCancelled:
            return {.status = 503, .message = error.message, .code = "stopping"};
        case ErrorKind::kIo:
        case ErrorKind::kInternal:
            return {.status = 500, .message = error.message};
        case ErrorKind::kBadInput:
        case ErrorKind::kUsage:
            return {.status = 400, .message = error.message};
    }
    return {.status = 500, .message = error.message};
}

Refused refused_by(const Refusal& refusal) {
    Refused refused{.status = 429, .message = refusal.message, .code = "rate_limit_exceeded"};
    if (refusal.kind == RefusalKind::kBadInput) refused = {.status = 400, .message = refusal.message};
    if (refusal.kind == RefusalKind::kStopping) refused = {.status = 503, .message = refusal.message, .code = "stopping"};
    if (refusal.kind == RefusalKind::kFailed) refused = {.status = 503, .message = refusal.message, .code = "engine_failed"};
    if (refusal.kind == RefusalKind::kBusy || refusal.kind == RefusalKind::kStopping) {
        const double seconds = std::ceil(refusal.retry_after_seconds.value_or(kMinRetrySeconds));
        refused.headers.push_back({"retry-after", fmt::format("{:.0f}", std::max<double>(seconds, kMinRetrySeconds))});
    }
    return refused;
}

std::shared_ptr<std::atomic<bool>> note_when_gone(Call& call) {
    auto gone = std::make_shared<std::atomic<bool>>(false);
    call.on_gone([gone](Gone) { *gone = true; });
    return gone;
}

JobSize job_size(const HttpRequest& request) { return request.body.size() > kLargeBody ? JobSize::kLarge : JobSize::kSmall; }

std::optional<Refused> refuse_model(const Services& services, const std::optional<std::string>& model) {
    if (!model) return std::nullopt;
    const ModelEntry* entry = services.models.find(*model);
    if (entry != nullptr && entry->name() == services.model_name()) return std::nullopt;
    return services.models.not_found(*model, ErrorForm::kOpenAi);
}

void generate(Services& services, std::shared_ptr<Call> call, JobParser parse) {
    const JobSize size = job_size(call->request());
    auto job = std::make_shared<Result<Job>>(Error{"out of memory for the request", ErrorKind::kOutOfMemory});
    const HttpRequest* request = &call->request();  // `after` keeps the call
    const std::string id = call->id();
    const std::shared_ptr<std::atomic<bool>> gone = note_when_gone(*call);
    services.workers.run(
        size,
        [request, id, job, gone, parse = std::move(parse)] {
            if (!*gone) *job = parse(request->body, id);
        },
        [&services, call = std::move(call), job] {
            if (!call->gone()) start(services, call, *job);
        });
}

}  // namespace rafter::server
