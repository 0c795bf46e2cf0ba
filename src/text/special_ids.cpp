// Which tokens begin a text and end an answer. Files name some of them by id; the rest is known by text, because converters and fine-tunes
// often leave the end-of-turn token out (https://github.com/ggml-org/llama.cpp/issues/9606).
#include <algorithm>
#include <array>

#include "text/vocabulary.h"

namespace rafter::text {
namespace {

// Ends an answer wherever a vocabulary has it. The second list holds texts that could be ordinary words or mark-up: they count only where
// the file does not call them normal.
constexpr std::array<std::string_view, 24> kEnds = {
    "<|eot_id|>", "<|im_end|>",       "<|end|>",
    "<|return|>", "<|call|>",         "<|flush|>",
    "<|calls|>",  "<end_of_turn>",    "<|endoftext|>",
    "<|eom_id|>", "<|end_of_text|>",  "<end_of_utterance>",
    "<turn|>",    "<|tool_response>", "<｜end▁of▁sentence｜>",
    "[e~[",       "<|fim_pad|>",      "<fim-pad>",
    "<fim_pad>",  "<|fim_repo|>",     "<|repo_name|>",
    "<fim-repo>", "<reponame>",       "<|file_sep|>",
};
constexpr std::array<std::string_view, 6> kEndsUnlessNormal = {"</s>", "<eos>", "<EOT>", "_<EOT>", "[EOT]", "[EOS]"};

struct NamedId {
    std::string_view key;
    std::optional<TokenId> SpecialIds::*member;
};
constexpr NamedId kNamedIds[] = {
    {"tokenizer.ggml.bos_token_id", &SpecialIds::bos},
    {"tokenizer.ggml.eos_token_id", &SpecialIds::eos},
    {"tokenizer.ggml.unknown_token_id", &SpecialIds::unknown},
};
constexpr std::string_view kMoreEndKeys[] = {"tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"};
constexpr std::string_view kPaddingKey = "tokenizer.ggml.padding_token_id";

Result<std::optional<TokenId>> find_id(const files::Metadata& metadata, std::string_view key, const Vocabulary& vocabulary) {
    RAFTER_TRY(const std::optional<std::uint64_t> id, metadata.find_uint(key));
    if (!id) return std::optional<TokenId>();
    if (*id >= vocabulary.size()) return bad_input("{}: expected a token id below {}, found {}", key, vocabulary.size(), *id);
    return std::optional<TokenId>(static_cast<TokenId>(*id));
}

bool ends_by_text(const Vocabulary& vocabulary, TokenId id) {
    const std::string_view text = vocabulary.text(id);
    if (std::ranges::find(kEnds, text) != kEnds.end()) return true;
    return std::ranges::find(kEndsUnlessNormal, text) != kEndsUnlessNormal.end() && vocabulary.type(id) != TokenType::kNormal;
}

// Two formats use a text that elsewhere ends an answer for something else.
void drop_false_ends(std::vector<TokenId>& ends, Vocabulary& vocabulary) {
    const auto has = [&](std::string_view text) {
        return std::ranges::any_of(ends, [&](TokenId id) { return vocabulary.text(id) == text; });
    };
    const auto drop = [&](std::string_view text) { std::erase_if(ends, [&](TokenId id) { return vocabulary.text(id) == text; }); };
    // Harmony (gpt-oss) ends each message with <|end|> and the answer with one of the others; Solar Open likewise.
    if ((has("<|return|>") && has("<|call|>")) || ((has("<|calls|>") || has("<|call|>")) && has("<|flush|>"))) drop("<|end|>");
    if (has("<|tool_response>")) drop("</s>");  // Gemma 4: mark-up
}

}  // namespace

Result<SpecialIds> find_special_ids(const files::Metadata& metadata, Vocabulary& vocabulary, const SpecialIds& defaults) {
    SpecialIds ids = defaults;
    const auto forget_if_absent = [&](std::optional<TokenId>& id) {
        if (id && static_cast<std::size_t>(*id) >= vocabulary.size()) id.reset();
    };
    for (const NamedId& row : kNamedIds) {
        forget_if_absent(ids.*row.member);
        RAFTER_TRY(const std::optional<TokenId> id, find_id(metadata, row.key, vocabulary));
        if (id) ids.*row.member = id;
    }
    // Nothing here pads, and files in use name ids beyond their vocabulary: such a one is as good as none.
    RAFTER_TRY(const std::optional<std::uint64_t> padding, metadata.find_uint(kPaddingKey));
    if (padding && *padding < vocabulary.size()) ids.padding = static_cast<TokenId>(*padding);

    std::vector<TokenId>& ends = ids.end_of_generation;
    for (const std::string_view key : kMoreEndKeys) {
        RAFTER_TRY(const std::optional<TokenId> id, find_id(metadata, key, vocabulary));
        if (id) ends.push_back(*id);
    }
    const auto add_by_text = [&](std::string_view text) {
        const std::optional<TokenId> id = vocabulary.find(text);
        if (id && ends_by_text(vocabulary, *id)) ends.push_back(*id);
    };
    std::ranges::for_each(kEnds, add_by_text);
    std::ranges::for_each(kEndsUnlessNormal, add_by_text);
    drop_false_ends(ends, vocabulary);
    for (const TokenId id : ends) vocabulary.set_type(id, TokenType::kControl);
    if (ids.eos) ends.push_back(*ids.eos);
    std::ranges::sort(ends);
    ends.erase(std::unique(ends.begin(), ends.end()), ends.end());

    RAFTER_TRY(const std::optional<bool> add_bos, metadata.find_bool("tokenizer.ggml.add_bos_token"));
    RAFTER_TRY(const std::optional<bool> add_eos, metadata.find_bool("tokenizer.ggml.add_eos_token"));
    if (add_bos.value_or(false) && !ids.bos) return bad_input("tokenizer.ggml.add_bos_token is true, but there is no {}", kNamedIds[0].key);
    if (add_eos.value_or(false) && !ids.eos) return bad_input("tokenizer.ggml.add_eos_token is true, but there is no {}", kNamedIds[1].key);
    ids.add_bos = add_bos.value_or(ids.add_bos) && ids.bos.has_value();
    ids.add_eos = add_eos.value_or(ids.add_eos) && ids.eos.has_value();
    return ids;
}

}  // namespace rafter::text
