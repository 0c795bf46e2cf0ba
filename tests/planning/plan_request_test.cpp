// A plan's question in words: what is found, what the defaults are, and what is refused with which words.
#include "planning/plan_request.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "planning/plan_report.h"
#include "tests/support/tiny_model.h"

namespace rafter::planning {
namespace {

namespace fs = std::filesystem;

hardware::Profile small_profile() {
    hardware::Profile p;
    p.key = {.cpu = "Test CPU 3000", .n_threads = 2, .isa = "avx2", .version = "1.2.3"};
    p.caches = {{.level = 3, .size_bytes = 8e6, .shared = true}};
    p.memory_bytes = 8e9;
    p.bandwidth = {{.n_threads = 2, .working_set_bytes = 1e6, .bytes_per_s = 30e9, .best_bytes_per_s = 40e9, .spread = 0.1}};
    p.float_flop_per_s = 1e11;
    p.int8_flop_per_s = 4e11;
    p.handover_seconds = 2e-7;
    p.fork_join_seconds = 3e-6;
    return p;
}

class PlanRequested : public testing::Test {
  protected:
    PlanRequested() {
        fs::remove_all(folder_);
        fs::create_directories(folder_ / "models");
        const auto bytes = model::tiny_gguf({.name = "llama"});
        std::ofstream(folder_ / "models" / "tiny.gguf", std::ios::binary)
            .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    }
    ~PlanRequested() override { fs::remove_all(folder_); }

    Result<PlanRequest> request(const PlanOptions& options) {
        return make_request(options, {.models_folders = {folder_ / "models"}, .machine_profile = [this]() -> Result<hardware::Profile> {
                                          ++n_measured_;
                                          return profile_;
                                      }});
    }
    std::string refusal(const PlanOptions& options) {
        const auto made = request(options);
        EXPECT_FALSE(made);
        return made ? "" : made.error().message;
    }
    std::string write(const std::string& name, const std::string& text) {
        std::ofstream(folder_ / name) << text;
        return (folder_ / name).string();
    }
    static PlanOptions on_h100() {
        PlanOptions options;
        options.model = "Llama-3.1-8B";
        options.hardware = "H100-SXM";
        return options;
    }

