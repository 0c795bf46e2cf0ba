// Files say in several ways that they are rerankers: converters of llama.cpp write pooling type and template, others only a name.
#include "protocols/reranker.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <utility>

namespace rafter::protocols {
namespace {

constexpr std::string_view kTemplateKey = "tokenizer.chat_template.rerank";
constexpr std::uint64_t kGgufRank = 4;  // GGUF's number of the pooling type of rerankers
constexpr std::string_view kQwenPrompt =
    "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct provided. Note that the "
    "answer can only be \"yes\" or \"no\".<|im_end|>\n<|im_start|>user\n<Instruct>: {instruction}\n<Query>: {query}\n<Document>: "
    "{document}<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n";

bool names_reranker(std::string_view name) {
    std::string lower(name);
    for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
    return lower.find("rerank") != std::string::npos;
}

}  // namespace

bool is_reranker(const engine::OpenedModel& opened) {
    const files::Metadata& metadata = opened.source->metadata();
    if (metadata.has(kTemplateKey)) return true;
    const auto architecture = metadata.find_string("general.architecture");
    if (architecture && *architecture) {
        const auto type = metadata.find_uint(fmt::format("{}.pooling_type", **architecture));
        if (type && *type && **type == kGgufRank) return true;
    }
    for (const char* key : {"general.name", "general.basename"}) {
        const auto name = metadata.find_string(key);
        if (name && *name && names_reranker(**name)) return true;
    }
    const std::string_view path = opened.source->name();
    return names_reranker(path.substr(path.find_last_of('/') + 1));
}

Result<Reranker> reranker_of(const engine::OpenedModel& opened) {
    const auto yes = opened.tokenizer->find("yes");
    const auto no = opened.tokenizer->find("no");
    if (!yes || !no) {
        return bad_input("the model cannot rerank by yes and no: expected both words as tokens of its vocabulary, found no \"{}\"",
                         yes ? "no" : "yes");
    }
    Reranker reranker{.yes = *yes, .no = *no, .prompt = std::string(kQwenPrompt)};
    const auto own = opened.source->metadata().find_string(kTemplateKey);
    if (!own || !*own) return reranker;
    reranker.prompt = **own;
    // Where the template has the usual instruction, a request may have another.
    const std::size_t at = reranker.prompt.find(kStandardInstruction);
    if (at != std::string::npos) reranker.prompt.replace(at, kStandardInstruction.size(), "{instruction}");
    return reranker;
}

std::string rerank_prompt(const Reranker& reranker, const RerankPair& pair) {
    const std::array<std::pair<std::string_view, std::string_view>, 3> values{
        {{"{instruction}", pair.instruction}, {"{query}", pair.query}, {"{document}", pair.document}}};
    std::string text;
    std::string_view rest = reranker.prompt;
    while (!rest.empty()) {
        bool replaced = false;
        for (const auto& [name, value] : values) {
            if (!rest.starts_with(name)) continue;
            text += value;
            rest.remove_prefix(name.size());
            replaced = true;
            break;
        }
        if (replaced) continue;
        text += rest.front();
        rest.remove_prefix(1);
    }
    return text;
}

engine::Request yes_no_sequence(const Reranker& reranker) {
    engine::Request sequence;
    sequence.max_tokens = 1;
    sequence.ignore_eos = true;
    sequence.n_logprobs = 0;
    sequence.probed_tokens = {reranker.yes, reranker.no};
    return sequence;
}

double yes_probability(double yes_logprob, double no_logprob) {
    const double probability = 1.0 / (1.0 + std::exp(no_logprob - yes_logprob));
    return std::isnan(probability) ? 0.5 : probability;  // neither can come
}

}  // namespace rafter::protocols
