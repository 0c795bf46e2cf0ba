// What is said of a step, on ops whose times are written down by hand.
#include "planning/verdict.h"

#include <gtest/gtest.h>

#include "backend/backends.h"
#include "planning/phase_report.h"

namespace rafter::planning {
namespace {

using engine::OpProfile;
using tensor::DType;

// A matrix [4096, 4096] of F16 in two layers, and an addition.
model::Program small_program() {
    model::Program program;
    program.values = {{.name = "x", .rows = model::RowKind::kTokens, .width = 4096},
                      {.name = "y", .rows = model::RowKind::kTokens, .width = 4096}};
    program.weights = {
        {.tensor = "w", .kind = model::WeightKind::kMatrix, .n_rows = 4096, .n_cols = 4096, .n_source_rows = 4096, .dtype = DType::kF16}};
    for (const char* name : {"blk.0.ffn_up", "blk.1.ffn_up"}) {
        program.ops.push_back(
            {.kind = model::OpKind::kLinear, .name = name, .inputs = {0}, .outputs = {1}, .weights = {0}, .options = {}, .parts = {}});
    }
    program.ops.push_back(
        {.kind = model::OpKind::kAdd, .name = "output_add", .inputs = {1, 1}, .outputs = {1}, .weights = {}, .options = {}, .parts = {}});
    program.logits = 1;
    program.hidden = 1;
    return program;
}

hardware::Profile small_machine() {
    hardware::Profile p;
    p.key = {.cpu = "x", .n_threads = 2, .isa = "avx2", .version = "1"};
    p.bandwidth = {{.n_threads = 2, .working_set_bytes = 1e6, .bytes_per_s = 10e9, .best_bytes_per_s = 10e9, .spread = 0.0}};
    p.float_flop_per_s = 1e11;
    p.int8_flop_per_s = 4e11;
    p.stream_bytes_per_s = 10e9;
    for (const char* activations : {"f32", "q8"}) {
        for (const DType dtype : {DType::kF16, DType::kQ4_0}) {
            p.matrices.push_back(
                {.weights = dtype, .activations = activations, .n_columns = 1, .from_memory = true, .seconds_per_weight = 2e-10});
            p.matrices.push_back(
                {.weights = dtype, .activations = activations, .n_columns = 1, .from_memory = false, .seconds_per_weight = 1e-11});
        }
    }
    return p;
}

// Two matrix ops of 5 ms whose roof is 3 ms each, with 1 ms of barrier in the first; an addition of 1 ms; 1 ms around the ops.
engine::PhaseProfile small_phase() {
    engine::PhaseProfile phase{.phase = "decode",
                               .n_steps = 1,
                               .n_tokens = 1,
                               .step_seconds = 12e-3,
                               .forward_seconds = 12e-3,
                               .predicted_seconds = 10e-3,
                               .read_bytes = 60e6,
                               .roof_bytes_per_s = 10e9,
                               .level = "memory"};
    roofline::OpCost matrix;
    matrix.weight_bytes = 30e6;
    matrix.flops = 33.5e6;
    phase.ops = {
        OpProfile{
            .op = 0, .predicted_seconds = 4e-3, .measured_seconds = 5e-3, .roof_seconds = 3e-3, .overhead_seconds = 1e-3, .cost = matrix},
        OpProfile{.op = 1, .predicted_seconds = 4e-3, .measured_seconds = 5e-3, .roof_seconds = 3e-3, .cost = matrix},
        OpProfile{.op = 2, .predicted_seconds = 1e-3, .measured_seconds = 1e-3}};
    return phase;
}

class VerdictOfAStep : public testing::Test {
  protected:
    Verdict verdict() {
        return verdict_of({.phase = phase_,
                           .backend = *backend_,
                           .program = program_,
                           .machine = machine_,
                           .shape = {.n_sequences = 1, .n_new = 1, .n_past = 511},
                           .model_name = "small",
                           .price = price_,
                           .host = {.sample_seconds = 2e-3, .host_seconds = 1e-3},
                           .best_isa = best_isa_,
                           .usable_cpus = usable_cpus_});
    }
    static double lost(const Verdict& v, std::string_view start) {
        for (const Loss& loss : v.losses) {
            if (loss.what.starts_with(start)) return loss.seconds;
        }
        ADD_FAILURE() << start;
        return 0.0;
    }
    static bool proposes(const Verdict& v, std::string_view words) {
        return std::any_of(v.changes.begin(), v.changes.end(), [&](const Change& c) { return c.what.find(words) != std::string::npos; });
    }

