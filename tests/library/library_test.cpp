// The public header against the engine below it, stepped by hand: same tokens, and each error its code.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <rafter/rafter.h>
#include <unistd.h>

#include <fstream>
#include <thread>

#include "engine/conversation.h"
#include "engine/engine.h"
#include "engine/loading/loaded_model.h"
#include "library/convert.h"
#include "tests/support/tiny_model.h"

namespace rafter {
namespace {

class Library : public ::testing::Test {
  protected:
    static void SetUpTestSuite() {
        path_ = std::filesystem::path(testing::TempDir()) / fmt::format("rafter-library-{}.gguf", getpid());
        const auto bytes = model::tiny_gguf({.matrices = tensor::DType::kQ8_0});
        std::ofstream(path_, std::ios::binary)
            .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    }
    static void TearDownTestSuite() { std::filesystem::remove(path_); }

    static Model open(ModelOptions options = {}) {
        options.n_threads = 2;
        return Model::open(path_, options);
    }
    static inline std::filesystem::path path_;
};

template <typename F>
std::optional<ErrorCode> code_of(F&& fails) {
    try {
        fails();
    } catch (const Exception& error) {
        EXPECT_STRNE(error.what(), "");
        return error.code();
    }
    return std::nullopt;
}

// The engine under these options, one request after the other.
class ByHand {
  public:
    ByHand(const std::filesystem::path& path, const ModelOptions& options)
        : opened(engine::open_model(path).value()),
          runtime_(engine::Runtime::create({.n_threads = 1}).value()),
          loaded_(engine::load_model(runtime_, opened, library::load_options(options)).value()),
          engine_(*loaded_.device, *opened.tokenizer, loaded_.limits) {}
    engine::StreamUpdate run(Request request) {
        if (!request.end_tokens) request.end_tokens = opened.tokenizer->special().end_of_generation;
        const auto stream = engine_.submit(library::engine_request(std::move(request))).value();
        while (engine_.step()) {}
        return stream->take();
    }
    engine::OpenedModel opened;

