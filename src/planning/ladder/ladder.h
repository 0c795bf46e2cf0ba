// The ladder: one optimisation after another, what each should bring to decoding and what it brought. Plain data: climb.h measures it on
// this machine, outlook.h predicts it for another device, and report.h shows it as text, JSON and a page.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "hardware/profile.h"
#include "roofline/op_price.h"

namespace rafter::planning {

// One load, with an optimisation or without: a step of the model, as it was priced and as it was measured.
struct LadderPoint {
    bool is_run = false;  // all steps of some requests together, their prompts' too; else one step, or the mean of those that decode
    double tokens = 1.0;  // that it gives: new tokens of all sequences together
    double n_sequences = 1.0;
    double n_context = 0.0;  // positions that each sequence sees
    double predicted_seconds = 0.0;
    std::optional<double> measured_seconds;  // none: predicted alone
    double spread = 0.0;                     // between the quartiles of the measurements, over their median
    double flops = 0.0;
    double bytes = 0.0;                                         // weights and cache that it reads, cache that it writes
    double roof_seconds = 0.0;                                  // the least that the hardware's roofs allow
    double roof_rate = 0.0;                                     // of the roof that binds: bytes or flops a second
    roofline::PriceBound roof = roofline::PriceBound::kMemory;  // which one that is: memory or compute
    std::string level;                                          // where what it reads lies: "L3 cache", "memory"
    double memory_bytes = 0.0;                                  // weights, cache and workspace

    // Measured where it was, else predicted.
    [[nodiscard]] double seconds() const { return measured_seconds.value_or(predicted_seconds); }
    [[nodiscard]] double tokens_per_s() const { return tokens / seconds(); }
    [[nodiscard]] double predicted_tokens_per_s() const { return tokens / predicted_seconds; }
    [[nodiscard]] double intensity() const { return bytes > 0.0 ? flops / bytes : 0.0; }  // flops a byte
    [[nodiscard]] double roof_fraction() const { return roof_seconds / seconds(); }
    // Predicted over measured seconds, less 1; 0 where nothing was measured.
    [[nodiscard]] double error() const { return measured_seconds ? predicted_seconds / *measured_seconds - 1.0 : 0.0; }
    bool operator==(const LadderPoint&) const = default;
};

// How the model's outputs with an optimisation compare with those without.
struct OutputCheck {
    enum class Kind {
        kNone,        // nothing was computed
        kSameBits,    // all logits must be equal, bit for bit
        kSameTokens,  // the answer's tokens must be equal
        kDivergence,  // numbers of fewer bits: how far the distributions lie apart
    };
    Kind kind = Kind::kNone;
    bool passed = true;          // of what must be equal
    std::uint64_t n_tokens = 0;  // compared
    std::string against;         // "float32 weights"
    double mean_kl = 0.0;        // nats a token, of kDivergence
    double max_kl = 0.0;
    double same_top = 1.0;  // part of the tokens whose most likely next token is the same
    bool operator==(const OutputCheck&) const = default;
};

struct LadderRung {
    std::string id;       // "kv_cache": the same in every report
    std::string name;     // "KV cache"
    std::string options;  // that bring it, as `rafter` takes them: "--weights F16"; empty: none do
    std::string load;     // "1 sequence, 128 tokens seen": of both points
    std::string why;      // one sentence
    LadderPoint before;   // without this optimisation
    LadderPoint after;
    // Its `before` is the `after` of the rung below it on the path, but for the last one, "all", which is compared with "kv_cache": these
    // rungs make up the climb. The others show an optimisation where it matters most, at a load of their own.
    bool on_path = true;
    OutputCheck check;
    std::vector<std::string> notes;      // what missed, and why
    std::optional<std::string> skipped;  // why it was not climbed; its points are then empty

    [[nodiscard]] double gain() const { return after.tokens_per_s() / before.tokens_per_s(); }
    [[nodiscard]] double predicted_gain() const { return after.predicted_tokens_per_s() / before.predicted_tokens_per_s(); }
    // The measured gain goes where the prediction said: both up, both down, or both within 2% of 1. Where one of them is within 2% of 1
    // and the other is not, the two must be within 5% of each other.
    [[nodiscard]] bool as_predicted() const;
    bool operator==(const LadderRung&) const = default;
};

// What a ladder is expected to reach, and what it did.
struct LadderAim {
    std::string what;     // "all of it over the KV cache, 32 sequences"
    double wanted = 0.0;  // at least
    double reached = 0.0;
    bool is_share = false;  // a share of a roof: shown as a percentage; else "20×"
    std::string reason;     // why it is missed; empty where it is met
    [[nodiscard]] bool met() const { return reached >= wanted; }
    bool operator==(const LadderAim&) const = default;
};

struct LadderRoof {
    std::string name;  // "VNNI int8 arithmetic"
    double flop_per_s = 0.0;
    bool operator==(const LadderRoof&) const = default;
};

struct Ladder {
    std::string model;  // "SmolLM2 135M Instruct"
    std::string file;   // without its folder; or the catalog's name
    double parameters = 0.0;
    bool measured = true;  // false: from the plan alone
    bool complete = true;  // false: stopped early
    bool quick = false;
    double seconds = 0.0;   // that the climb took
    std::int64_t time = 0;  // seconds since 1970, when it began
    std::string version;    // of the program
    std::string command;    // that makes this ladder again: "rafter ladder SmolLM2.gguf --quick"; empty: said from file and quick
    // The machine.
    std::string hardware;           // "Intel Xeon Processor, 2 threads, avx512"
    double bytes_per_s = 0.0;       // memory, at best
    std::vector<LadderRoof> roofs;  // the one that most of the arithmetic runs under first
    double noise = 0.0;             // of the probes: hardware::Profile
    bool trusted = true;
    unsigned n_probes = 0;

    std::vector<LadderRung> rungs;  // from the bottom
    std::vector<LadderAim> aims;
    std::vector<std::string> warnings;  // what makes the whole doubtful: first lines
    std::vector<std::string> method;    // how it was measured, sentences
    std::vector<std::string> caveats;

    // |error| of each point that was measured, `before` of a rung on the path left out: it is another's `after`.
    [[nodiscard]] std::vector<double> errors() const;
    [[nodiscard]] const LadderRung* find(const std::string& id) const;
    bool operator==(const Ladder&) const = default;
};

}  // namespace rafter::planning
