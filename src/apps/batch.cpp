// rafter batch: the requests of a file, answered many at a time so that they share each pass over the weights. A run that was interrupted
// is continued by the same command: requests whose results are in the results' file are not answered again.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <deque>
#include <memory>
#include <random>
#include <utility>

#include "apps/batch_file.h"
#include "apps/batch_survey.h"
#include "apps/cli.h"
#include "apps/options/flags.h"
#include "apps/output.h"
#include "apps/session.h"
#include "base/clock.h"
#include "base/os_file.h"
#include "base/os_terminal.h"
#include "base/quote.h"
#include "base/xxh3.h"
#include "engine/offload/model_identity.h"
#include "protocols/openai_answer.h"
#include "report/progress.h"
#include "report/units.h"

namespace rafter::apps {
namespace {

using nlohmann::ordered_json;

constexpr std::uint32_t kDefaultBatchTokens = 512;
constexpr int kStatusOk = 200;
constexpr int kStatusBadRequest = 400;
constexpr int kStatusServerError = 500;

struct BatchOptions {
    SessionOptions session;
    std::string in;
    std::string out;
    std::uint32_t n_together = 16;
    std::uint32_t n_tokens = kDefaultBatchTokens;
    std::string resume = "again";
    protocols::AnswerFormatNames answer_format;
};

std::string counted(std::uint64_t n, std::string_view noun) { return fmt::format("{} {}{}", report::grouped(n), noun, n == 1 ? "" : "s"); }

struct BatchCounts {
    std::size_t n_answered = 0;  // by this run, errors included
    std::size_t n_errors = 0;    // of them
    std::uint64_t n_prompt_tokens = 0;
    std::uint64_t n_generated_tokens = 0;
    std::string first_error;
};

// Writes results as lines of the file, and counts them.
class BatchWriter {
  public:
    BatchWriter(const BatchRequests& requests, BatchResults& results, std::string model, std::uint64_t model_identity)
        : requests_(requests),
          results_(results),
          model_(std::move(model)),
          model_identity_(model_identity),
          run_id_(std::uint64_t{std::random_device{}()} << 32U | std::random_device{}()) {}

    [[nodiscard]] Result<void> add_answer(const BatchLine& line, std::uint64_t request_hash, const protocols::OpenAiRequest& request,
                                          std::span<const protocols::OpenAiChoice> choices, const text::Tokenizer& tokenizer) {
        const auto now = std::chrono::system_clock::now().time_since_epoch();
        const protocols::OpenAiIdentity identity{
            .id = unique_id(line), .created_unix_s = std::chrono::duration_cast<std::chrono::seconds>(now).count(), .model = model_};
        ++counts_.n_answered;
        counts_.n_prompt_tokens += request.n_prompt_tokens;
        for (const protocols::OpenAiChoice& choice : choices) counts_.n_generated_tokens += choice.finish.times.n_generated;
        // A result must not depend on what ran before it.
        return add(line, request_hash, kStatusOk,
                   protocols::openai_answer(request, choices, identity, tokenizer, {.without_cached_tokens = true}));
    }
    [[nodiscard]] Result<void> add_error(const BatchLine& line, std::uint64_t request_hash, int status, const Error& error) {
        if (counts_.n_errors == 0) counts_.first_error = error.within(requests_.where(line)).message;
        ++counts_.n_answered;
        ++counts_.n_errors;
        return add(line, request_hash, status, protocols::openai_error(status, error.message));
    }
    [[nodiscard]] const BatchCounts& counts() const { return counts_; }

  private:
    [[nodiscard]] std::string unique_id(const BatchLine& line) const { return fmt::format("{:016x}{:08x}", run_id_, line.number); }
    [[nodiscard]] Result<void> add(const BatchLine& line, std::uint64_t request_hash, int status, ordered_json body) {
        return results_.add({{"id", batch_result_id(unique_id(line), {.request = request_hash, .model = model_identity_})},
                             {"custom_id", line.custom_id},
                             {"response", {{"status_code", status}, {"request_id", unique_id(line)}, {"body", std::move(body)}}},
                             {"error", nullptr}});
    }

