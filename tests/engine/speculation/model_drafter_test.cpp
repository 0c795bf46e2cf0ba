// A draft model that thinks as the target does is right each time, whatever the options and numbers of its tokens; one that does not
// changes nothing.
#include "engine/speculation/model_drafter.h"

#include <gtest/gtest.h>

#include <random>

#include "tests/engine/engine_rig.h"
#include "tests/support/rounds.h"

namespace rafter::engine::tests {
namespace {

// The same letters under other numbers: token t of FakeTokenizer is its token (t + kShift) % kTokens.
constexpr TokenId kShift = 5;
TokenId to_shifted(TokenId id) { return (id + kShift) % static_cast<TokenId>(FakeTokenizer::kTokens); }

class ShiftedTokenizer : public FakeTokenizer {
  public:
    [[nodiscard]] std::string_view piece(TokenId id, text::SpecialTokens special) const override {
        const auto n = static_cast<TokenId>(kTokens);
        return FakeTokenizer::piece((id + n - kShift) % n, special);
    }
};

class ShiftedModel : public FakeModel {
  public:
    using FakeModel::FakeModel;
    [[nodiscard]] backend::StepOutput forward(const backend::Batch& batch) override {
        backend::Batch unshifted = batch;
        const auto n = static_cast<TokenId>(FakeTokenizer::kTokens);
        for (TokenId& token : unshifted.tokens) token = (token + n - kShift) % n;
        const backend::StepOutput out = FakeModel::forward(unshifted);
        shifted_.resize(out.logits.size());
        for (std::size_t i = 0; i < out.logits.size(); ++i) {
            const auto row = i / FakeTokenizer::kTokens * FakeTokenizer::kTokens;
            shifted_[row + static_cast<std::size_t>(to_shifted(static_cast<TokenId>(i - row)))] = out.logits[i];
        }
        return {.logits = shifted_, .hidden = {}, .n_vocab = out.n_vocab};
    }

  private:
    std::vector<float> shifted_;
};

VocabularyMap identity() {
    const FakeTokenizer words;
    return *VocabularyMap::match(words, words.n_tokens(), words, words.n_tokens());
}

ModelDrafterOptions options_of(const RigOptions& setup, std::uint32_t n_blocks) {
    return {.limits = setup.limits,
            .context = setup.context,
            .block_size = setup.block_size,
            .n_blocks = std::vector<std::uint32_t>(setup.windows.size(), n_blocks),
            .windows = setup.windows,
            .cost = {},
            .forced_acceptance = {}};
}

struct Pair {
    Pair(RigOptions setup, std::unique_ptr<FakeModel> small, const VocabularyMap& map, std::uint32_t n_blocks, std::uint32_t n_drafts)
        : model(std::move(small)), drafter(*model, map, options_of(setup, n_blocks)), rig([&] {
              setup.speculation = {.drafter = &drafter, .most_drafts = 8, .fixed = n_drafts};
              return setup;
          }()) {}
    std::unique_ptr<FakeModel> model;
    ModelDrafter drafter;
    Rig rig;
};

TEST(ModelDrafter, AModelLikeTheTargetIsAlwaysRight) {
    std::mt19937 random(1);
    for (int round = 0; round < rafter::tests::rounds(200); ++round) {
        RigOptions setup;
        setup.windows = random() % 2 ? std::vector<std::uint32_t>{0, 8} : std::vector<std::uint32_t>{0};
        const FakeTokenizer words;
        const ShiftedTokenizer shifted;
        const bool shift = random() % 2;
        const VocabularyMap map = shift ? *VocabularyMap::match(words, 32, shifted, 32) : identity();
        EXPECT_EQ(map.is_identity(), !shift);
        std::unique_ptr<FakeModel> small = shift ? std::make_unique<ShiftedModel>(setup.windows, 64, setup.block_size)
                                                 : std::make_unique<FakeModel>(setup.windows, 64, setup.block_size);
        Pair pair(setup, std::move(small), map, 64, 1 + random() % 5);
        std::vector<Request> requests;
        for (std::size_t i = 0; i < 1 + random() % 3; ++i) {
            requests.push_back(random_request(random, 30, 20));
            requests.back().stop = {};
        }
        pair.rig.run(requests);
        const SpeculationCounters& counters = pair.rig.engine.scheduler().speculator().counters();
        ASSERT_EQ(counters.n_accepted_tokens, counters.n_draft_tokens) << "round " << round;
        ASSERT_EQ(pair.drafter.cache().n_available(), 64U);
    }
}

TEST(ModelDrafter, AnotherMindChangesNothing) {
    std::mt19937 random(2);
    std::uint64_t n_right = 0, n_wrong = 0;
    for (int round = 0; round < rafter::tests::rounds(400); ++round) {
        RigOptions setup;
        setup.windows = random() % 2 ? std::vector<std::uint32_t>{0, 8} : std::vector<std::uint32_t>{0};
        setup.limits = {.n_tokens = 8 + static_cast<std::uint32_t>(random() % 30), .n_outputs = 12};
        const std::uint32_t n_blocks = 3 + random() % 40;  // of the draft model: often too few for all
        auto small = std::make_unique<FakeModel>(setup.windows, n_blocks, setup.block_size);
        small->contrary = 1 + random() % 5;
        Pair pair(setup, std::move(small), identity(), n_blocks, 1 + random() % 5);
        std::vector<Request> requests;
        for (std::size_t i = 0; i < 1 + random() % 5; ++i) requests.push_back(random_request(random, 30, 20));
        Rig plain(setup);
        const auto expected = plain.run(requests);
        const auto found = pair.rig.run(requests);
        for (std::size_t i = 0; i < requests.size(); ++i) {
            ASSERT_EQ(ids(found[i]), ids(expected[i])) << "round " << round;
            ASSERT_EQ(found[i].text, expected[i].text);
        }
        const SpeculationCounters& counters = pair.rig.engine.scheduler().speculator().counters();
        n_right += counters.n_accepted_tokens;
        n_wrong += counters.n_draft_tokens - counters.n_accepted_tokens;
        ASSERT_EQ(pair.drafter.cache().n_available(), n_blocks);
        pair.drafter.forget_unused();
        for (const kv::BlockPool& pool : pair.drafter.cache().pools()) ASSERT_EQ(pool.n_used(), 0U);
    }
    EXPECT_GT(n_right, 100U);
    EXPECT_GT(n_wrong, 100U);
}

TEST(ModelDrafter, DraftsAForcedAnswerAsOftenAsItIsTold) {
    RigOptions setup{.n_blocks = 600, .context = 2000};
    FakeModel small(setup.windows, 600, setup.block_size);
    ModelDrafterOptions options = options_of(setup, 600);
    options.forced_acceptance = 0.8;
    ModelDrafter drafter(small, identity(), options);
    setup.speculation = {.drafter = &drafter, .most_drafts = 8, .fixed = 1};
    Rig rig(setup);
    Request request = request_of("abc", 1500);
    request.forced = {{.after = 0, .tokens = std::vector<TokenId>(1500, 4), .unless = {}}};
    EXPECT_EQ(ids(rig.run(request)), request.forced[0].tokens);
    const SpeculationCounters& counters = rig.engine.scheduler().speculator().counters();
    EXPECT_NEAR(static_cast<double>(counters.n_accepted_tokens) / static_cast<double>(counters.n_draft_tokens), 0.8, 0.05);
}

}  // namespace
}  // namespace rafter::engine::tests
