// rafter batch: requests of a file answered together, as many at a time as make the most of each pass over the weights. A run that ended
// for whatever reason goes on where it was: what is in the results' file is not asked again.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <deque>
#include <functional>
#include <memory>
#include <queue>
#include <random>
#include <set>

#include "apps/batch_file.h"
#include "apps/cli.h"
#include "apps/output.h"
#include "apps/session.h"
#include "base/clock.h"
#include "base/fnv.h"
#include "base/json_reader.h"
#include "base/os_terminal.h"
#include "base/quote.h"
#include "protocols/openai_answer.h"
#include "protocols/openai_request.h"
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
};

// A request without a seed gets one of its own, the same in every run.
std::uint64_t seed_of(std::string_view custom_id) {
    std::uint64_t hash = kFnvBasis;
    for (const char byte : custom_id) hash = fnv1a(hash, static_cast<unsigned char>(byte));
    return hash;
}

struct BatchCounts {
    std::size_t n_answered = 0;  // by this run, errors included
    std::size_t n_errors = 0;    // of them
    std::uint64_t n_prompt_tokens = 0;
    std::uint64_t n_generated_tokens = 0;
    std::string first_error;
};

// From results to lines of the file, and what they add up to.
class BatchWriter {
  public:
    BatchWriter(const BatchRequests& requests, BatchResults& results, std::string model)
        : requests_(requests),
          results_(results),
          model_(std::move(model)),
          run_id_(std::uint64_t{std::random_device{}()} << 32U | std::random_device{}()) {}

    [[nodiscard]] Result<void> add_answer(const BatchLine& line, const protocols::OpenAiRequest& request,
                                          std::span<const protocols::OpenAiChoice> choices, const text::Tokenizer& tokenizer) {
        const auto now = std::chrono::system_clock::now().time_since_epoch();
        const protocols::OpenAiIdentity identity{
            .id = unique_id(line), .created_unix_s = std::chrono::duration_cast<std::chrono::seconds>(now).count(), .model = model_};
        ++counts_.n_answered;
        counts_.n_prompt_tokens += request.n_prompt_tokens;
        for (const protocols::OpenAiChoice& choice : choices) counts_.n_generated_tokens += choice.finish.times.n_generated;
        return add(line, kStatusOk, protocols::openai_answer(request, choices, identity, tokenizer));
    }
    [[nodiscard]] Result<void> add_error(const BatchLine& line, int status, const Error& error) {
        if (counts_.n_errors == 0) counts_.first_error = error.within(requests_.where(line)).message;
        ++counts_.n_answered;
        ++counts_.n_errors;
        return add(line, status, protocols::openai_error(status, error.message));
    }
    [[nodiscard]] const BatchCounts& counts() const { return counts_; }

  private:
    [[nodiscard]] std::string unique_id(const BatchLine& line) const { return fmt::format("{:016x}{:08x}", run_id_, line.number); }
    [[nodiscard]] Result<void> add(const BatchLine& line, int status, ordered_json body) {
        return results_.add({{"id", batch_request_id(unique_id(line))},
                             {"custom_id", line.custom_id},
                             {"response", {{"status_code", status}, {"request_id", unique_id(line)}, {"body", std::move(body)}}},
                             {"error", nullptr}});
    }

    const BatchRequests& requests_;
    BatchResults& results_;
    std::string model_;
    std::uint64_t run_id_;
    BatchCounts counts_;
};

// A line as the engine's requests. Fails on what cannot be served, whatever else runs.
class BatchParser {
  public:
    BatchParser(const BatchOptions& options, const engine::OpenedModel& opened)
        : n_tokens_(options.n_tokens),
          opened_(opened),
          // Not what is then chosen for the cache: what a line gets must not depend on the others.
          context_(std::min(options.session.context.value_or(opened.config.n_context), opened.config.n_context)) {}

    [[nodiscard]] Result<protocols::OpenAiRequest> parse(const BatchLine& line) const {
        RAFTER_TRY(const nlohmann::json value, parse_json(line.text, "line"));
        RAFTER_TRY(const JsonReader reader, JsonReader::open(value, "line"));
        RAFTER_TRY(const auto method, reader.find_string("method"));
        RAFTER_TRY(const auto url, reader.find_string("url"));
        if (method != "POST") return bad_input("method: expected POST, found {}", method ? quote(*method) : "no such key");
        const auto endpoint = protocols::find_openai_endpoint(url.value_or(""));
        if (!endpoint) {
            return bad_input("url: expected /v1/chat/completions or /v1/completions, found {}", url ? quote(*url) : "no such key");
        }
        const nlohmann::json* body = reader.find("body");
        if (body == nullptr) return bad_input("body: expected an object, found no such key");
        const protocols::OpenAiDefaults defaults{.max_tokens = n_tokens_, .seed = seed_of(line.custom_id)};
        RAFTER_TRY(protocols::OpenAiRequest request, protocols::parse_openai_request(*endpoint, *body, opened_, defaults));
        if (request.stream) return bad_input("body: stream: expected false, found true: results come as a whole");
        for (const engine::Request& choice : request.choices) {
            if (choice.prompt.size() < context_) continue;
            return bad_input("the prompt is too long: expected at most {} tokens in a context of {}, found {}", context_ - 1, context_,
                             choice.prompt.size());
        }
        return request;
    }
    // Tokens that a choice may have at most, prompt and answer.
    [[nodiscard]] std::uint32_t room_for(const engine::Request& choice) const {
        return static_cast<std::uint32_t>(std::min<std::uint64_t>(context_, std::uint64_t{choice.max_tokens} + choice.prompt.size()));
    }

