// Each term beyond the ideal roof: what it may do to a time and what not, and that the ideal has none of them.
#include "roofline/op_time.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "roofline/parallel.h"
#include "roofline/plan.h"
#include "tests/roofline/catalog_scenario.h"

namespace rafter::roofline {
namespace {

using hardware::Precision;

TEST(OpTime, IdealIsTheLargerOfBothRoofsExactly) {
    std::mt19937 random(1);
    std::uniform_real_distribution<double> exponent(3, 12);
    const hardware::Hardware& h100 = device("H100-SXM");
    const Roofs roofs{&h100, {}, true};
    for (int round = 0; round < 1000; ++round) {
        OpWork work{.cost = {.flops = std::pow(10, exponent(random)), .weight_bytes = std::pow(10, exponent(random))},
                    .work = static_cast<Work>(round % 4),
                    .precision = round % 3 == 0 ? Precision::kFp8 : Precision::kBf16,
                    .weight_bits = round % 2 == 0 ? 4.5 : 16.0,
                    .tokens_per_weight = 1.0 + round};
        const double peak = *h100.peak(work.precision);
        EXPECT_EQ(op_time(work, roofs).seconds,
                  std::max(work.cost.flops / peak, work.cost.weight_bytes / h100.memory_bandwidth_bytes_per_s));
    }
}

TEST(OpTime, FlopFractionRisesWithTokensToAllOfIt) {
    const Efficiency e{.flop_half_tokens = 32.0};
    double last = 0.0;
    for (double n = 1; n < 1e6; n *= 1.5) {
        EXPECT_GT(flop_rise(e, n), last) << n;
        last = flop_rise(e, n);
    }
    EXPECT_EQ(flop_rise(e, 32.0), 0.5);
    EXPECT_LT(last, 1.0);
    EXPECT_NEAR(last, 1.0, 1e-4);
    EXPECT_EQ(flop_rise({}, 1.0), 1.0);
    // More tokens still take more time.
    const Roofs roofs{&device("H100-SXM"), e, true};
    double seconds = 0.0;
    for (double n = 1; n < 1e5; n *= 2) {
        const OpTime time = op_time({.cost = {.flops = n * 1e9}, .work = Work::kMatrix, .tokens_per_weight = n}, roofs);
        EXPECT_GT(time.seconds, seconds);
        seconds = time.seconds;
    }
}

TEST(OpTime, WhatDoesNotOverlapShowsNearTheRidgeOnly) {
    const hardware::Hardware& h100 = device("H100-SXM");
    const Roofs roofs{&h100, {.overlap = 0.6}, true};
    const double flops = *h100.peak(Precision::kBf16);       // a second
    const double bytes = h100.memory_bandwidth_bytes_per_s;  // a second
    const auto seconds = [&](double compute, double memory) {
        return op_time({.cost = {.flops = flops * compute, .weight_bytes = bytes * memory}, .work = Work::kMatrix}, roofs).seconds;
    };
    EXPECT_DOUBLE_EQ(seconds(1, 1), 1.4);
    EXPECT_DOUBLE_EQ(seconds(0, 1), 1.0);
    EXPECT_DOUBLE_EQ(seconds(1, 0), 1.0);
    EXPECT_NEAR(seconds(0.1, 1), 1.004, 1e-9);
    EXPECT_EQ(op_time({.cost = {}, .work = Work::kMatrix}, roofs).seconds, 0.0);
}

TEST(OpTime, NarrowWeightsPayForBeingUnpackedAndOnlyThen) {
    const hardware::Hardware& h100 = device("H100-SXM");
    const Efficiency e{.eight_bit_flop_factor = 0.9,
                       .unpack_flop_factor = 0.5,
                       .unpack_four_bit_bandwidth_factor = 0.7,
                       .unpack_eight_bit_bandwidth_factor = 0.8};
    const Roofs roofs{&h100, e, true};
    const auto reading = [&](double bits, Precision precision) {
        return roofs.bytes_per_s({.work = Work::kMatrix, .precision = precision, .weight_bits = bits}) / h100.memory_bandwidth_bytes_per_s;
    };
    EXPECT_DOUBLE_EQ(reading(16, Precision::kBf16), 1.0);
    EXPECT_DOUBLE_EQ(reading(8.5, Precision::kBf16), 0.8);
    EXPECT_DOUBLE_EQ(reading(4.5, Precision::kBf16), 0.7);
    EXPECT_DOUBLE_EQ(reading(8, Precision::kFp8), 1.0);
    const auto computing = [&](double bits, Precision precision) {
        return roofs.flop_per_s({.work = Work::kMatrix, .precision = precision, .weight_bits = bits}) / *h100.peak(precision);
    };
    EXPECT_DOUBLE_EQ(computing(16, Precision::kBf16), 1.0);
    EXPECT_DOUBLE_EQ(computing(4.5, Precision::kBf16), 0.5);
    EXPECT_DOUBLE_EQ(computing(8, Precision::kFp8), 0.9);
}

TEST(ExpertImbalance, IsAtLeastOneAndEndsWithManyTokens) {
    for (const double n : {2.0, 4.0, 8.0, 64.0}) {
        double last = n;
        for (double tokens = 1; tokens < 1e9; tokens *= 4) {
            const double imbalance = expert_imbalance({.n_chosen = tokens, .n_experts = 32}, n);
            EXPECT_GE(imbalance, 1.0);
            EXPECT_LE(imbalance, last);
            last = imbalance;
        }
        EXPECT_NEAR(last, 1.0, 1e-3);
        // Popular experts stay so, and more of them on a device even out.
        const double few = expert_imbalance({.n_chosen = 1e12, .n_experts = 2, .skew = 0.4}, n);
        const double many = expert_imbalance({.n_chosen = 1e12, .n_experts = 200, .skew = 0.4}, n);
        EXPECT_GT(few, many);
        EXPECT_GT(many, 1.0);
    }
    EXPECT_EQ(expert_imbalance({.n_chosen = 3, .n_experts = 8, .skew = 1}, 1), 1.0);
    EXPECT_EQ(expert_imbalance({.n_chosen = 1e-9, .n_experts = 8, .skew = 1}, 4), 4.0);
}

TEST(Collectives, NeverTakeLessThanTheirWire) {
    const Link link{.bytes_per_s = 450e9, .latency_s = 1.9e-6};
    for (const double n : {2.0, 4.0, 8.0}) {
        for (double bytes = 1; bytes < 1e12; bytes *= 10) {
            const double all_to_all = all_to_all_seconds(bytes, n, link, Collective::kRing);
            EXPECT_GE(all_to_all, (n - 1) / n * bytes / link.bytes_per_s);
            const double reduce = engine_all_reduce_seconds(bytes, n, link);
            EXPECT_GE(reduce, 2 * (n - 1) / n * bytes / link.bytes_per_s);  // what any all-reduce must send
            EXPECT_LE(reduce, all_reduce_seconds(bytes, n, link, Collective::kRing));
        }
    }
    EXPECT_EQ(engine_all_reduce_seconds(1e6, 1, link), 0.0);
    EXPECT_LT(engine_all_reduce_seconds(1e4, 8, link), 0.5 * all_reduce_seconds(1e4, 8, link, Collective::kRing));
}

TEST(Collectives, ATokenGoesOnceToADeviceWithSeveralOfItsExperts) {
    EXPECT_EQ(expected_devices(4, 1), 1.0);
    EXPECT_EQ(expected_devices(1, 8), 1.0);
    for (const double n : {2.0, 4.0, 8.0, 256.0}) {
        for (const double used : {2.0, 4.0, 8.0}) {
            EXPECT_GT(expected_devices(n, used), 1.0);
            EXPECT_LT(expected_devices(n, used), std::min(n, used));
        }
    }
    EXPECT_NEAR(expected_devices(1e9, 8), 8.0, 1e-6);
}

TEST(StepPrice, LongPrefillsReadTheWeightsOnceAStep) {
    const PlannedModel m = planned("Llama-3.1-8B");
    Scenario s = scenario_of(m, "H100-SXM");
    const Step prefill = prefill_step(8, 4096);
    const PricedStep whole = price_step(s.list(), s.setup, prefill);
    s.setup.efficiency.max_step_tokens = 8192;
    s.setup.efficiency.seconds_per_step = 1e-3;
    const PricedStep cut = price_step(s.list(), s.setup, prefill);
    EXPECT_NEAR(cut.weights_seconds, 4 * whole.weights_seconds, 1e-9);
    EXPECT_DOUBLE_EQ(cut.overhead_seconds, 4e-3);
    EXPECT_DOUBLE_EQ(cut.compute_seconds, whole.compute_seconds);
    EXPECT_EQ(cut.flops, whole.flops);
    const Step decode = decode_step(256, 4096);
    EXPECT_DOUBLE_EQ(price_step(s.list(), s.setup, decode).seconds,
                     1e-3 + price_step(s.list(), scenario_of(m, "H100-SXM").setup, decode).seconds);
}

TEST(StepPrice, KernelsOfPromptsStartOneByOne) {
    const PlannedModel m = planned("Llama-3.1-8B");
    Scenario s = scenario_of(m, "H100-SXM");
    const auto price = [&](const Step& step) { return price_step(s.list(), s.setup, step); };
    const PricedStep plain = price(prefill_step(1, 128));
    const double decode = price(decode_step(8, 128)).seconds;
    s.setup.efficiency.seconds_per_prompt_op = 8e-6;
    EXPECT_NEAR(price(prefill_step(1, 128)).seconds - plain.seconds, 8e-6 * plain.n_ops, 1e-9);
    EXPECT_EQ(price(decode_step(8, 128)).seconds, decode);
}

TEST(StepPrice, HostAndSamplingGrowWithTheirSequences) {
    const PlannedModel m = planned("Llama-3.1-8B");
    Scenario s = scenario_of(m, "H100-SXM");
    const auto seconds = [&](double n) { return price_step(s.list(), s.setup, decode_step(n, 100)).seconds; };
    const double plain = seconds(100);
    s.setup.efficiency.seconds_per_sequence = 1e-5;
    EXPECT_NEAR(seconds(100) - plain, 1e-3, 1e-9);
    s.setup.efficiency.seconds_per_sequence = 0;
    s.setup.efficiency.logits_passes = 6;
    EXPECT_NEAR(seconds(100) - plain, 6.0 * 100 * 128256 * 4 / 3.35e12, 1e-9);
}

TEST(StepPrice, BusyExpertsAreWaitedFor) {
    const PlannedModel m = planned("Qwen3-235B-A22B");
    Scenario s = scenario_of(m, "H200");
    s.setup.parallel = {.ep = 4};
    const Step prefill = prefill_step(8, 2048);
    const double even = price_step(s.list(), s.setup, prefill).seconds;
    s.setup.efficiency.expert_skew = 0.4;
    const double skewed = price_step(s.list(), s.setup, prefill).seconds;
    EXPECT_GT(skewed, 1.02 * even);
    EXPECT_LT(skewed, 1.5 * even);
    s.setup.parallel = {.tp = 4};  // every device has a part of each expert
    const double split = price_step(s.list(), s.setup, prefill).seconds;
    s.setup.efficiency.expert_skew.reset();
    EXPECT_EQ(price_step(s.list(), s.setup, prefill).seconds, split);
}

TEST(Summary, SequencesWithoutRoomWait) {
    const PlannedModel m = planned("Llama-3.1-70B");
    Scenario s = scenario_of(m, "H200");
    s.setup.parallel = {.tp = 2};
    s.load = {.n_batch = 256, .n_prompt = 1024, .n_output = 8192, .n_context = 5120, .n_prefill_batch = 8};
    const double all = summarize(s).served_tokens_per_second;
    s.setup.efficiency.queues_for_memory = true;
    const Summary queued = summarize(s);
    EXPECT_LT(queued.served_tokens_per_second, all);
    // They must have room for their whole answers.
    Scenario full = s;
    full.load.n_context = 1024 + 8192;
    const double n_fit = price_memory(full).paged.max_sequences;
    ASSERT_GT(n_fit, 1);
    ASSERT_LT(n_fit, price_memory(s).paged.max_sequences);
    s.load.n_batch = n_fit;
    s.setup.efficiency.queues_for_memory = false;
    EXPECT_DOUBLE_EQ(queued.served_tokens_per_second, summarize(s).served_tokens_per_second);
    s.setup.efficiency.queues_for_memory = true;
    // Where not even one has room, the answer is for those that were asked about.
    s.load = {.n_batch = 4, .n_context = 1e9};
    const double none_fits = summarize(s).served_tokens_per_second;
    s.setup.efficiency.queues_for_memory = false;
    EXPECT_EQ(none_fits, summarize(s).served_tokens_per_second);
}

}  // namespace
}  // namespace rafter::roofline
