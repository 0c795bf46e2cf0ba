// A step allocates no memory where its threads run: a thread that threw would leave the others at a barrier. This file replaces the
// program's operator new by one that counts while it is told to.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>
#include <thread>

#include "backend/backends.h"
#include "files/gguf.h"
#include "model/model_file.h"
#include "model/rewrites.h"
#include "tests/support/tiny_model.h"

namespace {

std::atomic<bool> g_counting = false;
std::atomic<int> g_of_caller = 0;
std::atomic<int> g_of_workers = 0;
std::atomic<std::thread::id> g_caller;

void count() {
    if (!g_counting.load(std::memory_order_relaxed)) return;
    ++(std::this_thread::get_id() == g_caller.load() ? g_of_caller : g_of_workers);
}

}  // namespace

void* operator new(std::size_t size) {
    count();
    if (void* const memory = std::malloc(size > 0 ? size : 1)) return memory;
    throw std::bad_alloc();
}
// A sanitizer's own form without exceptions would not call the one above, and its memory would go to the operator delete below.
void* operator new(std::size_t size, const std::nothrow_t& /*tag*/) noexcept {
    try {
        return ::operator new(size);
    } catch (const std::bad_alloc&) {
        return nullptr;
    }
}
void* operator new(std::size_t size, std::align_val_t alignment) {
    count();
    const auto align = static_cast<std::size_t>(alignment);
    if (void* const memory = std::aligned_alloc(align, (size + align - 1) / align * align)) return memory;
    throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t /*size*/) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t /*alignment*/) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t /*size*/, std::align_val_t /*alignment*/) noexcept { std::free(memory); }

namespace rafter::backend {
namespace {

// Rows of several sequences, on blocks of their own.
struct StepSizes {
    std::vector<model::SequenceStep> sequences;
};

Batch batch_of(const StepSizes& shape, std::size_t n_groups, std::uint32_t block_size) {
    Batch batch;
    BlockId next = 0;
    for (const model::SequenceStep& step : shape.sequences) {
        BatchSequence sequence{.step = step, .first_row = static_cast<std::uint32_t>(batch.tokens.size()), .block_tables = {}};
        std::vector<BlockId> table((step.n_past + step.n_new + block_size - 1) / block_size);
        for (BlockId& block : table) block = next++;
        sequence.block_tables.assign(n_groups, table);
        for (std::uint32_t i = 0; i < step.n_new; ++i) {
            batch.tokens.push_back(static_cast<std::int32_t>(i % 100));
            batch.positions.push_back(step.n_past + i);
        }
        for (std::uint32_t i = step.n_new - step.n_outputs; i < step.n_new; ++i) batch.output_rows.push_back(sequence.first_row + i);
        batch.sequences.push_back(std::move(sequence));
    }
    return batch;
}

struct Counted {
    int of_caller = 0;
    int of_workers = 0;
};

Counted counted(DeviceModel& model, const Batch& batch) {
    g_of_caller = 0;
    g_of_workers = 0;
    g_caller = std::this_thread::get_id();
    g_counting = true;
    (void)model.forward(batch);
    g_counting = false;
    return {.of_caller = g_of_caller, .of_workers = g_of_workers};
}

TEST(StepAllocations, AreCounted) {
    g_caller = std::this_thread::get_id();
    g_of_caller = 0;
    g_of_workers = 0;
    g_counting = true;
    std::vector<int> mine(100);
    g_counting = false;
    EXPECT_EQ(g_of_caller, 1);
    std::thread other([] {
        g_counting = true;
        std::vector<int> theirs(100);
        g_counting = false;
        EXPECT_EQ(theirs.size(), 100U);
    });
    other.join();
    EXPECT_EQ(g_of_workers, 1);
    EXPECT_EQ(mine.size(), 100U);
}

// Preparing a step is done by the caller, in memory that is used again: for a shape that was seen before it takes none, and then whatever
// the caller had taken would have been in the parallel region.
TEST(StepAllocations, AreNoneInWorkersEverAndNoneAtAllForAShapeSeenBefore) {
    const std::vector<StepSizes> shapes = {
        {.sequences = {{.n_new = 48, .n_past = 0, .n_outputs = 1}}},
        {.sequences = {{.n_new = 1, .n_past = 48, .n_outputs = 1}}},
        {.sequences = {{.n_new = 20, .n_past = 0, .n_outputs = 2}, {.n_new = 1, .n_past = 300, .n_outputs = 1}}},
        {.sequences = std::vector<model::SequenceStep>(12, {.n_new = 1, .n_past = 17, .n_outputs = 1})}};
    for (const std::string& name : model::tiny_models()) {
        for (const auto activations : {model::ActivationMode::kQ8, model::ActivationMode::kF32}) {
            const std::vector<std::byte> bytes = model::tiny_gguf({.name = name, .matrices = tensor::DType::kQ8_0});
            const auto file = files::GgufFile::parse(bytes, name);
            const auto bound = model::bind(model::build(model::read_config(*file, {}).value()), *file);
            ThreadPool pool({.n_threads = 3, .pin = false});
            const auto backend = make_backend("cpu", pool, "").value();
            LoadOptions options{.limits = {.n_tokens = 64, .n_outputs = 16}, .cache = {}, .progress = {}};
            options.cache.n_blocks.assign(bound->cache_groups.size(), 40);
            const auto model = backend->load(model::rewrite(*bound, {.activations = activations, .without = {}}), *file, options);
            ASSERT_TRUE(model) << model.error().message;
            for (const bool again : {false, true}) {
                for (std::size_t i = 0; i < shapes.size(); ++i) {
                    const Counted n = counted(**model, batch_of(shapes[i], bound->cache_groups.size(), options.cache.block_size));
                    EXPECT_EQ(n.of_workers, 0) << name << ", shape " << i;
                    if (again) EXPECT_EQ(n.of_caller, 0) << name << ", shape " << i;
                }
            }
        }
    }
}

}  // namespace
}  // namespace rafter::backend
