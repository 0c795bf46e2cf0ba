// Facts of engines, with their sources; the tables of vLLM's and SGLang's defaults are those of 2026.
#include "roofline/engine.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/folded_name.h"

namespace rafter::roofline {
namespace {

constexpr double kMiB = 1024.0 * 1024;
constexpr double kGiB = 1024.0 * kMiB;

struct EngineName {
    EngineKind engine;
    const char* option;
    const char* name;
};
constexpr std::array kNames{EngineName{EngineKind::kIdeal, "ideal", "ideal"}, EngineName{EngineKind::kVllm, "vllm", "vLLM"},
                            EngineName{EngineKind::kSglang, "sglang", "SGLang"},
                            EngineName{EngineKind::kLlamaCpp, "llama.cpp", "llama.cpp"},
                            EngineName{EngineKind::kRafter, "rafter", "Rafter"}};

const EngineName& row_of(EngineKind engine) { return kNames[static_cast<std::size_t>(engine)]; }

// vllm/engine/arg_utils.py, get_batch_defaults(): from 70 GiB on, but for the A100, an API server takes 8192 tokens a step and 1024
// sequences; else 2048 and 256.
bool is_large(const hardware::Hardware& h) { return h.memory_bytes >= 70 * kGiB && !h.name.starts_with("A100"); }

// Devices that talk over NVLink or its like get communication buffers of another size than those on PCIe (64 GB/s in generation 5).
bool has_fast_link(const hardware::Hardware& h) { return h.link_bandwidth_bytes_per_s.value_or(0.0) > 100e9; }

constexpr double kActivationBytes = 2.0;  // engines compute between matrices in 16 bits whatever the weights' type is
constexpr double kLogitBytes = 4.0;
// Copies of [n_sequences, n_vocab] in float that vLLM's sampler holds at its peak: logits, sorted ones, 64-bit indices, probabilities,
// their sums, masks and log-probabilities. From logs: vLLM #13061 has 1.22 GiB more on the device that samples 256 rows of 152,064.
constexpr double kSamplerCopies = 9.0;
constexpr double kGatheredCopies = 0.5;  // 16-bit ones of all devices' parts, on each of them

// Elements of a token that are alive together at the widest point of a layer, of one device.
double live_elements(const PricedList& list, const Parallel& p) {
    const model::ModelConfig& c = list.program.config;
    const double residual = 4.0 * c.d_model;  // its input, the residual, what the layer adds and a norm of it
    const double dense = (c.gated_ffn ? 3.0 : 2.0) * c.d_ff / p.tp;
    const double attention = (2.0 * c.n_heads + 2.0 * c.n_kv_heads) * c.head_dim / p.tp;
    double widest = std::max(dense, attention);
    if (c.moe.n_experts > 0) {
        // vllm/model_executor/layers/fused_moe: each token's copies for its experts, as wide as the wider side of the expert's matrices.
        const double expert = double{1} * c.moe.d_ff_expert / p.tp;
        const double routed = c.moe.n_experts_used * (std::max(2 * expert, double{1} * c.d_model) + expert);
        widest = std::max(widest, routed + 3.0 * c.moe.d_ff_shared / p.tp);
    }
    return residual + widest;
}

// Contexts and communication buffers outside of the engine's own allocator.
double process_bytes(EngineKind engine, const Setup& setup) {
    const bool talks = setup.parallel.devices() > 1;
    const double buffers = !talks ? 0.0 : has_fast_link(setup.hardware) ? 1.2 * kGiB : 0.1 * kGiB;
    switch (engine) {
        case EngineKind::kVllm:
            // "non_torch_memory takes 0.16GiB" (vLLM #12126, H100), 0.20 to 0.25 of several RTX 4090 (#14447, #13061).
            return 0.16 * kGiB + buffers;
        case EngineKind::kSglang:
            // vLLM #21348: 0.93 of 4 H100 less 55.0 GiB of weights leaves 18.6 GiB, and its pool has 16.5.
            return 0.5 * kGiB + (talks ? buffers + 0.4 * kGiB : 0.0);
        case EngineKind::kLlamaCpp:
            return 0.45 * kGiB;  // the CUDA context and its modules, as nvidia-smi shows them beside the buffers that llama.cpp logs
        case EngineKind::kIdeal:
        case EngineKind::kRafter:
            return 0.0;
    }
    return 0.0;
}

}  // namespace

const char* to_string(EngineKind engine) { return row_of(engine).option; }
const char* name_of(EngineKind engine) { return row_of(engine).name; }

std::optional<EngineKind> engine_named(std::string_view name) {
    for (const EngineName& row : kNames) {
        if (folded_name(row.option) == folded_name(name)) return row.engine;
    }
    return std::nullopt;
}

std::vector<std::string> engine_names() {
    std::vector<std::string> names;
    for (const EngineName& row : kNames) names.emplace_back(row.option);
    return names;
}

StepLimits default_limits(EngineKind engine, const hardware::Hardware& h) {
    switch (engine) {
        case EngineKind::kVllm:
            return is_large(h) ? StepLimits{8192, 1024} : StepLimits{2048, 256};
        case EngineKind::kSglang:
            // sglang/srt/server_args.py: --chunked-prefill-size and --cuda-graph-max-bs by the size of the memory.
            return h.memory_bytes < 35 * kGiB   ? StepLimits{2048, 16}
                   : h.memory_bytes < 60 * kGiB ? StepLimits{4096, 80}
                                                : StepLimits{8192, 256};
        case EngineKind::kLlamaCpp:
            return {512, 512};  // common/arg.cpp: --ubatch-size; logits of a whole micro-batch are kept
        case EngineKind::kIdeal:
        case EngineKind::kRafter:
            return {2048, 0};
    }
    return {};
}

double default_memory_fraction(EngineKind engine, const hardware::Hardware& h, const Parallel& p) {
    if (engine == EngineKind::kVllm) return 0.9;  // --gpu-memory-utilization
    if (engine != EngineKind::kSglang) return 1.0;
    // sglang/srt/server_args.py, --mem-fraction-static: what is left beside 1.5 MiB a token of a chunk, 2 MiB a sequence of a CUDA graph
    // and 512 MiB, and a share for many devices; 10 GiB at least on devices of more than 60.
    const StepLimits limits = default_limits(engine, h);
    double reserved = (512 + 1.5 * limits.n_tokens + 2 * limits.n_sequences) * kMiB;
    if (p.devices() > 4) reserved += p.tp * p.pp / 8 * 1024 * kMiB;
    if (h.memory_bytes > 60 * kGiB) reserved = std::max(reserved, 10 * kGiB);
    return std::clamp(1 - reserved / h.memory_bytes, 0.3, 0.95);
}

double driver_share(EngineKind engine) {
    // Logs of vLLM: 79.22 of 80 GiB (H100), 39.39 of 40 (A100), 23.6 of 24 (RTX 4090).
    return has_overheads(engine) ? 0.988 : 1.0;
}

void set_weight_bits(Setup& setup, double bits) {
    setup.types.weight_bits = bits;
    setup.types.expert_bits.reset();
    setup.types.table_bits.reset();
    if (has_overheads(setup.engine)) setup.types.table_bits = 16;
}

EngineMemory engine_memory(const PricedList& list, const Setup& setup, const StepLimits& limits) {
    const model::ModelConfig& c = list.program.config;
    EngineMemory memory;
    memory.process = process_bytes(setup.engine, setup);
    switch (setup.engine) {
        case EngineKind::kVllm: {
            // A dummy step of the most tokens, then a sampler over the most sequences (vllm/v1/worker/gpu_model_runner.py, profile_run()).
            memory.activations = limits.n_tokens * live_elements(list, setup.parallel) * kActivationBytes;
            const double rows = std::min(limits.n_sequences, limits.n_tokens);
            const double gathered = setup.parallel.tp > 1 ? kGatheredCopies : 0.0;
            memory.logits =
                rows * c.n_vocab * kLogitBytes * (kSamplerCopies + gathered) + limits.n_tokens * 2.0 * c.d_model * kActivationBytes;
            break;
        }
        case EngineKind::kLlamaCpp:
            // "CUDA0 compute buffer size = 258.50 MiB" of Llama 3 8B: float logits of a micro-batch and one residual beside.
            memory.activations = limits.n_tokens * (double{1} * c.n_vocab + c.d_model) * kLogitBytes;
            break;
        case EngineKind::kSglang:  // activations and graphs live in what --mem-fraction-static leaves
        case EngineKind::kIdeal:   // the planned workspace, which the memory fit counts itself
        case EngineKind::kRafter:
            break;
    }
    return memory;
}

double cache_copies(const Setup& setup, double n_kv_heads) {
    if (setup.engine == EngineKind::kIdeal) return 1.0;
    const double ranks = setup.parallel.tp / setup.parallel.cp;
    if (ranks <= 1) return 1.0;
    return n_kv_heads < 1 ? ranks : std::ceil(n_kv_heads / ranks) * ranks / n_kv_heads;
}

bool is_replicated(const Setup& setup, const model::Weight& weight) {
    if (setup.engine == EngineKind::kIdeal) return false;
    constexpr std::array<std::string_view, 3> kShared{".attn_q_a.", ".attn_kv_a_mqa.", ".ffn_gate_inp."};
    return std::ranges::any_of(kShared, [&](std::string_view part) { return weight.tensor.find(part) != std::string::npos; });
}

}  // namespace rafter::roofline