    fs::path folder_ = fs::path(testing::TempDir()) / fmt::format("rafter-plan-request-{}", getpid());
    hardware::Profile profile_ = small_profile();
    int n_measured_ = 0;
};

TEST_F(PlanRequested, DefaultsAreOnePromptAndTheModelsOwnTypes) {
    const auto made = request(on_h100());
    ASSERT_TRUE(made);
    const roofline::Load& load = made->scenario.load;
    EXPECT_EQ(made->model->name, "Llama-3.1-8B");
    EXPECT_EQ(made->scenario.setup.hardware.name, "H100-SXM");
    EXPECT_EQ(load.n_batch, 1.0);
    EXPECT_EQ(load.n_prompt, 512.0);
    EXPECT_EQ(load.n_output, 128.0);
    EXPECT_EQ(load.n_context, 640.0);
    EXPECT_EQ(made->kv_type, "fp16");
    EXPECT_TRUE(made->scenario.setup.fused);
    EXPECT_TRUE(made->draft_is_assumed);
    EXPECT_TRUE(made->warnings.empty());
    EXPECT_EQ(n_measured_, 0);  // no catalog device needs this machine's profile
}

TEST_F(PlanRequested, ContextAloneLeavesRoomForAnAnswer) {
    PlanOptions options = on_h100();
    options.context = 4096;
    const auto made = request(options);
    ASSERT_TRUE(made);
    EXPECT_EQ(made->scenario.load.n_context, 4096.0);
    EXPECT_EQ(made->scenario.load.n_prompt, 4096.0);
    EXPECT_EQ(made->scenario.load.n_output, 128.0);
    options.output = 96;
    EXPECT_EQ(request(options)->scenario.load.n_prompt, 4000.0);
}

TEST_F(PlanRequested, ThisIsTheMachineAsItsProfileSays) {
    PlanOptions options;
    options.model = "tiny";
    const auto made = request(options);
    ASSERT_TRUE(made) << made.error().message;
    EXPECT_EQ(n_measured_, 1);
    const hardware::Hardware& h = made->scenario.setup.hardware;
    EXPECT_EQ(h.description, "Test CPU 3000");
    EXPECT_DOUBLE_EQ(h.memory_bandwidth_bytes_per_s, 40e9);
    EXPECT_EQ(h.on_chip_bytes, 8e6);
    EXPECT_EQ(h.peak(hardware::Precision::kInt8), 4e11);
    EXPECT_EQ(made->activation_type, "int8");
    options.efficiency = "calibrated";
    const roofline::Efficiency calibrated = request(options)->scenario.setup.efficiency;
    EXPECT_NEAR(calibrated.bandwidth_fraction, 0.75, 1e-12);
    EXPECT_EQ(calibrated.seconds_per_op, 2e-7);
    EXPECT_EQ(calibrated.seconds_per_step, 3e-6);
}

TEST_F(PlanRequested, DoubtfulProfileIsWarnedOf) {
    PlanOptions options;
    options.model = "tiny";
    const auto made = make_request(options, {.models_folders = {folder_ / "models"}, .machine_profile = []() -> Result<hardware::Profile> {
                                                 hardware::Profile p = small_profile();
                                                 p.trusted = false;
                                                 p.doubt = "a noisy neighbour";
                                                 return p;
                                             }});
    ASSERT_TRUE(made);
    ASSERT_EQ(made->warnings.size(), 1U);
    EXPECT_NE(made->warnings[0].find("a noisy neighbour"), std::string::npos);
}

TEST_F(PlanRequested, ProfileThatCannotBeHadIsTheError) {
    PlanOptions options;
    options.model = "tiny";
    const auto made = make_request(options, {.models_folders = {folder_ / "models"}, .machine_profile = []() -> Result<hardware::Profile> {
                                                 return bad_input("no memory to measure with");
                                             }});
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().message, "no memory to measure with");
}

TEST_F(PlanRequested, EngineFollowsFromTheQuestionWhereItIsNotNamed) {
    using roofline::EngineKind;
    PlanOptions options = on_h100();
    EXPECT_EQ(request(options)->scenario.setup.engine, EngineKind::kIdeal);
    EXPECT_EQ(request(options)->scenario.load.memory_fraction, 1.0);
    EXPECT_EQ(request(options)->engine_note, "ideal");
    options.efficiency = "calibrated";
    EXPECT_EQ(request(options)->scenario.setup.engine, EngineKind::kVllm);
    EXPECT_EQ(request(options)->scenario.load.memory_fraction, 0.9);
    EXPECT_TRUE(request(options)->engine_note.starts_with("vLLM: 90% of memory used; "));
    options.engine = "SGLang";
    EXPECT_EQ(request(options)->scenario.setup.engine, EngineKind::kSglang);
    options.engine = "vlm";
    EXPECT_EQ(refusal(options), "--engine: expected one of ideal, vllm, sglang, llama.cpp, rafter, found \"vlm\"; did you mean vllm?");
    options = on_h100();
    options.devices = 16;
    EXPECT_EQ(request(options)->engine_note,
              "ideal: the cache is split evenly over 16 devices, beyond the 8 key and value heads, along the sequence (as with context "
              "parallelism)");
    options.engine = "llama.cpp";
    EXPECT_EQ(request(options)->scenario.setup.parallel.pp, 16.0);
    const double estimated = roofline::price_memory(request(options)->scenario).workspace_bytes;
    options.reserved_bytes = 2e9;
    EXPECT_EQ(roofline::price_memory(request(options)->scenario).workspace_bytes, 16 * 2e9);
    EXPECT_GT(estimated, 0.0);
    PlanOptions here;
    here.model = "tiny";
    EXPECT_EQ(request(here)->scenario.setup.engine, EngineKind::kRafter);
}

TEST_F(PlanRequested, EnginesKeepTablesOfNarrowTypesWide) {
    PlanOptions options = on_h100();
    options.weights = "fp8";
    const auto bytes = [&] { return roofline::price_memory(request(options)->scenario).weights_bytes; };
    const double ideal = bytes();
    options.engine = "vllm";
    EXPECT_EQ(bytes(), ideal + 2 * 128256.0 * 4096);  // a byte more for each weight of the table and of the head
    options.weights = "4.5";
    const double plain = bytes();
    options.engine = "ideal";
    EXPECT_EQ(bytes(), plain);
}

TEST_F(PlanRequested, StoredModelsGoBeforeLooseNamesOfTheCatalog) {
    const fs::path stored = folder_ / "models" / "Llama-3.1-8B-Instruct.gguf";
    fs::copy_file(folder_ / "models" / "tiny.gguf", stored);
    PlanOptions options = on_h100();
    EXPECT_EQ(request(options)->model->n_context, 131072.0);  // the row itself
    options.model = "Llama-3.1-8B-Instruct";
    EXPECT_EQ(request(options)->model->source, stored.string());
    fs::rename(stored, folder_ / "models" / "Llama-3.1-8B.gguf");
    EXPECT_EQ(request(options)->model->n_context, 131072.0);
    options.model = "Llama-3.1-8B";
    options.hardware = "this";
    EXPECT_EQ(request(options)->model->source, (folder_ / "models" / "Llama-3.1-8B.gguf").string());
}

TEST_F(PlanRequested, ThisMachinesPlanNamesTheRoofThatItDividesBy) {
    PlanOptions options;
    options.model = "tiny";
    options.hardware = "this";
    profile_.int8_unit = "AMX int8 (K = 32)";
    for (const auto& [weights, words] : {std::pair{"q8_0", "Matrices under the AMX int8 (K = 32) roof, 400 GFLOP/s"},
                                         std::pair{"fp32", "Matrices under the float32 roof, 100 GFLOP/s"}}) {
        options.weights = weights;
        const auto made = request(options);
        ASSERT_TRUE(made) << made.error().message;
        const roofline::Plan plan = roofline::make_plan(made->scenario);
        EXPECT_NE(plan_text(*made, plan, {}).find(words), std::string::npos) << plan_text(*made, plan, {});
        EXPECT_NE(plan_html(*made, plan).find(words), std::string::npos);
        EXPECT_NE(plan_json(*made, plan, {}).find(R"-("int8": "AMX int8 (K = 32)")-"), std::string::npos);
    }
}

TEST_F(PlanRequested, AXeonsPlanSaysWhatItsTilesReachAndThatRaftersWereNotMeasured) {
    PlanOptions options;
    options.model = "Llama-3.1-8B";
    options.hardware = "Xeon-8480";
    const auto text = [&] {
        const auto made = request(options);
        EXPECT_TRUE(made) << made.error().message;
        std::string all = plan_text(*made, roofline::make_plan(made->scenario), {});
        for (std::size_t at = 0; (at = all.find("\n  ", at)) != std::string::npos;) all.replace(at, 3, " ");
        return all;
    };
    const std::string half = "AMX int8 products with a scale for each 32 weights (K = 32), which Rafter's formats need, reach half of the";
    const std::string note = half + " int8 peak; Rafter's AMX kernels are not yet measured";
    EXPECT_NE(text().find("Matrices under the AMX bf16 roof, 115 TFLOP/s"), std::string::npos) << text();
    EXPECT_NE(text().find(note), std::string::npos) << text();
    options.weights = "q4_0";
    options.activations = "int8";
    EXPECT_NE(text().find("Matrices under the AMX int8 roof, 229 TFLOP/s"), std::string::npos) << text();
    options.hardware = "H100-SXM";
    EXPECT_EQ(text().find("Matrices under"), std::string::npos) << text();
}

TEST_F(PlanRequested, TypesAreNumbersOfBits) {
    PlanOptions options = on_h100();
    options.weights = "q4_k";
    options.kv = "q8,q4";
    options.activations = "fp8";
    const auto made = request(options);
    ASSERT_TRUE(made) << made.error().message;
    const roofline::NumberTypes& types = made->scenario.setup.types;
    EXPECT_GT(types.weight_bits, 4.0);
    EXPECT_LT(types.weight_bits, 5.0);
    EXPECT_EQ(types.activations, hardware::Precision::kFp8);
    EXPECT_GT(types.kv.key, types.kv.value);
    EXPECT_EQ(made->kv_type, "q8, q4");
}

TEST_F(PlanRequested, DevicesShareTheModelAsAskedOrAsFits) {
    PlanOptions options = on_h100();
    options.devices = 8;
    EXPECT_EQ(request(options)->scenario.setup.parallel.tp, 8.0);
    options.parallel = "tp=4,pp=2";
    EXPECT_EQ(request(options)->scenario.setup.parallel.pp, 2.0);
    options.parallel = "tp=4";
    EXPECT_EQ(refusal(options), "--parallel: expected a product of the 8 --devices, found 4");
    options.parallel = "tp=x";
    EXPECT_EQ(refusal(options), "--parallel: expected tp=N,pp=N,ep=N,cp=N, found \"tp=x\"");
    options.parallel = "tp=8,cp=4";
    EXPECT_EQ(request(options)->scenario.setup.parallel.cp, 4.0);
    options.parallel = "tp=8,cp=3";
    EXPECT_EQ(refusal(options), "--parallel cp: expected a divisor of tp=8, found 3");
}

TEST_F(PlanRequested, DraftIsAShareOrAModel) {
    PlanOptions options = on_h100();
    options.draft = "c=0.05";
    EXPECT_EQ(request(options)->scenario.speculation.c, 0.05);
    EXPECT_FALSE(request(options)->draft_is_assumed);
    options.draft = "Llama-3.2-1B";
    const auto made = request(options);
    ASSERT_TRUE(made) << made.error().message;
    EXPECT_EQ(made->draft_name, "Llama-3.2-1B");
    EXPECT_GT(made->scenario.speculation.c, 0.0);
    EXPECT_LT(made->scenario.speculation.c, 0.5);
    options.draft = "c=much";
    EXPECT_EQ(refusal(options), "--draft: expected c=SHARE of a target's step, at least 0, found \"c=much\"");
}

TEST_F(PlanRequested, NumbersOutOfRangeAreRefusedByOption) {
    PlanOptions options = on_h100();
    options.batch = 0;
    EXPECT_EQ(refusal(options), "--batch: expected a number from 1 to 1,000,000,000, found 0");
    options = on_h100();
    options.prompt = 1.5;
    EXPECT_EQ(refusal(options), "--prompt: expected a whole number, found 1.5");
    options = on_h100();
    options.prefix_hit = 1.1;
    EXPECT_EQ(refusal(options), "--prefix-hit: expected a number from 0 to 1, found 1.1");
    options = on_h100();
    options.slo_itl = -1;
    EXPECT_EQ(refusal(options), "--slo-itl: expected a number from 0 to 1,000,000,000,000, found -1");
}

TEST_F(PlanRequested, UnknownNamesGetTheNearest) {
    PlanOptions options = on_h100();
    options.model = "Llama-3.1-8C";
    EXPECT_NE(refusal(options).find("nearest: Llama-3.1-8B"), std::string::npos);
    options = on_h100();
    options.hardware = "H100-SXN";
    EXPECT_NE(refusal(options).find("nearest: H100-SXM"), std::string::npos);
    options.hardware = (folder_ / "none.json").string();
    EXPECT_NE(refusal(options).find("no such file"), std::string::npos);
    options = on_h100();
    options.weights = "ftp16";
    EXPECT_NE(refusal(options).find("did you mean"), std::string::npos);
}

TEST_F(PlanRequested, FilesAreReadAndTheirUnknownKeysWarnedOf) {
    PlanOptions options = on_h100();
    options.hardware = write("h.json", R"({"name": "mine", "flop_per_s": {"fp16": 1e12}, "memory_bytes": 1e9,
                                           "memory_bandwidth_bytes_per_s": 1e11, "memory_byte": 1})");
    options.efficiency = write("e.json", R"({"flop_fraction": 0.5, "bandwith_fraction": 0.7})");
    auto made = request(options);
    ASSERT_TRUE(made) << made.error().message;
    EXPECT_EQ(made->scenario.setup.hardware.name, "mine");
    EXPECT_EQ(made->scenario.setup.efficiency.flop_fraction, 0.5);
    EXPECT_EQ(made->scenario.setup.efficiency.bandwidth_fraction, 1.0);
    ASSERT_EQ(made->warnings.size(), 2U);
    EXPECT_NE(made->warnings[0].find("did you mean memory_bytes?"), std::string::npos) << made->warnings[0];
    EXPECT_NE(made->warnings[1].find("did you mean bandwidth_fraction?"), std::string::npos) << made->warnings[1];
    options = on_h100();
    options.model.clear();
    options.model_json = write("m.json", R"({"name": "two layers", "n_layers": 2, "d_model": 64})");
    EXPECT_EQ(request(options)->model->name, "two layers");
}

TEST_F(PlanRequested, EveryFormatNamesModelAndDevice) {
    const auto made = request(on_h100());
    ASSERT_TRUE(made);
    const roofline::Plan plan = roofline::make_plan(made->scenario);
    for (const std::string& text :
         {plan_text(*made, plan, {}), plan_json(*made, plan, {}), plan_html(*made, plan), plan_svg(*made, plan)}) {
        EXPECT_NE(text.find("Llama-3.1-8B"), std::string::npos);
        EXPECT_NE(text.find("H100-SXM"), std::string::npos);
    }
    EXPECT_EQ(plan_json(*made, plan, {}).find("measured"), std::string::npos);
    EXPECT_NE(plan_json(*made, plan, {.prefill = 1.0, .decode = 0.1}).find("measured"), std::string::npos);
}

}  // namespace
}  // namespace rafter::planning
