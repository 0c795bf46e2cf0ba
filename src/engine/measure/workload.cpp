// A prompt's tokens are pure functions of the seed, the request's number and the position, so a million requests need no room.
#include "engine/measure/workload.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <deque>
#include <sstream>
#include <string>
#include <thread>

#include "base/json_reader.h"
#include "base/os_file.h"
#include "base/quote.h"
#include "base/suggest.h"
#include "base/xxh3.h"
#include "engine/sampling/noise.h"

namespace rafter::engine {
namespace {

constexpr std::uint64_t kSharedStream = 1ULL << 62U;   // noise of tokens that all prompts begin with
constexpr std::uint64_t kArrivalStream = 1ULL << 63U;  // and of gaps between arrivals
constexpr std::uint64_t kHashStream = 1ULL << 61U;     // and of blocks that hash ids name
constexpr std::uint64_t kMaxHashId = 1ULL << 60U;      // below the other streams
constexpr std::uint32_t kHashedTokens = 512;           // of a block that a hash id names
constexpr std::uint32_t kMaxTokens = 1U << 24U;

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
    std::set<std::string> warned;
    for (std::size_t number = 1; std::getline(lines, line); ++number) {
        if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
        RAFTER_TRY_VOID(workload.add_line(line, fmt::format("{}, line {}", path.string(), number), warned));
    }
    if (workload.trace_.empty()) return bad_input("{}: no requests", path.string());
    return workload;
}

Result<void> Workload::add_line(std::string_view text, const std::string& where, std::set<std::string>& warned) {
    RAFTER_TRY(const nlohmann::json value, parse_json(text, where));
    RAFTER_TRY(const JsonReader line, JsonReader::open(value, where));
    const bool mooncake =
        !value.contains("arrival_seconds") && (value.contains("timestamp") || value.contains("input_length") || value.contains("hash_ids"));
    Traced traced;
    if (mooncake) {
        constexpr double kMaxMs = 1e15;
        RAFTER_TRY(const double first_ms, line.get_number("timestamp", 0.0, kMaxMs));
        if (!first_ms_) first_ms_ = first_ms;
        RAFTER_TRY(traced, read_mooncake_line(line, *first_ms_));
    } else {
        RAFTER_TRY(traced, read_line(line));
    }
    if (const double before = trace_.empty() ? 0.0 : trace_.back().seconds; traced.seconds < before) {
        return mooncake
                   ? bad_input("{}: timestamp: expected at least {:.10g}, as the line before, found {:.10g}", where,
                               before * 1e3 + *first_ms_, traced.seconds * 1e3 + *first_ms_)
                   : bad_input("{}: arrival_seconds: expected at least {}, as the line before, found {}", where, before, traced.seconds);
    }
    trace_.push_back(std::move(traced));
    for (const std::string& key : line.unknown_keys()) {
        if (!warned.insert(key).second) continue;
        warnings_.push_back(fmt::format("{}: {} is not a key of a trace and is ignored, here and in other lines{}", where, quote(key),
                                        did_you_mean(key, line.known_keys())));
    }
    return {};
}

Result<Workload::Traced> Workload::read_line(const JsonReader& line) const {
    constexpr double kMaxPriority = 1000.0;
    Traced traced{.prompt = options_.prompt, .generate = options_.generate, .shared = options_.shared_prefix};
    RAFTER_TRY(traced.seconds, line.get_number("arrival_seconds", 0.0, 1e9));
    RAFTER_TRY(const auto prompt, line.find_uint("prompt_tokens", 1, kMaxTokens));
    RAFTER_TRY(const auto generate, line.find_uint("output_tokens", 1, kMaxTokens));
    RAFTER_TRY(const auto shared, line.find_uint("shared_tokens", 0, kMaxTokens));
    RAFTER_TRY(const auto priority, line.find_number("priority", -kMaxPriority, kMaxPriority));
    traced.prompt = prompt.value_or(traced.prompt);
    traced.generate = generate.value_or(traced.generate);
    traced.shared = shared.value_or(traced.shared);
    traced.priority = static_cast<int>(priority.value_or(0.0));
    if (traced.shared >= traced.prompt) {
        return bad_input("{}: shared_tokens: expected fewer than the prompt's {}, found {}", line.where(), traced.prompt, traced.shared);
    }
    return traced;
}

Result<Workload::Traced> Workload::read_mooncake_line(const JsonReader& line, double first_ms) {
    Traced traced;
    RAFTER_TRY(const double ms, line.get_number("timestamp", 0.0, 1e15));
    traced.seconds = (ms - first_ms) * 1e-3;
    RAFTER_TRY(traced.prompt, line.get_uint("input_length", 1, kMaxTokens));
    RAFTER_TRY(traced.generate, line.get_uint("output_length", 1, kMaxTokens));
    const nlohmann::json* ids = line.find("hash_ids");
    if (ids == nullptr) return traced;
    if (!ids->is_array()) return bad_input("{}: hash_ids: expected a list of numbers, found {}", line.where(), shown_json(*ids));
    const std::size_t n_blocks = (traced.prompt + kHashedTokens - 1) / kHashedTokens;
    if (ids->size() > n_blocks) {
        return bad_input("{}: hash_ids: expected at most {}, one for each {} of the prompt's {} tokens, found {}", line.where(), n_blocks,
                         kHashedTokens, traced.prompt, ids->size());
    }
    for (const nlohmann::json& id : *ids) {
        if (!id.is_number_unsigned() || id.get<std::uint64_t>() > kMaxHashId) {
            return bad_input("{}: hash_ids: expected whole numbers from 0 to {}, found {}", line.where(), kMaxHashId, shown_json(id));
        }
        traced.hash_ids.push_back(id.get<std::uint64_t>());
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
    std::uint32_t n_made = wanted.shared;
    make_up(0, n_made, options_.seed ^ kSharedStream);
    for (const std::uint64_t id : wanted.hash_ids) {
        const std::uint32_t until = std::min(wanted.prompt, n_made + kHashedTokens);
        make_up(n_made, until, (options_.seed ^ kHashStream) + id);
        n_made = until;
    }
    make_up(n_made, wanted.prompt, options_.seed + next_);
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
    const bool closed = workload.options().n_users > 0;
    // When users of a closed loop send their next requests; all think equally long, so that who was answered first is first again.
    std::deque<double> ready(closed ? std::min<std::uint64_t>(workload.options().n_users, workload.n_requests()) : 0, 0.0);
    const auto next_arrival = [&]() -> std::optional<Arrival> {
        if (closed && ready.empty()) return std::nullopt;
        std::optional<Arrival> arrival = workload.next();
        if (!closed || !arrival) return arrival;
        arrival->seconds = ready.front();
        ready.pop_front();
        return arrival;
    };
    std::optional<Arrival> coming = next_arrival();
    while (coming || !active.empty()) {
        while (coming && active.size() < kMaxActive && coming->seconds <= worker.now() - start) {
            report.prompt_tokens += coming->request.prompt.size();
            RAFTER_TRY(auto stream, worker.submit(std::move(coming->request)));
            active.push_back({.stream = std::move(stream), .number = report.n_requests, .arrived = start + coming->seconds});
            ++report.n_requests;
            report.most_in_flight = std::max<std::uint64_t>(report.most_in_flight, active.size());
            coming = next_arrival();
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
            if (closed) ready.push_back(now - start + workload.options().think_seconds);
            return true;
        });
        if (!coming) coming = next_arrival();
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