    ThreadPool pool_{{.n_threads = 1}};
    std::unique_ptr<backend::Backend> backend_ = backend::make_backend("cpu", pool_, "scalar").value();
    model::Program program_ = small_program();
    hardware::Profile machine_ = small_machine();
    engine::PhaseProfile phase_ = small_phase();
    roofline::PriceOptions price_;
    std::string best_isa_ = "avx2";
    unsigned usable_cpus_ = 2;
};

TEST_F(VerdictOfAStep, LossesAddUpToTheTimeAboveTheRoof) {
    const Verdict v = verdict();
    EXPECT_DOUBLE_EQ(v.step_seconds, 15e-3);
    EXPECT_DOUBLE_EQ(v.roof_seconds, 6e-3);
    EXPECT_DOUBLE_EQ(v.roof_fraction, 0.4);
    EXPECT_NEAR(lost(v, "matrix kernels"), 3e-3, 1e-12);
    EXPECT_NEAR(lost(v, "threads that wait"), 1e-3, 1e-12);
    EXPECT_NEAR(lost(v, "small ops"), 1e-3, 1e-12);
    EXPECT_NEAR(lost(v, "beginning and ending"), 1e-3, 1e-12);
    EXPECT_NEAR(lost(v, "sampling"), 2e-3, 1e-12);
    double sum = 0.0;
    for (std::size_t i = 0; i < v.losses.size(); ++i) {
        sum += v.losses[i].seconds;
        EXPECT_LE(v.losses[i].seconds, v.losses[i == 0 ? 0 : i - 1].seconds);
    }
    EXPECT_NEAR(sum, v.step_seconds - v.roof_seconds, 1e-12);
}

TEST_F(VerdictOfAStep, MemoryBindsWhereReadingIsTheRoof) {
    EXPECT_TRUE(verdict().memory_bound);
    EXPECT_NE(render(verdict(), {}).find("Bound by reading: 60.0 MB"), std::string::npos) << render(verdict(), {});
    for (OpProfile& op : phase_.ops) op.cost.weight_bytes = 1e3;
    EXPECT_FALSE(verdict().memory_bound);
    EXPECT_EQ(to_json(verdict())["bound"], "compute");
}

TEST_F(VerdictOfAStep, NamesTheRoofThatItsShareIsOf) {
    machine_.int8_unit = "AMX int8 (K = 32)";
    EXPECT_NE(render(verdict(), {}).find("Reached: 40% of the memory roof."), std::string::npos) << render(verdict(), {});
    EXPECT_EQ(to_json(verdict())["roof"], "memory");
    for (OpProfile& op : phase_.ops) op.cost.weight_bytes = 1e3;
    EXPECT_NE(render(verdict(), {}).find("Reached: 40% of the float32 roof."), std::string::npos) << render(verdict(), {});
    for (OpProfile& op : phase_.ops) op.arithmetic = roofline::Arithmetic::kInt8;
    const std::string text = render(verdict(), {});
    EXPECT_NE(text.find("at the AMX int8 (K = 32) peak.\nReached: 40% of the AMX int8 (K = 32) roof."), std::string::npos) << text;
    EXPECT_EQ(to_json(verdict())["roof"], "AMX int8 (K = 32)");
}

TEST_F(VerdictOfAStep, TheTableNamesTheRoofsOfItsShares) {
    phase_.int8_unit = "VNNI int8";
    phase_.ops[0].arithmetic = roofline::Arithmetic::kInt8;
    const std::string text = phase_table(phase_, program_, {});
    EXPECT_NE(text.find("roofs: memory, VNNI int8 and float32"), std::string::npos) << text;
    EXPECT_EQ(phase_json(phase_, program_)["ops"][0]["arithmetic"], "int8");
    EXPECT_EQ(phase_json(phase_, program_)["ops"][2]["arithmetic"], "float32");
}

TEST_F(VerdictOfAStep, ProposesTheThreeChangesThatHelpMost) {
    const Verdict v = verdict();
    EXPECT_EQ(v.changes.size(), 3U);
    for (std::size_t i = 0; i < v.changes.size(); ++i) {
        EXPECT_GT(v.changes[i].tokens_per_s, v.tokens_per_s * 1.02);
        EXPECT_LE(v.changes[i].tokens_per_s, v.changes[i == 0 ? 0 : i - 1].tokens_per_s);
    }
    EXPECT_TRUE(proposes(v, "Decode 4 sequences together"));
    EXPECT_TRUE(proposes(v, "Quantise the weights to Q4_0"));
    EXPECT_FALSE(proposes(v, "--threads"));
    EXPECT_FALSE(proposes(v, "--isa"));
}

TEST_F(VerdictOfAStep, ProposesIdleProcessorsAndBetterInstructions) {
    usable_cpus_ = 64;
    EXPECT_TRUE(proposes(verdict(), "--threads 64"));
    usable_cpus_ = 2;
    best_isa_ = "avx512";
    EXPECT_TRUE(proposes(verdict(), "--isa avx512"));
}

TEST_F(VerdictOfAStep, SaysWhatMakesItsNumbersDoubtful) {
    EXPECT_TRUE(verdict().errors.empty());
    machine_.trusted = false;
    machine_.doubt = "a noisy neighbour";
    phase_.complete = false;
    for (OpProfile& op : phase_.ops) op.roof_seconds *= 10;
    const Verdict v = verdict();
    ASSERT_EQ(v.errors.size(), 3U);
    EXPECT_NE(v.errors[0].find("less time than the roof allows (400%)"), std::string::npos) << v.errors[0];
    EXPECT_NE(v.errors[1].find("a noisy neighbour"), std::string::npos);
    EXPECT_NE(v.errors[2].find("lacks some kernels"), std::string::npos);
    EXPECT_EQ(to_json(v)["measuring_errors"].size(), 3U);
}

TEST_F(VerdictOfAStep, CountsAreWholeInJson) {
    const auto json = to_json(verdict());
    for (const char* key : {"flops", "read_bytes"}) EXPECT_TRUE(json[key].is_number_integer()) << key;
    const auto phase = phase_json(small_phase(), small_program());
    EXPECT_TRUE(phase["read_bytes"].is_number_integer());
    for (const char* key : {"flops", "weight_bytes", "kv_read_bytes", "activation_bytes"}) {
        EXPECT_TRUE(phase["by_name"][0][key].is_number_integer()) << key;
        EXPECT_TRUE(phase["ops"][0][key].is_number_integer()) << key;
    }
}

TEST(PhaseReport, OpsOfOneNameInSeveralLayersAreOneLine) {
    const auto json = phase_json(small_phase(), small_program());
    ASSERT_EQ(json["by_name"].size(), 2U);
    EXPECT_EQ(json["by_name"][0]["name"], "ffn_up");
    EXPECT_EQ(json["by_name"][0]["count"], 2);
    EXPECT_DOUBLE_EQ(json["by_name"][0]["measured_seconds"].get<double>(), 10e-3);
    EXPECT_DOUBLE_EQ(json["by_name"][0]["roof_fraction"].get<double>(), 0.6);
    ASSERT_EQ(json["ops"].size(), 3U);
    EXPECT_EQ(json["ops"][1]["name"], "blk.1.ffn_up");
    EXPECT_DOUBLE_EQ(json["ops_seconds"].get<double>(), 11e-3);
    const std::string table = phase_table(small_phase(), small_program(), {});
    EXPECT_NE(table.find("ffn_up"), std::string::npos);
    EXPECT_EQ(table.find("blk."), std::string::npos);
}

TEST(PhaseReport, RoleIsTheNameWithoutItsLayer) {
    EXPECT_EQ(role_of("blk.3.attn_q"), "attn_q");
    EXPECT_EQ(role_of("output_norm"), "output_norm");
    EXPECT_EQ(role_of("blk.0.attn_norm+attn_q+attn_k+attn_v+rope_q+rope_k"), "attn_norm … rope_k");
}

}  // namespace
}  // namespace rafter::planning
