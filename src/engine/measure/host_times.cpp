// Real requests of one token each decode a few steps; only steps in which all of them decode count.
#include "engine/measure/host_times.h"

#include <vector>

#include "base/median.h"

namespace rafter::engine {

Result<HostTimes> measure_host_times(Engine& engine, const HostTimesOptions& options) {
    constexpr std::uint32_t kTokens = 6;
    if (options.context < kTokens + 2) return HostTimes{};
    std::vector<std::shared_ptr<TokenStream>> streams;
    for (std::uint32_t i = 0; i < options.n_sequences; ++i) {
        Request request;
        request.prompt = {static_cast<TokenId>(i % options.n_vocab)};
        request.max_tokens = kTokens;
        RAFTER_TRY(auto stream, engine.submit(std::move(request)));
        streams.push_back(std::move(stream));
    }
    std::vector<double> sample_seconds;
    std::vector<double> host_seconds;
    while (engine.step()) {
        const StepReport& step = engine.last_step();
        if (step.shape.n_tokens() != options.n_sequences) continue;
        sample_seconds.push_back(step.sample_seconds);
        host_seconds.push_back(step.step_seconds - step.forward_seconds - step.sample_seconds);
    }
    engine.forget_unused();
    if (sample_seconds.empty()) return HostTimes{};
    return HostTimes{.sample_seconds = median_of(sample_seconds), .host_seconds = median_of(host_seconds)};
}

}  // namespace rafter::engine
