// Writes the tiny models, family by family.
#include "tests/support/tiny_model.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "files/gguf_writer.h"
#include "tensor/formats/formats.h"

namespace rafter::model {
namespace {

// What sets one family's file apart from llama's.
struct Family {
    std::string name;
    std::string architecture;
    std::uint32_t n_layers = 3;
    std::uint32_t window = 0;
    bool qkv_bias = false, output_bias = false, qk_norm = false, post_norms = false, sinks = false;
    bool fused = false;  // phi3's tensors
    std::uint32_t n_experts = 0, n_experts_used = 0;
    bool expert_bias = false;
    bool tied = false;
};

const std::vector<Family>& families() {
    static const std::vector<Family> all = {
        {.name = "llama", .architecture = "llama"},
        {.name = "llama3-rope", .architecture = "llama"},
        {.name = "mixtral", .architecture = "llama", .n_experts = 4, .n_experts_used = 2},
        {.name = "qwen2", .architecture = "qwen2", .qkv_bias = true},
        {.name = "qwen2-yarn", .architecture = "qwen2", .qkv_bias = true, .tied = true},
        {.name = "qwen3", .architecture = "qwen3", .qk_norm = true, .tied = true},
        {.name = "qwen3moe", .architecture = "qwen3moe", .qk_norm = true, .n_experts = 6, .n_experts_used = 3},
        {.name = "gemma2", .architecture = "gemma2", .n_layers = 4, .window = 9, .post_norms = true, .tied = true},
        {.name = "gemma3", .architecture = "gemma3", .n_layers = 7, .window = 9, .qk_norm = true, .post_norms = true, .tied = true},
        {.name = "phi3", .architecture = "phi3", .window = 11, .fused = true},
        {.name = "gpt-oss",
         .architecture = "gpt-oss",
         .n_layers = 4,
         .window = 7,
         .qkv_bias = true,
         .output_bias = true,
         .sinks = true,
         .n_experts = 5,
         .n_experts_used = 2,
         .expert_bias = true},
    };
    return all;
}

// SplitMix64 (https://prng.di.unimi.it/splitmix64.c): the same numbers on every platform.
class Noise {
  public:
    explicit Noise(std::uint64_t seed) : state_(seed) {}
    // About normal, mean 0, variance 1: twelve uniforms.
    float operator()() {
        double sum = -6;
        for (int i = 0; i < 12; ++i) sum += static_cast<double>(next() >> 11) * 0x1p-53;
        return static_cast<float>(sum);
    }

