// Who may run, against the definitions written out: every waiting prompt compared with every running one, token by token.
#include "engine/admission.h"

#include <gtest/gtest.h>

#include <random>

#include "tests/engine/engine_rig.h"
#include "tests/support/rounds.h"

namespace rafter::engine {
namespace {

using namespace tests;

struct Setup {
    std::vector<std::uint32_t> n_blocks, windows;
    std::uint64_t hash_mask;
};

class AdmissionWorld {
  public:
    AdmissionWorld(const Setup& setup, std::uint32_t block_size, const AdmissionOptions& options)
        : cache({.block_size = block_size,
                 .n_blocks = setup.n_blocks,
                 .windows = setup.windows,
                 .recompute_seconds = {},
                 .before_eviction = {},
                 .hash_mask = setup.hash_mask}),
          admission(cache, options),
          options_(options) {}

    [[nodiscard]] std::unique_ptr<Sequence> make(Request request) const {
        return std::make_unique<Sequence>(std::move(request), std::make_shared<TokenStream>(), tokenizer_);
    }
    void begin() { admission.begin(running, answer_tokens); }
    void admit(std::unique_ptr<Sequence> sequence) {
        sequence->blocks.emplace();
        sequence->n_computed = cache.attach(*sequence->blocks, key(*sequence).first(sequence->outputs_from()), copies_).n_tokens;
        admission.admit(*sequence);
        running.push_back(std::move(sequence));
    }
    // False when there is no room.
    bool compute(Sequence& sequence, std::uint32_t n_new) {
        if (!cache.grow(*sequence.blocks, sequence.n_computed + n_new)) return false;
        sequence.n_computed += n_new;
        cache.publish(*sequence.blocks, key(sequence), sequence.n_computed);
        return true;
    }
    std::unique_ptr<Sequence> leave(std::size_t i) {
        std::unique_ptr<Sequence> sequence = std::move(running[i]);
        running.erase(running.begin() + static_cast<std::ptrdiff_t>(i));
        cache.release(*sequence->blocks, key(*sequence), sequence->n_computed);
        sequence->blocks.reset();
        sequence->n_sampled_through = std::max(sequence->n_sampled_through, sequence->n_computed);
        sequence->n_computed = 0;
        return sequence;
    }

    [[nodiscard]] bool waits_by_definition(Sequence& sequence) const {
        const std::span<const TokenId> wanted = std::span(sequence.tokens).first(sequence.outputs_from());
        const std::uint32_t n_found = cache.find(key(sequence).first(wanted.size()));
        const std::uint32_t block_size = cache.options().block_size;
        return std::ranges::any_of(running, [&](const auto& other) {
            if (other->n_computed >= other->n_prompt || other->request.cache_salt != sequence.request.cache_salt) return false;
            const std::span<const TokenId> coming = std::span(other->tokens).first(other->n_prompt);
            const auto n_alike = static_cast<std::uint32_t>(std::ranges::mismatch(wanted, coming).in1 - wanted.begin());
            return n_alike >= block_size && n_alike > other->n_computed && n_alike >= n_found + block_size;
        });
    }
    [[nodiscard]] bool fits_by_definition(Sequence& sequence) const {
        const auto expected = [&](const Sequence& each) {
            double more = each.request.max_tokens - std::min(each.request.max_tokens, each.n_generated());
            if (answer_tokens > 0.0) more = std::min(more, std::max(1.0, 1.25 * answer_tokens - each.n_generated()));
            return std::min(static_cast<std::uint32_t>(each.tokens.size()) + static_cast<std::uint32_t>(more), options_.context);
        };
        const auto needs = [&](std::size_t group, std::uint32_t n_positions) {
            const std::uint32_t window = cache.options().windows[group];
            const std::uint32_t n = cache.blocks_for(n_positions);
            return window == 0 ? n : std::min(n, cache.blocks_for(window) + cache.blocks_for(options_.step_tokens) + 2);
        };
        const std::uint32_t n_shared = cache.n_in_use(key(sequence).first(sequence.outputs_from()));
        for (std::size_t group = 0; group < cache.pools().size(); ++group) {
            if (running.empty()) {
                if (needs(group, static_cast<std::uint32_t>(sequence.tokens.size())) > cache.pools()[group].n_blocks()) return false;
                continue;
            }
            std::uint32_t n = needs(group, expected(sequence));
            if (cache.options().windows[group] == 0) n -= std::min(n, n_shared);
            for (const auto& other : running) {
                const std::uint32_t n_held = other->blocks->n_blocks() - other->blocks->first_held(group);
                n += std::max(needs(group, expected(*other)), n_held) - n_held;
            }
            if (n > cache.n_available(group)) return false;
        }
        return true;
    }

    kv::BlockCache cache;
    Admission admission;
    std::vector<std::unique_ptr<Sequence>> running;
    double answer_tokens = 0.0;

  private:
    // Hashed anew, not the sequence's own.
    [[nodiscard]] kv::PrefixKey key(const Sequence& sequence) const {
        hashes_ = {};
        return hashes_.key(sequence.tokens, sequence.request.cache_salt, cache.options().block_size);
    }