  private:
    std::uint32_t n_tokens_;
    const engine::OpenedModel& opened_;
    std::uint32_t context_;
};

// What all requests together need, before any of them runs.
struct BatchSurvey {
    std::vector<const BatchLine*> to_do;
    std::uint32_t longest = 0;         // tokens, of any line of the file: also of those that an earlier run answered
    std::uint64_t sum_of_longest = 0;  // of as many sequences as run together
    std::set<std::string> unknown_keys;
    bool has_chats = false;
};

Result<BatchSurvey> survey_batch(const BatchOptions& options, const Environment& environment, const BatchRequests& requests,
                                 const BatchResults& results, const BatchParser& parser, BatchWriter& writer) {
    BatchSurvey survey;
    std::priority_queue<std::uint32_t, std::vector<std::uint32_t>, std::greater<>> longest;  // n_together of them at most
    report::Progress bar(stderr_terminal(environment), "Reading requests");
    for (const BatchLine& line : requests.lines()) {
        const bool is_answered = results.has(line.custom_id);
        const auto request = parser.parse(line);
        if (!request) {
            if (!is_answered) RAFTER_TRY_VOID(writer.add_error(line, kStatusBadRequest, request.error()));
            continue;
        }
        for (const engine::Request& choice : request->choices) {
            longest.push(parser.room_for(choice));
            survey.longest = std::max(survey.longest, parser.room_for(choice));
            if (longest.size() > options.n_together) longest.pop();
        }
        if (is_answered) continue;
        survey.to_do.push_back(&line);
        survey.unknown_keys.insert(request->unknown_keys.begin(), request->unknown_keys.end());
        survey.has_chats |= request->endpoint == protocols::OpenAiEndpoint::kChatCompletions;
        bar.update(static_cast<double>(line.number) / static_cast<double>(requests.lines().back().number));
    }
    for (; !longest.empty(); longest.pop()) survey.sum_of_longest += longest.top();
    return survey;
}

// Keeps as many sequences in the engine as it has room for, and takes their answers to the file.
class BatchRun {
  public:
    BatchRun(const BatchOptions& options, Session& session, const BatchParser& parser, BatchWriter& writer, const BatchSurvey& survey)
        : options_(options), session_(session), parser_(parser), writer_(writer), to_do_(survey.to_do) {}

    // False when there was nothing left to do. Ends in order when the engine fails.
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
        if (!went_on && n_ended == 0) return Error{"the engine stopped before its answers were complete"};
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
            while (waiting_.empty() && next_ < to_do_.size()) RAFTER_TRY_VOID(open_line(*to_do_[next_++]));
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

    [[nodiscard]] Result<void> open_line(const BatchLine& line) {
        auto request = parser_.parse(line);
        if (!request) return writer_.add_error(line, kStatusBadRequest, request.error());
        const std::size_t n = request->choices.size();
        const auto job = std::make_shared<Job>(Job{&line, *std::move(request), std::vector<protocols::OpenAiChoice>(n), n});
        for (std::size_t i = 0; i < n; ++i) waiting_.push_back({job, i});
        return {};
    }

    [[nodiscard]] Result<void> choice_ended(Job& job) {
        if (--job.n_open > 0) return {};
        for (const protocols::OpenAiChoice& choice : job.choices) {
            if (choice.finish.error) return writer_.add_error(*job.line, kStatusServerError, *choice.finish.error);
        }
        return writer_.add_answer(*job.line, job.request, job.choices, *session_.opened().tokenizer);
    }

    const BatchOptions& options_;
    Session& session_;
    const BatchParser& parser_;
    BatchWriter& writer_;
    const std::vector<const BatchLine*>& to_do_;
    std::size_t next_ = 0;  // of to_do_
    std::deque<Waiting> waiting_;
    std::vector<Flight> flights_;
};

