// An engine on the fake model, for tests of what a request asks.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string_view>
#include <vector>

#include "engine/engine.h"
#include "tests/engine/fake_model.h"

namespace rafter::engine::tests {

struct FakeEngine {
    FakeTokenizer tokenizer;
    FakeModel model{{0}, 200, 4};
    Engine engine{model, tokenizer, {.limits = {.n_tokens = 16, .n_outputs = 5}, .context = 64, .block_size = 4, .n_blocks = {200}}};

    // Runs them all together to their ends; [requests.size()].
    std::vector<StreamUpdate> run(const std::vector<Request>& requests) {
        std::vector<std::shared_ptr<TokenStream>> streams;
        for (const Request& request : requests) {
            auto stream = engine.submit(request);
            EXPECT_TRUE(stream.has_value());
            streams.push_back(*std::move(stream));
        }
        while (engine.step()) {}
        std::vector<StreamUpdate> updates;
        for (const auto& stream : streams) updates.push_back(stream->take());
        return updates;
    }
    StreamUpdate run(const Request& request) { return run(std::vector<Request>{request})[0]; }
};

inline Request letters(std::string_view prompt, std::uint32_t max_tokens) {
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

}  // namespace rafter::engine::tests
