// Every allocation of a busy engine fails in turn: while requests are submitted, planned, drafted, computed, sampled, committed and
// delivered; with shared prefixes, draft tokens, preemption and a cache on disk. Each time either one request fails and all others are as
// if nothing had happened, or the engine fails and every stream ends with what is its own.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "engine/offload/kv_disk.h"
#include "engine/speculation/ngram_drafter.h"
#include "tests/engine/engine_rig.h"
#include "tests/engine/failing_allocations.h"
#include "tests/support/rounds.h"

namespace rafter::engine {
namespace {

using namespace tests;
namespace fs = std::filesystem;

struct Wish {
    int step;  // before which it is submitted
    Request request;
};

std::vector<Wish> wishes() {
    std::vector<Wish> all;
    const auto add = [&](int step, std::string_view prompt, std::uint32_t max_tokens) -> Request& {
        all.push_back({step, request_of(prompt, max_tokens)});
        return all.back().request;
    };
    add(0, "l", 1);  // answers seem to be short: more are let in than there is room for
    add(1, "abcabcabcabcabcabc", 12);
    add(1, "abcabcabcabcabcabd", 14).sampling.repeat_penalty = 1.2;  // shares four blocks with the one before
    add(1, "zyxzyxzyxzyx", 16).n_logprobs = 2;
    add(1, "q", 20).sampling = {.temperature = 1.0, .top_k = 5, .seed = 3};
    add(6, "abcabcabcabcabcabcabcabc", 8).stop = {"bb", "zq"};
    add(9, "mnopqrstuvwxyzabcdefghijklm", 4).score_prompt_from = 20;
    add(24, "abcabcabcabcabcabcabcabc", 6);  // some of it comes from the disk
    add(24, "zyxzyxzyxzyxw", 6).timeout_seconds = 1e6;
    return all;
}

// What one stream gave; every other one by its callback, which allocates nothing itself.
struct Reader {
    Reader() {
        all.tokens.reserve(100);
        all.text.reserve(400);
    }
    Reader(Reader&&) = default;
    std::shared_ptr<TokenStream> stream;
    std::optional<Error> refused;
    StreamUpdate all;
    int n_finishes = 0;

    void add(StreamUpdate&& update) {
        for (GeneratedToken& token : update.tokens) all.tokens.push_back(std::move(token));
        all.text += update.text;
        if (!update.finish) return;
        ++n_finishes;
        all.finish = update.finish;
    }
    [[nodiscard]] bool failed() const { return refused || (all.finish && all.finish->reason == FinishReason::kError); }
};

struct SweptEngine {
    explicit SweptEngine(const fs::path& path) : model({0}, kBlocks, kBlockSize), drafter({.shared_bytes = 1U << 16U}) {
        auto opened = KvDisk::open(
            {.path = path,
             .size_bytes = 1U << 20U,
             .identity = {.hash = 7, .description = "the fake model", .block_size = kBlockSize, .block_bytes = model.block_bytes(0)}},
            model);
        EXPECT_TRUE(opened.has_value());
        disk = *std::move(opened);
        SchedulerOptions options = scheduler_options({.windows = {0},
                                                      .n_blocks = kBlocks,
                                                      .block_size = kBlockSize,
                                                      .context = 64,
                                                      .limits = {.n_tokens = 16, .n_outputs = 12},
                                                      .speculation = {.drafter = &drafter, .most_drafts = 3, .fixed = 3}});
        options.kv_disk = disk.get();
        engine = std::make_unique<Engine>(model, tokenizer, options);
    }

    void submit(const Request& request, Reader& reader, bool by_callback) {
        OnUpdate on_update;
        if (by_callback) on_update = [&reader](StreamUpdate&& update) { reader.add(std::move(update)); };
        Request copy = request;
        auto stream = [&] {
            const AllocationFault::Armed armed(fault);
            return engine->submit(std::move(copy), std::move(on_update));
        }();
        if (stream) {
            reader.stream = *stream;
        } else {
            reader.refused = stream.error();
        }
    }
    bool step() {
        const AllocationFault::Armed armed(fault);
        return engine->step();
    }
    // Reads mailboxes that have not had their finish.
    void run(const std::vector<Wish>& all, std::vector<Reader>& readers) {
        readers.resize(all.size());
        for (int i = 0;; ++i) {
            for (std::size_t r = 0; r < all.size(); ++r) {
                if (all[r].step == i) submit(all[r].request, readers[r], r % 2 == 1);
            }
            const bool more = step();
            for (std::size_t r = 0; r < all.size(); r += 2) {
                if (readers[r].stream && readers[r].n_finishes == 0) readers[r].add(readers[r].stream->take());
            }
            if (i > 24 && !more) return;
        }
    }

