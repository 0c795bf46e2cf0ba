// What is said of a minute: the answer first, causes that add up, advice with numbers, and what is not known.
#include "server/observe/explanation.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <random>

#include "engine/loading/loaded_model.h"
#include "engine/speculation/ngram_drafter.h"
#include "tests/support/tiny_model.h"

namespace rafter::server {
namespace {

namespace fs = std::filesystem;

// A machine on which reading binds decode steps of a tiny model, and nothing else costs much.
hardware::Profile machine_of(engine::Runtime& runtime) {
    hardware::Profile profile;
    profile.key = {.cpu = "a processor", .n_threads = 1, .isa = std::string(runtime.isa()), .version = "1"};
    profile.bandwidth = {{.n_threads = 1, .working_set_bytes = 1e5, .bytes_per_s = 1e8, .best_bytes_per_s = 1e8, .spread = 0.0}};
    profile.float_flop_per_s = profile.int8_flop_per_s = 1e12;
    profile.stream_bytes_per_s = 1e8;
    return profile;
}

class ExplanationTest : public testing::Test {
  protected:
    static void SetUpTestSuite() {
        const fs::path path = fs::path(testing::TempDir()) / fmt::format("rafter-explanation-{}.gguf", getpid());
        const auto bytes = model::tiny_gguf({.matrices = tensor::DType::kQ8_0});
        std::ofstream(path, std::ios::binary)
            .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
        const auto opened = engine::open_model(path).value();
        engine::Runtime runtime = engine::Runtime::create({.n_threads = 1}).value();
        prepared_ = engine::prepare_model(runtime.backend(), opened, {.context = 256, .n_sequences = 8, .n_outputs = 8}).value();
        fs::remove(path);
    }

    void SetUp() override {
        scheduler_ = prepared_.scheduler;
        scheduler_.n_sequences = 8;
    }
    // With a machine profile, whose prices are the engine's too.
    void measure() {
        const hardware::Profile machine = machine_of(runtime_);
        watch_ = std::make_unique<StepWatch>(
            std::make_unique<const StepPrices>(runtime_.backend(), prepared_.program, machine, roofline::PriceOptions{},
                                               StepPricesOptions{.n_tokens = 512, .n_outputs = 8, .context = 256, .n_sequences = 8}));
        scheduler_.cost = engine::StepCost(runtime_.backend(), prepared_.program, machine, {}, 512, 256);
    }

    // Ten prompts of which a token differs early.
    void arrive_with_a_changing_line(std::uint32_t n_system) {
        std::mt19937 random(1);
        std::vector<text::TokenId> prompt(2000);
        for (auto& token : prompt) token = static_cast<text::TokenId>(random() % 100);
        for (int i = 0; i < 10; ++i) {
            prompt[12] = i;  // today's number
            prefixes_.arrived("", {.tokens = prompt, .n_system = n_system}, now_);
        }
    }

    // Steps of n decoding sequences, whose model takes `slower` times the roof.
    void decode(int n_steps, std::uint32_t n_sequences, double slower = 1.25) {
        for (int i = 0; i < n_steps; ++i) {
            engine::StepReport step;
            step.kind = engine::StepKind::kDecode;
            step.shape.sequences.assign(n_sequences, {.n_new = 1, .n_past = 60, .n_outputs = 1});
            step.n_chosen = step.n_decoding = step.cache.n_sequences = n_sequences;
            step.prefix = prefix_;
            const double roof = watch_->prices() != nullptr ? watch_->prices()->of(step.shape).roof_seconds() : 0.001;
            step.predicted_seconds = watch_->prices() != nullptr ? 1.1 * roof : 0.0;
            step.forward_seconds = slower * roof;
            step.sample_seconds = 0.05 * roof;
            step.step_seconds = step.forward_seconds + 0.1 * roof;
            now_ += step.step_seconds;
            watch_->record(step, now_);
        }
    }
    Explanation explained() {
        return explain({.model_name = "tiny",
                        .watch = *watch_,
                        .prefixes = prefixes_,
                        .scheduler = scheduler_,
                        .engine = engine_,
                        .load = load_,
                        .machine_doubt = {},
                        .now_seconds = now_});
    }

