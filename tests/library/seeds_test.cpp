// One rule for seeds: the same seed gives the same answers to a program that embeds the library, to a request in OpenAI's format (as
// `rafter batch` reads them) and to several answers of the engine (as `rafter run --n` asks for them).
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <rafter/rafter.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/conversation.h"
#include "engine/loading/loaded_model.h"
#include "engine/sampling/multiple_answers.h"
#include "protocols/openai_request.h"
#include "tests/support/tiny_model.h"

namespace rafter {
namespace {

TEST(Seeds, GiveTheSameAnswersByRunBatchAndLibrary) {
    const auto path = std::filesystem::path(testing::TempDir()) / fmt::format("rafter-seeds-{}.gguf", getpid());
    const auto bytes = model::tiny_gguf({});
    std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    const engine::OpenedModel opened = engine::open_model(path).value();
    const Model model = Model::open(path, {.n_threads = 1});
    const auto answer_to = [&](const engine::Request& request) {
        Request asked{.prompt = request.prompt, .max_tokens = request.max_tokens};
        asked.sampling.temperature = request.sampling.temperature;
        asked.sampling.seed = request.sampling.seed;
        return model.submit(std::move(asked)).wait_for_finish().text;
    };

    engine::Request run{.prompt = engine::encode_prompt(opened, "hello").value(), .max_tokens = 12};
    run.sampling.temperature = 2.0;
    run.sampling.seed = 5;
    const auto run_requests = engine::several_requests(run, {.n = 3});
    const nlohmann::json body{{"prompt", "hello"}, {"max_tokens", 12}, {"temperature", 2.0}, {"seed", 5}, {"n", 3}};
    const auto batch = protocols::parse_openai_request(protocols::OpenAiEndpoint::kCompletions, body, opened, {}).value();

    ASSERT_EQ(batch.choices.size(), 3U);
    std::vector<std::string> answers;
    for (std::size_t i = 0; i < 3; ++i) {
        answers.push_back(answer_to(run_requests[i]));
        EXPECT_EQ(answer_to(batch.choices[i]), answers[i]) << i;
    }
    Request alone{.prompt = model.encode_prompt("hello"), .max_tokens = 12};
    alone.sampling.temperature = 2.0;
    alone.sampling.seed = 5;
    EXPECT_EQ(model.submit(alone).wait_for_finish().text, answers[0]);
    EXPECT_NE(answers[0], answers[1]);
    EXPECT_NE(answers[1], answers[2]);
    // The next seed's first answer is none of this one's others.
    alone.sampling.seed = 6;
    const std::string next = model.submit(alone).wait_for_finish().text;
    for (const std::string& answer : answers) EXPECT_NE(next, answer);
    std::filesystem::remove(path);
}

}  // namespace
}  // namespace rafter