// Room in the cache for as many as run together, or fewer where all the work needs less.
std::uint32_t n_sequences_in_cache(const BatchOptions& options, const BatchSurvey& survey, std::uint32_t context) {
    const double n_wanted = std::ceil(static_cast<double>(survey.sum_of_longest) / context);
    return static_cast<std::uint32_t>(std::clamp(n_wanted, 1.0, static_cast<double>(options.n_together)));
}

void say_what_is_special(const BatchSurvey& survey, const engine::OpenedModel& opened) {
    if (!survey.unknown_keys.empty()) {
        std::vector<std::string> keys;
        for (const std::string& key : survey.unknown_keys) keys.push_back(quote(key));
        fmt::print(stderr, "rafter batch: keys of a body that mean nothing here: {}\n", fmt::join(keys, ", "));
    }
    if (survey.has_chats && !opened.has_own_template) {
        fmt::print(stderr, "rafter batch: the model file has no chat template; taken: {}\n", opened.chat_template.name());
    }
}

struct BatchEnd {
    bool is_complete = true;  // Ctrl-C ends it early, and what was under way then is asked again in the next run
    double seconds = 0.0;     // with the model loaded
};

Result<BatchEnd> answer_all(const BatchOptions& options, const Environment& environment, Session& session, const BatchParser& parser,
                            BatchWriter& writer, const BatchSurvey& survey) {
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
    std::string line = fmt::format("{} requests answered", grouped(counts.n_answered));
    if (counts.n_errors > 0) line += fmt::format(" ({} with an error)", grouped(counts.n_errors));
    if (n_before > 0) line += fmt::format(", {} by an earlier run", grouped(n_before));
    if (n_left > 0) line += fmt::format(", {} left", grouped(n_left));
    line += fmt::format(" · {} prompt tokens · {} generated", grouped(counts.n_prompt_tokens), grouped(counts.n_generated_tokens));
    if (counts.n_generated_tokens == 0) return line;
    return line +
           fmt::format(" · {}, {} tok/s", report::seconds(seconds), report::rate(static_cast<double>(counts.n_generated_tokens) / seconds));
}

Result<int> batch(const BatchOptions& options, const Environment& environment) {
    RAFTER_TRY_VOID(check_usage(options.session.speculation));
    if (is_same_file(options.in, options.out)) {
        return Error{fmt::format("--out: expected another file than --in, found {}", options.out), ErrorKind::kUsage};
    }
    RAFTER_TRY(const BatchRequests requests, BatchRequests::read(options.in));
    RAFTER_TRY(const std::unique_ptr<Session> session, Session::open(environment, options.session));
    RAFTER_TRY(BatchResults results, BatchResults::open(options.out));
    const auto n_before = static_cast<std::size_t>(std::count_if(requests.lines().begin(), requests.lines().end(),
                                                                 [&](const BatchLine& line) { return results.has(line.custom_id); }));
    const BatchParser parser(options, session->opened());
    BatchWriter writer(requests, results, session->opened().config.name);
    RAFTER_TRY(const BatchSurvey survey, survey_batch(options, environment, requests, results, parser, writer));
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
    const auto options = std::make_shared<BatchOptions>();
    CLI::App* verb = app.add_subcommand("batch", "Answer a file of requests in OpenAI's batch format");
    add_session_options(*verb, options->session);
    add_kv_disk_flags(*verb, options->session.kv_disk);
    add_speculation_flags(*verb, options->session.speculation, "auto");
    verb->add_option("--in", options->in, "The requests, a JSON object a line: custom_id, method, url, body")
        ->type_name("FILE.jsonl")
        ->required();
    verb->add_option("--out", options->out,
                     "Where the results go, a line each as they come; what an earlier run left there is kept, and not done again")
        ->type_name("FILE.jsonl")
        ->required();
    verb->add_option("--batch", options->n_together, "Sequences that are generated together at most")
        ->check(CLI::Range(1U, 4096U))
        ->type_name("N")
        ->capture_default_str();
    verb->add_option("-n,--tokens", options->n_tokens, "Tokens to generate at most where a request does not say")
        ->check(CLI::Range(1U, ~0U))
        ->type_name("N")
        ->capture_default_str();
    verb->add_option("--context", options->session.context,
                     "Tokens that prompt and answer may have together (default: what the longest request needs)")
        ->check(CLI::Range(1U, ~0U))
        ->type_name("N");
    verb->footer(
        "A request's url is /v1/chat/completions or /v1/completions. A run that was ended goes on when it is started again. Exit status 0 "
        "says\n"
        "that every request has its result, be it an error: status_code tells.\n\n"
        "Example:\n"
        "  rafter batch SmolLM2-135M-Instruct --in prompts.jsonl --out results.jsonl");
    verb->callback([options, &cli] {
        cli.action = [options, &cli] {
            const Result<int> status = batch(*options, cli.environment);
            return status ? *status : report_error("batch", status.error());
        };
    });
}

}  // namespace rafter::apps
