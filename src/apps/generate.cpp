// The roofline's bytes, summed over the very steps that were timed.
#include "apps/generate.h"

#include <algorithm>

#include "apps/machine_profile.h"
#include "base/os_cpu.h"
#include "report/units.h"
#include "roofline/op_cost.h"

namespace rafter::apps {
namespace {

// Of the rate that is reached undisturbed; on a quiet machine steps are within a tenth.
constexpr double kQuietShare = 0.75;
constexpr std::size_t kMinSteps = 16;
// Of the time of all steps. Threads of one team wait for the one that waits for a CPU.
constexpr double kWaitedShare = 0.1;

}  // namespace

GenerationCost& GenerationCost::operator+=(const GenerationCost& other) {
    n_prompt += other.n_prompt;
    n_reused += other.n_reused;
    n_generated += other.n_generated;
    prefill_seconds += other.prefill_seconds;
    n_decoded += other.n_decoded;
    n_decode_steps += other.n_decode_steps;
    decode_seconds += other.decode_seconds;
    decode_bytes += other.decode_bytes;
    waited_seconds += other.waited_seconds;
    plain_step_rates.insert(plain_step_rates.end(), other.plain_step_rates.begin(), other.plain_step_rates.end());
    return *this;
}

bool GenerationCost::was_disturbed() const {
    if (waited_seconds > kWaitedShare * (prefill_seconds + decode_seconds)) return true;
    if (plain_step_rates.size() < kMinSteps) return false;
    std::vector<float> rates = plain_step_rates;
    const auto fast = rates.begin() + static_cast<std::ptrdiff_t>(rates.size() * 9 / 10);
    std::nth_element(rates.begin(), fast, rates.end());
    double inverse_sum = 0.0;
    for (const float rate : rates) inverse_sum += 1.0 / rate;
    const double mean = static_cast<double>(rates.size()) / inverse_sum;
    return mean < kQuietShare * *fast;
}

Result<Generations> generate_all(Session& session, std::vector<engine::Request> requests, const AnswerSink& on_text,
                                 InterruptFlag& interrupt, engine::StepProfiler* profiler) {
    engine::Engine& engine = session.engine();
    std::vector<std::shared_ptr<engine::TokenStream>> streams;
    const auto cancel_all = [&] {
        for (const auto& stream : streams) stream->cancel();
    };
    for (engine::Request& request : requests) {
        auto stream = engine.submit(std::move(request));
        if (!stream) {
            cancel_all();
            while (engine.step()) {}
            return stream.error();
        }
        streams.push_back(*std::move(stream));
    }
    const model::Program& program = session.loaded().device->program();
    Generations all;
    all.answers.resize(streams.size());
    GenerationCost& cost = all.cost;
    // Of a team with more threads than CPUs, threads wait for each other.
    const bool has_cpus = session.runtime().pool().n_threads() <= usable_cpus();
    const std::optional<double> waited_before = has_cpus ? waited_for_cpu_seconds() : std::nullopt;
    Result<void> written;
    std::optional<Error> failed;
    std::vector<bool> finished(streams.size(), false);
    for (std::size_t n_running = streams.size(); n_running > 0;) {
        engine.step();
        const engine::StepReport& report = engine.last_step();
        if (profiler != nullptr) profiler->record(report);
        std::size_t n_decoded = 0;  // tokens, where the step only decoded
        for (std::size_t i = 0; i < streams.size(); ++i) {
            if (finished[i]) continue;
            Generation& answer = all.answers[i];
            engine::StreamUpdate update = streams[i]->take();
            n_decoded += update.tokens.size();
            std::move(update.tokens.begin(), update.tokens.end(), std::back_inserter(answer.tokens));
            answer.text += update.text;
            if (written && !update.text.empty()) written = on_text(i, update.text);
            if (!update.finish) continue;
            finished[i] = true;
            --n_running;
            answer.finish = *std::move(update.finish);
            answer.cost.n_prompt = answer.finish.times.n_prompt;
            answer.cost.n_reused = answer.finish.times.n_reused;
            answer.cost.n_generated = answer.finish.times.n_generated;
            cost += answer.cost;
            if (answer.finish.error && !failed) failed = *answer.finish.error;
        }
        if (report.kind == engine::StepKind::kDecode) {
            cost.n_decoded += n_decoded;
            ++cost.n_decode_steps;
            cost.decode_seconds += report.step_seconds;
            const double bytes = roofline::step_cost(program, report.shape, {.kv = session.loaded().kv_element_bytes}).read_bytes();
            cost.decode_bytes += bytes;
            const auto is_plain = [](const model::SequenceStep& sequence) { return sequence.n_new == 1; };
            if (report.step_seconds > 0 && std::all_of(report.shape.sequences.begin(), report.shape.sequences.end(), is_plain)) {
                cost.plain_step_rates.push_back(static_cast<float>(bytes / report.step_seconds));
            }
        } else {
            cost.prefill_seconds += report.step_seconds;
        }
        if (interrupt.is_set() || !written || failed) cancel_all();
    }
    if (!written) return written.error();
    if (failed) return *failed;
    if (waited_before) cost.waited_seconds = std::max(0.0, waited_for_cpu_seconds().value_or(0.0) - *waited_before);
    return all;
}

Result<Generation> generate(Session& session, engine::Request request, const std::function<Result<void>(std::string_view)>& on_text,
                            InterruptFlag& interrupt, engine::StepProfiler* profiler) {
    std::vector<engine::Request> requests;
    requests.push_back(std::move(request));
    const auto on_answer = [&](std::size_t /*answer*/, std::string_view text) { return on_text(text); };
    RAFTER_TRY(Generations all, generate_all(session, std::move(requests), on_answer, interrupt, profiler));
    all.answers[0].cost = all.cost;
    return std::move(all.answers[0]);
}

std::optional<probe::MemoryRoof> decode_roof(const Environment& environment, Session& session, const GenerationCost& cost) {
    if (cost.n_decoded == 0) return std::nullopt;
    return probe::measure_memory_roof(profile_store(environment).folder, session.runtime().pool(), cost.bytes_per_step());
}

bool was_busy(const GenerationCost& cost, const std::optional<probe::MemoryRoof>& roof) {
    return cost.was_disturbed() || (roof && roof->bytes_per_s_now < kQuietShare * roof->bytes_per_s);
}

std::string summary_line(const GenerationCost& cost, const std::optional<probe::MemoryRoof>& roof) {
    using namespace report;
    std::string line = fmt::format("prompt {} tokens", grouped(cost.n_prompt));
    if (cost.n_reused > 0) line += fmt::format(" ({} from cache)", grouped(cost.n_reused));
    line += fmt::format(", {} tok/s · generated {} tokens", rate(cost.prefill_tokens_per_second()), grouped(cost.n_generated));
    if (cost.n_decoded == 0) return line;
    line += fmt::format(", {} tok/s · read {} of weights and KV", rate(cost.decode_tokens_per_second()),
                        bytes_per_second(cost.bytes_per_second()));
    if (was_busy(cost, roof)) return line + "; other programs were using the CPUs, so no percentage of the measured bandwidth is shown";
    if (roof) line += ", " + probe::compared_with_roof(cost.bytes_per_second(), *roof);
    return line;
}

}  // namespace rafter::apps
