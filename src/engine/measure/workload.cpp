// A prompt's tokens are pure functions of the seed, the request's number and the position, so a million requests need no room.
#include "engine/measure/workload.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <sstream>
#include <string>
#include <thread>

#include "base/json_reader.h"
#include "base/os_file.h"
#include "base/xxh3.h"
#include "engine/sampling/noise.h"

namespace rafter::engine {
namespace {

constexpr std::uint64_t kSharedStream = 1ULL << 62U;   // noise of tokens that all prompts begin with
constexpr std::uint64_t kArrivalStream = 1ULL << 63U;  // and of gaps between arrivals

struct Active {
    std::shared_ptr<TokenStream> stream;
    std::uint64_t number = 0;
    double arrived = 0.0;
    double last_token = 0.0;
    bool has_token = false;
    std::uint64_t hash = 0;
};

// Requests that are under way or wait. Beyond that arrivals are held back: each step looks at all of them.
constexpr std::size_t kMaxActive = 4096;

}  // namespace

Workload::Workload(const WorkloadOptions& options) : options_(options) {}

Result<Workload> Workload::read(const std::filesystem::path& path, const WorkloadOptions& options) {
    RAFTER_TRY(const std::string text, read_file(path));
    Workload workload(options);
    std::istringstream lines(text);
    std::string line;
    for (std::size_t number = 1; std::getline(lines, line); ++number) {
        if (line.empty()) continue;
        RAFTER_TRY(const Traced traced, workload.read_line(line, fmt::format("{}, line {}", path.string(), number)));
        workload.trace_.push_back(traced);
    }
    if (workload.trace_.empty()) return bad_input("{}: no requests", path.string());
    return workload;
}

Result<Workload::Traced> Workload::read_line(std::string_view text, const std::string& where) const {
    constexpr std::uint32_t kMaxTokens = 1U << 24U;
    constexpr double kMaxPriority = 1000.0;
    RAFTER_TRY(const nlohmann::json value, parse_json(text, where));
    RAFTER_TRY(const JsonReader reader, JsonReader::open(value, where));
    Traced traced{.prompt = options_.prompt, .generate = options_.generate, .shared = options_.shared_prefix};
    RAFTER_TRY(traced.seconds, reader.get_number("arrival_seconds", 0.0, 1e9));
    if (!trace_.empty() && traced.seconds < trace_.back().seconds) {
        return bad_input("{}: arrival_seconds: expected at least {}, as the line before, found {}", where, trace_.back().seconds,
                         traced.seconds);
    }
    RAFTER_TRY(const auto prompt, reader.find_uint("prompt_tokens", 1, kMaxTokens));
    RAFTER_TRY(const auto generate, reader.find_uint("output_tokens", 1, kMaxTokens));
    RAFTER_TRY(const auto shared, reader.find_uint("shared_tokens", 0, kMaxTokens));
    RAFTER_TRY(const auto priority, reader.find_number("priority", -kMaxPriority, kMaxPriority));
    traced.prompt = prompt.value_or(traced.prompt);
    traced.generate = generate.value_or(traced.generate);
    traced.shared = shared.value_or(traced.shared);
    traced.priority = static_cast<int>(priority.value_or(0.0));
    if (traced.shared >= traced.prompt) {
        return bad_input("{}: shared_tokens: expected fewer than the prompt's {}, found {}", where, traced.prompt, traced.shared);
    }
    return traced;
}

std::optional<Arrival> Workload::next() {
    if (next_ >= n_requests()) return std::nullopt;
    Traced wanted{.prompt = options_.prompt, .generate = options_.generate, .shared = options_.shared_prefix};
    if (!trace_.empty()) {
        wanted = trace_[next_];
    } else if (options_.requests_per_second > 0.0) {
        wanted.seconds = seconds_;
        seconds_ -= std::log1p(-uniform(options_.seed ^ kArrivalStream, static_cast<std::uint32_t>(next_))) / options_.requests_per_second;
    }
    Arrival arrived = arrival(wanted);
    ++next_;
    return arrived;
}

Arrival Workload::arrival(const Traced& wanted) const {
    Arrival arrival{.seconds = wanted.seconds, .request = {}};
    std::vector<TokenId>& prompt = arrival.request.prompt;
    prompt.resize(wanted.prompt);
    const auto make_up = [&](std::uint32_t from, std::uint32_t until, std::uint64_t stream) {
        for (std::uint32_t i = from; i < until;) {
            const auto words = TokenNoise(stream, 0).upper(i / 4);
            const std::uint32_t n = std::min(until, i / 4 * 4 + 4);
            for (; i < n; ++i) prompt[i] = static_cast<TokenId>(std::uint64_t{words[i % 4]} * options_.n_vocab >> 32U);
        }
    };
    make_up(0, wanted.shared, options_.seed ^ kSharedStream);
    make_up(wanted.shared, wanted.prompt, options_.seed + next_);
    arrival.request.max_tokens = wanted.generate;
    arrival.request.priority = wanted.priority;
    return arrival;
}

std::uint32_t Workload::longest() const {
    std::uint32_t most = trace_.empty() ? options_.prompt + options_.generate : 0;
    for (const Traced& traced : trace_) most = std::max(most, traced.prompt + traced.generate);
    return most;
}

Result<WorkloadReport> run_workload(Workload& workload, Worker& worker, const std::function<void(std::uint64_t n_ended)>& progress) {
    WorkloadReport report;
    std::vector<Active> active;
    StreamUpdate update;
    std::uint64_t n_ended = 0;
    double waste = 0.0, contiguous = 0.0, n_sequence_steps = 0.0;
    const double start = worker.now();
    std::optional<Arrival> coming = workload.next();
    while (coming || !active.empty()) {
        while (coming && active.size() < kMaxActive && coming->seconds <= worker.now() - start) {
            report.prompt_tokens += coming->request.prompt.size();
            RAFTER_TRY(auto stream, worker.submit(std::move(coming->request)));
            active.push_back({.stream = std::move(stream), .number = report.n_requests, .arrived = start + coming->seconds});
            ++report.n_requests;
            coming = workload.next();
        }
        if (!worker.step()) {
            if (coming && active.empty()) worker.wait_until(start + coming->seconds);
        } else if (const StepReport& step = worker.last_step(); step.shape.n_tokens() > 0) {
            ++report.n_steps;
            report.step_seconds += step.step_seconds;
            report.forward_seconds += step.forward_seconds;
            report.predicted_seconds += step.predicted_seconds;
            report.priced_seconds += step.priced_seconds;
            waste += static_cast<double>(step.cache.wasted_positions);
            contiguous += static_cast<double>(step.cache.contiguous_wasted);
            n_sequence_steps += static_cast<double>(step.cache.n_sequences);
            if (step.cache.n_used > report.most_used.n_used || report.n_steps == 1) report.most_used = step.cache;
        }
        const double now = worker.now();
        std::erase_if(active, [&](Active& request) {
            request.stream->take(update);
            for (const GeneratedToken& token : update.tokens) request.hash = xxh3(static_cast<std::uint64_t>(token.id), request.hash);
            if (!update.tokens.empty()) {
                report.generated_tokens += update.tokens.size();
                if (!request.has_token) report.ttft_seconds.add(now - request.arrived);
                // Tokens of one step come together: each took its part of the time.
                const double each = (now - request.last_token) / static_cast<double>(update.tokens.size());
                for (std::size_t i = 0; request.has_token && i < update.tokens.size(); ++i) report.itl_seconds.add(each);
                request.has_token = true;
                request.last_token = now;
            }
            if (!update.finish) return false;
            report.n_failed += update.finish->reason == FinishReason::kError;
            report.request_seconds.add(now - request.arrived);
            report.tokens_hash += xxh3(request.number, request.hash);
            ++n_ended;
            return true;
        });
        if (progress) progress(n_ended);
    }
    report.seconds = worker.now() - start;
    if (n_sequence_steps > 0.0) {
        report.mean_wasted = waste / n_sequence_steps;
        report.mean_contiguous = contiguous / n_sequence_steps;
    }
    report.cache = worker.scheduler().cache().counters();
    report.scheduler = worker.scheduler().counters();
    report.work = worker.work();
    return report;
}

double EngineWorker::now() const { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

bool EngineWorker::step() {
    const bool worked = engine_.step();
    if (cost_of_ && engine_.last_step().shape.n_tokens() > 0) work_ += cost_of_(engine_.last_step().shape);
    return worked;
}

void EngineWorker::wait_until(double seconds) {
    const double wait = seconds - now();
    if (wait > 0.0) std::this_thread::sleep_for(std::chrono::duration<double>(wait));
}

}  // namespace rafter::engine
