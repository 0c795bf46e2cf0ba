// The roofline's bytes, summed over the very steps that were timed.
#include "apps/generate.h"

#include "report/units.h"
#include "roofline/op_cost.h"

namespace rafter::apps {

GenerationCost& GenerationCost::operator+=(const GenerationCost& other) {
    n_prompt += other.n_prompt;
    n_reused += other.n_reused;
    n_generated += other.n_generated;
    prefill_seconds += other.prefill_seconds;
    n_decoded += other.n_decoded;
    decode_seconds += other.decode_seconds;
    decode_bytes += other.decode_bytes;
    return *this;
}

Result<Generation> generate(Session& session, engine::Request request, const std::function<Result<void>(std::string_view)>& on_text,
                            InterruptFlag& interrupt, engine::StepProfiler* profiler) {
    RAFTER_TRY(const auto stream, session.engine().submit(std::move(request)));
    const model::Program& program = session.loaded().device->program();
    Generation generation;
    GenerationCost& cost = generation.cost;
    Result<void> written;
    bool finished = false;
    while (!finished) {
        session.engine().step();
        const engine::StepReport& report = session.engine().last_step();
        if (profiler != nullptr) profiler->record(report);
        if (generation.tokens.empty()) {
            cost.prefill_seconds += report.step_seconds;
        } else if (report.shape.n_tokens() > 0) {
            cost.n_decoded += report.shape.n_tokens();
            cost.decode_seconds += report.step_seconds;
            cost.decode_bytes += roofline::step_cost(program, report.shape, {.kv = session.loaded().kv_element_bytes}).read_bytes();
        }
        engine::StreamUpdate update = stream->take();
        std::move(update.tokens.begin(), update.tokens.end(), std::back_inserter(generation.tokens));
        generation.text += update.text;
        if (written && !update.text.empty()) written = on_text(update.text);
        finished = update.finish.has_value();
        if (finished) generation.finish = *std::move(update.finish);
        if (!finished && (interrupt.is_set() || !written)) stream->cancel();
    }
    cost.n_prompt = generation.finish.times.n_prompt;
    cost.n_reused = generation.finish.times.n_reused;
    cost.n_generated = generation.finish.times.n_generated;
    if (!written) return written.error();
    if (generation.finish.error) return *generation.finish.error;
    return generation;
}

std::string summary_line(const GenerationCost& cost, const std::optional<MemoryRoof>& roof) {
    using namespace report;
    std::string line = fmt::format("prompt {} tokens", grouped(cost.n_prompt));
    if (cost.n_reused > 0) line += fmt::format(" ({} from cache)", grouped(cost.n_reused));
    line += fmt::format(", {} tok/s · generated {} tokens", rate(cost.prefill_tokens_per_second()), grouped(cost.n_generated));
    if (cost.n_decoded == 0) return line;
    line += fmt::format(", {} tok/s · read {} of weights and KV", rate(cost.decode_tokens_per_second()),
                        bytes_per_second(cost.bytes_per_second()));
    if (roof) line += ", " + beside_roof(cost.bytes_per_second(), *roof);
    return line;
}

}  // namespace rafter::apps
