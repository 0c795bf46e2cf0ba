// An engine with its thread on a model without weights, and what an engine stepped by hand gives, to compare.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <iterator>
#include <memory>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "engine/engine_thread.h"
#include "tests/engine/engine_rig.h"

namespace rafter::engine::tests {

struct ThreadRig {
    explicit ThreadRig(const RigOptions& setup = {}, const EngineThreadOptions& options = {.max_waiting = 1'000'000})
        : model(setup.windows, setup.n_blocks, setup.block_size) {
        start(setup, options, tokenizer);
    }
    ThreadRig(const RigOptions& setup, std::function<void()> before_step, const EngineThreadOptions& options = {})
        : model(setup.windows, setup.n_blocks, setup.block_size) {
        model.before_step = std::move(before_step);
        start(setup, options, tokenizer);
    }
    void start(const RigOptions& setup, const EngineThreadOptions& options, const text::Tokenizer& words) {
        thread.reset();
        auto started = EngineThread::start(std::make_unique<Engine>(model, words, scheduler_options(setup)), options);
        ASSERT_TRUE(started.has_value());
        thread = *std::move(started);
    }
    std::shared_ptr<TokenStream> submit(Request request) const {
        auto stream = thread->submit(std::move(request));
        EXPECT_TRUE(stream.has_value());
        return *stream;
    }

    FakeTokenizer tokenizer;
    FakeModel model;
    std::unique_ptr<EngineThread> thread;
};

inline void append(StreamUpdate& all, StreamUpdate&& update) {
    std::move(update.tokens.begin(), update.tokens.end(), std::back_inserter(all.tokens));
    all.text += update.text;
    all.finish = std::move(update.finish);
}

// Everything up to the finish.
inline StreamUpdate read(TokenStream& stream) {
    StreamUpdate all;
    while (!all.finish) append(all, stream.wait());
    return all;
}

inline FinishReason reason_of(TokenStream& stream) { return read(stream).finish->reason; }

inline bool is_prefix(const std::vector<TokenId>& part, const std::vector<TokenId>& whole) {
    return part.size() <= whole.size() && std::equal(part.begin(), part.end(), whole.begin());
}

inline void expect_equal(const StreamUpdate& found, const StreamUpdate& expected) {
    EXPECT_EQ(ids(found), ids(expected));
    EXPECT_EQ(found.text, expected.text);
    EXPECT_EQ(found.finish->reason, expected.finish->reason);
    ASSERT_EQ(found.tokens.size(), expected.tokens.size());
    for (std::size_t i = 0; i < found.tokens.size(); ++i) {
        ASSERT_EQ(found.tokens[i].logprobs.has_value(), expected.tokens[i].logprobs.has_value());
        if (!found.tokens[i].logprobs) continue;
        EXPECT_EQ(found.tokens[i].logprobs->logprob, expected.tokens[i].logprobs->logprob);
        EXPECT_EQ(found.tokens[i].logprobs->top, expected.tokens[i].logprobs->top);
    }
}

struct Asked {
    Request request;
    StreamUpdate alone;  // by an engine stepped by hand
};
inline std::vector<Asked> random_questions(std::uint32_t seed, int n) {
    std::mt19937 random(seed);
    std::vector<Asked> asked(static_cast<std::size_t>(n));
    for (Asked& one : asked) {
        one.request = random_request(random, 40, 20);
        one.alone = Rig().run(one.request);
    }
    return asked;
}

// Room for a few at once, so that others wait and some are preempted.
inline RigOptions tight() {
    RigOptions setup;
    setup.n_blocks = 24;
    setup.limits = {.n_tokens = 20, .n_outputs = 6};
    return setup;
}

// A request's finish comes before the snapshot that knows of it.
inline void expect_empty(const ThreadRig& rig) {
    EngineSnapshot end = rig.thread->snapshot();
    for (int i = 0; i < 10'000 && (end.n_running > 0 || end.n_waiting > 0 || end.cache.n_used > 0); ++i) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
        end = rig.thread->snapshot();
    }
    EXPECT_EQ(end.n_running, 0U);
    EXPECT_EQ(end.n_waiting, 0U);
    EXPECT_EQ(end.cache.n_used, 0U);
}

}  // namespace rafter::engine::tests