    static inline engine::PreparedModel prepared_;
    engine::Runtime runtime_ = engine::Runtime::create({.n_threads = 1}).value();
    std::unique_ptr<StepWatch> watch_ = std::make_unique<StepWatch>();
    PrefixWatch prefixes_;
    engine::SchedulerOptions scheduler_;
    engine::EngineSnapshot engine_{.cache = {.n_blocks = 1000}};
    GateLoad load_;
    kv::BlockCacheCounters prefix_;
    double now_ = 1000.0;
};

const Suggestion* suggestion(const Explanation& e, std::string_view beginning) {
    for (const Suggestion& one : e.suggestions) {
        if (one.what.starts_with(beginning)) return &one;
    }
    return nullptr;
}

TEST_F(ExplanationTest, NothingRanAndNothingIsMadeUp) {
    const Explanation e = explained();
    EXPECT_FALSE(e.ran);
    EXPECT_EQ(e.headline, "Idle: no request ran in the last minute.");
    EXPECT_TRUE(e.losses.empty());
    EXPECT_TRUE(e.suggestions.empty());
    EXPECT_FALSE(short_verdict(e));
    ASSERT_EQ(e.unknown.size(), 1U);
    EXPECT_NE(e.unknown[0].find("rafter probe"), std::string::npos);
}

TEST_F(ExplanationTest, OneSequenceIsBoundByReadingAndMoreTogetherWouldHelpMost) {
    measure();
    decode(2000, 1);
    const Explanation e = explained();
    EXPECT_NE(e.headline.find("Bound by reading weights and cache, at 74% of the memory roof"), std::string::npos)
        << e.headline;  // 1 / 1.35
    double lost = 0.0;
    for (const LostSeconds& loss : losses_of(e.sums)) lost += loss.seconds;
    EXPECT_NEAR(lost, e.sums.step - e.sums.roof() + e.sums.between, 1e-9);
    const Suggestion* more = suggestion(e, "Send more requests at once: 4 together in place of 1");
    ASSERT_NE(more, nullptr);
    EXPECT_GT(more->gain, 2.0);
    EXPECT_LT(more->gain, 4.0);
    const Suggestion* drafts = suggestion(e, "Draft tokens");
    ASSERT_NE(drafts, nullptr);
    EXPECT_GT(drafts->gain, 1.3);
    EXPECT_NE(drafts->remark.find("assumed, not measured"), std::string::npos);
    EXPECT_LE(e.suggestions.size(), 3U);
    const auto verdict = short_verdict(e);
    ASSERT_TRUE(verdict);
    EXPECT_EQ(verdict->headline, e.headline);
}

TEST_F(ExplanationTest, WhereRequestsWaitMoreMayRunTogether) {
    measure();
    load_.n_queued = 20;
    decode(500, 8);
    const Explanation e = explained();
    EXPECT_NE(e.headline.find("; 20 wait."), std::string::npos) << e.headline;
    EXPECT_NE(suggestion(e, "Let more sequences run together: --batch 32 in place of 8"), nullptr) << to_text(e);
}

TEST_F(ExplanationTest, WithADrafterNoneIsAdvised) {
    measure();
    engine::NgramDrafter drafter({});
    scheduler_.speculation.drafter = &drafter;
    decode(500, 1);
    EXPECT_EQ(suggestion(explained(), "Draft tokens"), nullptr);
}

TEST_F(ExplanationTest, ReportsALineThatDefeatsThePrefixCache) {
    measure();
    arrive_with_a_changing_line(0);
    prefix_ = {.lookups = 10, .tokens_asked = 20'000, .tokens_found = 100, .missed_new = 19'900};
    decode(1000, 1);
    const Explanation e = explained();
    const std::string text = to_text(e);
    EXPECT_NE(text.find("9 of 10 prompts differ from an earlier one at about token 12 and are alike"), std::string::npos) << text;
    const Suggestion* moved = suggestion(e, "Move what changes with each request (at about token 12 of the prompts) to their end");
    ASSERT_NE(moved, nullptr) << text;
    EXPECT_GT(moved->gain, 1.02);
}

TEST_F(ExplanationTest, ReportsALineOfTheSystemPromptAsAReasonOfItsOwn) {
    measure();
    arrive_with_a_changing_line(1500);
    prefix_ = {.lookups = 10, .tokens_asked = 20'000, .tokens_found = 100, .missed_new = 19'900};
    decode(1000, 1);
    const Explanation e = explained();
    std::string text = to_text(e);
    std::ranges::replace(text, '\n', ' ');
    EXPECT_NE(text.find("9 of 10 prompts have a system prompt that differs from all earlier ones at about token 12 "), std::string::npos)
        << text;
    EXPECT_EQ(text.find("prompts differ from an earlier one"), std::string::npos) << text;
    const Suggestion* moved = suggestion(e, "Move the line that changes with each request (at about token 12) out of the system prompt");
    ASSERT_NE(moved, nullptr) << text;
    EXPECT_GT(moved->gain, 1.02);
    const auto json = to_json(e);
    EXPECT_EQ(json["prefix_cache"]["changed_system_prompts"], 9U);
    EXPECT_EQ(json["prefix_cache"]["changed_system_at_token"], 12U);
    EXPECT_GT(json["prefix_cache"]["changed_system_tokens"], 9U * 1800U);
    EXPECT_EQ(json["prefix_cache"]["changed_early_prompts"], 0U);
}

TEST_F(ExplanationTest, EvictedPromptsAskForALargerCache) {
    measure();
    prefix_ = {.lookups = 10, .tokens_asked = 20'000, .tokens_found = 100, .missed_new = 900, .missed_evicted = 19'000};
    decode(1000, 1);
    const Explanation e = explained();
    EXPECT_NE(suggestion(e, "A larger KV cache"), nullptr) << to_text(e);
    EXPECT_NE(to_text(e).find("95% had been evicted"), std::string::npos) << to_text(e);
}

TEST_F(ExplanationTest, WithoutAProfileRoofsAreUnknownAndPromptsAreStillCounted) {
    prefix_ = {.lookups = 10, .tokens_asked = 1000, .missed_evicted = 1000};
    decode(100, 2);
    const Explanation e = explained();
    EXPECT_NE(e.headline.find("not known without a machine profile"), std::string::npos) << e.headline;
    EXPECT_EQ(e.headline.find("roof"), std::string::npos) << e.headline;
    const auto json = to_json(e);
    for (const char* key : {"bound", "fraction", "mbu", "mfu", "predicted_over_measured"}) EXPECT_TRUE(json["roof"][key].is_null()) << key;
    const Suggestion* cache = suggestion(e, "A larger KV cache");
    ASSERT_NE(cache, nullptr);
    EXPECT_EQ(cache->gain, 1.0);
    EXPECT_TRUE(json["suggestions"][0]["gain"].is_null());
    EXPECT_EQ(json["prefix_cache"]["missed_evicted_tokens"], 1000.0);
}

TEST_F(ExplanationTest, TheFirstLineOfTheTextIsTheAnswer) {
    measure();
    decode(200, 2);
    const Explanation e = explained();
    const std::string text = to_text(e);
    EXPECT_TRUE(text.starts_with(e.headline + "\n"));
    std::istringstream lines(text);
    std::string line;
    std::getline(lines, line);
    while (std::getline(lines, line)) EXPECT_LE(line.size(), 110U) << line;
    EXPECT_NE(text.find("\nWhat would help\n"), std::string::npos);
    EXPECT_NE(text.find("\nNot known\n"), std::string::npos);
    EXPECT_EQ(text.find("nan"), std::string::npos);
    EXPECT_EQ(text.find("inf"), std::string::npos);
}

}  // namespace
}  // namespace rafter::server
