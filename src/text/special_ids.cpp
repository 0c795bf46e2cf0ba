// Which tokens begin a text and end an answer. Files name some of them by id; the rest is known by text, because converters and fine-tunes
// often leave the end-of-turn token out (https://github.com/ggml-org/llama.cpp/issues/9606).
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "base/quote.h"
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
    std::string_view name;  // for messages
};
constexpr NamedId kNamedIds[] = {
    {"tokenizer.ggml.bos_token_id", &SpecialIds::bos, "BOS"},
    {"tokenizer.ggml.eos_token_id", &SpecialIds::eos, "EOS"},
    {"tokenizer.ggml.unknown_token_id", &SpecialIds::unknown, "the unknown token"},
    {"tokenizer.ggml.padding_token_id", &SpecialIds::padding, "padding"},
};
struct EndKey {
    std::string_view key, name;
};
constexpr EndKey kMoreEndKeys[] = {{"tokenizer.ggml.eot_token_id", "EOT"}, {"tokenizer.ggml.eom_token_id", "EOM"}};

// The number under such a key, as text, where it is no token's: any integer type, below 0 too.
std::optional<std::string> number_of_no_token(const files::MetadataValue& value, std::size_t n_tokens) {
    if (const auto* number = std::get_if<std::uint64_t>(&value))
        return *number < n_tokens ? std::nullopt : std::optional(std::to_string(*number));
    const auto* number = std::get_if<std::int64_t>(&value);
    if (number == nullptr) return std::nullopt;
    return *number >= 0 && static_cast<std::uint64_t>(*number) < n_tokens ? std::nullopt : std::optional(std::to_string(*number));
}

// What becomes of what such a key names: "EOS is token 2, "</s>", instead".
std::string consequence(std::string_view key, const SpecialIds& ids, const Vocabulary& vocabulary) {
    for (const NamedId& row : kNamedIds) {
        if (key != row.key || row.member == &SpecialIds::padding) continue;
        const std::optional<TokenId> id = ids.*row.member;
        return id ? fmt::format(" ({} is token {}, {}, instead)", row.name, *id, quote(vocabulary.text(*id)))
                  : fmt::format(" ({} is lost)", row.name);
    }
    for (const EndKey& row : kMoreEndKeys) {
        if (key == row.key) return fmt::format(" ({} is lost)", row.name);
    }
    return {};
}

void warn_of_ids_without_a_token(const files::Metadata& metadata, const Vocabulary& vocabulary, const SpecialIds& ids, Warnings& warnings) {
    std::vector<std::string> ignored;
    for (const auto& [key, value] : metadata.entries()) {
        if (!key.starts_with("tokenizer.ggml.") || !key.ends_with("_token_id")) continue;
        const std::optional<std::string> number = number_of_no_token(value, vocabulary.size());
        if (number) ignored.push_back(fmt::format("{} {}{}", key, *number, consequence(key, ids, vocabulary)));
    }
    if (ignored.empty()) return;
    warnings.push_back(
        fmt::format("ignored, because the vocabulary has tokens 0 to {} only: {}", vocabulary.size() - 1, fmt::join(ignored, ", ")));
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

Result<std::optional<TokenId>> find_token_id(const files::Metadata& metadata, std::string_view key, std::size_t n_tokens) {
    const auto entries = metadata.entries();
    const auto found = std::ranges::find_if(entries, [&](const auto& entry) { return entry.first == key; });
    if (found == entries.end() || number_of_no_token(found->second, n_tokens)) return std::optional<TokenId>();
    RAFTER_TRY(const std::optional<std::uint64_t> id, metadata.find_uint(key));
    return std::optional(static_cast<TokenId>(*id));
}

Result<SpecialIds> find_special_ids(const files::Metadata& metadata, Vocabulary& vocabulary, const SpecialIds& defaults,
                                    Warnings& warnings) {
    SpecialIds ids = defaults;
    const auto forget_if_absent = [&](std::optional<TokenId>& id) {
        if (id && static_cast<std::size_t>(*id) >= vocabulary.size()) id.reset();
    };
    for (const NamedId& row : kNamedIds) {
        forget_if_absent(ids.*row.member);
        RAFTER_TRY(const std::optional<TokenId> id, find_token_id(metadata, row.key, vocabulary.size()));
        if (id) ids.*row.member = id;
    }
    warn_of_ids_without_a_token(metadata, vocabulary, ids, warnings);

    std::vector<TokenId>& ends = ids.end_of_generation;
    for (const EndKey& row : kMoreEndKeys) {
        RAFTER_TRY(const std::optional<TokenId> id, find_token_id(metadata, row.key, vocabulary.size()));
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
    const auto wants_missing = [&](std::optional<bool> adds, std::optional<TokenId> id, std::string_view key) {
        return adds.value_or(false) && !id && !metadata.has(key);
    };
    if (wants_missing(add_bos, ids.bos, kNamedIds[0].key)) {
        return bad_input("tokenizer.ggml.add_bos_token is true, but there is no {}", kNamedIds[0].key);
    }
    if (wants_missing(add_eos, ids.eos, kNamedIds[1].key)) {
        return bad_input("tokenizer.ggml.add_eos_token is true, but there is no {}", kNamedIds[1].key);
    }
    ids.add_bos = add_bos.value_or(ids.add_bos) && ids.bos.has_value();
    ids.add_eos = add_eos.value_or(ids.add_eos) && ids.eos.has_value();
    return ids;
}

}  // namespace rafter::text