  private:
    std::uint64_t next() {
        std::uint64_t z = (state_ += 0x9e3779b97f4a7c15);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
        return z ^ (z >> 31);
    }
    std::uint64_t state_;
};

std::string utf8_of(std::uint32_t code_point) {
    if (code_point < 0x80) return {static_cast<char>(code_point)};
    return {static_cast<char>(0xC0 | (code_point >> 6)), static_cast<char>(0x80 | (code_point & 0x3F))};
}

// GPT-2's alphabet: a printable character for each byte.
std::vector<std::string> byte_alphabet() {
    std::vector<std::string> alphabet(256);
    std::uint32_t next = 256;
    for (std::uint32_t b = 0; b < 256; ++b) {
        const bool printable = (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
        alphabet[b] = utf8_of(printable ? b : next++);
    }
    return alphabet;
}

constexpr std::uint32_t kNormalToken = 1;
constexpr std::uint32_t kControlToken = 3;

class Maker {
  public:
    Maker(const Family& family, const TinyModel& options)
        : f_(family), options_(options), noise_(options.seed), block_(tensor::format_of(options.matrices).block_elements) {}

    std::vector<std::byte> make() {
        const std::uint32_t unit = block_ > 64 ? block_ : 64;
        d_model_ = unit;
        d_ff_ = block_ > 64 ? 2 * unit : 96;
        head_dim_ = d_model_ / 4;
        vocabulary();
        keys();
        tensors();
        return writer_.to_bytes();
    }

  private:
    [[nodiscard]] std::string key(std::string_view name) const { return f_.architecture + "." + std::string(name); }

    void vocabulary() {
        std::vector<std::string> tokens = byte_alphabet();
        const std::string space = tokens[' '];
        const std::vector<std::string> merges = {space + " t", "h e", space + "t he", "i n", "a n", "an d"};
        for (const std::string& merge : merges) {
            const std::size_t split = merge.find(' ');
            tokens.push_back(merge.substr(0, split) + merge.substr(split + 1));
        }
        std::vector<std::int32_t> types(tokens.size(), kNormalToken);
        for (const char* special : {"<|endoftext|>", "<|im_start|>", "<|im_end|>"}) {
            tokens.emplace_back(special);
            types.push_back(kControlToken);
        }
        n_vocab_ = static_cast<std::uint32_t>(tokens.size());
        writer_.add_string("tokenizer.ggml.model", "gpt2");
        writer_.add_string("tokenizer.ggml.pre", "gpt-2");
        writer_.add_strings("tokenizer.ggml.tokens", tokens);
        writer_.add_int32s("tokenizer.ggml.token_type", types);
        writer_.add_strings("tokenizer.ggml.merges", merges);
        writer_.add_uint32("tokenizer.ggml.bos_token_id", n_vocab_ - 3);
        writer_.add_uint32("tokenizer.ggml.eos_token_id", n_vocab_ - 1);
        writer_.add_bool("tokenizer.ggml.add_bos_token", false);
        if (!options_.chat_template) return;
        writer_.add_string("tokenizer.chat_template",
                           options_.template_source.empty()
                               ? "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
                                 "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
                               : options_.template_source);
    }

    void keys() {
        writer_.add_string("general.architecture", f_.architecture);
        writer_.add_string("general.name", "tiny " + f_.name);
        writer_.add_string("general.license", "apache-2.0");
        writer_.add_uint32(key("block_count"), f_.n_layers);
        writer_.add_uint32(key("context_length"), 512);
        writer_.add_uint32(key("embedding_length"), d_model_);
        writer_.add_uint32(key("feed_forward_length"), d_ff_);
        writer_.add_uint32(key("attention.head_count"), 4);
        writer_.add_uint32(key("attention.head_count_kv"), 2);
        writer_.add_uint32(key("attention.key_length"), head_dim_);
        writer_.add_uint32(key("attention.value_length"), head_dim_);
        writer_.add_float32(key("attention.layer_norm_rms_epsilon"), 1e-5F);
        writer_.add_float32(key("rope.freq_base"), 10000.0F);
        if (f_.window != 0) writer_.add_uint32(key("attention.sliding_window"), f_.window);
        if (f_.n_experts != 0) {
            writer_.add_uint32(key("expert_count"), f_.n_experts);
            writer_.add_uint32(key("expert_used_count"), f_.n_experts_used);
            writer_.add_uint32(key("expert_feed_forward_length"), d_ff_);
        }
        if (f_.name == "qwen2-yarn" || f_.name == "gpt-oss") {
            writer_.add_string(key("rope.scaling.type"), "yarn");
            writer_.add_float32(key("rope.scaling.factor"), 4.0F);
            writer_.add_uint32(key("rope.scaling.original_context_length"), 128);
        }
        if (f_.name == "phi3") {
            writer_.add_uint32(key("rope.scaling.original_context_length"), 64);
            writer_.add_uint32(key("rope.dimension_count"), head_dim_ - 4);
        }
    }

    void matrix(const std::string& name, std::vector<std::uint64_t> shape, tensor::DType dtype) {
        std::uint64_t n = 1;
        for (const std::uint64_t dimension : shape) n *= dimension;
        std::vector<float> values(n);
        const float scale = 1.0F / std::sqrt(static_cast<float>(shape.back()));
        for (float& v : values) v = noise_() * scale;
        writer_.add_tensor_f32(name, dtype, shape, values);
    }
    void layer_matrix(const std::string& name, std::vector<std::uint64_t> shape) { matrix(name, std::move(shape), options_.matrices); }
    void vector(const std::string& name, std::vector<std::uint64_t> shape, float mean, float spread) {
        std::uint64_t n = 1;
        for (const std::uint64_t dimension : shape) n *= dimension;
        std::vector<float> values(n);
        for (float& v : values) v = mean + spread * noise_();
        writer_.add_tensor_f32(name, tensor::DType::kF32, shape, values);
    }
    void gain(const std::string& name, std::uint64_t n) { vector(name, {n}, 1.0F, 0.1F); }
    void bias(const std::string& name, std::vector<std::uint64_t> shape) { vector(name, std::move(shape), 0.0F, 0.2F); }

    void attention(const std::string& p) {
        const std::uint64_t q = 4ULL * head_dim_;
        const std::uint64_t kv = 2ULL * head_dim_;
        gain(p + "attn_norm.weight", d_model_);
        if (f_.fused) {
            layer_matrix(p + "attn_qkv.weight", {q + 2 * kv, d_model_});
        } else {
            layer_matrix(p + "attn_q.weight", {q, d_model_});
            layer_matrix(p + "attn_k.weight", {kv, d_model_});
            layer_matrix(p + "attn_v.weight", {kv, d_model_});
        }
        if (f_.qkv_bias) {
            bias(p + "attn_q.bias", {q});
            bias(p + "attn_k.bias", {kv});
            bias(p + "attn_v.bias", {kv});
        }
        if (f_.qk_norm) {
            gain(p + "attn_q_norm.weight", head_dim_);
            gain(p + "attn_k_norm.weight", head_dim_);
        }
        if (f_.sinks) bias(p + "attn_sinks.weight", {4});
        layer_matrix(p + "attn_output.weight", {d_model_, q});
        if (f_.output_bias) bias(p + "attn_output.bias", {d_model_});
    }

    void feed_forward(const std::string& p) {
        if (f_.n_experts == 0) {
            if (!f_.fused) layer_matrix(p + "ffn_gate.weight", {d_ff_, d_model_});
            layer_matrix(p + "ffn_up.weight", {(f_.fused ? 2ULL : 1ULL) * d_ff_, d_model_});
            layer_matrix(p + "ffn_down.weight", {d_model_, d_ff_});
            return;
        }
        matrix(p + "ffn_gate_inp.weight", {f_.n_experts, d_model_}, tensor::DType::kF32);
        layer_matrix(p + "ffn_gate_exps.weight", {f_.n_experts, d_ff_, d_model_});
        layer_matrix(p + "ffn_up_exps.weight", {f_.n_experts, d_ff_, d_model_});
        layer_matrix(p + "ffn_down_exps.weight", {f_.n_experts, d_model_, d_ff_});
        if (!f_.expert_bias) return;
        bias(p + "ffn_gate_inp.bias", {f_.n_experts});
        bias(p + "ffn_gate_exps.bias", {f_.n_experts, d_ff_});
        bias(p + "ffn_up_exps.bias", {f_.n_experts, d_ff_});
        bias(p + "ffn_down_exps.bias", {f_.n_experts, d_model_});
    }

    void tensors() {
        matrix("token_embd.weight", {n_vocab_, d_model_}, tensor::DType::kF32);
        gain("output_norm.weight", d_model_);
        if (!f_.tied) matrix("output.weight", {n_vocab_, d_model_}, options_.matrices);
        if (f_.name == "llama3-rope") vector("rope_freqs.weight", {head_dim_ / 2}, 3.0F, 0.3F);
        if (f_.name == "phi3") {
            vector("rope_factors_long.weight", {(head_dim_ - 4) / 2}, 4.0F, 0.3F);
            vector("rope_factors_short.weight", {(head_dim_ - 4) / 2}, 1.2F, 0.02F);
        }
        for (std::uint32_t layer = 0; layer < f_.n_layers; ++layer) {
            const std::string p = "blk." + std::to_string(layer) + ".";
            attention(p);
            if (f_.post_norms) gain(p + "post_attention_norm.weight", d_model_);
            gain(p + (f_.architecture == "gpt-oss" ? "post_attention_norm.weight" : "ffn_norm.weight"), d_model_);
            feed_forward(p);
            if (f_.post_norms) gain(p + "post_ffw_norm.weight", d_model_);
        }
    }

    const Family& f_;
    const TinyModel& options_;
    Noise noise_;
    std::uint32_t block_;
    std::uint32_t d_model_ = 0, d_ff_ = 0, head_dim_ = 0, n_vocab_ = 0;
    files::GgufWriter writer_;
};

}  // namespace

std::vector<std::string> tiny_models() {
    std::vector<std::string> names;
    for (const Family& family : families()) names.push_back(family.name);
    return names;
}

std::vector<std::byte> tiny_gguf(const TinyModel& options) {
    const auto found = std::ranges::find(families(), options.name, &Family::name);
    RAFTER_CHECK(found != families().end(), "no tiny model {}", options.name);
    return Maker(*found, options).make();
}

}  // namespace rafter::model
