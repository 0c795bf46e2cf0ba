// The rows. Dimensions are those of each model's config.json (huggingface.co/REPOSITORY), or of the paper where no weights were published.
#include "model/catalog.h"

#include <algorithm>
#include <string>
#include <vector>

#include "base/folded_name.h"
#include "model/catalog_configs.h"

namespace rafter::model {
namespace {

struct Row {
    const char* name;
    const char* source;
    std::uint32_t n_layers, d_model, d_ff, n_heads, n_kv_heads, head_dim, n_vocab, n_context;
    double parameters;
};
struct Extras {
    bool tied = false;
    std::uint32_t window = 0;
    std::uint32_t full_every = 0;
    std::uint32_t n_dense = 0;
    LayerTensors tensors;
    MoeConfig moe;
    MlaConfig mla;
    bool gated = true;
    std::uint32_t n_positions = 0;
    double weight_bits = 16.0;
    std::optional<double> expert_bits;
    const char* weight_type = "bf16";
};

CatalogModel model_of(const Row& row, const Extras& extras) {
    CatalogModel entry;
    DescribedModel& m = entry.model;
    m.name = row.name;
    m.source = row.source;
    ModelConfig& c = m.config;
    c.architecture = "catalog";
    c.name = row.name;
    c.d_model = row.d_model;
    c.d_ff = row.d_ff;
    c.n_heads = row.n_heads;
    c.n_kv_heads = row.n_kv_heads;
    c.head_dim = row.head_dim;
    c.n_vocab = row.n_vocab;
    c.n_context = row.n_context;
    c.tied_embeddings = extras.tied;
    c.gated_ffn = extras.gated;
    c.n_positions = extras.n_positions;
    c.tensors = extras.tensors;
    c.moe = extras.moe;
    c.mla = extras.mla;
    m.weight_bits = extras.weight_bits;
    m.expert_bits = extras.expert_bits;
    m.weight_type = extras.weight_type;
    lay_out({.n_layers = static_cast<double>(row.n_layers),
             .window = extras.window,
             .full_every = extras.full_every,
             .n_dense = extras.n_dense},
            m);
    entry.published_parameters = row.parameters;
    return entry;
}

std::vector<CatalogModel> llama_and_kin() {
    const Extras plain{};
    const Extras tied{.tied = true};
    const auto experts8 = [](std::uint32_t d_ff) { return Extras{.moe = {.n_experts = 8, .n_experts_used = 2, .d_ff_expert = d_ff}}; };
    return {
        model_of({"Llama-2-7B", "meta-llama/Llama-2-7b-hf", 32, 4096, 11008, 32, 32, 128, 32000, 4096, 6738415616}, plain),
        model_of({"Llama-2-13B", "meta-llama/Llama-2-13b-hf", 40, 5120, 13824, 40, 40, 128, 32000, 4096, 13015864320}, plain),
        model_of({"Llama-2-70B", "meta-llama/Llama-2-70b-hf", 80, 8192, 28672, 64, 8, 128, 32000, 4096, 68976648192}, plain),
        model_of({"Llama-3.2-1B", "meta-llama/Llama-3.2-1B", 16, 2048, 8192, 32, 8, 64, 128256, 131072, 1235814400}, tied),
        model_of({"Llama-3.2-3B", "meta-llama/Llama-3.2-3B", 28, 3072, 8192, 24, 8, 128, 128256, 131072, 3212749824}, tied),
        model_of({"Llama-3.1-8B", "meta-llama/Llama-3.1-8B", 32, 4096, 14336, 32, 8, 128, 128256, 131072, 8030261248}, plain),
        model_of({"Llama-3.1-70B", "meta-llama/Llama-3.1-70B", 80, 8192, 28672, 64, 8, 128, 128256, 131072, 70553706496}, plain),
        model_of({"Llama-3.1-405B", "meta-llama/Llama-3.1-405B", 126, 16384, 53248, 128, 8, 128, 128256, 131072, 405853388800}, plain),
        model_of({"Mistral-7B-v0.1", "mistralai/Mistral-7B-v0.1", 32, 4096, 14336, 32, 8, 128, 32000, 32768, 7241732096}, {.window = 4096}),
        model_of({"Mistral-7B", "mistralai/Mistral-7B-v0.3", 32, 4096, 14336, 32, 8, 128, 32768, 32768, 7248023552}, plain),
        model_of({"Mixtral-8x7B", "mistralai/Mixtral-8x7B-v0.1", 32, 4096, 14336, 32, 8, 128, 32000, 32768, 46702792704}, experts8(14336)),
        model_of({"Mixtral-8x22B", "mistralai/Mixtral-8x22B-v0.1", 56, 6144, 16384, 48, 8, 128, 32000, 65536, 140620634112},
                 experts8(16384)),
        model_of({"SmolLM2-135M", "HuggingFaceTB/SmolLM2-135M", 30, 576, 1536, 9, 3, 64, 49152, 8192, 134515008}, tied),
        model_of({"SmolLM2-360M", "HuggingFaceTB/SmolLM2-360M", 32, 960, 2560, 15, 5, 64, 49152, 8192, 361821120}, tied),
        model_of({"SmolLM2-1.7B", "HuggingFaceTB/SmolLM2-1.7B", 24, 2048, 8192, 32, 32, 64, 49152, 8192, 1711376384}, tied),
        model_of({"Phi-3-mini", "microsoft/Phi-3-mini-4k-instruct", 32, 3072, 8192, 32, 32, 96, 32064, 4096, 3821079552}, {.window = 2047}),
        model_of({"Phi-3-medium", "microsoft/Phi-3-medium-4k-instruct", 40, 5120, 17920, 40, 10, 128, 32064, 4096, 13960238080},
                 {.window = 2047}),
        model_of({"Phi-4", "microsoft/phi-4", 40, 5120, 17920, 40, 10, 128, 100352, 16384, 14659507200}, plain),
    };
}

std::vector<CatalogModel> qwen() {
    const LayerTensors bias{.qkv_bias = true};
    const LayerTensors qk{.qk_norm = true};
    const auto experts = [&](std::uint32_t d_ff) {
        return Extras{.tensors = qk, .moe = {.n_experts = 128, .n_experts_used = 8, .d_ff_expert = d_ff}};
    };
    return {
        model_of({"Qwen2.5-0.5B", "Qwen/Qwen2.5-0.5B", 24, 896, 4864, 14, 2, 64, 151936, 32768, 494032768},
                 {.tied = true, .tensors = bias}),
        model_of({"Qwen2.5-1.5B", "Qwen/Qwen2.5-1.5B", 28, 1536, 8960, 12, 2, 128, 151936, 131072, 1543714304},
                 {.tied = true, .tensors = bias}),
        model_of({"Qwen2.5-3B", "Qwen/Qwen2.5-3B", 36, 2048, 11008, 16, 2, 128, 151936, 32768, 3085938688},
                 {.tied = true, .tensors = bias}),
        model_of({"Qwen2.5-7B", "Qwen/Qwen2.5-7B", 28, 3584, 18944, 28, 4, 128, 152064, 131072, 7615616512}, {.tensors = bias}),
        model_of({"Qwen2.5-14B", "Qwen/Qwen2.5-14B", 48, 5120, 13824, 40, 8, 128, 152064, 131072, 14770033664}, {.tensors = bias}),
        model_of({"Qwen2.5-32B", "Qwen/Qwen2.5-32B", 64, 5120, 27648, 40, 8, 128, 152064, 131072, 32763876352}, {.tensors = bias}),
        model_of({"Qwen2.5-72B", "Qwen/Qwen2.5-72B", 80, 8192, 29568, 64, 8, 128, 152064, 131072, 72706203648}, {.tensors = bias}),
        model_of({"Qwen3-0.6B", "Qwen/Qwen3-0.6B", 28, 1024, 3072, 16, 8, 128, 151936, 40960, 596049920}, {.tied = true, .tensors = qk}),
        model_of({"Qwen3-1.7B", "Qwen/Qwen3-1.7B", 28, 2048, 6144, 16, 8, 128, 151936, 40960, 1720574976}, {.tied = true, .tensors = qk}),
        model_of({"Qwen3-4B", "Qwen/Qwen3-4B", 36, 2560, 9728, 32, 8, 128, 151936, 40960, 4022468096}, {.tied = true, .tensors = qk}),
        model_of({"Qwen3-8B", "Qwen/Qwen3-8B", 36, 4096, 12288, 32, 8, 128, 151936, 40960, 8190735360}, {.tensors = qk}),
        model_of({"Qwen3-14B", "Qwen/Qwen3-14B", 40, 5120, 17408, 40, 8, 128, 151936, 40960, 14768307200}, {.tensors = qk}),
        model_of({"Qwen3-32B", "Qwen/Qwen3-32B", 64, 5120, 25600, 64, 8, 128, 151936, 40960, 32762123264}, {.tensors = qk}),
        model_of({"Qwen3-30B-A3B", "Qwen/Qwen3-30B-A3B", 48, 2048, 6144, 32, 4, 128, 151936, 40960, 30532122624}, experts(768)),
        model_of({"Qwen3-235B-A22B", "Qwen/Qwen3-235B-A22B", 94, 4096, 12288, 64, 4, 128, 151936, 40960, 235093634560}, experts(1536)),
    };
}

std::vector<CatalogModel> gemma() {
    const auto gemma2 = Extras{.tied = true, .window = 4096, .full_every = 2, .tensors = {.post_norms = true}};
    const auto gemma3 = [](std::uint32_t window) {
        return Extras{.tied = true, .window = window, .full_every = 6, .tensors = {.qk_norm = true, .post_norms = true}};
    };
    return {
        model_of({"Gemma-2-2B", "google/gemma-2-2b", 26, 2304, 9216, 8, 4, 256, 256000, 8192, 2614341888}, gemma2),
        model_of({"Gemma-2-9B", "google/gemma-2-9b", 42, 3584, 14336, 16, 8, 256, 256000, 8192, 9241705984}, gemma2),
        model_of({"Gemma-2-27B", "google/gemma-2-27b", 46, 4608, 36864, 32, 16, 128, 256000, 8192, 27227128320}, gemma2),
        model_of({"Gemma-3-270M", "google/gemma-3-270m", 18, 640, 2048, 4, 1, 256, 262144, 32768, 268098176}, gemma3(512)),
        model_of({"Gemma-3-1B", "google/gemma-3-1b-pt", 26, 1152, 6912, 4, 1, 256, 262144, 32768, 999885952}, gemma3(512)),
        model_of({"Gemma-3-4B", "google/gemma-3-4b-pt, its text model", 34, 2560, 10240, 8, 4, 256, 262208, 131072, 3880263168},
                 gemma3(1024)),
        model_of({"Gemma-3-12B", "google/gemma-3-12b-pt, its text model", 48, 3840, 15360, 16, 8, 256, 262208, 131072, 11766034176},
                 gemma3(1024)),
        model_of({"Gemma-3-27B", "google/gemma-3-27b-pt, its text model", 62, 5376, 21504, 32, 16, 128, 262208, 131072, 27009346304},
                 gemma3(1024)),
    };
}

// Experts in MXFP4, 4.25 bits a weight with their scales; the rest in bf16.
Extras gpt_oss(std::uint32_t n_experts) {
    return {.window = 128,
            .full_every = 2,
            .tensors = {.qkv_bias = true, .output_bias = true, .sinks = true, .expert_bias = true},
            .moe = {.n_experts = n_experts, .n_experts_used = 4, .d_ff_expert = 2880},
            .expert_bits = 4.25,
            .weight_type = "bf16, experts MXFP4"};
}

std::vector<CatalogModel> others() {
    const LayerTensors all_biases{.qkv_bias = true, .output_bias = true, .ffn_bias = true, .norm_bias = true};
    const auto gpt = [&](std::uint32_t n_positions) {
        return Extras{.tied = true, .tensors = all_biases, .gated = false, .n_positions = n_positions, .weight_type = "fp16"};
    };
    const MlaConfig mla{.kv_lora_rank = 512, .rope_head_dim = 64, .nope_head_dim = 128, .value_head_dim = 128, .q_lora_rank = 1536};
    return {
        model_of({"DeepSeek-V3", "deepseek-ai/DeepSeek-V3, without its module for a second token", 61, 7168, 18432, 128, 128, 192, 129280,
                  163840, 671026404352},
                 {.n_dense = 3,
                  .moe = {.n_experts = 256, .n_experts_used = 8, .d_ff_expert = 2048, .d_ff_shared = 2048},
                  .mla = mla,
                  .weight_bits = 8,
                  .weight_type = "fp8"}),
        model_of({"gpt-oss-20b", "openai/gpt-oss-20b", 24, 2880, 2880, 64, 8, 64, 201088, 131072, 20914757184}, gpt_oss(32)),
        model_of({"gpt-oss-120b", "openai/gpt-oss-120b", 36, 2880, 2880, 64, 8, 64, 201088, 131072, 116829156672}, gpt_oss(128)),
        model_of({"GPT-3-175B", "arXiv 2005.14165, table 2.1", 96, 12288, 49152, 96, 96, 128, 50257, 2048, 174604259328}, gpt(2048)),
        model_of({"OPT-13B", "facebook/opt-13b", 40, 5120, 20480, 40, 40, 128, 50272, 2048, 12853473280}, gpt(2050)),
        model_of({"OPT-66B", "facebook/opt-66b", 64, 9216, 36864, 72, 72, 128, 50272, 2048, 65719701504}, gpt(2050)),
        model_of({"OPT-175B", "arXiv 2205.01068, table 1", 96, 12288, 49152, 96, 96, 128, 50272, 2048, 174604468224}, gpt(2050)),
        model_of({"PaLM-540B", "arXiv 2204.02311, table 1 and section 2", 118, 18432, 73728, 48, 1, 256, 256000, 2048, 540.35e9},
                 {.tied = true, .tensors = {.no_ffn_norm = true}}),
    };
}

// A repository's name without its owner, and without words that change no dimension: what it was tuned for and when. What changes the type
// of its weights (AWQ, FP8) stays.
std::vector<std::string> plain_words(std::string_view name) {
    if (const std::size_t slash = name.rfind('/'); slash != std::string_view::npos) name.remove_prefix(slash + 1);
    std::vector<std::string> parts;
    std::size_t at = 0;
    while (at <= name.size()) {
        const std::size_t end = std::min(name.find_first_of("-_ ", at), name.size());
        if (end > at) parts.push_back(folded_name(name.substr(at, end - at)));
        at = end + 1;
    }
    const auto changes_nothing = [](const std::string& part) {
        for (const char* word : {"instruct", "chat", "it", "hf", "base", "pt", "thinking", "preview"}) {
            if (part == word) return true;
        }
        return part.size() == 4 && std::ranges::all_of(part, [](char c) { return c >= '0' && c <= '9'; });  // a date
    };
    if (parts.size() > 1) parts.erase(std::remove_if(parts.begin() + 1, parts.end(), changes_nothing), parts.end());
    if (parts.size() > 1 && parts.front() == "meta") parts.erase(parts.begin());
    return parts;
}
std::string plain_name(std::string_view name) {
    std::string plain;
    for (const std::string& part : plain_words(name)) plain += part;
    return plain;
}

// "Qwen3-Next" begins Qwen3-Next-80B-A3B, "Qwen3" does not begin Qwen3.6.
bool begins(const std::string& wanted, std::string_view name) {
    std::string so_far;
    for (const std::string& part : plain_words(name)) {
        so_far += part;
        if (so_far == wanted) return true;
    }
    return false;
}

}  // namespace

std::span<const CatalogModel> catalog() {
    static const std::vector<CatalogModel> models = [] {
        std::vector<CatalogModel> all;
        for (auto family : {llama_and_kin(), qwen(), gemma(), others(), models_by_config()}) {
            for (CatalogModel& model : family) all.push_back(std::move(model));
        }
        return all;
    }();
    return models;
}

const CatalogModel* find_in_catalog(std::string_view name) {
    for (const CatalogModel& entry : catalog()) {
        if (folded_name(entry.model.name) == folded_name(name)) return &entry;
    }
    const std::string wanted = plain_name(name);
    for (const CatalogModel& entry : catalog()) {
        const std::string_view source = entry.model.source;
        if (plain_name(entry.model.name) == wanted || plain_name(source.substr(0, source.find(','))) == wanted) return &entry;
    }
    const std::vector<const CatalogModel*> begun = catalog_models_that_begin(name);
    return begun.size() == 1 ? begun.front() : nullptr;
}

std::vector<const CatalogModel*> catalog_models_that_begin(std::string_view name) {
    std::vector<const CatalogModel*> found;
    const std::string wanted = plain_name(name);
    for (const CatalogModel& entry : catalog()) {
        if (begins(wanted, entry.model.name)) found.push_back(&entry);
    }
    return found;
}

}  // namespace rafter::model