    const BatchRequests& requests_;
    BatchResults& results_;
    std::string model_;
    std::uint64_t model_identity_;
    std::uint64_t run_id_;
    BatchCounts counts_;
};

// Keeps up to --batch sequences in the engine, and writes each answer when it is complete.
class BatchRun {
  public:
    BatchRun(const BatchOptions& options, Session& session, const BatchParser& parser, BatchWriter& writer, BatchSurvey& survey)
        : options_(options), session_(session), parser_(parser), writer_(writer), to_do_(survey.to_do) {}

    // False when nothing is left to do.
    [[nodiscard]] Result<bool> step() {
        RAFTER_TRY_VOID(refill());
        if (flights_.empty()) return false;
        const bool went_on = session_.engine().step();
        std::size_t n_ended = 0;
        for (Flight& flight : flights_) {
            if (!flight.job->choices[flight.choice].take(flight.stream->take())) continue;
            flight.stream.reset();
            ++n_ended;
            RAFTER_TRY_VOID(choice_ended(*flight.job));
        }
        if (!went_on && n_ended == 0) return Error{"the engine stopped before its answers were complete", ErrorKind::kInternal};
        std::erase_if(flights_, [](const Flight& flight) { return flight.stream == nullptr; });
        return true;
    }
    [[nodiscard]] std::uint64_t n_generated_tokens() const {
        std::uint64_t n = writer_.counts().n_generated_tokens;
        for (const Flight& flight : flights_) n += flight.job->choices[flight.choice].tokens.size();
        return n;
    }

  private:
    struct Job {  // a line under way
        const BatchLine* line;
        std::uint64_t request_hash;
        protocols::OpenAiRequest request;  // its choices go to the engine
        std::vector<protocols::OpenAiChoice> choices;
        std::size_t n_open;
    };
    struct Waiting {
        std::shared_ptr<Job> job;
        std::size_t choice;
    };
    struct Flight {
        std::shared_ptr<Job> job;
        std::size_t choice;
        std::shared_ptr<engine::TokenStream> stream;
    };

    [[nodiscard]] Result<void> refill() {
        while (flights_.size() < options_.n_together) {
            while (waiting_.empty() && next_ < to_do_.size()) RAFTER_TRY_VOID(open_line(to_do_[next_++]));
            if (waiting_.empty()) return {};
            const Waiting waiting = waiting_.front();
            engine::Request& request = waiting.job->request.choices[waiting.choice];
            waiting_.pop_front();
            auto stream = session_.engine().submit(std::move(request));
            if (!stream) {
                waiting.job->choices[waiting.choice].finish = {.reason = engine::FinishReason::kError, .error = stream.error()};
                RAFTER_TRY_VOID(choice_ended(*waiting.job));
                continue;
            }
            flights_.push_back({waiting.job, waiting.choice, *std::move(stream)});
        }
        return {};
    }

    [[nodiscard]] Result<void> open_line(BatchToDo& to_do) {
        const BatchLine& line = *to_do.line;
        auto request = parser_.parse_again(line, to_do.prompts);
        to_do.prompts = {};
        if (!request) return writer_.add_error(line, to_do.request_hash, kStatusBadRequest, request.error());
        const std::size_t n = request->choices.size();
        const auto job =
            std::make_shared<Job>(Job{&line, to_do.request_hash, *std::move(request), std::vector<protocols::OpenAiChoice>(n), n});
        for (std::size_t i = 0; i < n; ++i) waiting_.push_back({job, i});
        return {};
    }

