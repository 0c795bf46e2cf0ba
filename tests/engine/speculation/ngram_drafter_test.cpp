// What the n-gram drafter proposes, from a sequence's own text and from others' of its salt; that it keeps to its memory.
#include "engine/speculation/ngram_drafter.h"

#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <memory>
#include <numeric>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/rounds.h"

namespace rafter::engine {
namespace {

using Tokens = std::vector<TokenId>;

constexpr NgramOptions kAlone{.shared_bytes = 0};

// A sequence as an engine holds it.
struct Client {
    Client(NgramDrafter& by, Tokens text, std::string with_salt = "") : drafter(&by), tokens(std::move(text)), salt(std::move(with_salt)) {}
    ~Client() { end(); }
    Client(Client&&) = default;
    [[nodiscard]] DraftSequence view() {
        return {.tokens = tokens, .sampler = nullptr, .forced = {}, .n_prompt = 0, .cache_salt = salt, .state = &state};
    }
    [[nodiscard]] DraftOffer offer(std::uint32_t n_most) {
        DraftSequence sequence = view();
        return drafter->offer(sequence, n_most);
    }
    [[nodiscard]] Tokens drafts(std::uint32_t n_most) {
        std::vector<DraftRequest> requests(1);
        requests[0] = {view(), offer(n_most).n_tokens, {9, 9, 9}};
        drafter->draft(requests);
        EXPECT_EQ(requests[0].drafts.size(), requests[0].n_wanted);
        return requests[0].drafts;
    }

    // Its sequence ends, or is preempted.
    void end() {
        if (state) state->end();
        state.reset();
    }

