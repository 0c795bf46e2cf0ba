// Second moments of a model's inputs against a float64 interpreter of the same program; passes, threads and bounds that change nothing;
// what is refused.
#include "engine/refine/input_feedback.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>

#include "engine/importance/collect.h"
#include "files/gguf.h"
#include "model/model_file.h"
#include "tests/support/naive_model.h"
#include "tests/support/tiny_model.h"

namespace rafter::engine {
namespace {

OpenedModel opened_for_feedback(const std::vector<std::byte>& bytes, const std::string& name) {
    const auto path = std::filesystem::path(::testing::TempDir()) / ("feedback-" + name + ".gguf");
    std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    OpenedModel opened = open_model(path).value();
    std::filesystem::remove(path);
    return opened;
}

std::vector<std::vector<TokenId>> feedback_windows() {
    std::vector<std::vector<TokenId>> windows(2);
    for (std::uint32_t i = 0; i < 64; ++i) {
        windows[0].push_back(static_cast<TokenId>((3 + i * i * 7 + i / 3) % 200));
        windows[1].push_back(static_cast<TokenId>((90 + i * 5 + i * i / 7) % 200));
    }
    return windows;
}

Runtime feedback_runtime(unsigned n_threads) { return Runtime::create({.n_threads = n_threads, .isa = ""}).value(); }

std::vector<std::string> matrices_of(const OpenedModel& opened) {
    std::vector<std::string> names;
    for (const files::NamedTensor& tensor : opened.source->tensors()) {
        if (tensor.shape.size() > 1) names.push_back(tensor.name);
    }
    return names;
}

std::uint32_t n_matrices(const files::NamedTensor& tensor) {
    return tensor.shape.size() > 2 ? static_cast<std::uint32_t>(tensor.shape.front()) : 1;
}

// By tensor and matrix, over all passes: the factor's numbers, empty where there is none.
std::map<std::pair<std::string, std::uint32_t>, std::vector<float>> all_factors(Runtime& runtime, const OpenedModel& opened,
                                                                                std::uint64_t moments_bytes, std::size_t& n_passes) {
    auto feedback =
        InputFeedback::create(runtime, opened, {.windows = feedback_windows(), .moments_bytes = moments_bytes}, matrices_of(opened))
            .value();
    n_passes = feedback.n_passes();
    std::map<std::pair<std::string, std::uint32_t>, std::vector<float>> found;
    for (std::size_t pass = 0; pass < n_passes; ++pass) {
        EXPECT_TRUE(feedback.collect(pass, {}).value());
        for (const files::NamedTensor& tensor : opened.source->tensors()) {
            for (std::uint32_t m = 0; m < n_matrices(tensor); ++m) {
                const bool is_here = feedback.pass_of(tensor.name, m) == pass;
                const backend::FeedbackFactor* const factor = feedback.factor(tensor.name, m);
                EXPECT_TRUE(is_here || factor == nullptr) << tensor.name;
                if (!is_here) continue;
                std::vector<float>& numbers = found[{tensor.name, m}];
                if (factor == nullptr) continue;
                numbers = factor->upper;
                numbers.insert(numbers.end(), factor->variance.begin(), factor->variance.end());
            }
        }
    }
    return found;
}

class SecondMoments : public ::testing::TestWithParam<std::string> {};

TEST_P(SecondMoments, AreThoseOfAFloat64Model) {
    const OpenedModel opened = opened_for_feedback(model::tiny_gguf({.name = GetParam()}), GetParam());
    Runtime runtime = feedback_runtime(2);
    LoadModelOptions load;
    load.context = 64;
    load.n_outputs = 64;
    load.activations = model::ActivationMode::kF32;
    load.observe_inputs = true;
    const model::Program canonical =
        model::bind(model::build(model::read_config(*opened.source, {.context = 64U}).value()), *opened.source).value();
    std::map<std::string, model::Op> op_of;  // that multiplies the tensor
    const auto first_counts = [](const std::string& tensor) { return tensor.find("attn_output") != std::string::npos ? 10U : 1U; };
    for (const model::Op& op : canonical.ops) {
        if (op.kind == model::OpKind::kLinear || op.kind == model::OpKind::kExpertLinear)
            op_of[canonical.weights[op.weights.front()].tensor] = op;
    }
    // The last expert alone, where there are experts.
    for (const auto& [tensor, op] : op_of) {
        const std::uint32_t n = canonical.weights[op.weights.front()].n_experts;
        load.observe_moments.push_back({.tensor = tensor, .first = n - 1, .n = 1, .first_position_counts = first_counts(tensor)});
    }
    LoadedModel loaded = load_model(runtime, opened, load).value();
    ImportanceCollector collector(loaded);
    for (const auto& window : feedback_windows()) collector.add(window);
    const backend::NaiveModel naive(canonical, *opened.source, load.key_type, load.value_type);
    const model::Program& program = loaded.device->program();
    std::size_t n_checked = 0;
    std::size_t n_of_values = 0;
    for (std::size_t i = 0; i < program.ops.size(); ++i) {
        const auto* const observe = std::get_if<model::ObserveOptions>(&program.ops[i].options);
        if (observe == nullptr) continue;
        const std::vector<std::vector<float>> moments = loaded.device->take_moments(i);
        ASSERT_EQ(moments.size(), 1U);
        EXPECT_TRUE(loaded.device->take_moments(i).empty());
        const model::Op& op = op_of.at(observe->tensors.front());
        const std::uint32_t n_cols = canonical.weights[op.weights.front()].n_cols;
        std::vector<double> expected(std::size_t{n_cols} * n_cols);
        const std::size_t k = canonical.config.moe.n_experts_used;
        for (const auto& window : feedback_windows()) {
            const auto rows = naive.value(op.inputs[0], window);
            const auto add = [&](const std::vector<double>& row) {
                for (std::size_t r = 0; r < n_cols; ++r) {
                    for (std::size_t c = r; c < n_cols; ++c) expected[r * n_cols + c] += row[r] * row[c];
                }
            };
            if (op.kind == model::OpKind::kLinear) {
                for (const auto& row : rows) add(row);
                for (std::uint32_t again = 1; again < first_counts(observe->tensors.front()); ++again) add(rows.front());
                continue;
            }
            const auto routing = naive.value(op.inputs[1], window);
            const bool by_slot = canonical.values[op.inputs[0]].rows == model::RowKind::kSlots;
            for (std::size_t slot = 0; slot < window.size() * k; ++slot) {
                if (static_cast<std::uint32_t>(routing[slot / k][slot % k]) == observe->first_moments) add(rows[by_slot ? slot : slot / k]);
            }
        }
        for (std::size_t r = 0; r < n_cols; ++r) {
            for (std::size_t c = r; c < n_cols; ++c) {
                const double size = std::sqrt(expected[r * n_cols + r] * expected[c * n_cols + c]);
                ASSERT_NEAR(static_cast<double>(moments[0][backend::moments_index(r, c)]), expected[r * n_cols + c], 5e-3 * size + 1e-6)
                    << observe->tensors.front() << " " << r << " " << c;
            }
        }
        ++n_checked;
        if (!observe->makes_values) continue;
        ++n_of_values;
        const std::string name = GetParam() == "phi3" ? "attn_qkv.weight" : "attn_v.weight";
        EXPECT_TRUE(std::ranges::any_of(observe->tensors, [&](const std::string& t) { return t.ends_with(name); }));
    }
    EXPECT_EQ(n_of_values, canonical.config.n_layers);
    EXPECT_GE(n_checked, 4U * canonical.config.n_layers);
}

INSTANTIATE_TEST_SUITE_P(Tiny, SecondMoments, ::testing::Values("llama", "mixtral", "gemma3", "phi3"));

TEST(InputFeedback, IsTheSameForAnyPassesAndThreads) {
    for (const std::string name : {"llama", "mixtral"}) {
        const OpenedModel opened = opened_for_feedback(model::tiny_gguf({.name = name}), name);
        Runtime runtime = feedback_runtime(2);
        std::size_t n_passes = 0;
        const auto expected = all_factors(runtime, opened, kMomentsBytes, n_passes);
        EXPECT_EQ(n_passes, 1U);
        EXPECT_FALSE(expected.contains({"token_embd.weight", 0}) && opened.source->find_tensor("output.weight") != nullptr);
        std::size_t n_usable = 0;
        for (const auto& [tensor, numbers] : expected) n_usable += numbers.empty() ? 0 : 1;
        EXPECT_GE(n_usable, expected.size() / 2);
        Runtime other_runtime = feedback_runtime(1);
        // Two matrices at a time, and less than one.
        for (const std::uint64_t bytes : {std::uint64_t{40000}, std::uint64_t{1}}) {
            EXPECT_TRUE(all_factors(bytes == 1 ? other_runtime : runtime, opened, bytes, n_passes) == expected) << name << " " << bytes;
            EXPECT_GT(n_passes, 4U);
        }
    }
}

// Attention gives the first position about as much weight as all others together: so it counts where values are made.
TEST(InputFeedback, CountsTheFirstPositionMoreWhereValuesAreMade) {
    const OpenedModel opened = opened_for_feedback(model::tiny_gguf({.name = "llama"}), "values");
    Runtime runtime = feedback_runtime(2);
    for (const std::string tensor : {"blk.1.attn_v.weight", "blk.1.attn_output.weight", "blk.1.ffn_down.weight"}) {
        auto feedback = InputFeedback::create(runtime, opened, {.windows = feedback_windows()}, {tensor}).value();
        ASSERT_TRUE(feedback.collect(0, {}).value());
        const auto factor_with = [&](std::uint32_t counts) {
            LoadModelOptions load;
            load.context = 64;
            load.n_outputs = 64;
            load.activations = model::ActivationMode::kQ16;
            load.observe_inputs = true;
            load.observe_moments = {{.tensor = tensor, .first = 0, .n = 1, .first_position_counts = counts}};
            LoadedModel loaded = load_model(runtime, opened, load).value();
            ImportanceCollector collector(loaded);
            for (const auto& window : feedback_windows()) collector.add(window);
            const auto& ops = loaded.device->program().ops;
            const auto observer = std::ranges::find(ops, model::OpKind::kObserve, &model::Op::kind);
            auto moments = loaded.device->take_moments(static_cast<std::size_t>(observer - ops.begin()));
            const std::size_t n_cols = loaded.device->program().values[observer->inputs.front()].width;
            return backend::factor_moments(std::move(moments.front()), n_cols, 0.01F, runtime.pool()).upper;
        };
        const bool makes_values = tensor == "blk.1.attn_v.weight";
        EXPECT_EQ(feedback.factor(tensor, 0)->upper == factor_with(1), !makes_values) << tensor;
        EXPECT_EQ(feedback.factor(tensor, 0)->upper == factor_with(64), makes_values) << tensor;
    }
}

TEST(InputFeedback, StopsWhenAsked) {
    const OpenedModel opened = opened_for_feedback(model::tiny_gguf({.name = "llama"}), "stopped");
    Runtime runtime = feedback_runtime(1);
    auto feedback = InputFeedback::create(runtime, opened, {.windows = feedback_windows()}, matrices_of(opened)).value();
    int n_asked = 0;
    EXPECT_FALSE(feedback.collect(0, {.progress = {}, .is_stopped = [&] { return ++n_asked > 1; }}).value());
    EXPECT_EQ(n_asked, 2);
    EXPECT_EQ(feedback.factor("blk.0.attn_q.weight", 0), nullptr);
    EXPECT_TRUE(feedback.collect(0, {}).value());
    EXPECT_NE(feedback.factor("blk.0.attn_q.weight", 0), nullptr);
}

TEST(InputFeedback, OfADamagedModelIsRefusedByTheTensorsName) {
    std::vector<std::byte> bytes = model::tiny_gguf({.name = "llama"});
    {
        const auto file = files::GgufFile::parse(bytes, "llama").value();
        const files::NamedTensor* gain = file.find_tensor("blk.1.ffn_norm.weight");
        ASSERT_NE(gain, nullptr);
        const float nan = std::numeric_limits<float>::quiet_NaN();
        std::memcpy(bytes.data() + (gain->bytes.data() - bytes.data()) + 3 * sizeof nan, &nan, sizeof nan);
    }
    const OpenedModel opened = opened_for_feedback(bytes, "damaged");
    Runtime runtime = feedback_runtime(1);
    auto feedback = InputFeedback::create(runtime, opened, {.windows = feedback_windows()}, matrices_of(opened)).value();
    const auto collected = feedback.collect(0, {});
    ASSERT_FALSE(collected);
    EXPECT_TRUE(collected.error().message.starts_with("blk.1.ffn_gate.weight: column 3: expected finite inputs"))
        << collected.error().message;
}

}  // namespace
}  // namespace rafter::engine
