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
#include "tests/support/made_up_profile.h"
#include "tests/support/tiny_model.h"

namespace rafter {
namespace {

class Library : public ::testing::Test {
  protected:
    static void SetUpTestSuite() {
        folder_ = std::filesystem::path(testing::TempDir()) / fmt::format("rafter-library-{}", getpid());
        std::filesystem::create_directories(folder_ / "cache");
        path_ = folder_ / "Target.gguf";
        write_model(path_, {.matrices = tensor::DType::kQ8_0});
        write_model(folder_ / "draft.gguf", {.matrices = tensor::DType::kQ8_0, .seed = 2});
        tests::save_made_up_profile(folder_ / "cache", 2);
    }
    static void TearDownTestSuite() { std::filesystem::remove_all(folder_); }

    static void write_model(const std::filesystem::path& path, const model::TinyModel& tiny) {
        const auto bytes = model::tiny_gguf(tiny);
        std::ofstream(path, std::ios::binary)
            .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    }
    static Model open(ModelOptions options = {}) {
        options.n_threads = 2;
        return Model::open(path_, options);
    }
    static inline std::filesystem::path folder_;
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
          loaded_(engine::load_model(runtime_, opened, library::serve_options(options).load).value()),
          engine_(*loaded_.device, *opened.tokenizer, loaded_.scheduler) {}
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

std::vector<Request> several_requests(const Model& model) {
    std::vector<Request> requests;
    std::string text = "the same beginning of every prompt, long enough for some blocks of it, ";
    text += text;
    for (const char* question : {"why?", "how?", "where to?"}) {
        Request request{.prompt = model.encode_prompt(text + question), .max_tokens = 30, .ignore_eos = true};
        request.sampling.temperature = 0.6 * static_cast<double>(requests.size());
        request.sampling.seed = requests.size();
        requests.push_back(std::move(request));
    }
    return requests;
}

struct Answers {
    std::vector<std::vector<TokenId>> tokens;  // [n_requests]
    std::vector<std::string> texts;
    std::uint32_t n_reused = 0;  // of all
};

Answers answers_of(const Model& model) {
    std::vector<TokenStream> streams;
    for (Request& request : several_requests(model)) streams.push_back(model.submit(std::move(request)));
    Answers answers;
    for (TokenStream& stream : streams) {
        const Update update = stream.wait_for_finish();
        answers.tokens.emplace_back();
        for (const Token& token : update.tokens) answers.tokens.back().push_back(token.id);
        answers.texts.push_back(update.text);
        answers.n_reused += update.finish->n_reused;
    }
    return answers;
}

TEST_F(Library, SpeculationChangesNoTokenOfAnAnswer) {
    const Answers plain = answers_of(open());
    ASSERT_EQ(plain.tokens[0].size(), 30U);
    for (const SpeculationOptions& speculation :
         {SpeculationOptions{.drafter = Drafter::kNgram, .fixed_drafts = 4},
          {.drafter = Drafter::kDraftModel, .draft_model = "draft", .fixed_drafts = 2},
          {.drafter = Drafter::kDraftModel, .draft_model = path_.string(), .max_drafts = 3, .fixed_drafts = 3}}) {
        const Model model = open({.models_folders = {folder_}, .speculation = speculation});
        const Answers found = answers_of(model);
        EXPECT_EQ(found.tokens, plain.tokens);
        EXPECT_EQ(found.texts, plain.texts);
        EXPECT_GT(model.counters().n_draft_tokens, 0U);
        EXPECT_LE(model.counters().n_accepted_drafts, model.counters().n_draft_tokens);
        // The model drafts for itself what it would choose: nearly all of it is right.
        if (speculation.draft_model == path_.string()) EXPECT_GT(model.counters().n_accepted_drafts, model.counters().n_draft_tokens / 2);
    }
    const Model without_prices = open({.speculation = {.drafter = Drafter::kNgram}});
    EXPECT_EQ(answers_of(without_prices).tokens, plain.tokens);
    EXPECT_EQ(without_prices.counters().n_draft_tokens, 0U) << "nothing says what pays";
}

TEST_F(Library, ASecondProcessRestoresWhatTheFirstComputed) {
    const ModelOptions options{.kv_disk = {.path = folder_ / "kv", .size_bytes = 10'000'000}};
    const Answers plain = answers_of(open());
    Answers first;
    {
        const Model model = open(options);
        first = answers_of(model);
        EXPECT_EQ(first.tokens, plain.tokens);
        std::string warned;
        ModelOptions same = options;
        same.warn = [&](std::string_view message) { warned += message; };
        EXPECT_EQ(answers_of(open(same)).tokens, plain.tokens) << "without the file, which the first one has";
        EXPECT_EQ(warned.substr(0, 9), "kv_disk: ");
        EXPECT_NE(warned.find("another process is using this file"), std::string::npos) << warned;
    }
    const Model model = open(options);
    const Answers again = answers_of(model);
    EXPECT_EQ(again.tokens, plain.tokens);
    EXPECT_EQ(again.texts, plain.texts);
    EXPECT_GT(again.n_reused, first.n_reused);
    std::filesystem::remove(options.kv_disk.path);
}

TEST_F(Library, FindsModelsByNameInTheFoldersItIsTold) {
    const ModelOptions options{.models_folders = {folder_ / "nowhere", folder_}, .n_threads = 2};
    const Answers plain = answers_of(open());
    for (const char* name : {"Target", "target", "target.gguf"}) EXPECT_EQ(answers_of(Model::open(name, options)).tokens, plain.tokens);
    EXPECT_EQ(code_of([&] { (void)Model::open("target", {.n_threads = 2}); }), ErrorCode::kBadInput);
    EXPECT_EQ(code_of([&] { (void)Model::open("targets", options); }), ErrorCode::kBadInput);
}

TEST_F(Library, KeepsATargetBetweenTokensWhereAProfileSaysWhatStepsTake) {
    EXPECT_EQ(open().info().target_itl_seconds, 0.0);
    const Model priced = open({.cache_folder = folder_ / "cache"});
    EXPECT_GT(priced.info().target_itl_seconds, 0.0);
    EXPECT_EQ(answers_of(priced).tokens, answers_of(open()).tokens);
    EXPECT_EQ(open({.cache_folder = folder_ / "cache", .target_itl_seconds = 0.25}).info().target_itl_seconds, 0.25);
    EXPECT_EQ(open({.cache_folder = folder_ / "cache", .target_itl_seconds = 0.0}).info().target_itl_seconds, 0.0);
    EXPECT_GT(open({.cache_folder = folder_ / "cache", .measure_machine = true}).info().target_itl_seconds, 0.0) << "it is saved already";
    std::string warned;
    const auto warn = [&](std::string_view message) { warned += message; };
    const ModelOptions unpriced{.target_itl_seconds = 0.25, .warn = warn};
    EXPECT_EQ(open(unpriced).info().target_itl_seconds, 0.0);
    EXPECT_EQ(warned.substr(0, 20), "target_itl_seconds: ") << warned;
}

TEST_F(Library, ModelsOnOneRuntimeAnswerAsEachAlone) {
    const Answers plain = answers_of(open());
    const Runtime runtime = Runtime::create({.n_threads = 2});
    const ModelOptions shared{.runtime = runtime};
    const Model a = Model::open(path_, shared);
    const Model b = Model::open(path_, {.runtime = runtime, .speculation = {.drafter = Drafter::kNgram, .fixed_drafts = 2}});
    Answers of_b;
    std::thread other([&] { of_b = answers_of(b); });
    const Answers of_a = answers_of(a);
    other.join();
    EXPECT_EQ(of_a.tokens, plain.tokens);
    EXPECT_EQ(of_b.tokens, plain.tokens);
    const Model keeper = Model::open(path_, {.runtime = Runtime::create({.n_threads = 1})});  // of what nobody else has
    EXPECT_EQ(answers_of(keeper).tokens, plain.tokens);
    ModelOptions twice = shared;
    twice.n_threads = 2;
    EXPECT_EQ(code_of([&] { (void)Model::open(path_, twice); }), ErrorCode::kBadInput);
    twice = shared;
    twice.isa = "scalar";
    EXPECT_EQ(code_of([&] { (void)Model::open(path_, twice); }), ErrorCode::kBadInput);
    EXPECT_EQ(code_of([] { (void)Runtime::create({.isa = "mmx"}); }), ErrorCode::kBadInput);
}

TEST_F(Library, ComputesTheSameWithEachBlockSizeAndSaysItsVersion) {
    const Answers plain = answers_of(open());
    EXPECT_EQ(answers_of(open({.block_size = 64})).tokens, plain.tokens);
    EXPECT_EQ(answers_of(open({.isa = "scalar"})).tokens[0].size(), 30U);
    EXPECT_EQ(std::string(version()).find_first_not_of("0123456789."), std::string::npos);
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
    EXPECT_EQ(code_of([] { (void)open({.isa = "avx3"}); }), ErrorCode::kBadInput);
    EXPECT_EQ(code_of([] { (void)Model::open(path_, {.n_threads = UINT32_MAX}); }), ErrorCode::kBadInput);
    EXPECT_EQ(code_of([] { (void)open({.block_size = 0}); }), ErrorCode::kBadInput);
    EXPECT_EQ(code_of([] { (void)open({.block_size = 48}); }), ErrorCode::kBadInput);
    EXPECT_EQ(code_of([] { (void)open({.target_itl_seconds = -1.0}); }), ErrorCode::kBadInput);
    EXPECT_EQ(code_of([] { (void)open({.speculation = {.max_drafts = 0}}); }), ErrorCode::kBadInput);
    EXPECT_EQ(code_of([] { (void)open({.speculation = {.max_drafts = 65}}); }), ErrorCode::kBadInput);
    EXPECT_EQ(code_of([] { (void)open({.speculation = {.fixed_drafts = 9}}); }), ErrorCode::kBadInput);
    EXPECT_EQ(code_of([] { (void)open({.speculation = {.drafter = Drafter::kDraftModel}}); }), ErrorCode::kBadInput);
    EXPECT_EQ(code_of([] { (void)open({.speculation = {.draft_model = "draft"}}); }), ErrorCode::kBadInput);
    EXPECT_EQ(code_of([] { (void)open({.speculation = {.drafter = static_cast<Drafter>(9)}}); }), ErrorCode::kBadInput);
    EXPECT_EQ(code_of([] { (void)open({.kv_disk = {.path = path_}}); }), ErrorCode::kBadInput);  // a model is no cache
    EXPECT_EQ(code_of([] { (void)open({.kv_disk = {.path = folder_ / "kv", .size_bytes = 1}}); }), ErrorCode::kBadInput);

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

TEST(LibraryOptions, EachFieldReachesTheEngine) {
    const engine::ServeOptions serve =
        library::serve_options({.cache_folder = "1",
                                .measure_machine = true,
                                .context = 2,
                                .n_sequences = 3,
                                .kv_memory_bytes = 4,
                                .key_type = KvType::kQ8,
                                .value_type = KvType::kQ4,
                                .block_size = 32,
                                .activations = Activations::kQ16,
                                .prefix_cache = false,
                                .kv_disk = {.path = "5", .size_bytes = 6},
                                .speculation = {.drafter = Drafter::kDraftModel, .draft_model = "7", .max_drafts = 9, .fixed_drafts = 8},
                                .target_itl_seconds = 10.0});
    EXPECT_EQ(serve.profile_store.folder, "1");
    EXPECT_EQ(serve.profile_store.version, version());
    EXPECT_EQ(serve.prices, engine::PriceSource::kMeasured);
    EXPECT_EQ(library::serve_options({}).prices, engine::PriceSource::kSaved);
    EXPECT_EQ(serve.load.context, 2U);
    EXPECT_EQ(serve.load.n_sequences, 3U);
    EXPECT_EQ(serve.load.n_outputs, 3U);
    EXPECT_EQ(serve.load.kv_memory_bytes, 4U);
    EXPECT_EQ(serve.load.key_type, backend::KvType::kQ8);
    EXPECT_EQ(serve.load.value_type, backend::KvType::kQ4);
    EXPECT_EQ(serve.load.block_size, 32U);
    EXPECT_EQ(serve.load.activations, model::ActivationMode::kQ16);
    EXPECT_FALSE(serve.prefix_cache);
    EXPECT_EQ(serve.kv_disk.path, "5");
    EXPECT_EQ(serve.kv_disk.size_bytes, 6U);
    EXPECT_EQ(serve.drafting.drafter, engine::DrafterKind::kDraftModel);
    EXPECT_EQ(serve.drafting.draft_model, "7");
    EXPECT_EQ(serve.drafting.max_drafts, 9U);
    EXPECT_EQ(serve.drafting.fixed_drafts, 8U);
    EXPECT_EQ(serve.target_itl_seconds, 10.0);
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