    NgramDrafter* drafter;
    Tokens tokens;
    std::string salt;
    std::unique_ptr<DraftState> state;
};

Tokens counting(TokenId from, std::size_t n) {
    Tokens tokens(n);
    std::iota(tokens.begin(), tokens.end(), from);
    return tokens;
}

Tokens random_tokens(std::mt19937& random, std::size_t n, std::uint32_t n_vocab) {
    Tokens tokens(n);
    for (TokenId& token : tokens) token = static_cast<TokenId>(random() % n_vocab);
    return tokens;
}

TEST(NgramDrafter, GoesOnAsTheTextDidBefore) {
    NgramDrafter drafter(kAlone);
    Client client(drafter, {5, 1, 2, 3, 4, 6, 8, 1, 2});
    EXPECT_EQ(client.drafts(4), (Tokens{3, 4, 6, 8}));
    EXPECT_EQ(client.drafts(0), Tokens{});
    client.tokens = {5, 1, 2, 3, 4, 6, 8, 1, 2, 7, 0, 1, 2};
    EXPECT_EQ(client.drafts(2), (Tokens{7, 0})) << "the latest place";
    client.tokens = {5, 1, 2, 3, 4, 6, 8, 1, 2, 7, 0, 1, 2, 5, 8, 1, 2};
    EXPECT_EQ(client.drafts(2), (Tokens{7, 0})) << "the longest match before the latest";
}

TEST(NgramDrafter, DraftsPeriodicTextBeyondItsEnd) {
    for (int period = 1; period <= 40; ++period) {
        NgramDrafter drafter(kAlone);
        const auto at = [&](int i) { return static_cast<TokenId>(100 + i % period); };
        Tokens head = counting(0, 10);
        Client client(drafter, head);
        for (int i = 0; i < 3 * period; ++i) {
            client.tokens.push_back(at(i));
            const Tokens drafts = client.drafts(100);
            if (i + 1 < period + 2) {
                EXPECT_TRUE(drafts.empty() || period == 1) << "period " << period << ", token " << i;
                continue;
            }
            ASSERT_EQ(drafts.size(), 100U);
            for (int k = 0; k < 100; ++k)
                ASSERT_EQ(drafts[k], at(i + 1 + k)) << "period " << period << ", token " << i << ", draft token " << k;
        }
    }
}

TEST(NgramDrafter, OffersNothingWhereNothingRepeats) {
    NgramDrafter drafter({});
    Client client(drafter, {});
    EXPECT_EQ(client.offer(10).n_tokens, 0U);
    for (TokenId token = 0; token < 3000; ++token) {
        client.tokens.push_back(token);
        ASSERT_EQ(client.offer(10).n_tokens, 0U);
    }
    client.tokens.push_back(7);
    EXPECT_EQ(client.offer(10).n_tokens, 0U) << "one equal token is below min_match";
    EXPECT_EQ(client.drafts(10), Tokens{});
}

TEST(NgramDrafter, TrustsLongerMatchesMore) {
    NgramDrafter drafter(kAlone);
    std::uint32_t previous = 0;
    std::set<std::uint32_t> levels;
    for (std::size_t length = 2; length < 100; ++length) {
        Tokens tokens = counting(0, 200);
        tokens.push_back(1000);
        for (std::size_t i = 100 - length; i < 100; ++i) tokens.push_back(static_cast<TokenId>(i));
        Client client(drafter, tokens);
        const DraftOffer offer = client.offer(5);
        EXPECT_EQ(client.drafts(2), (Tokens{100, 101}));
        EXPECT_EQ(offer.n_tokens, 5U);
        EXPECT_GE(offer.trust, previous);
        EXPECT_LT(offer.trust, kTrustLevels);
        previous = offer.trust;
        levels.insert(offer.trust);
    }
    EXPECT_EQ(levels.size(), kTrustLevels);
}

TEST(NgramDrafter, KnowsNoDifferenceBetweenAFollowedAndARebuiltSequence) {
    std::mt19937 random(4);
    int n_offers = 0;
    for (int round = 0; round < rafter::tests::rounds(200); ++round) {
        NgramDrafter drafter({.min_match = 1 + static_cast<std::uint32_t>(random() % 4), .shared_bytes = 0});
        const std::uint32_t n_vocab = 1 + random() % 8;
        Client followed(drafter, random_tokens(random, random() % 300, n_vocab));
        for (int step = 0; step < 30; ++step) {
            if (random() % 8 == 0) followed.end();  // preempted
            const Tokens more = random_tokens(random, random() % 20, n_vocab);
            followed.tokens.insert(followed.tokens.end(), more.begin(), more.end());
            Client rebuilt(drafter, followed.tokens);
            const DraftOffer offer = followed.offer(12);
            const DraftOffer expected = rebuilt.offer(12);
            ASSERT_EQ(offer.n_tokens, expected.n_tokens);
            ASSERT_EQ(offer.trust, expected.trust);
            ASSERT_EQ(followed.drafts(12), rebuilt.drafts(12));
            n_offers += offer.n_tokens > 0 ? 1 : 0;
        }
    }
    EXPECT_GT(n_offers, rafter::tests::rounds(2000));
}

TEST(NgramDrafter, DraftsForManySequencesWhatItDraftsForEach) {
    std::mt19937 random(5);
    NgramDrafter drafter({});
    (void)Client(drafter, random_tokens(random, 500, 10)).offer(1);
    std::vector<Client> clients;
    for (int i = 0; i < 20; ++i) clients.emplace_back(drafter, random_tokens(random, random() % 100, 10));
    std::vector<DraftRequest> requests;
    for (Client& client : clients) requests.push_back({client.view(), client.offer(8).n_tokens, {}});
    drafter.draft(requests);
    std::size_t n_drafts = 0;
    for (std::size_t i = 0; i < clients.size(); ++i) {
        EXPECT_EQ(requests[i].drafts, clients[i].drafts(8));
        n_drafts += requests[i].drafts.size();
    }
    EXPECT_GT(n_drafts, 80U);
}

TEST(NgramDrafter, SaysWhatAnEndedSequenceSaidAndStopsWhereThatStopped) {
    NgramDrafter drafter({});
    {
        Client ended(drafter, counting(0, 50));
        EXPECT_EQ(ended.offer(5).n_tokens, 0U);
        Client meanwhile(drafter, {10, 11});
        EXPECT_EQ(meanwhile.offer(5).n_tokens, 0U) << "it has not ended";
    }
    EXPECT_EQ(Client(drafter, {77, 10, 11}).drafts(3), (Tokens{12, 13, 14}));
    EXPECT_EQ(Client(drafter, {77, 46, 47}).drafts(10), (Tokens{48, 49}));
    EXPECT_EQ(Client(drafter, {77, 48, 49}).drafts(10), Tokens{});
    // Its own text where that matches as well; another's where that matches better.
    EXPECT_EQ(Client(drafter, {10, 11, 99, 98, 10, 11}).drafts(2), (Tokens{99, 98}));
    EXPECT_EQ(Client(drafter, {10, 11, 99, 9, 10, 11}).drafts(2), (Tokens{12, 13}));

    NgramDrafter alone(kAlone);
    (void)Client(alone, counting(0, 50)).offer(5);
    EXPECT_EQ(Client(alone, {77, 10, 11}).offer(5).n_tokens, 0U);
}

TEST(NgramDrafter, TellsNoOtherSalt) {
    std::mt19937 random(6);
    const std::vector<std::string> salts{"", "a", "ab", "b", std::string("a\0", 2), std::string(300, 'x'), std::string(301, 'x')};
    NgramDrafter drafter({.shared_bytes = 200'000});
    int n_learnt = 0;
    for (int round = 0; round < rafter::tests::rounds(3000); ++round) {
        // Tokens below 6 are everyone's, and each salt has two that nobody else says.
        const std::size_t which = random() % salts.size();
        const auto secret = static_cast<TokenId>(100 + 2 * which);
        Client client(drafter, {}, salts[which]);
        for (int i = 0; i < 60; ++i) {
            const bool says = i > 30 && random() % 4 == 0;
            client.tokens.push_back(says ? secret + static_cast<TokenId>(random() % 2) : static_cast<TokenId>(random() % 6));
            for (const TokenId token : client.drafts(6)) {
                ASSERT_TRUE(token < 6 || token == secret || token == secret + 1) << "round " << round << ": " << token;
                n_learnt += i < 30 && token >= 6 ? 1 : 0;  // from others
            }
        }
    }
    EXPECT_GT(n_learnt, rafter::tests::rounds(1000));

    NgramDrafter strict({});
    (void)Client(strict, counting(0, 100), "mine").offer(1);
    EXPECT_EQ(Client(strict, {5, 6, 7}, "yours").offer(5).n_tokens, 0U);
    EXPECT_EQ(Client(strict, {5, 6, 7}).offer(5).n_tokens, 0U);
    EXPECT_EQ(Client(strict, {5, 6, 7}, "mine").offer(5).n_tokens, 5U);
}

std::size_t heap_bytes() {
    const auto info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

TEST(NgramDrafter, StaysWithinItsMemoryAndForgetsTheOldestTextFirst) {
    constexpr std::size_t kBytes = 4U << 20U;
    std::mt19937 random(7);
    const std::size_t before = heap_bytes();
    NgramDrafter drafter({.shared_bytes = kBytes});
    std::size_t most = 0;
    std::size_t n_tokens = 0;
    std::vector<Tokens> texts;
    std::size_t of_test = 0;
    // Long texts of one salt, short ones of a salt each, and one that alone is too much.
    while (n_tokens < static_cast<std::size_t>(rafter::tests::rounds(10'000'000))) {
        const bool small = texts.size() % 3 > 0;
        const std::size_t n = texts.size() == 100 ? 100'000 : 1 + random() % (small ? 30 : 3000);
        const Tokens text = random_tokens(random, n, 1'000'000);
        n_tokens += n;
        texts.emplace_back(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(std::min<std::size_t>(n, 20)));
        (void)Client(drafter, text, small ? "salt " + std::to_string(texts.size()) : "").offer(1);
        of_test += texts.back().capacity() * sizeof(TokenId);
        const std::size_t now = heap_bytes() - texts.capacity() * sizeof(Tokens) - text.capacity() * sizeof(TokenId);
        if (now > before + of_test) most = std::max(most, now - before - of_test);
    }
#ifndef RAFTER_SANITIZED
    EXPECT_GT(most, kBytes / 4) << "the heap is measured at all";
    EXPECT_LE(most, kBytes);
#endif
    EXPECT_LE(drafter.n_shared_tokens(), kBytes / 60);
    EXPECT_GT(drafter.n_shared_tokens(), kBytes / 60 / 8);

    // From the newest back: found up to some age, and not after.
    bool gone = false;
    int n_found = 0;
    for (std::size_t i = texts.size(); i-- > 0;) {
        if (i % 3 > 0 || texts[i].size() < 20) continue;
        Client client(drafter, {texts[i][10], texts[i][11], texts[i][12]});
        const bool found = client.drafts(3) == Tokens{texts[i][13], texts[i][14], texts[i][15]};
        client.end();
        ASSERT_FALSE(found && gone) << "text " << i << " of " << texts.size();
        gone = gone || !found;
        n_found += found ? 1 : 0;
        if (texts.size() - i > 500) break;
    }
    EXPECT_GT(n_found, 5);
    EXPECT_TRUE(gone);
}

TEST(NgramDrafter, CountsTheMemoryOfSaltsAndOfManyShortTextsToo) {
    constexpr std::size_t kBytes = 1U << 20U;
    std::mt19937 random(9);
    const std::size_t before = heap_bytes();
    NgramDrafter drafter({.shared_bytes = kBytes});
    std::size_t most = 0;
    for (int i = 0; i < rafter::tests::rounds(100'000); ++i) {
        std::string salt = std::to_string(i);
        if (i % 2 == 0) salt += std::string(random() % 300, 's');
        if (i / 20'000 % 2 == 1) salt.clear();
        (void)Client(drafter, random_tokens(random, 3, 1'000'000), salt).offer(1);
        if (i % 100 == 0) most = std::max(most, heap_bytes() - before);
    }
#ifndef RAFTER_SANITIZED
    EXPECT_GT(most, kBytes / 8) << "the heap is measured at all";
    EXPECT_LE(most, kBytes);
#endif
    EXPECT_GT(drafter.n_shared_tokens(), 1000U);
}

TEST(NgramDrafter, WithRoomForNothingStillWorks) {
    std::mt19937 random(8);
    for (const std::size_t n_bytes : {1U, 1000U, 31'000U}) {
        NgramDrafter drafter({.shared_bytes = n_bytes});
        for (int i = 0; i < 50; ++i) {
            Client client(drafter, random_tokens(random, random() % 2000, 5), std::string(random() % 500, 's'));
            (void)client.drafts(5);
        }
        EXPECT_LE(drafter.n_shared_tokens(), n_bytes / 60);
    }
}

TEST(NgramDrafter, MayGoBeforeItsStates) {
    auto drafter = std::make_unique<NgramDrafter>(NgramOptions{});
    Client client(*drafter, {1, 2, 3, 1, 2});
    EXPECT_EQ(client.offer(1).n_tokens, 1U);
    drafter.reset();
    client.end();
}

}  // namespace
}  // namespace rafter::engine
