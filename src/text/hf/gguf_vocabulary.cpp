// Puts a tokenizer.json's parts under GGUF's keys; see the header.
#include "text/hf/gguf_vocabulary.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/quote.h"
#include "text/added_tokens.h"
#include "text/hf/characters.h"
#include "text/hf/gguf_pre_tokenizer.h"
#include "text/hf/gguf_scores.h"
#include "text/hf/special_tokens.h"
#include "text/hf/tokenizer_json.h"
#include "text/utf8.h"

namespace rafter::text {
namespace {

constexpr std::uint64_t kMaxTokens = 4'000'000;

struct IdKey {
    std::optional<std::uint32_t> GgufVocabulary::*id;
    const char* key;
};
constexpr std::array<IdKey, 8> kIdKeys = {{
    {&GgufVocabulary::bos_id, "tokenizer.ggml.bos_token_id"},
    {&GgufVocabulary::eos_id, "tokenizer.ggml.eos_token_id"},
    {&GgufVocabulary::unk_id, "tokenizer.ggml.unknown_token_id"},
    {&GgufVocabulary::pad_id, "tokenizer.ggml.padding_token_id"},
    {&GgufVocabulary::sep_id, "tokenizer.ggml.seperator_token_id"},  // GGUF's spelling
    {&GgufVocabulary::mask_id, "tokenizer.ggml.mask_token_id"},
    {&GgufVocabulary::eot_id, "tokenizer.ggml.eot_token_id"},
    {&GgufVocabulary::eom_id, "tokenizer.ggml.eom_token_id"},
}};

// Added tokens are found in a GGUF file's text as it comes.
Result<void> check_added(const hf::TokenizerJson& json) {
    Regex::Scratch scratch(hf::kMaxRegexSteps);
    const bool strips = std::ranges::any_of(json.added, [](const hf::AddedToken& token) { return token.lstrip || token.rstrip; });
    for (const hf::AddedToken& token : json.added) {
        if (strips && token.normalized && hf::without_white_space(token.text, true, true) != std::pair(std::size_t{0}, token.text.size()))
            return bad_input(
                "added_tokens: {}: white space found after normalising, and another token swallows it before: GGUF cannot say that",
                quote(token.text));
        if (token.single_word) return bad_input("added_tokens: {}: GGUF has no single_word", quote(token.text));
        if (token.normalized && (token.lstrip || token.rstrip) && !json.normalizers.empty())
            return bad_input(
                "added_tokens: {}: lstrip and rstrip after normalising, where spaces may be none any more: GGUF has no such token",
                quote(token.text));
        if (token.normalized && hf::normalize(json.normalizers, token.text, scratch) != token.text)
            return bad_input("added_tokens: {}: normalising it gives another text, which GGUF cannot say", quote(token.text));
    }
    return {};
}

// Which added tokens swallow white space is in keys of our own where the model's name does not say it already.
void set_strips(const hf::TokenizerJson& json, std::string_view model_name, GgufVocabulary& out) {
    std::vector<std::int64_t> left;
    std::vector<std::int64_t> right;
    const bool by_name = swallows_white_space_by_name(model_name);
    bool said_by_name = true;
    const hf::AddedToken* example = nullptr;
    for (const hf::AddedToken& token : json.added) {
        if (token.lstrip) left.push_back(token.id);
        if (token.rstrip) right.push_back(token.id);
        const bool same = !token.lstrip && token.rstrip == (by_name && is_swallowing_by_name(token.text));
        if (!same && example == nullptr) example = &token;
        said_by_name = said_by_name && same;
    }
    for (const std::string_view text : {"<unk>", "<s>", "</s>", "<|endoftext|>"}) {
        if (!by_name || std::ranges::find(json.tokens, text) != json.tokens.end()) continue;
        out.warnings.push_back(fmt::format(
            "llama.cpp expects a token {} of a model with this name, and loads no file without it: give the folder another name",
            quote(text)));
        break;
    }
    if (said_by_name) return;
    out.warnings.push_back(fmt::format(
        "{} added tokens swallow the white space before them and {} that behind them; GGUF has no keys for that, so other programs "
        "than this one tokenise text beside them differently, such as {}",
        left.size(), right.size(), quote(example->text)));
    out.lstrip_ids = std::move(left);
    out.rstrip_ids = std::move(right);
}

Result<void> set_byte_level(const hf::TokenizerJson& json, GgufVocabulary& out) {
    RAFTER_TRY(out.pre, hf::gguf_pre_tokenizer(json));
    if (json.decoding.spelling != hf::Decoding::Spelling::kByteAlphabet || !json.decoding.replacements.empty() ||
        json.decoding.n_strip_start > 0 || !json.decoding.first_mark.empty())
        return bad_input("decoder: expected ByteLevel alone, as the pre-tokenizer has it");
    out.model = "gpt2";
    for (const auto& [left, right] : json.merges) {
        const std::string& a = json.tokens[static_cast<std::size_t>(left)];
        const std::string& b = json.tokens[static_cast<std::size_t>(right)];
        if (a.find(' ') != std::string::npos || b.find(' ') != std::string::npos)
            return bad_input("model: merges: {} and {}: GGUF separates them by a space, so neither may have one", quote(a), quote(b));
        out.merges.push_back(a + ' ' + b);
    }
    return {};
}

// Spaces become marks and pieces are not cut at them: all that such a tokenizer does before merging. Null for other steps.
const hf::Metaspace* only_metaspace(const hf::TokenizerJson& json) {
    if (!json.normalizers.empty() || json.pre_tokenizers.size() != 1) return nullptr;
    const auto* step = std::get_if<hf::Metaspace>(&json.pre_tokenizers.front());
    return step != nullptr && step->replacement == kSpaceMark && !step->split ? step : nullptr;
}

void set_metaspace(const hf::Metaspace& step, GgufVocabulary& out) {
    out.add_space_prefix = step.scheme != hf::PrependScheme::kNever;
    if (!*out.add_space_prefix) return;
    out.space_prefix = step.scheme == hf::PrependScheme::kFirst ? "first" : "always";
    out.warnings.push_back(
        fmt::format("a space is put before {}, but for one that starts with a space; GGUF has no key for that, so other programs than this "
                    "one put one before every text and behind every special token",
                    step.scheme == hf::PrependScheme::kFirst ? "a text" : "a text and behind every special token"));
}

// Whether a text's stretches get a space in front. Spaces must become marks, and nothing else may happen to a text.
Result<bool> marks_spaces(const hf::TokenizerJson& json) {
    bool prepends = false;
    bool replaces = false;
    for (const hf::Normalizer& step : json.normalizers) {
        const auto* prepend = std::get_if<hf::Prepend>(&step);
        const auto* replace = std::get_if<hf::Replace>(&step);
        if (prepend != nullptr && prepend->text == kSpaceMark && !prepends && !replaces) {
            prepends = true;
        } else if (replace != nullptr && !replace->pattern.is_regex() && replace->pattern.source() == " " &&
                   replace->content == kSpaceMark && !replaces) {
            replaces = true;
        } else {
            return bad_input(
                "normalizer: expected Prepend and Replace, of spaces by U+2581, which is all that GGUF has with byte_fallback");
        }
    }
    if (!replaces) return bad_input("normalizer: expected Replace, of spaces by U+2581, as GGUF does with byte_fallback");
    for (const hf::PreTokenizer& step : json.pre_tokenizers) {
        // After the normaliser there are no spaces to split at.
        const auto* split = std::get_if<hf::SplitByPattern>(&step);
        const bool is_idle = split != nullptr && !split->pattern.is_regex() && split->pattern.source() == " " && !split->invert;
        if (!is_idle) return bad_input("pre_tokenizer: expected none, which is all that GGUF has with byte_fallback");
    }
    return prepends;
}

Result<void> set_space_mark(const hf::TokenizerJson& json, GgufVocabulary& out) {
    if (const hf::Metaspace* metaspace = only_metaspace(json)) {
        set_metaspace(*metaspace, out);
    } else {
        RAFTER_TRY(out.add_space_prefix, marks_spaces(json));
    }
    if (json.ignore_merges) return bad_input("model: ignore_merges true with byte_fallback: GGUF has no such model");
    const auto n_bytes = std::ranges::count(json.types, TokenType::kByte);
    if (n_bytes != 256) return bad_input("model: byte_fallback: expected 256 tokens <0x00> to <0xFF>, found {}", n_bytes);
    out.model = "llama";
    out.pre = "default";
    RAFTER_TRY(out.scores, hf::gguf_scores(json));
    // A token of marks that is also found as it stands: as a normal one it shows spaces, and merges give it as before.
    for (const hf::AddedToken& token : json.added) {
        const auto id = static_cast<std::size_t>(token.id);
        const bool is_marked = json.in_model[id] && !token.special && token.text.find(kSpaceMark) != std::string::npos;
        if (is_marked && json.types[id] == TokenType::kUserDefined) out.token_types[id] = static_cast<std::int64_t>(TokenType::kNormal);
    }
    return {};
}

// As load_json_tokenizer() finds them, so that the GGUF file's are the same.
Result<void> set_special_ids(const files::Metadata& metadata, GgufVocabulary& out) {
    RAFTER_TRY(const auto tokenizer, hf::load_json_tokenizer(metadata));
    const SpecialIds& ids = tokenizer->special();
    const auto as_stored = [](std::optional<TokenId> id) { return id ? std::optional(static_cast<std::uint32_t>(*id)) : std::nullopt; };
    out.bos_id = as_stored(ids.bos);
    out.eos_id = as_stored(ids.eos);
    out.unk_id = as_stored(ids.unknown);
    out.pad_id = as_stored(ids.padding);
    out.add_bos = ids.add_bos;
    out.add_eos = ids.add_eos;
    RAFTER_TRY(const auto config_text, metadata.find_string(hf::kTokenizerConfigKey));
    RAFTER_TRY(const hf::TokenizerConfig config, hf::read_tokenizer_config(config_text.value_or("")));
    for (const auto& [role, id] : {std::pair("sep_token", &GgufVocabulary::sep_id), std::pair("mask_token", &GgufVocabulary::mask_id)}) {
        const auto found = config.tokens.find(role);
        if (found != config.tokens.end()) out.*id = as_stored(tokenizer->find(found->second));
    }
    RAFTER_TRY(const auto ends, metadata.find_ints(hf::kEosIdsKey));
    if (!ends) return {};
    for (const std::int64_t end : *ends) {
        const bool is_token = end >= 0 && static_cast<std::uint64_t>(end) < tokenizer->n_tokens();
        const auto id = static_cast<std::uint32_t>(end);
        if (!is_token || id == out.eos_id || id == out.eot_id || id == out.eom_id) continue;
        if (!out.eot_id) {
            out.eot_id = id;
        } else if (!out.eom_id) {
            out.eom_id = id;
        }
    }
    return {};
}

Result<void> pad(const files::Metadata& metadata, GgufVocabulary& out) {
    RAFTER_TRY(const auto architecture, metadata.find_string("general.architecture"));
    RAFTER_TRY(const auto n_vocab, metadata.find_uint(fmt::format("{}.vocab_size", architecture.value_or(""))));
    if (n_vocab.value_or(0) > kMaxTokens) return bad_input("vocab_size: expected at most {}, found {}", kMaxTokens, *n_vocab);
    while (out.tokens.size() < n_vocab.value_or(0)) {
        out.tokens.push_back(fmt::format("[PAD{}]", out.tokens.size()));
        out.token_types.push_back(static_cast<std::int64_t>(TokenType::kUnused));
        if (!out.scores.empty()) out.scores.push_back(-static_cast<double>(kMaxTokens));
    }
    return {};
}

}  // namespace

Result<GgufVocabulary> gguf_vocabulary(const files::Metadata& metadata) {
    RAFTER_TRY(const std::string_view text, metadata.get_string(kTokenizerJsonKey));
    RAFTER_TRY(const hf::TokenizerJson json, hf::read_tokenizer_json(text));
    const auto in_file = [](const Error& error) { return error.within("tokenizer.json"); };
    if (json.kind != hf::ModelKind::kBpe) return bad_input("tokenizer.json: model: expected BPE, found Unigram, which is not converted");
    GgufVocabulary out;
    out.tokens = json.tokens;
    for (const TokenType type : json.types) out.token_types.push_back(static_cast<std::int64_t>(type));
    if (const auto checked = check_added(json); !checked) return in_file(checked.error());
    RAFTER_TRY(const auto model_name, metadata.find_string("general.name"));
    set_strips(json, model_name.value_or(""), out);
    const bool spells_bytes = !json.pre_tokenizers.empty() && std::holds_alternative<hf::SpelledBytes>(json.pre_tokenizers.back());
    if (!spells_bytes && !json.byte_fallback)
        return bad_input(
            "tokenizer.json: expected a last pre-tokenizer ByteLevel or a model with byte_fallback, which is all that GGUF has");
    const auto set = spells_bytes ? set_byte_level(json, out) : set_space_mark(json, out);
    if (!set) return in_file(set.error());
    RAFTER_TRY_VOID(set_special_ids(metadata, out));
    RAFTER_TRY_VOID(pad(metadata, out));
    return out;
}

files::Metadata metadata_with_vocabulary(const files::Metadata& metadata, const GgufVocabulary& vocabulary) {
    const auto views = [](const std::vector<std::string>& texts) {
        return files::MetadataArray(std::vector<std::string_view>(texts.begin(), texts.end()));
    };
    files::Metadata made;
    made.add("tokenizer.ggml.model", std::string_view(vocabulary.model));
    made.add("tokenizer.ggml.pre", std::string_view(vocabulary.pre));
    made.add("tokenizer.ggml.tokens", views(vocabulary.tokens));
    made.add("tokenizer.ggml.token_type", files::MetadataArray(vocabulary.token_types));
    if (!vocabulary.scores.empty()) made.add("tokenizer.ggml.scores", files::MetadataArray(vocabulary.scores));
    if (vocabulary.model == "gpt2") made.add("tokenizer.ggml.merges", views(vocabulary.merges));
    for (const IdKey& row : kIdKeys) {
        if (vocabulary.*row.id) made.add(row.key, std::uint64_t{*(vocabulary.*row.id)});
    }
    made.add("tokenizer.ggml.add_bos_token", vocabulary.add_bos);
    made.add("tokenizer.ggml.add_eos_token", vocabulary.add_eos);
    if (vocabulary.add_space_prefix) made.add("tokenizer.ggml.add_space_prefix", *vocabulary.add_space_prefix);
    if (vocabulary.space_prefix) made.add(std::string(kSpacePrefixKey), std::string_view(*vocabulary.space_prefix));
    if (vocabulary.lstrip_ids) made.add(std::string(kLstripIdsKey), files::MetadataArray(*vocabulary.lstrip_ids));
    if (vocabulary.rstrip_ids) made.add(std::string(kRstripIdsKey), files::MetadataArray(*vocabulary.rstrip_ids));
    for (const auto& [key, value] : metadata.entries()) made.add(key, value);  // refuses the keys above
    return made;
}

}  // namespace rafter::text
