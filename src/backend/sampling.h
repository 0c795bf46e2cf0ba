// Sampling as the seam between engine and backend has it: a request's options, the noise that tokens are drawn with, and the kernels that
// look at a whole row of logits.
#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace rafter::backend {

// Applied to the logits in this order, which is Hugging Face's: logit bias, penalties, temperature, top-k, top-p, min-p, typical-p; then
// one token is drawn of what is left. Each cut sees what the one before it left, its probabilities summing to 1 again.
struct SamplingOptions {
    std::vector<std::pair<std::int32_t, float>> logit_bias;  // added to these tokens' logits
    double repeat_penalty = 1.0;      // logits of tokens seen in prompt or answer: divided by it when positive, multiplied when negative
    double frequency_penalty = 0.0;   // subtracted for each time that a token is in the answer so far
    double presence_penalty = 0.0;    // subtracted once when it is there at all
    std::uint32_t repeat_last_n = 0;  // the penalties see only the last n tokens of prompt and answer; 0: all
    double temperature = 0.0;         // 0: always the likeliest token
    std::uint32_t top_k = 0;          // only the k likeliest; 0: all
    double top_p = 1.0;               // only the likeliest tokens that together have at least this probability
    double min_p = 0.0;               // only tokens at least this fraction as likely as the likeliest
    // Only the tokens whose surprise, -log p, is nearest to the expected one, until together they have this probability. Of equally near
    // ones the likelier come first, then the lower ids. 1: all. Meister et al. 2022, https://arxiv.org/abs/2202.00666
    double typical_p = 1.0;
    std::uint64_t seed = 0;  // same seed, same text
};

// Counter-based noise: a number that depends on (seed, position), or (seed, position, token), and on nothing else, so that the token drawn
// at a position is the same whatever else runs. Philox4x32-10 of Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011),
// https://doi.org/10.1145/2063384.2063405
[[nodiscard]] constexpr std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter, std::array<std::uint32_t, 2> key) {
    for (int round = 0; round < 10; ++round) {
        const std::uint64_t a = std::uint64_t{0xD2511F53U} * counter[0];
        const std::uint64_t b = std::uint64_t{0xCD9E8D57U} * counter[2];
        counter = {static_cast<std::uint32_t>(b >> 32) ^ counter[1] ^ key[0], static_cast<std::uint32_t>(b),
                   static_cast<std::uint32_t>(a >> 32) ^ counter[3] ^ key[1], static_cast<std::uint32_t>(a)};
        key[0] += 0x9E3779B9U;
        key[1] += 0xBB67AE85U;
    }
    return counter;
}

// In [0, 1), 53 bits.
[[nodiscard]] constexpr double uniform(std::uint64_t seed, std::uint32_t position) {
    const auto words = philox({position, 0, 0, 0}, {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)});
    return static_cast<double>((std::uint64_t{words[1]} << 32 | words[0]) >> 11) * 0x1p-53;
}

// A number for each token at one position. Its upper half tells most tokens what they need to know; one philox() gives that of four.
class TokenNoise {
  public:
    constexpr TokenNoise(std::uint64_t seed, std::uint32_t position)
        : key_{static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)}, position_(position) {}

    [[nodiscard]] constexpr std::array<std::uint32_t, 2> key() const { return key_; }
    [[nodiscard]] constexpr std::uint32_t position() const { return position_; }
    // The first 32 binary digits of uniform() of tokens 4 * group .. 4 * group + 3.
    [[nodiscard]] constexpr std::array<std::uint32_t, 4> upper(std::uint32_t group) const { return philox({position_, group, 0, 2}, key_); }
    // In (0, 1), both ends excluded: an odd multiple of 2^-53, so that 1 less it is exact too.
    [[nodiscard]] constexpr double uniform(std::uint32_t token) const {
        const std::uint64_t high = upper(token / 4)[token % 4];
        const std::uint64_t low = philox({position_, token / 4, 1, 2}, key_)[token % 4];
        return (static_cast<double>((high << 32 | low) >> 12) + 0.5) * 0x1p-52;
    }
    // Exponentially distributed with mean 1, above 0, and at least uniform().
    [[nodiscard]] double exponential(std::uint32_t token) const { return -std::log(1.0 - uniform(token)); }

  private:
    std::array<std::uint32_t, 2> key_;
    std::uint32_t position_;
};