    FakeTokenizer tokenizer_;
    AdmissionOptions options_;
    mutable kv::BlockHashes hashes_;
    std::vector<kv::BlockCopy> copies_;
};

class RandomArrivals : public ::testing::TestWithParam<Setup> {};

TEST_P(RandomArrivals, MayRunWhenTheDefinitionsSaySo) {
    std::mt19937 random(9);
    const auto below = [&](std::size_t n) { return static_cast<std::uint32_t>(random() % n); };
    AdmissionWorld world(GetParam(), 4, {.context = 100, .step_tokens = 16});
    std::vector<std::unique_ptr<Sequence>> waiting;
    std::vector<std::vector<TokenId>> texts;
    for (int i = 0; i < 4; ++i) {
        std::vector<TokenId> text = i % 2 == 0 ? std::vector<TokenId>() : texts.back();
        text.resize(text.size() / 2 + below(3));
        while (text.size() < 40) text.push_back(static_cast<TokenId>(below(3)));
        texts.push_back(std::move(text));
    }
    std::uint64_t n_waits = 0, n_goes = 0, n_full = 0, n_preempted = 0;
    for (int round = 0; round < rafter::tests::rounds(10'000); ++round) {
        while (waiting.size() < 12 && below(4) > 0) {
            Request request;
            request.prompt = texts[below(texts.size())];
            request.prompt.resize(40 - below(below(2) == 0 ? 40 : 4));
            for (std::uint32_t n = below(6); n > 0; --n) request.prompt.push_back(static_cast<TokenId>(below(3)));
            request.max_tokens = 1 + below(40);
            if (below(4) == 0) request.cache_salt = "tenant";
            if (below(5) == 0) request.score_prompt_from = below(request.prompt.size());
            waiting.push_back(world.make(std::move(request)));
        }
        world.answer_tokens = below(4) == 0 ? 0.0 : 2.0;
        world.begin();
        for (std::size_t i = 0; i < waiting.size() && world.running.size() < 6;) {
            const bool waits = world.waits_by_definition(*waiting[i]);
            ASSERT_EQ(world.admission.waits_for_prefix(*waiting[i]), waits) << "round " << round;
            const bool fits = world.fits_by_definition(*waiting[i]);
            ASSERT_EQ(world.admission.fits(*waiting[i]), fits) << "round " << round;
            (waits ? n_waits : fits ? n_goes : n_full) += 1;
            if (!waits && fits) {
                world.admit(std::move(waiting[i]));
                waiting.erase(waiting.begin() + static_cast<std::ptrdiff_t>(i));
            } else {
                ++i;
            }
        }
        for (std::size_t i = 0; i < world.running.size();) {
            Sequence& sequence = *world.running[i];
            if (sequence.n_pending() == 0) sequence.tokens.push_back(static_cast<TokenId>(below(3)));
            const bool ends = sequence.tokens.size() >= 100 || sequence.n_generated() >= sequence.request.max_tokens || below(100) == 0;
            if (!ends && (below(3) == 0 || world.compute(sequence, 1 + below(std::min(6U, sequence.n_pending()))))) {
                ++i;
                continue;
            }
            std::unique_ptr<Sequence> left = world.leave(i);
            n_preempted += !ends;
            if (!ends) waiting.push_back(std::move(left));
        }
    }
    EXPECT_GT(n_waits, static_cast<std::uint64_t>(rafter::tests::rounds(1000)));
    EXPECT_GT(n_goes, static_cast<std::uint64_t>(rafter::tests::rounds(500)));
    EXPECT_GT(n_full, static_cast<std::uint64_t>(rafter::tests::rounds(1000)));
    EXPECT_TRUE(n_preempted > 10U || GetParam().windows[0] > 0);  // a window's blocks are counted in advance
}

INSTANTIATE_TEST_SUITE_P(Caches, RandomArrivals,
                         ::testing::Values(Setup{{36}, {0}, ~0ULL}, Setup{{36, 36}, {0, 10}, ~0ULL}, Setup{{36}, {0}, 0x3ULL},
                                           Setup{{25}, {12}, ~0ULL}));

// What many waiting sequences cost is counted, not timed.
class ManyWaiting : public ::testing::TestWithParam<std::uint32_t> {};

TEST_P(ManyWaiting, AreComparedOnceAndWalkThroughTheCacheOnceAStepTogether) {
    constexpr std::uint32_t kShared = 8000;
    constexpr std::uint32_t kWaiting = 1000;
    AdmissionWorld world({{4000}, {0}, ~0ULL}, 16, {.context = 10'000, .step_tokens = 512});
    const auto make = [&](std::uint32_t n_shared, std::uint32_t own) {
        Request request;
        for (std::uint32_t i = 0; i < n_shared; ++i) request.prompt.push_back(static_cast<TokenId>(i * i % 26));
        for (std::uint32_t i = 0; i < 20; ++i) request.prompt.push_back(static_cast<TokenId>((own >> i) % 2));
        return world.make(std::move(request));
    };
    world.begin();
    for (std::uint32_t i = 0; i < 31; ++i) world.admit(make(0, i));  // other prompts, being computed too
    world.admit(make(kShared, 0));
    std::vector<std::unique_ptr<Sequence>> waiting;
    for (std::uint32_t i = 1; i <= kWaiting; ++i) waiting.push_back(make(kShared, i));
    std::uint64_t n_steps = 0;
    bool all_wait = true;
    for (Sequence& first = *world.running.back(); all_wait; ++n_steps) {
        world.begin();
        for (const auto& sequence : waiting) {
            const bool waits = world.admission.waits_for_prefix(*sequence);
            if (!waits) all_wait = false;
            if (!waits) break;
        }
        if (!all_wait) continue;
        ASSERT_TRUE(world.compute(first, std::min(GetParam(), first.n_pending())));
    }
    EXPECT_GE(n_steps, kShared / GetParam());
    EXPECT_LE(world.admission.work().prompts_compared, kWaiting + n_steps);
    EXPECT_LE(world.admission.work().prefixes_found, n_steps);
}

INSTANTIATE_TEST_SUITE_P(Chunks, ManyWaiting, ::testing::Values(16U, 24U, 512U));

}  // namespace
}  // namespace rafter::engine
