// A ladder with made-up numbers of a small model on two threads, for tests of reports: climbing a real one takes a minute.
#pragma once

#include <string>

#include "planning/ladder/ladder.h"

namespace rafter::tests {

struct MadeUpStep {
    double tokens = 1.0;
    double context = 128.0;
    double megabytes = 0.0;  // moved a step
    double megaflops = 0.0;  // of a step
    double tokens_per_s = 0.0;
    double predicted = 0.0;  // tok/s
    double memory_megabytes = 0.0;
    bool compute = false;  // bound by int8 arithmetic
};

inline planning::LadderPoint made_up_point(const MadeUpStep& s) {
    constexpr double kBytesPerS = 25.1e9;
    constexpr double kFlopPerS = 0.94e12;
    planning::LadderPoint p;
    p.tokens = s.tokens;
    p.n_sequences = s.tokens;
    p.n_context = s.context;
    p.predicted_seconds = s.tokens / s.predicted;
    p.measured_seconds = s.tokens / s.tokens_per_s;
    p.spread = 0.012;
    p.flops = s.megaflops * 1e6;
    p.bytes = s.megabytes * 1e6;
    p.roof = s.compute ? roofline::PriceBound::kCompute : roofline::PriceBound::kMemory;
    p.roof_rate = s.compute ? kFlopPerS : kBytesPerS;
    p.roof_seconds = s.compute ? p.flops / kFlopPerS : p.bytes / kBytesPerS;
    p.level = s.compute ? "int8 arithmetic" : "memory";
    p.memory_bytes = s.memory_megabytes * 1e6;
    return p;
}

inline planning::LadderRung made_up_rung(const char* id, const char* name, const char* options, const char* load, const char* why,
                                         const MadeUpStep& before, const MadeUpStep& after) {
    planning::LadderRung rung;
    rung.id = id;
    rung.name = name;
    rung.options = options;
    rung.load = load;
    rung.why = why;
    if (before.tokens_per_s > 0) rung.before = made_up_point(before);
    rung.after = made_up_point(after);
    rung.check = {.kind = planning::OutputCheck::Kind::kSameBits,
                  .passed = true,
                  .n_tokens = 128,
                  .against = "",
                  .mean_kl = 0.0,
                  .max_kl = 0.0,
                  .same_top = 1.0};
    return rung;
}

inline planning::Ladder made_up_ladder() {
    using Kind = planning::OutputCheck::Kind;
    planning::Ladder l;
    l.model = "SmolLM2 135M Instruct";
    l.file = "SmolLM2-135M-Instruct.gguf";
    l.parameters = 134'515'008;
    l.quick = true;
    l.seconds = 52.4;
    l.time = 1'796'000'000;
    l.version = "0.1.0";
    l.command = "rafter ladder SmolLM2-135M-Instruct.gguf --quick";
    l.hardware = "Intel Xeon Processor, 2 threads, avx512-vnni";
    l.bytes_per_s = 25.1e9;
    l.roofs = {{"int8 arithmetic", 0.94e12}, {"float arithmetic", 0.21e12}};
    l.noise = 0.031;
    l.n_probes = 9;

    const MadeUpStep naive{1, 128, 571, 34'000, 4.31, 4.52, 640};
    const MadeUpStep cache{1, 128, 541, 277, 38.4, 37.6, 552};
    const MadeUpStep fused{1, 128, 540, 277, 40.9, 41.3, 551};
    const MadeUpStep half{1, 128, 272, 277, 79.2, 77.0, 283};
    const MadeUpStep eight{1, 128, 146, 277, 141, 149, 157};
    const MadeUpStep four{1, 128, 79, 277, 232, 255, 91};
    const MadeUpStep batch8{8, 128, 105, 2'216, 742, 801, 131};
    const MadeUpStep batch32{32, 128, 181, 8'864, 1'120, 1'210, 262, true};
    const MadeUpStep paged{64, 128, 283, 17'728, 1'290, 1'240, 312, true};
    const MadeUpStep all{32, 128, 160, 8'864, 1'422, 1'391, 246, true};
    const char* one = "1 sequence, 128 tokens seen";

    l.rungs.push_back(made_up_rung("naive", "Naive", "", "1 sequence, 128 tokens seen, 6 tokens measured",
                                   "Without a cache each token computes the whole text again.", {}, naive));
    l.rungs[0].check = {};
    l.rungs.push_back(made_up_rung("kv_cache", "KV cache", "--unfused --weights F32", one,
                                   "Keys and values of earlier tokens never change, so that keeping them leaves one token's work a step.",
                                   naive, cache));
    l.rungs.push_back(made_up_rung("fused", "Fused ops", "", one,
                                   "Ops that run through the same rows in one go keep them in cache and save barriers.", cache, fused));
    auto flash = made_up_rung("flash", "Flash attention", "", "1 sequence, 4,096 tokens seen",
                              "Scores of a long text do not fit caches; in pieces they never leave them.",
                              {1, 4096, 1'120, 640, 14.2, 13.8, 960}, {1, 4096, 729, 640, 29.6, 28.4, 742});
    flash.on_path = false;
    l.rungs.push_back(flash);
    l.rungs.push_back(made_up_rung("f16", "16-bit weights", "--weights F16", one,
                                   "Decoding waits for weights: half of the bytes are read in half of the time.", fused, half));
    l.rungs.push_back(
        made_up_rung("q8", "8-bit weights", "--weights Q8_0", one, "A quarter of the bytes, with a scale for each 32.", half, eight));
    l.rungs.push_back(
        made_up_rung("q4", "4-bit weights", "--weights Q4_0", one, "An eighth of the bytes; here the error begins to show.", eight, four));
    l.rungs[4].check = {.kind = Kind::kDivergence,
                        .passed = true,
                        .n_tokens = 128,
                        .against = "float32 weights",
                        .mean_kl = 0.0000021,
                        .max_kl = 0.00004,
                        .same_top = 1.0};
    l.rungs[5].check = {.kind = Kind::kDivergence,
                        .passed = true,
                        .n_tokens = 128,
                        .against = "float32 weights",
                        .mean_kl = 0.0031,
                        .max_kl = 0.02,
                        .same_top = 0.97};
    l.rungs[6].check = {.kind = Kind::kDivergence,
                        .passed = true,
                        .n_tokens = 128,
                        .against = "float32 weights",
                        .mean_kl = 0.094,
                        .max_kl = 0.9,
                        .same_top = 0.86};
    auto kv8 = made_up_rung("kv_q8", "8-bit KV cache", "--kv-type q8", "1 sequence, 4,096 tokens seen",
                            "At long context the cache outweighs the weights, and half of its bytes are read in half of the time.",
                            {1, 4096, 267, 640, 61.2, 66.0, 279}, {1, 4096, 180, 640, 88.0, 90.4, 192});
    kv8.on_path = false;
    kv8.check = {.kind = Kind::kDivergence,
                 .passed = true,
                 .n_tokens = 128,
                 .against = "a 16-bit cache",
                 .mean_kl = 0.00042,
                 .max_kl = 0.003,
                 .same_top = 0.99};
    l.rungs.push_back(kv8);
    l.rungs.push_back(made_up_rung("batch", "Batch of 8", "--batch 8", "8 sequences, 128 tokens seen",
                                   "One reading of the weights serves all sequences of a step.", four, batch8));
    l.rungs.push_back(made_up_rung("batch_32", "Batch of 32", "--batch 32", "32 sequences, 128 tokens seen",
                                   "With more sequences arithmetic binds, and further ones bring little.", batch8, batch32));
    l.rungs.push_back(made_up_rung("paged", "Paged KV cache", "", "64 sequences in 400 MB, 128 tokens seen",
                                   "Blocks taken as a text grows hold twice as many sequences as reservations for the longest.", batch32,
                                   paged));
    auto prefix = made_up_rung("prefix", "Prefix cache", "", "8 sequences that share 1,000 tokens", "A shared beginning is computed once.",
                               {8, 1100, 400, 9'000, 96, 101, 260}, {8, 1100, 190, 2'400, 402, 520, 180});
    prefix.on_path = false;
    prefix.notes = {"The gain is 23% below the plan: shared blocks stay in the L2 cache, which the price does not know."};
    l.rungs.push_back(prefix);
    auto draft =
        made_up_rung("speculation", "Speculation", "--draft ngram", one,
                     "Draft tokens are checked together, in one reading of the weights.", four, {2.1, 128, 81, 1'100, 221, 268, 92});
    draft.on_path = false;
    draft.check.kind = Kind::kSameTokens;
    draft.notes = {"Slower than without, where the plan says faster: 42% of the draft tokens were accepted, and 60% were assumed."};
    l.rungs.push_back(draft);
    planning::LadderRung skipped;
    skipped.id = "amx";
    skipped.name = "Matrix unit";
    skipped.why = "Tiles multiply sixteen rows at once.";
    skipped.skipped = "this processor has no AMX";
    l.rungs.push_back(skipped);
    l.rungs.push_back(made_up_rung("all", "All of it", "--weights Q4_0 --kv-type q8 --batch 32", "32 sequences, 128 tokens seen",
                                   "What brings more bytes a step in goes together with what needs fewer.", paged, all));

    for (planning::LadderPoint* p : {&l.rungs[0].after, &l.rungs[1].before}) {
        p->roof = roofline::PriceBound::kCompute;
        p->level = "int8 arithmetic";
        p->roof_rate = 0.21e12;
        p->roof_seconds = p->flops / p->roof_rate;
    }
    l.aims = {{.what = "All of it over the KV cache, 32 sequences", .wanted = 20, .reached = 37.03, .is_share = false, .reason = ""},
              {.what = "The KV cache's share of its roof", .wanted = 0.70, .reached = 0.826, .is_share = true, .reason = ""},
              {.what = "Speculation over plain decoding",
               .wanted = 1.3,
               .reached = 0.953,
               .is_share = false,
               .reason = "The text repeats itself too little for drafts looked up in it."}};
    l.method = {"Each rung is measured in rounds that alternate with the rung below it, and the median step counts.",
                "The machine is probed before, between and after the rounds."};
    l.caveats = {"Weights of fewer bits were made from the file's by plain rounding: a careful quantiser loses less."};
    return l;
}

// The same from a plan alone.
inline void make_predicted(planning::Ladder& ladder) {
    ladder.measured = false;
    ladder.hardware = "H100-SXM";
    ladder.n_probes = 0;
    ladder.command = "rafter ladder SmolLM2-135M-Instruct.gguf --hardware H100-SXM";
    for (planning::LadderRung& rung : ladder.rungs) {
        rung.before.measured_seconds.reset();
        rung.after.measured_seconds.reset();
        rung.check = {};
    }
}

// Two dozen rungs, some of them nearly at one point of the roofline.
inline void make_crowded(planning::Ladder& ladder) {
    const planning::LadderRung last = ladder.rungs.back();
    ladder.rungs.pop_back();
    for (int n = 2; n <= 64; n *= 2) {
        planning::LadderRung rung = ladder.rungs[8];
        rung.id = "paged_" + std::to_string(n);
        rung.name = "Paged cache, batch of " + std::to_string(n);
        rung.load = std::to_string(n) + " sequences, 128 tokens seen";
        for (planning::LadderPoint* p : {&rung.before, &rung.after}) {
            p->tokens = n;
            p->flops = n * 277e6;
            *p->measured_seconds = 0.004 + 0.0004 * n;
            p->predicted_seconds = *p->measured_seconds * 1.04;
        }
        ladder.rungs.push_back(rung);
    }
    ladder.rungs.push_back(ladder.rungs[2]);
    ladder.rungs.push_back(ladder.rungs[3]);
    ladder.rungs.push_back(last);
}

// Names that would be markup or terminal commands if anybody took them for such.
inline void make_hostile(planning::Ladder& ladder) {
    const std::string name = "<script>alert(1)</script>\"'&\x1b[31mred\x07\n\xff " + std::string(60, 'w');
    ladder.model = ladder.file = ladder.hardware = ladder.version = ladder.command = name;
    ladder.warnings = ladder.method = ladder.caveats = {name};
    for (planning::LadderRoof& roof : ladder.roofs) roof.name = name;
    for (planning::LadderAim& aim : ladder.aims) aim.what = aim.reason = name;
    for (planning::LadderRung& rung : ladder.rungs) {
        rung.name = rung.options = rung.load = rung.why = rung.after.level = rung.check.against = name;
        rung.notes = {name};
        if (rung.skipped) rung.skipped = name;
    }
}

}  // namespace rafter::tests