    static constexpr std::uint32_t kBlocks = 16;
    static constexpr std::uint32_t kBlockSize = 4;
    FakeTokenizer tokenizer;
    FakeModel model;
    NgramDrafter drafter;
    std::unique_ptr<KvDisk> disk;
    std::unique_ptr<Engine> engine;
    AllocationFault fault{~std::uint64_t{0}};
};

bool is_prefix_of(const StreamUpdate& part, const StreamUpdate& whole) {
    const auto a = ids(part), b = ids(whole);
    return a.size() <= b.size() && std::equal(a.begin(), a.end(), b.begin()) && whole.text.starts_with(part.text);
}

class AllocationSweep : public ::testing::Test {
  protected:
    void SetUp() override {
        fs::remove(path_);
        (void)SweptEngine(path_);  // so that each trial opens a file
        for (const Wish& wish : all_) alone_.push_back(Rig({.n_blocks = 200}).run(wish.request));
    }
    void TearDown() override { fs::remove(path_); }

    void expect_right(const Reader& reader, std::size_t i) const {
        EXPECT_EQ(ids(reader.all), ids(alone_[i]));
        EXPECT_EQ(reader.all.text, alone_[i].text);
        EXPECT_EQ(reader.all.finish->reason, alone_[i].finish->reason);
    }
    void expect_one_finish_and_only_its_own(const Reader& reader, std::size_t i) const {
        if (reader.refused) return;
        EXPECT_EQ(reader.n_finishes, 1);
        EXPECT_TRUE(is_prefix_of(reader.all, alone_[i])) << reader.all.text << " of " << alone_[i].text;
    }

    const fs::path path_ = fs::path(::testing::TempDir()) / fmt::format("rafter-sweep-{}", getpid());
    const std::vector<Wish> all_ = wishes();
    std::vector<StreamUpdate> alone_;
};

TEST_F(AllocationSweep, TheRunHasAllThatItIsMeantToHave) {
    SweptEngine world(path_);
    std::vector<Reader> readers;
    world.run(all_, readers);
    for (std::size_t i = 0; i < readers.size(); ++i) expect_right(readers[i], i);
    const Scheduler& scheduler = world.engine->scheduler();
    EXPECT_GT(scheduler.counters().preemptions, 0U);
    EXPECT_GT(scheduler.speculator().counters().n_accepted_tokens, 0U);
    EXPECT_LT(scheduler.speculator().counters().n_accepted_tokens, scheduler.speculator().counters().n_draft_tokens);
    EXPECT_GT(scheduler.cache().counters().tokens_found, 0U);
    EXPECT_GT(world.disk->counters().blocks_written, 0U);
    EXPECT_GT(world.disk->counters().blocks_restored, 0U);
}

TEST_F(AllocationSweep, OneRequestEndsAloneOrTheEngineFailsAndEveryStreamEndsWithItsOwn) {
    int n_alone = 0, n_all = 0;
    const std::uint64_t stride = rafter::tests::rounds(10) == 10 ? 1 : 7;  // a sanitizer has time for some only
    for (std::uint64_t n = 0;; n += stride) {
        SweptEngine world(path_);
        world.fault = AllocationFault(n);
        std::vector<Reader> readers;
        world.run(all_, readers);
        if (!world.fault.fired()) break;
        for (std::size_t i = 0; i < readers.size(); ++i) expect_one_finish_and_only_its_own(readers[i], i);
        const auto n_failed = std::count_if(readers.begin(), readers.end(), [](const Reader& reader) { return reader.failed(); });
        Reader late;
        world.submit(request_of("late", 3), late, false);
        if (const auto failure = world.engine->failure()) {
            ++n_all;
            EXPECT_EQ(failure->message, "the engine has failed: std::bad_alloc");
            ASSERT_TRUE(late.refused.has_value());
            EXPECT_EQ(late.refused->kind, failure->kind);
            EXPECT_EQ(late.refused->message, failure->message);
            EXPECT_FALSE(world.step());
            for (const Reader& reader : readers) {
                if (reader.refused || !reader.failed()) continue;
                EXPECT_EQ(reader.all.finish->error->message, failure->message);
            }
        } else {
            ++n_alone;
            EXPECT_EQ(n_failed, 1);
            for (std::size_t i = 0; i < readers.size(); ++i) {
                if (!readers[i].failed()) expect_right(readers[i], i);
            }
            while (world.step()) world.engine->scheduler().check();
            ASSERT_TRUE(late.stream != nullptr);
            EXPECT_EQ(ids(late.stream->take()), slow_answer(world.model, request_of("late").prompt, 3));
            world.engine->forget_unused();
            EXPECT_EQ(world.engine->scheduler().cache().pools()[0].n_used(), 0U);
        }
        if (HasFailure()) FAIL() << "with allocation " << n << ", engine " << (world.engine->failure() ? "failed" : "goes on");
    }
    EXPECT_GT(n_alone, rafter::tests::rounds(50));
    EXPECT_GT(n_all, rafter::tests::rounds(50));
    RecordProperty("alone", n_alone);
    RecordProperty("all", n_all);
}

}  // namespace
}  // namespace rafter::engine
