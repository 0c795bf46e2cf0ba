// Plans of known models: counts against publishers' own, and what must hold of any plan.
#include "roofline/plan.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "backend/backend.h"
#include "model/catalog.h"
#include "model/model_json.h"
#include "roofline/number_types.h"
#include "tests/roofline/catalog_scenario.h"
#include "tests/support/rounds.h"

namespace rafter::roofline {
namespace {

PlannedModel from_json(const std::string& text) { return plan_described(*model::read_model_json(*parse_json(text, "m.json"), "m.json")); }

TEST(ModelCatalog, HasTheParametersThatItsModelsWerePublishedWith) {
    for (const model::CatalogModel& entry : model::catalog()) {
        const PlannedModel m = plan_described(entry.model);
        // PaLM's is rounded in its paper.
        const double tolerance = entry.model.name == "PaLM-540B" ? 1e-4 * entry.published_parameters : 0.0;
        EXPECT_NEAR(parameters(m.fused), entry.published_parameters, tolerance) << entry.model.name;
        EXPECT_EQ(parameters(m.fused), parameters(m.unfused)) << entry.model.name;
        EXPECT_NEAR(weight_flops_per_token(m.fused), weight_flops_per_token(m.unfused), 1.0) << entry.model.name;
    }
}

TEST(ModelCatalog, HasTheActiveParametersThatWerePublished) {
    EXPECT_NEAR(active_parameters(planned("Mixtral-8x7B").fused), 12.9e9, 0.05e9);
    EXPECT_NEAR(active_parameters(planned("DeepSeek-V3").fused), 37e9, 0.7e9);
    EXPECT_NEAR(active_parameters(planned("Qwen3-235B-A22B").fused), 22e9, 0.3e9);
    EXPECT_NEAR(active_parameters(planned("gpt-oss-120b").fused) - 201088.0 * 2880, 5.1e9, 0.05e9);  // published without the embedding
}

TEST(ModelCatalog, HasTheCachesThatWerePublished) {
    EXPECT_EQ(kv_bytes_per_token(planned("DeepSeek-V3").fused, {}), 70272);      // 70.272 kB, arXiv 2505.09343, table 1
    EXPECT_EQ(kv_bytes_per_token(planned("Llama-3.1-405B").fused, {}), 516096);  // the same table: 516.096 kB
    EXPECT_EQ(kv_bytes_per_token(planned("Qwen2.5-72B").fused, {}), 327680);     // the same table: 327.680 kB
    EXPECT_EQ(kv_bytes_per_token(planned("OPT-13B").fused, {}), 819200);         // PagedAttention: 800 KB
    // Windows end growth: of 62 layers, 10 see everything.
    const PlannedModel gemma = planned("Gemma-3-27B");
    const double layer = 2 * 16 * 128 * 2;
    EXPECT_EQ(kv_bytes_per_sequence(gemma.fused, {}, 32768), layer * (10.0 * 32768 + 52 * 1024));
}

TEST(PricedList, CountsOnBeyondTheListedLayers) {
    const auto json = [](int n) {
        return "{\"n_layers\": " + std::to_string(n) +
               ", \"d_model\": 256, \"n_vocab\": 1000, \"sliding_window\": 64, \"sliding_window_pattern\": 6}";
    };
    const PlannedModel exact = from_json(json(256));  // all listed
    const PlannedModel beyond = from_json(json(256 + 6 * 20));
    const PlannedModel more = from_json(json(256 + 6 * 40));
    EXPECT_DOUBLE_EQ(parameters(more.fused) - parameters(beyond.fused), parameters(beyond.fused) - parameters(exact.fused));
    EXPECT_DOUBLE_EQ(kv_bytes_per_sequence(more.fused, {}, 1000) - kv_bytes_per_sequence(beyond.fused, {}, 1000),
                     kv_bytes_per_sequence(beyond.fused, {}, 1000) - kv_bytes_per_sequence(exact.fused, {}, 1000));
    roofline::Setup setup{.hardware = device("H100")};
    const auto seconds = [&](const PlannedModel& m) { return price_step(m.fused, setup, decode_step(4, 1000)).seconds; };
    EXPECT_NEAR(seconds(more) - seconds(beyond), seconds(beyond) - seconds(exact), 1e-9 * seconds(more));
}

TEST(PricedList, PricesAStepAsTheSumOverTheProgramsOps) {
    const PlannedModel m = planned("Gemma-2-2B");
    const Step step({{3, 5, 4090, 1}, {1, 1, 10, 1}});
    const CostOptions options{.weight_bits = 16};
    const OpCost direct = step_cost(m.fused.program, step, options);
    OpCost counted;
    for (const CountedOp& op : m.fused.ops) counted += cost_of(m.fused, op, step, options).scaled(op.count);
    EXPECT_NEAR(counted.flops / direct.flops, 1, 1e-12);
    EXPECT_NEAR(counted.bytes() / direct.bytes(), 1, 1e-12);
    EXPECT_LT(m.fused.ops.size(), 40U);
}

TEST(Precision, OfAProductIsTheWiderOneOfWeightsAndActivations) {
    using hardware::Precision;
    EXPECT_EQ(multiply_precision(8, Precision::kBf16), Precision::kBf16);
    EXPECT_EQ(multiply_precision(4.5, Precision::kFp16), Precision::kFp16);
    EXPECT_EQ(multiply_precision(8, Precision::kInt8), Precision::kInt8);
    EXPECT_EQ(multiply_precision(16, Precision::kInt8), Precision::kBf16);
    EXPECT_EQ(multiply_precision(4, Precision::kInt8), Precision::kInt8);
    EXPECT_EQ(multiply_precision(4, Precision::kInt4), Precision::kInt4);
    EXPECT_EQ(multiply_precision(8.5, Precision::kInt4), Precision::kInt8);
    EXPECT_EQ(multiply_precision(32, Precision::kInt8), Precision::kFp32);
    EXPECT_EQ(multiply_precision(4.25, Precision::kFp8), Precision::kFp8);
}

TEST(NumberTypes, AreKnownByNameOrBits) {
    EXPECT_EQ(number_type("INT8")->bits, 8);
    EXPECT_EQ(number_type("q8_0")->bits, 8.5);
    EXPECT_EQ(number_type("Q4_K")->bits, 4.5);
    EXPECT_EQ(number_type("4.85")->bits, 4.85);
    EXPECT_TRUE(number_type("q4_k_m")->is_mixture);
    EXPECT_EQ(kv_number_type("int8")->bits, 8);
    EXPECT_FALSE(number_type("q8"));
    for (const backend::KvType type : backend::kv_types()) {  // what the engine takes is what is planned
        EXPECT_EQ(kv_number_type(to_string(type))->bits, static_cast<double>(backend::kv_row_bytes(type, 64)) * 8 / 64) << to_string(type);
    }
    for (const char* wrong : {"", "int", "0", "-4", "65", "nan", "inf", "4bits", "1e9"}) EXPECT_FALSE(number_type(wrong)) << wrong;
}

struct PublishedRound {
    double alpha, gamma, operations_factor, expected_tokens;
};
// Leviathan et al., https://arxiv.org/abs/2211.17192, table 1 (a draft without operations).
constexpr PublishedRound kPublishedRounds[] = {{0.6, 2, 1.53, 1.96}, {0.7, 3, 1.58, 2.53}, {0.8, 2, 1.23, 2.44},
                                               {0.8, 5, 1.63, 3.69}, {0.9, 2, 1.11, 2.71}, {0.9, 10, 1.60, 6.86}};

TEST(Speculation, GivesTheTokensAndFactorsOfItsPaper) {
    for (const PublishedRound& r : kPublishedRounds) {
        EXPECT_NEAR(expected_tokens(r.alpha, r.gamma), r.expected_tokens, 0.01) << r.alpha << " " << r.gamma;
        EXPECT_NEAR(operations_factor(r.alpha, r.gamma, 0), r.operations_factor, 0.01) << r.alpha << " " << r.gamma;
    }
    EXPECT_EQ(expected_tokens(0, 5), 1);
    EXPECT_EQ(expected_tokens(1, 5), 6);  // the bonus token counts
    EXPECT_NEAR(speculative_speedup(0.75, 8, 0.015, 1), 3.3, 0.02);
}

TEST(Speculation, GivesTheTokensOfItsPaperWhenItIsPlayedOut) {
    std::mt19937 random(5);
    const int n_rounds = rafter::tests::rounds(200000);
    for (const PublishedRound& r : kPublishedRounds) {
        double tokens = 0.0;
        for (int i = 0; i < n_rounds; ++i) {
            tokens += 1.0;
            for (int j = 0; j < r.gamma && random() < r.alpha * 4294967296.0; ++j) tokens += 1.0;
        }
        // A round's tokens differ by at most gamma: five standard errors.
        EXPECT_NEAR(tokens / n_rounds, r.expected_tokens, 0.01 + 2.5 * r.gamma / std::sqrt(n_rounds)) << r.alpha << " " << r.gamma;
    }
}

TEST(Speculation, PaysWhereMemoryBindsAndNotWhereComputeDoes) {
    const PlannedModel m = planned("Llama-3.1-8B");
    roofline::Setup setup{.hardware = device("H100")};
    const Speculation small = speculate(m.fused, setup, {.n_sequences = 1, .n_context = 512});
    EXPECT_GT(small.best_speedup, 2.0);
    EXPECT_NEAR(small.speedup, small.speedup_free_verification, 0.02);
    const Speculation large = speculate(m.fused, setup, {.n_sequences = 2048, .n_context = 512});
    EXPECT_LT(large.best_speedup, 1.05);
    const Speculation asked = speculate(m.fused, setup, {.gamma = 8, .n_sequences = 2048, .n_context = 512});
    EXPECT_LT(asked.speedup, 1.0);
    EXPECT_GT(asked.speedup_free_verification, 2.0);
}

TEST(Collectives, CostWhatTheirPapersSay) {
    const Link link{.bytes_per_s = 100, .latency_s = 0.5};
    EXPECT_DOUBLE_EQ(all_reduce_seconds(1000, 4, link, Collective::kRing), 2.0 * 3 / 4 * 10 + 0.5 * 6);
    EXPECT_DOUBLE_EQ(all_reduce_seconds(1000, 4, link, Collective::kFlat), 2 * 10.0);
    EXPECT_DOUBLE_EQ(all_reduce_seconds(10, 4, link, Collective::kFlat), 2 * 0.5);
    EXPECT_DOUBLE_EQ(all_reduce_seconds(1000, 1, link, Collective::kRing), 0);
    EXPECT_DOUBLE_EQ(all_reduce_seconds(1000, 4, {}, Collective::kRing), 0);
}

TEST(Parallel, DividesHeadsThenLayersOrIsRefused) {
    const PricedList list = planned("Llama-2-13B").fused;  // 40 heads, 40 layers
    EXPECT_EQ(choose_parallel(list, 8)->tp, 8);
    const auto sixteen = choose_parallel(list, 16);
    ASSERT_TRUE(sixteen);
    EXPECT_EQ(sixteen->tp * sixteen->pp, 16);
    EXPECT_EQ(sixteen->tp, 8);
    EXPECT_FALSE(choose_parallel(list, 7));
    EXPECT_FALSE(check_parallel(list, {.tp = 3}));
    EXPECT_FALSE(check_parallel(list, {.tp = 16}));
    EXPECT_FALSE(check_parallel(list, {.tp = 0}));
    EXPECT_FALSE(check_parallel(list, {.tp = 2.5}));
    EXPECT_FALSE(check_parallel(list, {.tp = NAN}));
    EXPECT_FALSE(check_parallel(list, {.pp = 41}));
    EXPECT_FALSE(check_parallel(list, {.ep = 2}));
    EXPECT_TRUE(check_parallel(list, {.tp = 8, .pp = 40}));
}

// ---- what must hold of any plan

class AnyModel : public testing::TestWithParam<const char*> {};

TEST_P(AnyModel, IsNeverSlowerOnAFasterMachine) {
    const PlannedModel m = planned(GetParam());
    for (const bool fused : {true, false}) {
        for (const double batch : {1.0, 16.0, 512.0}) {
            Scenario s = scenario_of(m, "A100");
            s.setup.fused = fused;
            s.load.n_batch = batch;
            const Summary before = summarize(s);
            const auto faster = [&](auto change) {
                Scenario v = s;
                change(v);
                const Summary after = summarize(v);
                EXPECT_LE(after.itl_s, before.itl_s * (1 + 1e-12));
                EXPECT_LE(after.ttft_s, before.ttft_s * (1 + 1e-12));
            };
            faster([](Scenario& v) { v.setup.hardware.memory_bandwidth_bytes_per_s *= 1.7; });
            faster([](Scenario& v) {
                for (auto& rate : v.setup.hardware.flop_per_s) rate = rate ? std::optional(*rate * 1.7) : rate;
            });
            faster([](Scenario& v) {
                v.setup.types.weight_bits = 4;
                v.setup.types.expert_bits.reset();
            });
            faster([](Scenario& v) { v.setup.types.kv = {1, 1}; });
            faster([](Scenario& v) { v.load.n_context /= 2; });
            faster([](Scenario& v) { v.load.prefix_hit = 0.5; });
        }
    }
}

TEST_P(AnyModel, AnswersMoreASecondInLargerBatchesButNoTokenSooner) {
    const PlannedModel m = planned(GetParam());
    Scenario s = scenario_of(m, "H100");
    Summary last;
    for (double batch = 1; batch <= 4096; batch *= 2) {
        s.load.n_batch = batch;
        const Summary now = summarize(s);
        EXPECT_GE(now.itl_s, last.itl_s);
        // Compute-bound, activations that begin to leave the chip may cost a little.
        EXPECT_GE(now.tokens_per_second, last.tokens_per_second * 0.97) << batch;
        EXPECT_LE(now.mbu, 1 + 1e-9);
        EXPECT_LE(now.mfu, 1 + 1e-9);
        last = now;
    }
}

TEST_P(AnyModel, IsNeverFasterThanItsRoofs) {
    const PlannedModel m = planned(GetParam());
    Scenario s = scenario_of(m, "H100");
    s.load.n_batch = 32;
    for (const double tp : {1.0, 8.0}) {
        s.setup.parallel.tp = tp;
        const Plan plan = make_plan(s);
        for (const Phase* phase : {&plan.prefill, &plan.decode}) {
            const PricedStep& p = phase->price;
            for (const double alone : {p.weights_seconds, p.kv_seconds, p.compute_seconds, p.attention_seconds, p.communication_seconds}) {
                EXPECT_LE(alone, p.seconds * (1 + 1e-9));
            }
            double shares = 0;
            double flops = 0;
            for (const PricedOp& op : p.ops) {
                shares += op.share;
                flops += op.cost.flops * op.count;
            }
            EXPECT_NEAR(shares, 1, 1e-9);
            EXPECT_NEAR(flops / p.flops, 1, 1e-9);
        }
        EXPECT_GT(plan.ridge_batch_tokens, 0);
        for (std::size_t i = 1; i < plan.what_ifs.size(); ++i) {
            const WhatIf& a = plan.what_ifs[i - 1];
            const WhatIf& b = plan.what_ifs[i];
            EXPECT_TRUE(a.gain >= b.gain || (plan.memory.fits && a.after.fits && !b.after.fits));
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Catalog, AnyModel,
                         testing::Values("Llama-3.1-8B", "Mixtral-8x7B", "Gemma-3-27B", "DeepSeek-V3", "OPT-13B", "gpt-oss-20b"),
                         [](const auto& p) {
                             std::string name = p.param;
                             std::erase_if(name, [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; });
                             return name;
                         });

TEST(MemoryFit, CountsBlocksAndSaysWhatIsMissing) {
    const PlannedModel m = planned("OPT-13B");
    Scenario s = scenario_of(m, "A100-40GB");
    s.load.n_context = 100;
    s.load.n_batch = 8;
    const MemoryFit fit = price_memory(s);
    EXPECT_TRUE(fit.fits);
    EXPECT_TRUE(fit.remedies.empty());
    EXPECT_EQ(fit.kv_bytes, 8 * 100 * 819200.0);
    EXPECT_EQ(fit.paged.bytes_per_sequence, 112 * 819200.0);
    EXPECT_NEAR(fit.paged.waste_fraction, 12.0 / 112, 1e-12);
    EXPECT_EQ(fit.contiguous.bytes_per_sequence, 2048 * 819200.0);
    EXPECT_GT(fit.paged.max_sequences, 15 * fit.contiguous.max_sequences);
    // One more than fit do not.
    s.load.n_batch = fit.paged.max_sequences;
    EXPECT_TRUE(price_memory(s).fits);
    s.load.n_batch += 1;
    EXPECT_FALSE(price_memory(s).fits);
    EXPECT_FALSE(price_memory(s).remedies.empty());
    EXPECT_LT(price_memory(s).free_bytes, 0);
}

TEST(Plan, OfHugeNumbersIsFiniteAndQuick) {
    for (const char* json : {R"({"parameters": 1e18})", R"({"n_layers": 1000000000, "d_model": 1048576, "n_vocab": 100000000})",
                             R"({"n_layers": 100000, "d_model": 1000000, "d_ff": 4000000, "gated_ffn": true})"}) {
        const PlannedModel m = from_json(json);
        Scenario s = scenario_of(m, "H100");
        s.load = {.n_batch = 1e6, .n_prompt = 1e9, .n_output = 1e6, .n_context = 1e9};
        const Plan plan = make_plan(s);
        EXPECT_FALSE(plan.memory.fits);
        for (const double n : {plan.decode.price.seconds, plan.prefill.price.seconds, plan.decode.tokens_per_second, plan.memory.free_bytes,
                               plan.summary.mbu}) {
            EXPECT_TRUE(std::isfinite(n));
        }
        EXPECT_GT(plan.decode.price.seconds, 0);
    }
}

TEST(Plan, OfPipelineStagesGivesThroughputAndNoSoonerToken) {
    const PlannedModel m = planned("Llama-3.1-70B");
    Scenario s = scenario_of(m, "H100");
    s.load.n_batch = 1;
    const double alone = price_decode(s, Detail::kTotals).price.seconds;
    s.setup.parallel.pp = 4;
    EXPECT_NEAR(price_decode(s, Detail::kTotals).price.seconds / alone, 1, 0.01);
    s.load.n_batch = 4;
    const Phase four = price_decode(s, Detail::kTotals);
    EXPECT_NEAR(four.price.seconds / alone, 1, 0.01);
    EXPECT_NEAR(four.tokens_per_second * alone, 4, 0.05);
}

}  // namespace
}  // namespace rafter::roofline
