// Which tokens run is up to the kernels; how fast a token is, is computed here in double, the same on every machine.
#include "engine/sampling/race.h"

namespace rafter::engine {

void Race::enter(TokenId token, float logit, std::uint32_t upper) {
    // exp(y) >= (1 + y / 16)^16, and the exponential time is at least the uniform number that it is made of: nearly all tokens are seen
    // to lose without exp() or log(). The margin is far above the rounding of either side.
    double slowness = 1.0 - weight_.log(logit) / 16.0;
    for (int i = 0; i < 4; ++i) slowness *= slowness;
    if (upper * 0x1p-32 * slowness > best_time_ * (1.0 + 1e-9)) return;
    const double w = weight_(logit);
    if (w == 0.0) return;
    const double time = noise_.exponential(static_cast<std::uint32_t>(token)) / w;
    if (time > best_time_ || (time == best_time_ && token > winner_)) return;
    best_time_ = time;
    winner_ = token;
}

void Race::enter(TokenId token, float logit) {
    const auto id = static_cast<std::uint32_t>(token);
    enter(token, logit, noise_.upper(id / 4)[id % 4]);
}

void Race::enter(std::span<const Candidate> candidates) {
    for (const Candidate& c : candidates) enter(c.token, c.logit);
}

void Race::enter(std::span<const float> logits, TokenId likeliest, const SamplingKernels& kernels) {
    run({.logits = logits.data(), .n = logits.size()}, likeliest, kernels);
}

void Race::enter(const TokenList& list, TokenId likeliest, const SamplingKernels& kernels) {
    constexpr std::size_t kFew = 8;  // are run sooner than a kernel is called
    if (list.n > kFew) return run({.logits = list.logits, .tokens = list.tokens, .n = list.n}, likeliest, kernels);
    for (std::size_t i = 0; i < list.n; ++i) enter(list.tokens[i], list.logits[i]);
}

void Race::run(backend::RaceRow row, TokenId likeliest, const SamplingKernels& kernels) {
    enter(likeliest, weight_.max);
    struct Context {
        Race& race;
        const backend::RaceRow& row;
    } context{*this, row};
    row.above = -std::numeric_limits<float>::infinity();
    row.max = weight_.max;
    row.temperature = weight_.temperature;
    row.key[0] = noise_.key()[0];
    row.key[1] = noise_.key()[1];
    row.position = noise_.position();
    row.best_time = best_time_;
    row.race = &context;
    row.enter = [](void* race, std::size_t index, std::uint32_t upper) {
        const Context& with = *static_cast<const Context*>(race);
        with.race.enter(with.row.tokens == nullptr ? static_cast<TokenId>(index) : with.row.tokens[index], with.row.logits[index], upper);
        return with.race.best_time_;
    };
    kernels.race(row);
}

}  // namespace rafter::engine
