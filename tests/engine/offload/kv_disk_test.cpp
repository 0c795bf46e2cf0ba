// The cache's file as its enemy sees it: outputs must be what the model says, whatever happened to the file, and what is whole must be
// used.
#include "engine/offload/kv_disk.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>

#include "tests/engine/engine_rig.h"
#include "tests/engine/made_up_price.h"
#include "tests/support/rounds.h"

namespace rafter::engine {
namespace {

using namespace tests;
namespace fs = std::filesystem;

constexpr std::uint64_t kRoomy = 1U << 20U;

// A process: an engine with a file, until it ends.
struct Process {
    Process(const fs::path& path, RigOptions setup, std::uint64_t size_bytes = kRoomy, std::uint64_t identity = 7)
        : model({0}, setup.n_blocks, setup.block_size) {
        setup.windows = {0};
        KvDiskOptions options{.path = path,
                              .size_bytes = size_bytes,
                              .identity = {.hash = identity,
                                           .description = "the fake model",
                                           .block_size = setup.block_size,
                                           .block_bytes = model.block_bytes(0)},
                              .cost = setup.cost,
                              .warn = [this](const std::string& message) { warnings.push_back(message); }};
        auto opened = KvDisk::open(std::move(options), model);
        if (opened) {
            disk = *std::move(opened);
        } else {
            error = opened.error();
        }
        SchedulerOptions scheduler = scheduler_options(setup);
        scheduler.kv_disk = disk.get();
        engine = std::make_unique<Engine>(model, tokenizer, scheduler);
    }
    ~Process() {
        if (!killed) engine->forget_unused();
    }

    StreamUpdate run(const Request& request) {
        auto stream = engine->submit(request);
        EXPECT_TRUE(stream.has_value());
        while (engine->step()) engine->scheduler().check();
        return (*stream)->take();
    }
    void expect_right(std::string_view prompt, std::size_t n = 6) {
        const Request request = request_of(prompt, static_cast<std::uint32_t>(n));
        ASSERT_EQ(ids(run(request)), slow_answer(model, request.prompt, n)) << prompt;
    }
    [[nodiscard]] const KvDiskCounters& counters() const { return disk->counters(); }

    FakeTokenizer tokenizer;
    FakeModel model;
    std::vector<std::string> warnings;
    std::optional<Error> error;
    std::unique_ptr<KvDisk> disk;
    std::unique_ptr<Engine> engine;
    bool killed = false;
};

constexpr std::string_view kPrompt = "abcdefghijklmnopqrstuvwxyzabcdefghij";  // nine blocks

class KvDiskTest : public ::testing::Test {
  protected:
    void SetUp() override {
        const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
        path_ = fs::path(::testing::TempDir()) / fmt::format("rafter-kv-{}-{}", test->name(), getpid());
        fs::remove(path_);
    }
    void TearDown() override { fs::remove(path_); }

    [[nodiscard]] std::string contents() const {
        std::ostringstream out;
        out << std::ifstream(path_, std::ios::binary).rdbuf();
        return out.str();
    }
    void put(const std::string& bytes) const { std::ofstream(path_, std::ios::binary | std::ios::trunc) << bytes; }
    void fill() const { Process(path_, {}).expect_right(kPrompt); }