  private:
    engine::Runtime runtime_;
    engine::LoadedModel loaded_;
    engine::Engine engine_;
};

void expect_equal(const Update& found, const engine::StreamUpdate& expected) {
    EXPECT_EQ(found.text, expected.text);
    ASSERT_TRUE(found.finish.has_value());
    EXPECT_EQ(to_string(found.finish->reason), engine::to_string(expected.finish->reason));
    EXPECT_EQ(found.finish->n_generated, expected.finish->times.n_generated);
    EXPECT_EQ(found.finish->n_prompt, expected.finish->times.n_prompt);
    ASSERT_EQ(found.tokens.size(), expected.tokens.size());
    for (std::size_t i = 0; i < found.tokens.size(); ++i) {
        EXPECT_EQ(found.tokens[i].id, expected.tokens[i].id);
        ASSERT_EQ(found.tokens[i].logprobs.has_value(), expected.tokens[i].logprobs.has_value());
        if (!found.tokens[i].logprobs) continue;
        EXPECT_EQ(found.tokens[i].logprobs->logprob, expected.tokens[i].logprobs->logprob);
        EXPECT_EQ(found.tokens[i].logprobs->top, expected.tokens[i].logprobs->top);
    }
    ASSERT_EQ(found.prompt_scores.size(), expected.prompt_scores.size());
    for (std::size_t i = 0; i < found.prompt_scores.size(); ++i) {
        EXPECT_EQ(found.prompt_scores[i].logprob, expected.prompt_scores[i].logprob);
    }
}

TEST_F(Library, AnswersManyAtOnceAsTheEngineAnswersEachAlone) {
    for (const ModelOptions& options : {ModelOptions{},
                                        {.n_sequences = 2, .key_type = KvType::kQ8, .value_type = KvType::kQ4},
                                        {.key_type = KvType::kF32, .value_type = KvType::kBF16, .activations = Activations::kF32},
                                        {.activations = Activations::kQ16, .prefix_cache = false}}) {
        const Model model = open(options);
        ByHand by_hand(path_, options);
        std::vector<Request> requests;
        for (const char* text : {"hello", "hello there, you", "One", "", "another text"}) {
            Request request{.prompt = model.encode_prompt(std::string("x") + text), .max_tokens = 25};
            request.sampling.temperature = static_cast<double>(requests.size()) * 0.5;
            request.sampling.seed = requests.size();
            request.sampling.repeat_penalty = 1.1;
            if (requests.size() == 1) request.n_logprobs = 4;
            if (requests.size() == 2) request.score_prompt_from = 0;
            if (requests.size() == 3) request.stop = {"a", "e"};
            requests.push_back(std::move(request));
        }
        std::vector<TokenStream> streams;
        for (const Request& request : requests) streams.push_back(model.submit(request));
        for (std::size_t i = 0; i < requests.size(); ++i) {
            const Update found = streams[i].wait_for_finish();
            expect_equal(found, by_hand.run(requests[i]));
            EXPECT_EQ(streams[i].wait().finish->reason, found.finish->reason);  // again, at once
        }
    }
}

TEST_F(Library, TokensAndTemplatesAreTheEngines) {
    const Model model = open();
    const ByHand by_hand(path_, {});
    const engine::OpenedModel& opened = by_hand.opened;
    for (const std::string text : {"hello", " two  words\n", "\xC3\xA9t\xC3\xA9 \xE2\x82\xAC", "<|im_end|>"}) {
        EXPECT_EQ(model.tokenize(text), opened.tokenizer->encode(text, text::SpecialTokens::kAsText));
        EXPECT_EQ(model.detokenize(model.tokenize(text)), text);
        EXPECT_EQ(model.encode_prompt(text), engine::encode_prompt(opened, text).value());
        EXPECT_EQ(model.encode_chat({{"system", "Be kind."}, {"user", text}}), engine::Conversation(opened, "Be kind.").ask(text).value());
    }
    // What is no UTF-8 is shown as such, and breaks nothing.
    EXPECT_EQ(model.apply_chat_template({{"user", "a\xFF"}}), model.apply_chat_template({{"user", "a\xEF\xBF\xBD"}}));
    EXPECT_NE(model.apply_chat_template({{"user", "a"}}).find('a'), std::string::npos);
    EXPECT_EQ(code_of([&] { (void)model.detokenize(std::vector<TokenId>{-1}); }), ErrorCode::kBadInput);
    EXPECT_EQ(code_of([&] { (void)model.detokenize(std::vector<TokenId>{1 << 30}); }), ErrorCode::kBadInput);
}

TEST_F(Library, KnowsWhatItOpened) {
    const Model model = open({.context = 100, .n_sequences = 3});
    const ModelInfo& info = model.info();
    EXPECT_EQ(info.context, 100U);
    EXPECT_EQ(info.model_context, 512U);
    EXPECT_TRUE(info.has_chat_template);
    EXPECT_FALSE(info.name.empty());
    EXPECT_FALSE(info.end_tokens.empty());
    EXPECT_GT(info.weights_bytes, 0U);
    const Model smaller = open({.context = 100, .n_sequences = 1});
    EXPECT_EQ(info.kv_bytes, 3 * smaller.info().kv_bytes);
}

TEST_F(Library, EveryFailureHasItsCode) {
    EXPECT_EQ(code_of([] { (void)Model::open("/nowhere/model.gguf"); }), ErrorCode::kBadInput);
    EXPECT_EQ(code_of([] { (void)Model::open("/proc/self/environ"); }), ErrorCode::kBadInput);
    EXPECT_EQ(code_of([] { (void)Model::open(""); }), ErrorCode::kBadInput);
    EXPECT_EQ(code_of([] { (void)open({.context = 513}); }), ErrorCode::kBadInput);
    EXPECT_EQ(code_of([] { (void)open({.context = 0}); }), ErrorCode::kBadInput);
    EXPECT_EQ(code_of([] { (void)open({.n_sequences = 0}); }), ErrorCode::kBadInput);
    EXPECT_EQ(code_of([] { (void)open({.n_sequences = UINT32_MAX}); }), ErrorCode::kBadInput);
    EXPECT_EQ(code_of([] { (void)open({.max_waiting = 0}); }), ErrorCode::kBadInput);
    EXPECT_EQ(code_of([] { (void)open({.key_type = static_cast<KvType>(99)}); }), ErrorCode::kBadInput);
    EXPECT_EQ(code_of([] { (void)open({.activations = static_cast<Activations>(-1)}); }), ErrorCode::kBadInput);
    EXPECT_EQ(code_of([] { (void)open({.kv_memory_bytes = 1000}); }), ErrorCode::kOutOfMemory);

    const Model model = open({.context = 64});
    const auto prompt = model.encode_prompt("hello");
    const auto submit = [&](Request request) { return code_of([&] { (void)model.submit(std::move(request)); }); };
    EXPECT_EQ(submit({}), ErrorCode::kBadInput);
    EXPECT_EQ(submit({.prompt = {-1}}), ErrorCode::kBadInput);
    EXPECT_EQ(submit({.prompt = std::vector<TokenId>(65, 1)}), ErrorCode::kBadInput);
    EXPECT_EQ(submit({.prompt = prompt, .sampling = {.top_p = 1.5}}), ErrorCode::kBadInput);
    EXPECT_EQ(submit({.prompt = prompt, .score_prompt_from = 60}), ErrorCode::kBadInput);
    EXPECT_EQ(submit({.prompt = prompt, .max_tokens = 1}), std::nullopt);
    model.stop(StopMode::kDrain);
    EXPECT_EQ(submit({.prompt = prompt}), ErrorCode::kStopped);
}

TEST_F(Library, MoreThanMayWaitIsBusyAndLaterIsNot) {
    const Model model = open({.n_sequences = 1, .max_waiting = 2});
    const Request request{.prompt = model.encode_prompt("hello"), .max_tokens = 100, .ignore_eos = true};
    std::vector<TokenStream> streams;
    std::optional<ErrorCode> refused;
    while (!refused && streams.size() < 1000) refused = code_of([&] { streams.push_back(model.submit(request)); });
    EXPECT_EQ(refused, ErrorCode::kBusy);
    EXPECT_GE(streams.size(), 2U);
    EXPECT_GE(model.counters().n_busy, 1U);
    for (TokenStream& stream : streams) EXPECT_EQ(stream.wait_for_finish().tokens.size(), 100U);
    EXPECT_EQ(model.submit(request).wait_for_finish().finish->reason, FinishReason::kLength);
    EXPECT_EQ(model.counters().n_accepted, streams.size() + 1);
}

TEST_F(Library, AStreamThatIsDestroyedCancelsItsRequest) {
    const Model model = open({.n_sequences = 2});
    const Request request{.prompt = model.encode_prompt("hello"), .max_tokens = 400, .ignore_eos = true};
    TokenStream kept = model.submit(request);
    {
        const TokenStream dropped = model.submit(request);
        kept = model.submit(request);  // the first one is dropped too
    }
    TokenStream cancelled = model.submit(request);
    cancelled.cancel();
    EXPECT_EQ(cancelled.wait_for_finish().finish->reason, FinishReason::kCancelled);
    EXPECT_EQ(kept.wait_for_finish().tokens.size(), 400U);
    model.stop(StopMode::kDrain);
    const Counters counters = model.counters();
    EXPECT_EQ(counters.n_accepted, 4U);
    EXPECT_LT(counters.n_tokens, 4 * 400U);
    EXPECT_EQ(counters.n_running + counters.n_waiting + counters.n_kv_used, 0U);
    EXPECT_GE(counters.n_steps, 400U);
    EXPECT_GT(counters.step_seconds, counters.last_step_seconds);
}

TEST_F(Library, AStreamOutlivesItsModel) {
    std::optional<Model> model = open({.n_sequences = 1});
    const Request request{.prompt = model->encode_prompt("hello"), .max_tokens = 450, .ignore_eos = true};
    std::vector<TokenStream> streams;
    for (int i = 0; i < 20; ++i) streams.push_back(model->submit(request));
    std::thread reader([&] { EXPECT_EQ(streams[19].wait_for_finish().finish->reason, FinishReason::kCancelled); });
    Model moved = *std::move(model);
    model.reset();
    EXPECT_GT(moved.info().n_vocab, 0U);
    moved = open();  // the old one goes
    reader.join();
    for (TokenStream& stream : streams) EXPECT_TRUE(stream.take().finish.has_value());
}

TEST_F(Library, TimeoutsEndRequestsWithWhatTheyHave) {
    const Model model = open();
    Request request{.prompt = model.encode_prompt("hello"), .max_tokens = 5, .timeout_seconds = 0.0};
    const Update update = model.submit(request).wait_for_finish();
    EXPECT_EQ(update.finish->reason, FinishReason::kTimeout);
    EXPECT_TRUE(update.tokens.empty());
    request.timeout_seconds = 1e9;
    EXPECT_EQ(model.submit(request).wait_for_finish().finish->n_generated, 5U);
    TokenStream stream = model.submit({.prompt = request.prompt, .max_tokens = 450, .ignore_eos = true});
    while (!stream.wait_for(1e-4).finish) {}
}

TEST(LibraryRequest, EachFieldReachesTheEngine) {
    const engine::Request request = library::engine_request({.prompt = {1, 2},
                                                             .sampling = {.logit_bias = {{3, 4.0F}},
                                                                          .repeat_penalty = 5,
                                                                          .frequency_penalty = 6,
                                                                          .presence_penalty = 7,
                                                                          .temperature = 8,
                                                                          .top_k = 9,
                                                                          .top_p = 10,
                                                                          .min_p = 11,
                                                                          .typical_p = 12,
                                                                          .seed = 13},
                                                             .max_tokens = 14,
                                                             .stop = {"15"},
                                                             .end_tokens = std::vector<TokenId>{16},
                                                             .min_tokens = 17,
                                                             .ignore_eos = true,
                                                             .n_logprobs = 18,
                                                             .score_prompt_from = 19,
                                                             .priority = 20,
                                                             .timeout_seconds = 21,
                                                             .cache_salt = "22"});
    EXPECT_EQ(request.prompt, (std::vector<TokenId>{1, 2}));
    const engine::SamplingOptions& sampling = request.sampling;
    EXPECT_EQ(sampling.logit_bias, (std::vector<std::pair<TokenId, float>>{{3, 4.0F}}));
    EXPECT_EQ((std::vector<double>{sampling.repeat_penalty, sampling.frequency_penalty, sampling.presence_penalty, sampling.temperature}),
              (std::vector<double>{5, 6, 7, 8}));
    EXPECT_EQ(sampling.top_k, 9U);
    EXPECT_EQ((std::vector<double>{sampling.top_p, sampling.min_p, sampling.typical_p}), (std::vector<double>{10, 11, 12}));
    EXPECT_EQ(sampling.seed, 13U);
    EXPECT_EQ(request.max_tokens, 14U);
    EXPECT_EQ(request.stop, std::vector<std::string>{"15"});
    EXPECT_EQ(request.end_tokens, std::vector<TokenId>{16});
    EXPECT_EQ(request.min_tokens, 17U);
    EXPECT_TRUE(request.ignore_eos);
    EXPECT_EQ(request.n_logprobs, 18U);
    EXPECT_EQ(request.score_prompt_from, 19U);
    EXPECT_EQ(request.priority, 20);
    EXPECT_EQ(request.timeout_seconds, 21.0);
    EXPECT_EQ(request.cache_salt, "22");
}

TEST(LibraryRequest, DefaultsAreTheEngines) {
    const engine::SamplingOptions expected;
    const engine::SamplingOptions found = library::engine_request({.end_tokens = std::vector<TokenId>{}}).sampling;
    EXPECT_EQ(found.repeat_penalty, expected.repeat_penalty);
    EXPECT_EQ(found.temperature, expected.temperature);
    EXPECT_EQ(found.top_k, expected.top_k);
    EXPECT_EQ((std::vector<double>{found.top_p, found.min_p, found.typical_p}),
              (std::vector<double>{expected.top_p, expected.min_p, expected.typical_p}));
}

}  // namespace
}  // namespace rafter
