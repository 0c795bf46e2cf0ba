// The rows of a step sampled by a team of threads: the same tokens as alone, and what goes wrong in one sequence stays in it.
#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "base/thread_pool.h"
#include "tests/engine/engine_rig.h"
#include "tests/engine/speculation/knowing_drafter.h"
#include "tests/support/rounds.h"

namespace rafter::engine::tests {
namespace {

// Rows are the team's, the last one first. Without a team they are the caller's.
class TeamModel : public FakeModel {
  public:
    TeamModel(const RigOptions& setup, ThreadPool* team) : FakeModel(setup.windows, setup.n_blocks, setup.block_size), team_(team) {}

    void run_rows(std::size_t n_rows, const std::function<void(std::size_t row, unsigned thread)>& work) override {
        if (team_ == nullptr) return FakeModel::run_rows(n_rows, work);
        team_->run([&](unsigned thread) {
            for (std::size_t row = n_rows; row-- > 0;) {
                if (row % team_->n_threads() == thread) work(row, thread);
            }
        });
    }
    [[nodiscard]] unsigned n_threads() const override { return team_ == nullptr ? 1 : team_->n_threads(); }

  private:
    ThreadPool* team_;
};

struct TeamRig {
    TeamRig(const RigOptions& setup, ThreadPool* team) : model(setup, team), engine(model, tokenizer, scheduler_options(setup)) {}

    std::vector<StreamUpdate> run(const std::vector<Request>& requests) {
        std::vector<std::shared_ptr<TokenStream>> streams;
        for (const Request& request : requests) streams.push_back(*engine.submit(request));
        while (engine.step()) {}
        std::vector<StreamUpdate> updates;
        for (const auto& stream : streams) updates.push_back(stream->take());
        return updates;
    }

    FakeTokenizer tokenizer;
    TeamModel model;
    Engine engine;
};

Request any_request(std::mt19937& random) {
    Request request = random_request(random, 20, 30);
    SamplingOptions& options = request.sampling;
    options.temperature = random() % 5 == 0 ? 0.0 : 0.5 + 0.1 * (random() % 10);
    options.seed = random();
    if (random() % 3 == 0) options.top_p = 0.05 * (random() % 21);
    if (random() % 3 == 0) options.min_p = 0.05 * (random() % 10);
    if (random() % 3 == 0) options.typical_p = 0.1 * (random() % 11);
    if (random() % 3 == 0) options.frequency_penalty = 0.7;
    if (random() % 3 == 0) options.presence_penalty = 0.3;
    if (random() % 4 == 0) options.logit_bias = {{3, 2.0F}, {FakeTokenizer::kHalf, 25.0F}};
    if (random() % 4 == 0) request.min_tokens = random() % 10;
    if (random() % 4 == 0) request.score_prompt_from = random() % request.prompt.size();
    return request;
}

RigOptions wide_setup() { return {.n_blocks = 600, .limits = {.n_tokens = 256, .n_outputs = 256}}; }

TEST(SamplingTeam, GivesThirtyTwoSequencesWithAllOptionsTheTokensThatEachHasAlone) {
    std::mt19937 random(31);
    ThreadPool team({.n_threads = 3, .pin = false});
    for (int round = 0; round < rafter::tests::rounds(20); ++round) {
        std::vector<Request> requests;
        for (int i = 0; i < 32; ++i) requests.push_back(any_request(random));
        KnowingDrafter drafter(0.7);
        RigOptions setup = wide_setup();
        if (round % 2 == 0) setup.speculation = {.drafter = &drafter, .most_drafts = 8, .fixed = 1 + random() % 6};
        TeamRig together(setup, &team);
        drafter.model = &together.model;
        const std::vector<StreamUpdate> found = together.run(requests);
        for (std::size_t i = 0; i < requests.size(); ++i) {
            const StreamUpdate expected = TeamRig(wide_setup(), nullptr).run({requests[i]})[0];
            ASSERT_EQ(ids(found[i]), ids(expected)) << "round " << round << ", sequence " << i;
            ASSERT_EQ(found[i].text, expected.text);
            for (std::size_t j = 0; j < found[i].tokens.size(); ++j) {
                const auto& a = found[i].tokens[j].logprobs;
                const auto& b = expected.tokens[j].logprobs;
                ASSERT_EQ(a.has_value(), b.has_value());
                if (a) {
                    ASSERT_TRUE(a->logprob == b->logprob && a->top == b->top);
                }
            }
            ASSERT_EQ(found[i].prompt_scores.size(), expected.prompt_scores.size());
            ASSERT_TRUE(found[i].finish && !found[i].finish->error);
        }
    }
}

TEST(SamplingTeam, EndsOnlyTheSequenceWhoseLogitsAreNoNumbers) {
    ThreadPool team({.n_threads = 3, .pin = false});
    std::mt19937 random(32);
    std::vector<Request> requests;
    for (int i = 0; i < 32; ++i) {
        requests.push_back(any_request(random));
        requests.back().min_tokens = 0;
        if (i == 13) requests.back().prompt.back() = 25;  // no other comes to this token in its prompt
    }
    const auto poisoned = [&](TeamRig& rig) {
        rig.model.poison = 25;
        return rig.run(requests);
    };
    TeamRig together(wide_setup(), &team);
    const std::vector<StreamUpdate> found = poisoned(together);
    ASSERT_TRUE(found[13].finish && found[13].finish->error);
    EXPECT_TRUE(found[13].tokens.empty());
    std::size_t n_unharmed = 0;
    for (std::size_t i = 0; i < requests.size(); ++i) {
        TeamRig alone(wide_setup(), nullptr);
        alone.model.poison = 25;
        const StreamUpdate expected = alone.run({requests[i]})[0];
        EXPECT_EQ(ids(found[i]), ids(expected)) << i;
        EXPECT_EQ(found[i].finish->error.has_value(), expected.finish->error.has_value()) << i;
        n_unharmed += found[i].finish->error ? 0 : 1;
    }
    EXPECT_GT(n_unharmed, 10U);
}

}  // namespace
}  // namespace rafter::engine::tests
