// An engine on a model without weights, and requests for it.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <random>
#include <string_view>
#include <vector>

#include "engine/engine.h"
#include "tests/engine/fake_model.h"

namespace rafter::engine::tests {

struct RigOptions {
    std::vector<std::uint32_t> windows = {0, 20};
    std::uint32_t n_blocks = 64;
    std::uint32_t block_size = 4;
    std::uint32_t context = 128;
    backend::StepLimits limits{.n_tokens = 32, .n_outputs = 8};
    bool prefix_cache = true;
    StepCost cost;
    double target_itl_seconds = 0.0;
    SpeculationOptions speculation;
    std::function<double()> clock;
};

inline SchedulerOptions scheduler_options(const RigOptions& setup) {
    return {.limits = setup.limits,
            .context = setup.context,
            .block_size = setup.block_size,
            .n_blocks = std::vector<std::uint32_t>(setup.windows.size(), setup.n_blocks),
            .windows = setup.windows,
            .prefix_cache = setup.prefix_cache,
            .cost = setup.cost,
            .target_itl_seconds = setup.target_itl_seconds,
            .speculation = setup.speculation,
            .clock = setup.clock};
}

struct Rig {
    explicit Rig(const RigOptions& setup = {})
        : model(setup.windows, setup.n_blocks, setup.block_size), engine(model, tokenizer, scheduler_options(setup)) {}

    std::shared_ptr<TokenStream> submit(Request request) {
        auto stream = engine.submit(std::move(request));
        EXPECT_TRUE(stream.has_value());
        return *stream;
    }
    // Runs them all together to their ends; [requests.size()].
    std::vector<StreamUpdate> run(const std::vector<Request>& requests) {
        std::vector<std::shared_ptr<TokenStream>> streams;
        for (const Request& request : requests) streams.push_back(submit(request));
        while (engine.step()) {}
        std::vector<StreamUpdate> updates;
        for (const auto& stream : streams) updates.push_back(stream->take());
        return updates;
    }
    StreamUpdate run(const Request& request) { return run(std::vector<Request>{request})[0]; }
    std::uint32_t n_used() {
        engine.forget_unused();
        std::uint32_t n = 0;
        for (const auto& pool : engine.scheduler().cache().pools()) n += pool.n_used();
        return n;
    }

    FakeTokenizer tokenizer;
    FakeModel model;
    Engine engine;
};

inline Request request_of(std::string_view prompt, std::uint32_t max_tokens = 10) {
    Request request;
    request.prompt = FakeTokenizer().encode(prompt, text::SpecialTokens::kAsText);
    request.max_tokens = max_tokens;
    return request;
}

inline std::vector<TokenId> ids(const StreamUpdate& update) {
    std::vector<TokenId> result;
    for (const GeneratedToken& token : update.tokens) result.push_back(token.id);
    return result;
}

// The answer by the definition: argmax after the whole history, again and again.
inline std::vector<TokenId> slow_answer(const FakeModel& model, std::vector<TokenId> tokens, std::size_t n) {
    std::vector<TokenId> answer;
    while (answer.size() < n) {
        answer.push_back(*argmax(model.logits_after(tokens)));
        tokens.push_back(answer.back());
    }
    return answer;
}

inline Request random_request(std::mt19937& random, std::size_t longest_prompt, std::uint32_t longest_answer) {
    Request request;
    request.prompt.resize(1 + random() % longest_prompt);
    for (TokenId& token : request.prompt) token = static_cast<TokenId>(random() % 3);
    request.max_tokens = 1 + random() % longest_answer;
    if (random() % 2) {
        request.sampling.temperature = 1.0;
        request.sampling.seed = random();
    }
    if (random() % 2) request.sampling.repeat_penalty = 1.3;
    if (random() % 4 == 0) request.sampling.top_k = 5;
    if (random() % 4 == 0) request.stop = {"b", "cd"};
    if (random() % 4 == 0) request.n_logprobs = 3;
    return request;
}

}  // namespace rafter::engine::tests