// The seed of the i-th of several answers. The first keeps the seed as it is; the others' counters are none that are used above.
[[nodiscard]] constexpr std::uint64_t derived_seed(std::uint64_t seed, std::uint32_t i) {
    if (i == 0) return seed;
    const auto words = philox({i, 0, 0, 1}, {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)});
    return std::uint64_t{words[1]} << 32 | words[0];
}

// Tokens that were taken out of a row, in ascending order. Room: kPadding elements more than there can be tokens.
struct TokenList {
    static constexpr std::size_t kPadding = 16;
    float* logits = nullptr;         // [n]
    std::int32_t* tokens = nullptr;  // [n]
    double* weights = nullptr;       // [n], where weigh() filled the list
    std::size_t n = 0;
};

// What a thread needs to sample rows of up to n_vocab logits.
struct RowScratch {
    std::span<float> logits;  // [n_vocab]: a copy of a row, to be changed
    TokenList list;           // of n_vocab tokens

    [[nodiscard]] static std::size_t size_bytes(std::size_t n_vocab);  // a multiple of 64
    // In size_bytes(n_vocab) of memory, aligned to 64 bytes.
    [[nodiscard]] static RowScratch in(std::byte* memory, std::size_t n_vocab);
};

struct Share {
    double weight = 0.0;  // of the tokens together
    std::size_t n = 0;    // how many they are
};

// A race of tokens (engine/sampling/race.h) that hands on only those which may win it.
struct RaceRow {
    const float* logits = nullptr;         // [n]
    const std::int32_t* tokens = nullptr;  // [n]; null: a token is its index
    std::size_t n = 0;
    float above = 0.0F;  // only tokens of logits above this run
    float max = 0.0F;    // the largest logit of the row, finite
    double temperature = 0.0;
    std::uint32_t key[2] = {};  // of the noise
    std::uint32_t position = 0;
    double best_time = 0.0;  // so far, finite
    // Called with a token that may win and the upper half of its noise; returns the best time from now on.
    double (*enter)(void* race, std::size_t index, std::uint32_t upper) = nullptr;
    void* race = nullptr;
};

// Of two rows, of a reference and of what is compared with it, with weights exp(logit - the row's largest logit).
struct DivergenceSums {
    double reference = 0.0;  // the sum of the reference's weights
    double row = 0.0;        // the sum of the other row's weights
    // The sum over tokens of the reference's weight times (its logit - its largest) - (the other's logit - the other's largest). NaN or
    // infinite where the other row has no finite logit for a token of the reference.
    double weighted = 0.0;
};

// Kernels on rows of logits, in the host's memory. NaN and -inf are no tokens to any of them; +inf never comes to those after largest().
// Weights are exp((logit - max) / temperature), for temperatures of 1e-30 or more, within a relative 1e-10.
struct SamplingKernels {
    // The index of the largest, the lowest of equals; n when there is none above -inf.
    std::size_t (*largest)(const float* logits, std::size_t n);
    // The sum of all weights, within 1e-10 of it and 2^-53 a token; fills the list with the tokens of logits above `above`.
    double (*weigh)(const float* logits, std::size_t n, float max, double temperature, float above, TokenList& list);
    // Appends tokens of logits above `above` to the list, beginning with index `begin`, until `list.n >= full`; returns the index to go on
    // with, n or more at the end.
    std::size_t (*gather)(const float* logits, std::size_t begin, std::size_t n, float above, std::size_t full, TokenList& list);
    // Of the tokens in the list whose logits are above `above`.
    Share (*share_above)(const TokenList& list, float above);
    // Leaves these in the list, without their weights.
    void (*keep_above)(TokenList& list, float above);
    void (*race)(const RaceRow& row);
    // Of two rows with these largest logits, finite. Each weight is within a relative 1e-11.
    DivergenceSums (*divergence)(const float* reference, float reference_max, const float* row, float max, std::size_t n);
};

// Those of the best instruction set of this machine.
[[nodiscard]] const SamplingKernels& host_sampling_kernels();

}  // namespace rafter::backend