    [[nodiscard]] Result<void> choice_ended(Job& job) {
        if (--job.n_open > 0) return {};
        for (const protocols::OpenAiChoice& choice : job.choices) {
            if (choice.finish.error) return writer_.add_error(*job.line, job.request_hash, kStatusServerError, *choice.finish.error);
        }
        return writer_.add_answer(*job.line, job.request_hash, job.request, job.choices, *session_.opened().tokenizer);
    }

    const BatchOptions& options_;
    Session& session_;
    const BatchParser& parser_;
    BatchWriter& writer_;
    std::vector<BatchToDo>& to_do_;
    std::size_t next_ = 0;  // of to_do_
    std::deque<Waiting> waiting_;
    std::vector<Flight> flights_;
};

Result<BatchRequests> read_requests(const std::string& path, const Environment& environment, BatchSurvey& survey) {
    report::Progress bar(stderr_terminal(environment), "Reading requests");
    return BatchRequests::read(path, [&](const BatchLine& line, const Result<nlohmann::json>& value, double fraction) {
        survey.add(line, value);
        bar.update(fraction);
    });
}

// Sequences of full length that the cache needs room for: those that run together at most, or fewer where the lines are shorter.
std::uint32_t n_sequences_in_cache(const BatchOptions& options, const BatchSurvey& survey, std::uint32_t context) {
    const double n_wanted = std::ceil(static_cast<double>(survey.sum_of_longest) / context);
    return static_cast<std::uint32_t>(std::clamp(n_wanted, 1.0, static_cast<double>(options.n_together)));
}

void say_what_is_special(const BatchSurvey& survey, const engine::OpenedModel& opened) {
    if (!survey.unknown_keys.empty()) {
        std::vector<std::string> keys;
        for (const std::string& key : survey.unknown_keys) keys.push_back(quote(key));
        fmt::print(stderr, "rafter batch: unknown keys in request bodies are ignored: {}\n", fmt::join(keys, ", "));
    }
    if (survey.has_chats && !opened.has_own_template) {
        fmt::print(stderr, "rafter batch: the model file has no chat template; using the {}\n", opened.chat_template.name());
    }
    for (const std::string& warning : survey.warnings) fmt::print(stderr, "rafter batch: {}\n", warning);
}

struct BatchEnd {
    bool is_complete = true;  // false after Ctrl-C: the next run answers what was in flight
    double seconds = 0.0;     // with the model loaded
};

Result<BatchEnd> answer_all(const BatchOptions& options, const Environment& environment, Session& session, const BatchParser& parser,
                            BatchWriter& writer, BatchSurvey& survey) {
    const std::uint32_t context = options.session.context.value_or(survey.longest);
    RAFTER_TRY_VOID(session.load({.context = context,
                                  .n_outputs = options.n_together,
                                  .n_sequences = n_sequences_in_cache(options, survey, context),
                                  .no_more_context = true,
                                  .target_itl_seconds = 0.0,
                                  .learns_texts = true}));
    BatchRun run(options, session, parser, writer, survey);
    report::Progress bar(stderr_terminal(environment), "Answering");
    InterruptFlag interrupt;
    const std::int64_t start_ns = monotonic_ns();
    const std::size_t n_before = writer.counts().n_answered;
    const std::size_t n_to_do = survey.to_do.size();
    while (!interrupt.is_set()) {
        RAFTER_TRY(const bool went_on, run.step());
        const double seconds = static_cast<double>(monotonic_ns() - start_ns) * 1e-9;
        if (!went_on) return BatchEnd{.is_complete = true, .seconds = seconds};
        const std::size_t n_done = writer.counts().n_answered - n_before;
        std::string note = fmt::format("{} of {}, {} tok/s", report::grouped(n_done), report::grouped(n_to_do),
                                       report::rate(static_cast<double>(run.n_generated_tokens()) / seconds));
        if (n_done > 0) {
            note +=
                fmt::format(", {} left", report::seconds(seconds / static_cast<double>(n_done) * static_cast<double>(n_to_do - n_done)));
        }
        bar.update(static_cast<double>(n_done) / static_cast<double>(n_to_do), note);
    }
    return BatchEnd{.is_complete = false, .seconds = static_cast<double>(monotonic_ns() - start_ns) * 1e-9};
}

std::string batch_summary(const BatchCounts& counts, std::size_t n_before, std::size_t n_left, double seconds) {
    using report::grouped;
    std::string line = fmt::format("{} answered", counted(counts.n_answered, "request"));
    if (counts.n_errors > 0) line += fmt::format(" ({} with an error)", grouped(counts.n_errors));
    if (n_before > 0) line += fmt::format(", {} by an earlier run", grouped(n_before));
    if (n_left > 0) line += fmt::format(", {} left", grouped(n_left));
    line += fmt::format(" · {} · {} generated", counted(counts.n_prompt_tokens, "prompt token"), grouped(counts.n_generated_tokens));
    if (counts.n_generated_tokens == 0) return line;
    return line +
           fmt::format(" · {}, {} tok/s", report::seconds(seconds), report::rate(static_cast<double>(counts.n_generated_tokens) / seconds));
}

// Of the weights, the type they are held in, and what was given in place of the model's own: the chat template and how answers are read.
Result<std::uint64_t> model_identity(const BatchOptions& options, Session& session) {
    std::uint64_t weights = engine::weights_identity(*session.opened().source, session.runtime().pool());
    if (!options.session.weights.empty()) weights = xxh3(options.session.weights, weights);
    if (options.answer_format.tools != "auto") weights = xxh3("tools " + options.answer_format.tools, weights);
    if (options.answer_format.reasoning != "auto") weights = xxh3("reasoning " + options.answer_format.reasoning, weights);
    if (options.session.chat_template_file.empty()) return weights;
    RAFTER_TRY(const std::string source, read_file(options.session.chat_template_file));
    return xxh3(source, weights);
}

// What becomes of results that do not answer these requests with this model.
Result<void> resume(const BatchOptions& options, const BatchEarlier& earlier, BatchResults& results) {
    const bool strict = options.resume == "strict";
    std::vector<std::string> others;
    if (earlier.n_other_model > 0) others.push_back(fmt::format("{} of another model", counted(earlier.n_other_model, "result")));
    if (earlier.n_other_request > 0) {
        others.push_back(fmt::format("{} of a request that has changed since", counted(earlier.n_other_request, "result")));
    }
    if (strict && earlier.n_unknown > 0) {
        others.push_back(fmt::format("{} whose id does not say which request and model it answers", counted(earlier.n_unknown, "result")));
    }
    if (strict && !others.empty()) {
        return bad_input("{}: found {}; name another --out, or ask such requests again with --resume again", options.out,
                         fmt::join(others, " and "));
    }
    if (!earlier.replaced.empty()) {
        RAFTER_TRY_VOID(results.set_aside(earlier.replaced));
        fmt::print(stderr, "rafter batch: {}: found {}; moved to {}, and {} again\n", options.out, fmt::join(others, " and "),
                   results.set_aside_path(), earlier.replaced.size() == 1 ? "the request is asked" : "their requests are asked");
    }
    if (earlier.n_unknown > 0) {
        fmt::print(stderr, "rafter batch: {}: {} not say which request and model they answer; they are taken as they are\n", options.out,
                   counted(earlier.n_unknown, "result") + (earlier.n_unknown == 1 ? " does" : " do"));
    }
    return {};
}

Result<int> batch(const BatchOptions& options, const Environment& environment) {
    RAFTER_TRY_VOID(check_usage(options.session.speculation));
    if (options.n_tokens == 0) return Error{"--tokens: expected at least 1, found 0", ErrorKind::kUsage};
    if (is_same_file(options.in, options.out)) {
        return Error{fmt::format("--out: expected another file than --in, found {}", options.out), ErrorKind::kUsage};
    }
    RAFTER_TRY(const std::unique_ptr<Session> session, Session::open(environment, options.session));
    const BatchParser parser(session->opened(),
                             {.n_tokens = options.n_tokens, .context = options.session.context, .answer_format = options.answer_format});
    BatchSurvey survey(parser, options.n_together);
    RAFTER_TRY(const BatchRequests requests, read_requests(options.in, environment, survey));
    RAFTER_TRY(BatchResults results, BatchResults::open(options.out));
    RAFTER_TRY(const std::uint64_t model, model_identity(options, *session));
    survey.finish(requests, results, model);
    RAFTER_TRY_VOID(resume(options, survey.earlier, results));
    const std::size_t n_before = survey.earlier.n_done;
    BatchWriter writer(requests, results, session->opened().config.name, model);
    for (const BatchRefusal& refused : survey.refused) {
        RAFTER_TRY_VOID(writer.add_error(*refused.line, refused.request_hash, kStatusBadRequest, refused.error));
    }
    say_what_is_special(survey, session->opened());

    BatchEnd end;
    if (!survey.to_do.empty()) {
        RAFTER_TRY(end, answer_all(options, environment, *session, parser, writer, survey));
    }
    RAFTER_TRY_VOID(results.sync());
    const BatchCounts& counts = writer.counts();
    if (counts.n_errors > 0) fmt::print(stderr, "rafter batch: {}\n", counts.first_error);
    const std::size_t n_left = requests.lines().size() - n_before - counts.n_answered;
    fmt::print(stderr, "{}\n", stderr_terminal(environment).style.dim(batch_summary(counts, n_before, n_left, end.seconds)));
    session->keep_on_disk();
    if (session->kv_disk() != nullptr) {
        fmt::print(stderr, "{}\n", stderr_terminal(environment).style.dim("KV file: " + kv_disk_text(*session->kv_disk())));
    }
    return end.is_complete ? 0 : kExitInterrupted;
}

}  // namespace

void add_batch(CLI::App& app, Cli& cli) {
    const auto batch_options = std::make_shared<BatchOptions>();
    BatchOptions& o = *batch_options;
    Verb verb{.name = "batch", .summary = "Answer a file of requests in OpenAI's batch format"};
    verb.options.add("model", o.session.model, {.required = true});
    verb.options.add("in", o.in, {.required = true});
    verb.options.add("out", o.out, {.required = true});
    verb.options.add("chat-template", o.session.chat_template_file);
    verb.options.add("tool-parser", o.answer_format.tools);
    verb.options.add("reasoning-parser", o.answer_format.reasoning);
    verb.options.add("batch", o.n_together);
    verb.options.add("resume", o.resume);
    verb.options.add("tokens", o.n_tokens);
    verb.options.add("context", o.session.context, {.otherwise = "what the longest request needs"});
    add_session_options(verb.options, o.session);
    add_kv_disk_options(verb.options, o.session.kv_disk);
    add_speculation_options(verb.options, o.session.speculation, {.default_value = "auto", .except = "compare"});
    verb.footer =
        "A request's url is /v1/chat/completions or /v1/completions; --tokens counts where it does not say\n"
        "how long its answer may be. Sampling is OpenAI's: temperature 1 unless a request says otherwise\n"
        "(`rafter run` takes the model's own).\n"
        "Each result is a line of --out as soon as it is complete. Run the same command again to continue a\n"
        "run that was ended: a result of the same request and the same model is not asked for again. Other\n"
        "results of these requests are moved to FILE.replaced, and their requests are asked again.\n"
        "Exit status 0 says that every request has its result, be it an error: status_code tells.\n\n"
        "Example:\n"
        "  rafter batch SmolLM2-135M-Instruct --in prompts.jsonl --out results.jsonl";
    verb.run = [batch_options](const Environment& environment) { return batch(*batch_options, environment); };
    add_verb(app, cli, std::move(verb));
}

}  // namespace rafter::apps