    fs::path path_;
};

TEST_F(KvDiskTest, ASecondProcessReadsWhatTheFirstComputed) {
    fill();
    Process second(path_, {});
    ASSERT_TRUE(second.disk);
    EXPECT_EQ(second.counters().blocks_at_open, 10U);  // prompt and answer; the last token was never computed
    const Request request = request_of(kPrompt, 6);
    const StreamUpdate update = second.run(request);
    EXPECT_EQ(ids(update), slow_answer(second.model, request.prompt, 6));
    EXPECT_EQ(update.finish->times.n_reused, 35U);  // all but the last, whose logits are wanted: of its block the first three
    EXPECT_EQ(second.counters().tokens_restored, 35U);
    EXPECT_EQ(second.counters().blocks_restored, 9U);
    EXPECT_EQ(second.model.steps[0].n_tokens(), 1U);
    const kv::BlockCacheCounters& cache = second.engine->scheduler().cache().counters();
    EXPECT_EQ(cache.tokens_restored, 35U);
    EXPECT_EQ(cache.tokens_asked, cache.tokens_found + cache.tokens_restored + cache.missed_new + cache.missed_evicted);
    EXPECT_TRUE(second.warnings.empty());
}

TEST_F(KvDiskTest, OnlyEqualTokensUnderTheSameSaltAreRead) {
    fill();
    Process second(path_, {});
    Request salted = request_of(kPrompt, 6);
    salted.cache_salt = "tenant";
    EXPECT_EQ(ids(second.run(salted)), slow_answer(second.model, salted.prompt, 6));
    EXPECT_EQ(second.counters().blocks_restored, 0U);
    second.expect_right("abcdefghijklmnopqrstxxxx");
    EXPECT_EQ(second.counters().blocks_restored, 5U);
    second.expect_right("bcdefghijklmnopqrstuvwxyz");
    EXPECT_EQ(second.counters().blocks_restored, 5U);
    salted.cache_salt = std::string(kMaxDiskSaltBytes + 1, 's');
    EXPECT_EQ(ids(second.run(salted)), slow_answer(second.model, salted.prompt, 6));
}

TEST_F(KvDiskTest, BlocksGivenUpUnderwayComeBack) {
    RigOptions setup;
    setup.n_blocks = 14;
    Process process(path_, setup);
    for (int round = 0; round < 3; ++round) {
        process.expect_right(kPrompt);
        process.expect_right("zyxwvutsrqponmlkjihgfedcbazyxwvutsrq");
    }
    EXPECT_GT(process.counters().blocks_restored, 20U);
    EXPECT_EQ(process.counters().damaged, 0U);
    process.disk->index().check();
}

TEST_F(KvDiskTest, RandomWorkInATinyCacheAndATinyFileGivesTheSameBits) {
    std::mt19937 random(5);
    std::uint64_t n_restored = 0, n_replaced = 0;
    for (int round = 0; round < rafter::tests::rounds(60); ++round) {
        RigOptions setup;
        setup.block_size = 1U << (random() % 4);
        setup.n_blocks = 160 / setup.block_size;
        setup.limits.n_tokens = 4 + random() % 40;
        setup.target_itl_seconds = random() % 2 ? 0.012 : 0.0;
        if (random() % 2) setup.cost = StepCost(made_up_price, setup.limits.n_tokens, setup.context);
        const std::uint64_t size_bytes = 4096ULL * (random() % 2 ? 600 : 90 + random() % 60);
        if (round % 6 == 0) fs::remove(path_);
        Process process(path_, setup, size_bytes, setup.block_size);
        ASSERT_TRUE(process.disk) << process.error->message;
        process.killed = random() % 2 == 0;
        std::vector<std::pair<Request, std::shared_ptr<TokenStream>>> open;
        for (int i = 0; i < 40; ++i) {
            Request request = random_request(random, 60, 20);
            if (random() % 8 == 0) request.cache_salt = "tenant";
            auto stream = process.engine->submit(request);
            ASSERT_TRUE(stream);
            open.emplace_back(request, *stream);
            for (std::uint32_t n = random() % 6; n > 0; --n) {
                process.engine->step();
                process.engine->scheduler().check();
            }
            if (random() % 10 == 0) open[random() % open.size()].second->cancel();
        }
        while (process.engine->step()) {}
        for (auto& [request, stream] : open) {
            const StreamUpdate update = stream->take();
            if (update.finish->reason == FinishReason::kCancelled || update.finish->reason == FinishReason::kError) continue;
            Rig alone;
            ASSERT_EQ(ids(update), ids(alone.run(request))) << "round " << round;
        }
        process.disk->index().check();
        n_restored += process.counters().blocks_restored;
        n_replaced += process.counters().blocks_replaced;
        ASSERT_EQ(process.counters().damaged, 0U);
        ASSERT_TRUE(process.warnings.empty() || process.counters().blocks_at_open == 0) << process.warnings[0];
    }
    EXPECT_GT(n_restored, 100U);
    EXPECT_GT(n_replaced, 50U);
}

TEST_F(KvDiskTest, AFlippedBitAnywhereIsNeverBelieved) {
    fill();
    const std::string whole = contents();
    std::mt19937 random(1);
    std::uint64_t n_damaged = 0, n_started_over = 0, n_foreign = 0;
    // Every byte that means something, and some of the padding.
    std::vector<std::size_t> places;
    const KvFileLayout layout({.hash = 7, .description = "", .block_size = 4, .block_bytes = 16});
    for (std::size_t i = 0; i < 320; ++i) places.push_back(i);
    for (kv::SlotId slot = 0; slot < 10; ++slot) {
        for (std::size_t i = 0; i < layout.record_bytes(); i += 1 + random() % 3) places.push_back(layout.record_offset(slot) + i);
        for (std::size_t i = 0; i < 16; ++i) places.push_back(layout.data_offset(slot) + i);
    }
    for (const std::size_t place : places) {
        std::string damaged = whole;
        damaged.at(place) = static_cast<char>(damaged[place] ^ (1 << (random() % 8)));
        put(damaged);
        Process process(path_, {});
        process.killed = true;
        process.expect_right(kPrompt);
        if (!process.disk) {
            ++n_foreign;
            EXPECT_LT(place, 8U);
            EXPECT_EQ(contents(), damaged);  // not ours: not touched
            continue;
        }
        n_damaged += process.counters().damaged;
        n_started_over += process.counters().blocks_at_open == 0;
        if (place >= kKvFileHeaderBytes) {
            // The first that was evicted is the last of the answer, which nobody asks for.
            const bool unread = place >= layout.data_offset(0) && place < layout.data_offset(1);
            EXPECT_EQ(process.counters().damaged, unread ? 0U : 1U) << place;
            EXPECT_LT(process.counters().blocks_restored, 10U);
        }
    }
    EXPECT_EQ(n_foreign, 8U);
    EXPECT_GT(n_damaged, 1000U);
    EXPECT_GT(n_started_over, 300U);
}

TEST_F(KvDiskTest, ATruncatedFileGivesWhatIsWhole) {
    fill();
    const std::string whole = contents();
    std::mt19937 random(2);
    std::uint64_t n_restored = 0;
    constexpr int kRounds = rafter::tests::rounds(300);
    for (int round = 0; round < kRounds; ++round) {
        // In the header, anywhere, and just before the end, where most is whole.
        const std::size_t size = round % 3 == 0   ? static_cast<std::size_t>(round / 3)
                                 : round % 3 == 1 ? random() % whole.size()
                                                  : whole.size() - random() % 40;
        put(whole.substr(0, size));
        Process process(path_, {});
        process.killed = true;
        process.expect_right(kPrompt);
        if (process.disk) n_restored += process.counters().blocks_restored;
    }
    EXPECT_GT(n_restored, kRounds / 15U);
}

TEST_F(KvDiskTest, BlocksSwappedOrMixedWithOlderOnesAreNotBelieved) {
    fill();
    const std::string old = contents();
    fs::remove(path_);
    { Process(path_, {}).expect_right("zyxwvutsrqponmlkjihgfedcbazyxwvutsrq"); }
    const std::string other = contents();
    const KvFileLayout layout({.hash = 7, .description = "", .block_size = 4, .block_bytes = 16});
    std::mt19937 random(3);
    for (int round = 0; round < rafter::tests::rounds(500); ++round) {
        std::string mixed = old;
        mixed.resize(std::max(old.size(), other.size()));
        // What a crash may leave: any of the writes of two generations. And what no crash does: slots at another's place.
        for (kv::SlotId slot = 0; slot < 10; ++slot) {
            const kv::SlotId from = random() % 3 == 0 ? random() % 10 : slot;
            const auto copy = [&](const std::string& source, std::uint64_t to, std::uint64_t at, std::size_t n) {
                mixed.replace(to, n, (source + std::string(n, '\0')).substr(at, n));
            };
            if (random() % 2)
                copy(random() % 2 ? old : other, layout.record_offset(slot), layout.record_offset(from), layout.record_bytes());
            if (random() % 2) copy(random() % 2 ? old : other, layout.data_offset(slot), layout.data_offset(from), 16);
        }
        put(mixed);
        Process process(path_, {});
        ASSERT_TRUE(process.disk);
        process.killed = random() % 2;
        process.expect_right(kPrompt);
        process.expect_right("zyxwvutsrqponmlkjihgfedcbazyxwvutsrq");
        process.disk->index().check();
    }
}

TEST_F(KvDiskTest, AnotherModelsFileStartsOver) {
    fill();
    {
        Process other(path_, {}, kRoomy, 8);
        ASSERT_TRUE(other.disk);
        ASSERT_EQ(other.warnings.size(), 1U);
        EXPECT_NE(other.warnings[0].find("the KV cache blocks in this file are of \"the fake model\"; starting over"), std::string::npos)
            << other.warnings[0];
        EXPECT_EQ(other.counters().blocks_at_open, 0U);
        other.expect_right(kPrompt);
        EXPECT_EQ(other.counters().blocks_restored, 0U);
    }
    RigOptions larger;
    larger.block_size = 8;
    Process blocks(path_, larger, kRoomy, 8);
    EXPECT_EQ(blocks.counters().blocks_at_open, 0U);
    blocks.expect_right(kPrompt);
}

TEST_F(KvDiskTest, AnotherVersionsFileStartsOver) {
    fill();
    std::string old = contents();
    constexpr std::size_t kVersionAt = 16;  // after magic number and checksum
    EXPECT_EQ(old.at(kVersionAt), 2);
    old[kVersionAt] = 1;
    put(old);
    {
        Process process(path_, {});
        ASSERT_TRUE(process.disk);
        ASSERT_EQ(process.warnings.size(), 1U);
        EXPECT_NE(process.warnings[0].find("written by another version of rafter; starting over"), std::string::npos)
            << process.warnings[0];
        EXPECT_EQ(process.counters().blocks_at_open, 0U);
        process.expect_right(kPrompt);
        EXPECT_EQ(process.counters().blocks_restored, 0U);
    }
    Process again(path_, {});
    EXPECT_TRUE(again.warnings.empty());
    again.expect_right(kPrompt);
    EXPECT_EQ(again.counters().blocks_restored, 9U);
}

TEST_F(KvDiskTest, OldRecordsUnderANewHeaderAreNotBelieved) {
    fill();
    std::string mixed = contents();
    const std::vector<std::byte> header = encode_header({.hash = 8, .description = "", .block_size = 4, .block_bytes = 16});
    mixed.replace(0, header.size(), reinterpret_cast<const char*>(header.data()), header.size());
    put(mixed);
    Process process(path_, {}, kRoomy, 8);
    EXPECT_EQ(process.counters().blocks_at_open, 0U);
    EXPECT_EQ(process.counters().damaged, 10U);
    process.expect_right(kPrompt);
    EXPECT_EQ(process.counters().blocks_restored, 0U);
}

TEST_F(KvDiskTest, SomebodyElsesFileIsLeftAlone) {
    for (const std::string& text : {std::string("notes"), std::string("GGUF") + std::string(9000, 'x'), std::string(9000, '\0')}) {
        put(text);
        const Process process(path_, {});
        ASSERT_FALSE(process.disk);
        EXPECT_EQ(process.error->kind, ErrorKind::kBadInput);
        EXPECT_EQ(contents(), text);
    }
}

TEST_F(KvDiskTest, ASecondEngineOnTheSameFileGoesWithout) {
    Process first(path_, {});
    Process second(path_, {});
    ASSERT_FALSE(second.disk);
    EXPECT_EQ(second.error->kind, ErrorKind::kBusy);
    first.expect_right(kPrompt);
    second.expect_right(kPrompt);
}

TEST_F(KvDiskTest, AFullDiskEndsTheFileAndNothingElse) {
    Process process(path_, {});
    process.expect_right(kPrompt);
    rlimit before{};
    getrlimit(RLIMIT_FSIZE, &before);
    const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
    const KvFileLayout layout({.hash = 7, .description = "", .block_size = 4, .block_bytes = 16});
    const rlimit small{layout.data_offset(4) + 8, before.rlim_max};
    setrlimit(RLIMIT_FSIZE, &small);
    process.engine->forget_unused();
    process.expect_right(kPrompt);
    process.engine->forget_unused();
    setrlimit(RLIMIT_FSIZE, &before);
    std::signal(SIGXFSZ, old_handler);
    ASSERT_EQ(process.warnings.size(), 1U);
    EXPECT_NE(process.warnings[0].find("cannot be written: File too large; going on without the cache on disk"), std::string::npos)
        << process.warnings[0];
    EXPECT_EQ(process.counters().blocks_written, 4U);
}

TEST_F(KvDiskTest, ASizeGivesTheFileItsSlotsAndCutsIt) {
    const KvFileLayout layout({.hash = 7, .description = "", .block_size = 4, .block_bytes = 16});
    EXPECT_EQ(layout.n_slots(layout.file_bytes(5)), 5U);
    EXPECT_EQ(layout.n_slots(layout.file_bytes(5) - 1), 4U);
    EXPECT_EQ(layout.n_slots(layout.file_bytes(2000)), 2000U);
    EXPECT_EQ(layout.n_slots(100), 0U);
    fill();
    {
        Process small(path_, {}, layout.file_bytes(4));
        EXPECT_LE(small.counters().blocks_at_open, 4U);
        small.expect_right(kPrompt);
        small.expect_right("zyxwvutsrqponmlkjihgfedcbazyxwvutsrq");
    }
    EXPECT_LE(fs::file_size(path_), layout.file_bytes(4));
    const Process none(path_, {}, 4096);
    ASSERT_FALSE(none.disk);
    EXPECT_EQ(none.error->kind, ErrorKind::kUsage);
}

TEST_F(KvDiskTest, ReadsOnlyWhereThatIsFaster) {
    fill();
    // Blocks of 16 bytes at 500 MB/s take 32 ns; made-up steps take milliseconds, and fast ones nothing.
    RigOptions slow;
    slow.cost = StepCost(made_up_price, slow.limits.n_tokens, slow.context);
    {
        Process process(path_, slow);
        process.killed = true;
        process.expect_right(kPrompt);
        EXPECT_EQ(process.counters().blocks_restored, 9U);
        EXPECT_GT(process.counters().recompute_seconds, 0.02);
        EXPECT_EQ(process.counters().skipped_slow_read, 0U);
    }
    RigOptions fast;
    fast.cost = StepCost([](const model::StepShape& shape) { return 1e-12 * shape.n_tokens(); }, fast.limits.n_tokens, fast.context);
    Process process(path_, fast);
    process.expect_right(kPrompt);
    EXPECT_EQ(process.counters().blocks_restored, 0U);
    EXPECT_EQ(process.counters().skipped_slow_read, 9U);
    process.expect_right("zyxwvutsrqponmlkjihgfedcbazyxwvutsrq");
    process.engine->forget_unused();
    EXPECT_EQ(process.counters().blocks_written, 0U);
    EXPECT_GT(process.counters().skipped_slow_write, 5U);
}

TEST(TransferRate, FollowsWhatTransfersTookAndForgets) {
    TransferRate rate(500e6);
    EXPECT_DOUBLE_EQ(rate.bytes_per_s(), 500e6);
    for (int i = 0; i < 1000; ++i) rate.learn(1e6, 1e-2);
    EXPECT_NEAR(rate.bytes_per_s(), 100e6, 5e6);
    for (int i = 0; i < 2000; ++i) rate.learn(1e6, 1e-3);
    EXPECT_NEAR(rate.bytes_per_s(), 1e9, 5e7);
    for (int i = 0; i < 200; ++i) rate.doubt();
    EXPECT_NEAR(rate.bytes_per_s(), 500e6, 1e6);
}

}  // namespace
}  // namespace rafter::engine
