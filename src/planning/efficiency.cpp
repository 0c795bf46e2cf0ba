// The table of typical values, a source beside each number, and the keys of a file. "Fitted": no direct measurement was found, and the
// value, one for all models and devices of its kind, was chosen on the sets "reference" and "fitted" of tests/roofline/published_speed.json
// and checked on the others.
#include "planning/efficiency.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <span>
#include <string_view>

#include "base/folded_name.h"
#include "base/json_reader.h"
#include "base/quote.h"
#include "base/suggest.h"
#include "planning/json_count.h"
#include "report/units.h"

namespace rafter::planning {
namespace {

using roofline::Efficiency;

Efficiency nvidia_data_center() {
    Efficiency e{.name = "typical of data-centre GPUs"};
    // cuBLAS on an H100 reaches about 720 of 989 TFLOP/s in bf16 and 1280 of 1979 in fp8 (semianalysis.com, "MI300X vs H100 vs H200",
    // December 2024): 0.73, and 0.88 of it. Products of 4 bits: fitted.
    e.flop_fraction = 0.73;
    e.eight_bit_flop_factor = 0.88;
    e.four_bit_flop_factor = 0.75;
    // STREAM on an H100 reaches about 3.0 of 3.35 TB/s; a GB200 7.35 of 8 (techcommunity.microsoft.com, ND GB200 v6).
    e.bandwidth_fraction = 0.90;
    // Fitted. Tensor cores' tiles have 16 rows or more, and 64 to 128 for full speed.
    e.flop_half_tokens = 32.0;
    e.overlap = 0.6;
    // Bandwidth: gpt-fast on an A100 has 1397 GB/s of 16-bit, 1069 of 8-bit and 863 of 4-bit weights, fixed costs included. Flops: fitted;
    // Marlin (arXiv 2408.11743) gains by narrow weights in small batches only.
    e.unpack_flop_factor = 0.7;
    e.unpack_four_bit_bandwidth_factor = 0.8;
    e.unpack_eight_bit_bandwidth_factor = 0.9;
    e.expert_flop_factor = 0.8;  // fitted
    // FlashAttention-3 (arXiv 2407.08608): up to 0.75 of an H100, long sequences; FlashAttention-2 (arXiv 2307.08691) 0.5 to 0.73 of an
    // A100; FlashMLA (github.com/deepseek-ai/FlashMLA) 660 of 989 TFLOP/s computing, 3000 of 3350 GB/s reading. Unequal lengths reach less.
    e.attention_flop_fraction = 0.6;
    e.attention_bandwidth_fraction = 0.75;
    e.expert_skew = 0.4;  // fitted
    // DeepEP (github.com/deepseek-ai/DeepEP): 153 to 158 GB/s of an H800's 200 in all-to-all.
    e.link_fraction = 0.75;
    e.engine_collectives = true;
    e.seconds_per_collective = 8e-6;  // fitted on 2 to 8 A100
    // Fitted. A kernel of a CUDA graph starts about 0.5 us after the last one's end (developer.nvidia.com, "Getting Started with CUDA
    // Graphs"), and its first and last blocks leave most of the device idle.
    e.seconds_per_op = 2.5e-6;
    e.seconds_per_prompt_op = 8e-6;  // fitted; an op is several kernels, each started by the host in 3 us and more (the same article)
    // Fitted: scheduling, inputs and outputs, as far as they do not hide behind the device. vLLM 0.6 for an 8B model on an H100 spent 0.29
    // of its time on scheduling and 0.33 on serving (blog.vllm.ai, 2024-09-05); later engines overlap most of that (lmsys.org, 2024-12-04).
    e.seconds_per_step = 0.8e-3;
    e.seconds_per_sequence = 5e-6;
    e.logits_passes = 6.0;       // to float, penalties, maximum, sum, probabilities, draw
    e.max_step_tokens = 8192;    // TensorRT-LLM's max_num_tokens and vLLM's max_num_batched_tokens, unless told otherwise
    e.queues_for_memory = true;  // TensorRT-LLM starts what it has room for to its end; vLLM preempts
    return e;
}

// Weights and cache in GDDR, few users, kernels of llama.cpp and MLC.
Efficiency nvidia_rtx() {
    Efficiency e = nvidia_data_center();
    e.name = "typical of RTX GPUs";
    // Fitted. Boards hold the clocks that their peaks are stated at, or more; llama.cpp multiplies 4-bit weights in int8.
    e.flop_fraction = 0.85;
    e.unpack_flop_factor = 0.85;
    // llama.cpp decodes an 8B model in 16 bits at 0.75 to 0.8 of an RTX 3090's and 4090's bandwidth, fixed costs included
    // (github.com/XiongjieDai/GPU-Benchmarks-on-LLM-Inference); MLC a 4-bit 7B at 0.72.
    e.unpack_four_bit_bandwidth_factor = 0.9;
    e.flop_half_tokens = 8.0;
    e.seconds_per_step = 0.2e-3;
    return e;
}

Efficiency amd_instinct() {
    Efficiency e = nvidia_data_center();
    e.name = "typical of AMD Instinct GPUs";
    // hipBLASLt on an MI300X: about 620 of 1307 TFLOP/s in bf16, 990 of 2615 in fp8 (the same SemiAnalysis article; AMD's own best are
    // higher: rocm.blogs.amd.com, "Measuring Max-Achievable FLOPs").
    e.flop_fraction = 0.47;
    e.eight_bit_flop_factor = 0.8;
    e.bandwidth_fraction = 0.75;  // STREAM reaches about 4.1 of 5.3 TB/s
    // Fitted on AMD's own tables of Llama 3.1 70B by vLLM with 1500 to 3200 sequences.
    e.attention_bandwidth_fraction = 0.5;
    e.link_fraction = 0.55;
    e.seconds_per_op = 8e-6;
    e.seconds_per_step = 2e-3;
    e.seconds_per_sequence = 22e-6;
    return e;
}

Efficiency amd_radeon() {
    Efficiency e = nvidia_rtx();
    e.name = "typical of AMD Radeon GPUs";
    // Fitted: llama.cpp's Vulkan kernels compute prompts with 4-bit weights at 0.39 of an RX 9070 XT's 16-bit rate.
    e.flop_fraction = 0.55;
    e.unpack_flop_factor = 0.8;
    return e;
}

Efficiency apple() {
    Efficiency e = nvidia_rtx();
    e.name = "typical of Apple GPUs";
    // arXiv 2502.05317 measures about 0.85 of the bandwidth and 0.7 of the rate of M-series GPUs.
    e.bandwidth_fraction = 0.85;
    e.flop_fraction = 0.75;
    // Fitted on llama.cpp with an M2 Ultra.
    e.unpack_four_bit_bandwidth_factor = 0.8;
    e.flop_half_tokens = 4.0;
    e.seconds_per_op = 6e-6;
    return e;
}

Efficiency accelerator() {
    Efficiency e = nvidia_data_center();
    e.name = "typical of TPUs and other accelerators";
    // MaxText's training runs: 0.44 to 0.65 of a TPU's peak with all else in the step (maxtext.readthedocs.io, optimized models).
    // JetStream's serving speeds on TPU v5e were checked, and no value chosen on them.
    e.flop_fraction = 0.65;
    e.bandwidth_fraction = 0.85;
    e.link_fraction = 0.7;
    return e;
}

Efficiency processor() {
    // Assumed: most of the bandwidth, 0.6 of the rate at clocks under load, a barrier of all threads for each op. `rafter probe` measures.
    return {.name = "typical of CPUs", .flop_fraction = 0.6, .bandwidth_fraction = 0.8, .seconds_per_op = 5e-6, .queues_for_memory = true};
}

struct Kind {
    std::array<std::string_view, 5> words;  // of a name or description, any of them
    Efficiency (*efficiency)();
};

// The first that fits; none: as data-centre GPUs.
constexpr std::array kKinds{Kind{{"tpu", "trainium", "inferentia", "gaudi", "groq"}, accelerator},
                            Kind{{"xeon", "epyc", "graviton", "raspberry", "neoverse"}, processor},
                            Kind{{"instinct", "mi2", "mi3"}, amd_instinct},
                            Kind{{"radeon", "rx-", "rx ", "ryzen", "strix"}, amd_radeon},
                            Kind{{"apple"}, apple},
                            Kind{{"geforce", "rtx", "dgx spark", "dgx-spark", "gb10"}, nvidia_rtx}};

struct NumberKey {
    const char* key;
    double Efficiency::*place;
    double low, high;
};
constexpr double kLeast = 1e-6;
constexpr std::array kNumberKeys{
    NumberKey{"flop_fraction", &Efficiency::flop_fraction, kLeast, 1.0},
    NumberKey{"bandwidth_fraction", &Efficiency::bandwidth_fraction, kLeast, 1.0},
    NumberKey{"link_fraction", &Efficiency::link_fraction, kLeast, 1.0},
    NumberKey{"flop_half_tokens", &Efficiency::flop_half_tokens, 0.0, 1e6},
    NumberKey{"eight_bit_flop_factor", &Efficiency::eight_bit_flop_factor, kLeast, 1.0},
    NumberKey{"four_bit_flop_factor", &Efficiency::four_bit_flop_factor, kLeast, 1.0},
    NumberKey{"unpack_flop_factor", &Efficiency::unpack_flop_factor, kLeast, 1.0},
    NumberKey{"unpack_four_bit_bandwidth_factor", &Efficiency::unpack_four_bit_bandwidth_factor, kLeast, 1.0},
    NumberKey{"unpack_eight_bit_bandwidth_factor", &Efficiency::unpack_eight_bit_bandwidth_factor, kLeast, 1.0},
    NumberKey{"expert_flop_factor", &Efficiency::expert_flop_factor, kLeast, 1.0},
    NumberKey{"overlap", &Efficiency::overlap, 0.0, 1.0},
    NumberKey{"seconds_per_collective", &Efficiency::seconds_per_collective, 0.0, 1e3},
    NumberKey{"seconds_per_op", &Efficiency::seconds_per_op, 0.0, 1e3},
    NumberKey{"seconds_per_step", &Efficiency::seconds_per_step, 0.0, 1e3},
    NumberKey{"seconds_per_sequence", &Efficiency::seconds_per_sequence, 0.0, 1e3},
    NumberKey{"logits_passes", &Efficiency::logits_passes, 0.0, 1e3},
    NumberKey{"max_step_tokens", &Efficiency::max_step_tokens, 0.0, 1e12}};

struct OptionalKey {
    const char* key;
    std::optional<double> Efficiency::*place;
    double low, high;
};
constexpr std::array kOptionalKeys{OptionalKey{"attention_flop_fraction", &Efficiency::attention_flop_fraction, kLeast, 1.0},
                                   OptionalKey{"attention_bandwidth_fraction", &Efficiency::attention_bandwidth_fraction, kLeast, 1.0},
                                   OptionalKey{"expert_skew", &Efficiency::expert_skew, 0.0, 100.0}};

struct FlagKey {
    const char* key;
    bool Efficiency::*place;
};
constexpr std::array kFlagKeys{FlagKey{"engine_collectives", &Efficiency::engine_collectives},
                               FlagKey{"queues_for_memory", &Efficiency::queues_for_memory}};

}  // namespace

Efficiency typical_efficiency(const hardware::Hardware& hardware) {
    const std::string said = lower_case(hardware.name + " " + hardware.description);
    for (const Kind& kind : kKinds) {
        const auto is_said = [&](std::string_view word) { return !word.empty() && said.find(word) != std::string::npos; };
        if (std::ranges::any_of(kind.words, is_said)) return kind.efficiency();
    }
    return nvidia_data_center();
}

Result<Efficiency> read_efficiency(const std::string& name, const hardware::Hardware& hardware, std::vector<std::string>& warnings) {
    if (name == "ideal") return Efficiency{};
    if (name == "calibrated") {
        Efficiency e = typical_efficiency(hardware);
        warnings.push_back(
            fmt::format("--efficiency calibrated: this device was not measured; values {} are used (bandwidth {}, flops {}, link "
                        "{}; docs/plan.md compares them with published speeds)",
                        e.name, report::plain(e.bandwidth_fraction), report::plain(e.flop_fraction), report::plain(e.link_fraction)));
        return e;
    }
    RAFTER_TRY(const nlohmann::json json, read_json_file(name));
    RAFTER_TRY(const JsonReader keys, JsonReader::open(json, name));
    Efficiency e{.name = name};
    for (const NumberKey& key : kNumberKeys) {
        RAFTER_TRY(const auto found, keys.find_number(key.key, key.low, key.high));
        if (found) e.*key.place = *found;
    }
    for (const OptionalKey& key : kOptionalKeys) {
        RAFTER_TRY(e.*key.place, keys.find_number(key.key, key.low, key.high));
    }
    for (const FlagKey& key : kFlagKeys) {
        RAFTER_TRY(const auto found, keys.find_bool(key.key));
        if (found) e.*key.place = *found;
    }
    for (const std::string& key : keys.unknown_keys()) {
        warnings.push_back(fmt::format("{}: unknown key {} is ignored{}", name, quote(key), did_you_mean(key, keys.known_keys())));
    }
    return e;
}

nlohmann::ordered_json efficiency_json(const Efficiency& e) {
    nlohmann::ordered_json json{{"name", e.name}};
    for (const NumberKey& key : kNumberKeys) json[key.key] = json_number(e.*key.place);
    for (const OptionalKey& key : kOptionalKeys) json[key.key] = (e.*key.place) ? json_number(*(e.*key.place)) : nullptr;
    for (const FlagKey& key : kFlagKeys) json[key.key] = e.*key.place;
    return json;
}

}  // namespace rafter::planning
