// One answer from the engine, or several at once, followed to their end: the text as it comes, then what it took.
#pragma once

#include <functional>
#include <string_view>
#include <vector>

#include "apps/session.h"
#include "base/os_terminal.h"
#include "engine/measure/step_profile.h"
#include "probe/memory_roof.h"

namespace rafter::apps {

// Sums over the steps of one answer, or of several at once. Time in the engine only: a slow reader of the text costs nothing here.
struct GenerationCost {
    std::uint32_t n_prompt = 0;
    std::uint32_t n_reused = 0;  // of them, found in the cache
    std::uint32_t n_generated = 0;
    double prefill_seconds = 0.0;  // of steps that computed a prompt: until the first token was chosen
    std::uint32_t n_decoded = 0;   // tokens of the other steps: those after the first
    std::uint32_t n_decode_steps = 0;
    double decode_seconds = 0.0;
    double decode_bytes = 0.0;            // weights and KV cache read in that time
    std::vector<float> plain_step_rates;  // of those steps that computed one token a sequence: bytes a second
    double waited_seconds = 0.0;          // that threads were ready and waited for a CPU, all of them together

    [[nodiscard]] double prefill_tokens_per_second() const { return prefill_seconds > 0 ? (n_prompt - n_reused) / prefill_seconds : 0.0; }
    [[nodiscard]] double decode_tokens_per_second() const { return decode_seconds > 0 ? n_decoded / decode_seconds : 0.0; }
    [[nodiscard]] double bytes_per_token() const { return n_decoded > 0 ? decode_bytes / n_decoded : 0.0; }
    [[nodiscard]] double bytes_per_step() const { return n_decode_steps > 0 ? decode_bytes / n_decode_steps : 0.0; }
    [[nodiscard]] double bytes_per_second() const { return decode_seconds > 0 ? decode_bytes / decode_seconds : 0.0; }
    // Whether other programs were using the CPUs: threads waited for one, or steps that are equal took unequally long.
    [[nodiscard]] bool was_disturbed() const;
    GenerationCost& operator+=(const GenerationCost& other);
};

struct Generation {
    std::vector<engine::GeneratedToken> tokens;
    std::string text;
    engine::Finish finish;
    GenerationCost cost;
};

// on_text gets the pieces of text as they come; when it fails, so does this, and the engine is free again. Ctrl-C cancels. The engine must
// have nothing else to do. profiler: gets every step; may be null.
[[nodiscard]] Result<Generation> generate(Session& session, engine::Request request,
                                          const std::function<Result<void>(std::string_view)>& on_text, InterruptFlag& interrupt,
                                          engine::StepProfiler* profiler = nullptr);

struct Generations {
    std::vector<Generation> answers;  // [n_requests]; of their costs, the counts of tokens only
    GenerationCost cost;              // of all together
};
using AnswerSink = std::function<Result<void>(std::size_t answer, std::string_view text)>;

// The same for several requests in one batch. An error of one ends all.
[[nodiscard]] Result<Generations> generate_all(Session& session, std::vector<engine::Request> requests, const AnswerSink& on_text,
                                               InterruptFlag& interrupt, engine::StepProfiler* profiler = nullptr);

// The memory roof for the steps that decoded; none where nothing was decoded.
[[nodiscard]] std::optional<probe::MemoryRoof> decode_roof(const Environment& environment, Session& session, const GenerationCost& cost);

// Whether steps or roof were measured beside other programs that used the CPUs: then their ratio says little.
[[nodiscard]] bool was_busy(const GenerationCost& cost, const std::optional<probe::MemoryRoof>& roof);

// "prompt 12 tokens, 210 tok/s · generated 64 tokens, 74.2 tok/s · read 7.3 GB/s of weights and KV, 58% of 12.6 GB/s measured (memory)";
// of a busy machine, "other programs were using the CPUs" in place of the share.
[[nodiscard]] std::string summary_line(const GenerationCost& cost, const std::optional<probe::MemoryRoof>& roof);

}  // namespace rafter::apps
