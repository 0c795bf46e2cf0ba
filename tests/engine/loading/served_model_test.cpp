// The one assembly against its parts put together by hand: same tokens with every drafter, price and cache on disk, and what is asked for
// is what the engine gets.
#include "engine/loading/served_model.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <fstream>
#include <limits>

#include "tests/support/made_up_profile.h"
#include "tests/support/tiny_model.h"

namespace rafter::engine {
namespace {

namespace fs = std::filesystem;

void write_model(const fs::path& path, const model::TinyModel& tiny) {
    const auto bytes = model::tiny_gguf(tiny);
    std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

class ServedModelTest : public ::testing::Test {
  protected:
    static void SetUpTestSuite() {
        folder_ = fs::path(::testing::TempDir()) / fmt::format("rafter-served-{}", getpid());
        fs::create_directories(folder_ / "cache");
        write_model(folder_ / "target.gguf", {.matrices = tensor::DType::kQ8_0});
        write_model(folder_ / "draft.gguf", {.matrices = tensor::DType::kQ8_0, .seed = 2});
        write_model(folder_ / "windows.gguf", {.name = "gemma2"});
        rafter::tests::save_made_up_profile(folder_ / "cache", 2);
    }
    static void TearDownTestSuite() { fs::remove_all(folder_); }
    void TearDown() override { fs::remove(disk_file()); }

    static fs::path disk_file() { return folder_ / "kv"; }
    static ServeOptions usual() {
        ServeOptions options;
        options.load.n_outputs = 3;
        options.load.n_sequences = 3;
        return options;
    }
    static ServeOptions with_disk() {
        ServeOptions options = usual();
        options.kv_disk = {.path = disk_file(), .size_bytes = 10'000'000};
        return options;
    }
    static ServeOptions priced() {
        ServeOptions options = usual();
        options.prices = PriceSource::kSaved;
        options.profile_store = {.folder = folder_ / "cache", .version = version()};
        return options;
    }
    std::unique_ptr<ServedModel> open(std::string_view model = "target") { return ServedModel::open(runtime_, model, {folder_}).value(); }
    std::unique_ptr<ServedModel> served(ServeOptions options, std::string_view model = "target") {
        auto served = open(model);
        served->load(std::move(options)).value();
        return served;
    }
    // The option's name if load() refuses it as bad input; else what happened instead.
    std::string refused(ServeOptions options) {
        const auto loaded = open()->load(std::move(options));
        if (loaded) return "loaded";
        if (loaded.error().kind != ErrorKind::kBadInput) return "of another kind: " + loaded.error().message;
        return loaded.error().message.substr(0, loaded.error().message.find(':'));
    }

    static std::vector<Request> requests() {
        std::vector<Request> requests;
        for (std::uint64_t i = 0; i < 3; ++i) {
            Request request;
            for (int k = 0; k < 70; ++k) request.prompt.push_back(20 + k % 7 + (k > 50 ? static_cast<int>(i) : 0));
            request.max_tokens = 40;
            request.ignore_eos = true;
            request.sampling.temperature = 0.5 * static_cast<double>(i);
            request.sampling.seed = i;
            requests.push_back(std::move(request));
        }
        return requests;
    }
    struct Answers {
        std::vector<std::vector<TokenId>> tokens;  // [n_requests]
        std::uint32_t n_reused = 0;                // of all
    };
    static Answers take(const std::vector<std::shared_ptr<TokenStream>>& streams) {
        Answers answers;
        for (const auto& stream : streams) {
            answers.tokens.emplace_back();
            for (;;) {
                const StreamUpdate update = stream->wait();
                for (const GeneratedToken& token : update.tokens) answers.tokens.back().push_back(token.id);
                if (!update.finish) continue;
                EXPECT_EQ(update.finish->reason, FinishReason::kLength);
                answers.n_reused += update.finish->times.n_reused;
                break;
            }
        }
        return answers;
    }
    static Answers answers_of(Engine& engine) {
        std::vector<std::shared_ptr<TokenStream>> streams;
        for (Request& request : requests()) streams.push_back(engine.submit(std::move(request)).value());
        while (engine.step()) {}
        return take(streams);
    }
    static Answers answers_of(EngineThread& thread) {
        std::vector<std::shared_ptr<TokenStream>> streams;
        for (Request& request : requests()) streams.push_back(thread.submit(std::move(request)).value());
        return take(streams);
    }
    // The engine that a model, loaded and nothing else, gives.
    Answers expected() {
        const OpenedModel opened = open_model(folder_ / "target.gguf").value();
        LoadedModel loaded = load_model(runtime_, opened, usual().load).value();
        Engine engine(*loaded.device, *opened.tokenizer, loaded.scheduler);
        return answers_of(engine);
    }

    static inline fs::path folder_;
    Runtime runtime_ = Runtime::create({.n_threads = 2}).value();
};

TEST_F(ServedModelTest, EveryDrafterGivesTheTokensOfTheModelAlone) {
    const Answers alone = expected();
    ASSERT_EQ(alone.tokens[0].size(), 40U);
    ServeOptions options = usual();
    options.drafting = {.draft_model = "draft", .max_drafts = 4, .fixed_drafts = 3, .keeps_room = true};
    const auto model = served(options);
    Engine* const first = &model->engine();
    for (const DrafterKind kind : {DrafterKind::kOff, DrafterKind::kNgram, DrafterKind::kDraftModel, DrafterKind::kOff}) {
        model->use_drafter(kind);
        EXPECT_EQ(answers_of(model->engine()).tokens, alone.tokens) << to_string(kind);
        const SpeculationCounters& counters = model->engine().scheduler().speculator().counters();
        EXPECT_EQ(counters.n_draft_tokens > 0, kind != DrafterKind::kOff) << to_string(kind);
    }
    EXPECT_EQ(&model->engine(), first) << "what an engine learned is there when its drafter is chosen again";
}

TEST_F(ServedModelTest, DraftTokensHaveRoomInAStep) {
    const auto outputs = [this](DraftingOptions drafting) {
        ServeOptions options = usual();
        options.drafting = std::move(drafting);
        return served(options)->loaded().scheduler.limits.n_outputs;
    };
    EXPECT_EQ(outputs({}), 3U);
    EXPECT_EQ(outputs({.drafter = DrafterKind::kNgram, .max_drafts = 4}), 15U);
    EXPECT_EQ(outputs({.drafter = DrafterKind::kNgram, .max_drafts = 64}), 64U);
    EXPECT_EQ(outputs({.max_drafts = 1, .keeps_room = true}), 6U);
}

TEST_F(ServedModelTest, MoreDraftTokensHaveRoomWhereTheMachinesTilesWin) {
    const auto most_and_outputs = [this](unsigned min_columns) {
        ServeOptions options = priced();
        hardware::Profile machine = *probe::saved_profile(options.profile_store, runtime_.pool(), runtime_.isa());
        machine.tiles = {{.weights = tensor::DType::kQ8_0, .min_columns = min_columns}};
        hardware::write_profile(hardware::profile_path(options.profile_store.folder, machine.key), machine).value();
        options.drafting = {.drafter = DrafterKind::kNgram};
        const auto model = served(options);
        machine.tiles.clear();
        hardware::write_profile(hardware::profile_path(options.profile_store.folder, machine.key), machine).value();
        return std::pair{model->engine().options().speculation.most_drafts, model->loaded().scheduler.limits.n_outputs};
    };
    EXPECT_EQ(most_and_outputs(16), (std::pair{kDraftsWithTiles, 64U}));
    EXPECT_EQ(most_and_outputs(17), (std::pair{kUsualDrafts, 27U}));
}

TEST_F(ServedModelTest, TheDraftersLogIsOfItsOwnSteps) {
    ServeOptions options = priced();
    std::size_t n_lines = 0;
    options.drafting = {.drafter = DrafterKind::kNgram, .log = [&](const SpeculationLogLine& line) {
                            n_lines += 1;
                            EXPECT_LE(line.rows.size(), 3U);
                        }};
    const auto model = served(options);
    EXPECT_EQ(answers_of(model->engine()).tokens, expected().tokens);
    EXPECT_GT(n_lines, 0U);
}

TEST_F(ServedModelTest, AMachineProfilePricesStepsAndSetsTheTarget) {
    const auto unpriced = served(usual());
    EXPECT_FALSE(unpriced->loaded().scheduler.cost.known());
    EXPECT_EQ(unpriced->loaded().scheduler.target_itl_seconds, 0.0);
    EXPECT_FALSE(unpriced->machine().has_value());

    ServeOptions options = priced();
    options.measuring_progress = [](double /*fraction*/, std::string_view /*what*/) { ADD_FAILURE() << "measured, though it is saved"; };
    for (const PriceSource source : {PriceSource::kSaved, PriceSource::kMeasured}) {
        options.prices = source;
        const auto model = served(options);
        ASSERT_TRUE(model->machine().has_value());
        const SchedulerOptions& scheduler = model->engine().options();
        EXPECT_TRUE(scheduler.cost.known());
        EXPECT_GT(scheduler.target_itl_seconds, 0.0);
        EXPECT_EQ(scheduler.target_itl_seconds, scheduler.cost.usual_itl_seconds(scheduler.context, 3));
        EXPECT_EQ(answers_of(model->engine()).tokens, expected().tokens);
    }
    options.target_itl_seconds = 0.125;
    EXPECT_EQ(served(options)->engine().options().target_itl_seconds, 0.125);
    options.target_itl_seconds = 0.0;
    EXPECT_EQ(served(options)->engine().options().target_itl_seconds, 0.0);

    options.prices = PriceSource::kSaved;
    options.profile_store.version = "another";
    std::vector<std::string> warned;
    options.warn = [&](std::string_view option, std::string_view /*message*/) { warned.emplace_back(option); };
    EXPECT_FALSE(served(options)->loaded().scheduler.cost.known());
    EXPECT_TRUE(warned.empty());
    options.target_itl_seconds = 0.125;
    EXPECT_EQ(served(options)->engine().options().target_itl_seconds, 0.0);
    EXPECT_EQ(warned, std::vector<std::string>{"target_itl_seconds"});
}

TEST_F(ServedModelTest, WhatOneComputedTheNextRestoresFromDisk) {
    const Answers alone = expected();
    std::uint32_t n_blocks = 0;
    {
        const auto first = served(with_disk());
        EXPECT_EQ(answers_of(first->engine()).tokens, alone.tokens);
        ASSERT_NE(first->kv_disk(), nullptr);
        first->keep_on_disk();
        n_blocks = first->kv_disk()->n_blocks();
        EXPECT_GT(n_blocks, 0U);
    }
    {
        const auto second = served(with_disk());
        EXPECT_EQ(second->kv_disk()->counters().blocks_at_open, n_blocks);
        const Answers again = answers_of(second->engine());
        EXPECT_EQ(again.tokens, alone.tokens);
        EXPECT_GT(again.n_reused, alone.n_reused);
        EXPECT_GT(second->kv_disk()->counters().blocks_restored, 0U);
    }
    fs::remove(disk_file());
    {
        const auto third = served(with_disk());  // with a thread, which keeps what it has when it stops
        third->start({}).value();
        EXPECT_EQ(answers_of(third->thread()).tokens, alone.tokens);
        third->thread().stop(StopMode::kDrain);
        EXPECT_EQ(third->kv_disk()->n_blocks(), n_blocks);
    }
    (void)served(with_disk())->start({}).value();  // that stops without a request
    EXPECT_EQ(served(with_disk())->kv_disk()->counters().blocks_at_open, n_blocks);
    ServeOptions unshared = with_disk();
    unshared.prefix_cache = false;
    EXPECT_EQ(served(unshared)->kv_disk(), nullptr);
}

TEST_F(ServedModelTest, ADestroyedModelKeepsWhatItComputed) {
    { (void)answers_of(served(with_disk())->engine()); }
    {
        const auto with_thread = served(with_disk());
        EXPECT_GT(with_thread->kv_disk()->counters().blocks_at_open, 0U);
    }
}

TEST_F(ServedModelTest, ACacheOnDiskThatCannotBeHadIsAWarning) {
    std::vector<std::string> warned;
    const auto warn = [&](std::string_view option, std::string_view message) { warned.push_back(fmt::format("{}: {}", option, message)); };
    const auto holder = served(with_disk());
    ServeOptions busy = with_disk();
    busy.warn = warn;
    const auto second = served(busy);
    EXPECT_EQ(second->kv_disk(), nullptr);
    EXPECT_EQ(answers_of(second->engine()).tokens, expected().tokens);
    ASSERT_EQ(warned.size(), 1U);
    EXPECT_NE(warned[0].find("kv_disk: "), std::string::npos);
    EXPECT_NE(warned[0].find("another process is using this file; going on without the cache on disk"), std::string::npos) << warned[0];
    ServeOptions windows = busy;
    windows.kv_disk.path = folder_ / "another";
    EXPECT_EQ(served(windows, "windows")->kv_disk(), nullptr);
    ASSERT_EQ(warned.size(), 2U);
    EXPECT_NE(warned[1].find("sliding window"), std::string::npos) << warned[1];
    EXPECT_FALSE(fs::exists(folder_ / "another"));
}

TEST_F(ServedModelTest, OptionsThatCanNeverWorkAreRefusedByName) {
    const auto with = [this](auto change) {
        ServeOptions options = usual();
        change(options);
        return refused(options);
    };
    EXPECT_EQ(with([](ServeOptions&) {}), "loaded");
    EXPECT_EQ(with([](ServeOptions& o) { o.load.n_outputs = 0; }), "n_outputs");
    EXPECT_EQ(with([](ServeOptions& o) { o.load.n_sequences = 0; }), "n_sequences");
    for (const std::uint32_t size : {0U, 8U, 24U, 512U, UINT32_MAX}) {
        EXPECT_EQ(with([&](ServeOptions& o) { o.load.block_size = size; }), "block_size") << size;
    }
    EXPECT_EQ(with([](ServeOptions& o) { o.load.without_fusions = {"rows", "columns"}; }), "without_fusions");
    EXPECT_EQ(with([](ServeOptions& o) { o.load.context = 0; }), "context");
    for (const double target : {-1.0, std::numeric_limits<double>::infinity(), std::nan("")}) {
        EXPECT_EQ(with([&](ServeOptions& o) { o.target_itl_seconds = target; }), "target_itl_seconds") << target;
    }
    EXPECT_EQ(with([](ServeOptions& o) { o.drafting.max_drafts = 0; }), "max_drafts");
    EXPECT_EQ(with([](ServeOptions& o) { o.drafting.max_drafts = 65; }), "max_drafts");
    EXPECT_EQ(with([](ServeOptions& o) { o.drafting.fixed_drafts = 9; }), "fixed_drafts");
    EXPECT_EQ(with([](ServeOptions& o) { o.drafting.drafter = DrafterKind::kDraftModel; }), "draft_model");
    EXPECT_EQ(with([](ServeOptions& o) { o.drafting.draft_model = "draft"; }), "draft_model");
    EXPECT_NE(with([](ServeOptions& o) { o.drafting = {.drafter = DrafterKind::kDraftModel, .draft_model = "nowhere"}; }), "loaded");
    EXPECT_NE(with([](ServeOptions& o) { o.kv_disk = {.path = folder_ / "small", .size_bytes = 1000}; }), "loaded");
    std::ofstream(disk_file()) << "a file of something else";
    EXPECT_NE(with([](ServeOptions& o) { o.kv_disk.path = disk_file(); }), "loaded");
    EXPECT_EQ(fs::file_size(disk_file()), 24U) << "it is left alone";
}

TEST_F(ServedModelTest, AModelIsAPathOrAName) {
    EXPECT_EQ(open("TARGET.gguf")->opened().source->name(), open((folder_ / "target.gguf").string())->opened().source->name());
    const auto unknown = ServedModel::open(runtime_, "target");
    ASSERT_FALSE(unknown);
    EXPECT_EQ(unknown.error().kind, ErrorKind::kBadInput);
}

TEST_F(ServedModelTest, EndsInOrderWithRequestsUnderWay) {
    ServeOptions options = priced();
    options.kv_disk = with_disk().kv_disk;
    options.drafting = {.drafter = DrafterKind::kDraftModel, .draft_model = "draft", .fixed_drafts = 2};
    auto model = served(options);
    model->start({}).value();
    std::vector<std::shared_ptr<TokenStream>> streams;
    for (Request& request : requests()) {
        request.max_tokens = 400;
        streams.push_back(model->thread().submit(std::move(request)).value());
    }
    (void)streams[0]->wait();  // until something is computed
    model.reset();
    for (const auto& stream : streams) EXPECT_TRUE(stream->take().finish.has_value());
    EXPECT_NE(served(options)->kv_disk(), nullptr) << "the file is free again";
}

}  // namespace
}  // namespace rafter::engine
