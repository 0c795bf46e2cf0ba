// Puts the parts of a tokenizer.json together; see the header.
#include "text/hf/json_tokenizer.h"

#include <algorithm>
#include <array>
#include <limits>

#include "base/check.h"
#include "base/quote.h"
#include "text/byte_alphabet.h"
#include "text/hf/found_added.h"
#include "text/hf/special_tokens.h"
#include "text/hf/tokenizer_json.h"
#include "text/merge_table.h"
#include "text/utf8.h"
#include "text/vocabulary.h"
#include "text/word_cache.h"

namespace rafter::text::hf {
namespace {

constexpr double kBeyondWorst = 10;  // of a unigram model, beyond its worst token: K_UNK_PENALTY of Hugging Face's tokenizers

// The text with each stretch that can be no part of UTF-8 replaced by U+FFFD, as Python's decoding with "replace" does.
std::string repaired(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t i = 0; i < text.size();) {
        const Utf8Char c = utf8_char_at(text, i);
        out += c.kind == Utf8Kind::kCharacter ? text.substr(i, c.size) : kReplacementCharacter;
        i += c.size;
    }
    return out;
}

class JsonTokenizer final : public Tokenizer {
  public:
    JsonTokenizer(TokenizerJson json, Vocabulary vocabulary, SpecialIds special, Warnings warnings);

    std::vector<TokenId> encode(std::string_view text, SpecialTokens special) const override;
    std::string_view piece(TokenId id, SpecialTokens special) const override;
    std::string decode(std::span<const TokenId> ids, SpecialTokens special) const override;
    std::size_t n_tokens() const override { return vocabulary_.size(); }
    const SpecialIds& special() const override { return special_; }
    std::optional<TokenId> find(std::string_view token_text) const override { return vocabulary_.find(token_text); }
    std::string description() const override;
    std::span<const std::string> warnings() const override { return warnings_; }

  private:
    struct Scratch {
        explicit Scratch(std::size_t text_size_bytes) : regex(kMaxRegexSteps), cache(text_size_bytes) {}
        Regex::Scratch regex;
        WordCache cache;
        SymbolMerger merger;
        struct Best {
            double score;
            std::size_t begin;
            TokenId id;
        };
        std::vector<Best> best;
    };
    void encode_stretch(std::string_view stretch, bool at_start, SpecialTokens special, Scratch& scratch, std::vector<TokenId>& out) const;
    void encode_word(std::string_view word, Scratch& scratch, std::vector<TokenId>& out) const;
    void encode_bpe(std::string_view word, SymbolMerger& merger, std::vector<TokenId>& out) const;
    void encode_unigram(std::string_view word, Scratch& scratch, std::vector<TokenId>& out) const;
    // The bytes' tokens, all of them or none.
    [[nodiscard]] bool has_bytes(std::string_view text) const;
    [[nodiscard]] std::string piece_of(std::size_t id, const ByteAlphabet& alphabet) const;

    TokenizerJson json_;
    Vocabulary vocabulary_;
    SpecialIds special_;
    Warnings warnings_;
    MergeTable merges_;
    Trie unigrams_;
    double lowest_score_ = 0;
    std::array<std::optional<TokenId>, 256> byte_tokens_;
    AddedTokenFinder raw_;         // in the text as it comes
    AddedTokenFinder normalized_;  // after normalising
    TextTable pieces_;             // by id
};

JsonTokenizer::JsonTokenizer(TokenizerJson json, Vocabulary vocabulary, SpecialIds special, Warnings warnings)
    : json_(std::move(json)),
      vocabulary_(std::move(vocabulary)),
      special_(std::move(special)),
      warnings_(std::move(warnings)),
      merges_(MergeTable::of(json_.merges, json_.merged)) {
    Regex::Scratch scratch(kMaxRegexSteps);
    for (const AddedToken& token : json_.added) {
        AddedToken known = token;
        known.special = !may_come_from_text(vocabulary_.type(token.id));  // what ends an answer is special, whatever the file says
        if (token.normalized) {
            // From here on it is that text: Hugging Face's tokenizers decode it so too.
            std::string& text = json_.tokens[static_cast<std::size_t>(token.id)];
            text = normalize(json_.normalizers, token.text, scratch);
            normalized_.add(known, text);
        } else {
            raw_.add(known, token.text);
        }
    }
    for (unsigned byte = 0; byte < 256; ++byte) byte_tokens_[byte] = vocabulary_.find_byte(static_cast<unsigned char>(byte));
    if (json_.kind == ModelKind::kUnigram) {
        lowest_score_ = std::numeric_limits<double>::infinity();
        for (std::size_t i = 0; i < json_.scores.size(); ++i) {
            const auto id = static_cast<TokenId>(i);
            lowest_score_ = std::min(lowest_score_, json_.scores[i]);
            if (may_come_from_text(vocabulary_.type(id))) unigrams_.insert(json_.tokens[i], id);
        }
    }
    const ByteAlphabet alphabet;
    for (std::size_t i = 0; i < n_tokens(); ++i) pieces_.append(piece_of(i, alphabet));
}

std::string JsonTokenizer::piece_of(std::size_t id, const ByteAlphabet& alphabet) const {
    std::string text = json_.tokens[id];
    const Decoding& decoding = json_.decoding;
    for (const auto& [from, to] : decoding.replacements) {
        if (from.empty()) {
            text.insert(0, to);
            continue;
        }
        for (std::size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
            text.replace(at, from.size(), to);
    }
    if (decoding.bytes) {
        if (const auto byte = byte_of_token_text(text)) return std::string(1, static_cast<char>(*byte));
    }
    if (decoding.spelling == Decoding::Spelling::kByteAlphabet) return alphabet.decode(text).value_or(text);
    return text;
}

std::vector<TokenId> JsonTokenizer::encode(std::string_view text, SpecialTokens special) const {
    std::vector<TokenId> out;
    Scratch scratch(text.size());
    const std::string valid = repaired(text);
    raw_.split(
        valid, special, [&](std::string_view stretch, std::size_t begin) { encode_stretch(stretch, begin == 0, special, scratch, out); },
        [&](TokenId id) { out.push_back(id); });
    return out;
}

void JsonTokenizer::encode_stretch(std::string_view stretch, bool at_start, SpecialTokens special, Scratch& scratch,
                                   std::vector<TokenId>& out) const {
    const std::string normal = normalize(json_.normalizers, std::string(stretch), scratch.regex);
    normalized_.split(
        normal, special,
        [&](std::string_view rest, std::size_t begin) {
            const Piece whole{.text = std::string(rest), .at_start = at_start && begin == 0};
            for (const Piece& piece : pre_tokenize(json_.pre_tokenizers, whole, scratch.regex)) {
                scratch.cache.append(piece.text, out, [&] { encode_word(piece.text, scratch, out); });
            }
        },
        [&](TokenId id) { out.push_back(id); });
}

void JsonTokenizer::encode_word(std::string_view word, Scratch& scratch, std::vector<TokenId>& out) const {
    if (json_.kind == ModelKind::kUnigram) return encode_unigram(word, scratch, out);
    while (!word.empty()) {
        const std::string_view part = word.substr(0, SymbolMerger::kMaxWordBytes);
        encode_bpe(part, scratch.merger, out);
        word.remove_prefix(part.size());
    }
}

bool JsonTokenizer::has_bytes(std::string_view text) const {
    return json_.byte_fallback &&
           std::ranges::all_of(text, [&](char c) { return byte_tokens_[static_cast<unsigned char>(c)].has_value(); });
}

void JsonTokenizer::encode_bpe(std::string_view word, SymbolMerger& merger, std::vector<TokenId>& out) const {
    if (json_.ignore_merges) {
        const std::optional<TokenId> whole = vocabulary_.find_ordinary(word);
        if (whole && json_.in_model[static_cast<std::size_t>(*whole)]) return out.push_back(*whole);
    }
    merger.start(word.size());
    std::size_t unknown_bytes = 0;  // of the unknown token that is not pushed yet
    const auto push_unknown = [&] {
        if (unknown_bytes > 0) merger.push(*json_.unknown, unknown_bytes);
        unknown_bytes = 0;
    };
    for (std::size_t i = 0; i < word.size();) {
        const std::string_view character = word.substr(i, utf8_char_at(word, i).size);
        i += character.size();
        const std::optional<TokenId> id = vocabulary_.find_ordinary(character);
        if (id && json_.in_model[static_cast<std::size_t>(*id)]) {
            push_unknown();
            merger.push(*id, character.size());
        } else if (has_bytes(character)) {
            push_unknown();
            for (const char c : character) merger.push(*byte_tokens_[static_cast<unsigned char>(c)], 1);
        } else if (json_.unknown) {
            if (!json_.fuse_unknown) push_unknown();
            unknown_bytes += character.size();
        }
    }
    push_unknown();
    merger.merge([&](const Symbol& left, const Symbol& right) { return merges_.find(left.id, right.id); });
    for (const Symbol& symbol : merger.symbols()) out.push_back(symbol.id);
}

// Of all ways to write the word in tokens the one with the highest sum of scores (Kudo 2018, https://arxiv.org/abs/1804.10959).
void JsonTokenizer::encode_unigram(std::string_view word, Scratch& scratch, std::vector<TokenId>& out) const {
    constexpr double kUnreached = -std::numeric_limits<double>::infinity();
    constexpr TokenId kUnknown = -1;
    auto& best = scratch.best;
    best.assign(word.size() + 1, {kUnreached, 0, kUnknown});
    best[0].score = 0;
    for (std::size_t at = 0; at < word.size();) {
        const std::size_t char_size = utf8_char_at(word, at).size;
        const double score_here = best[at].score;
        const auto reach = [&](std::size_t end, double score, TokenId id) {
            if (score > best[end].score) best[end] = {score, at, id};
        };
        bool has_character = false;
        Trie::Node node = Trie::kRoot;
        for (std::size_t i = at; i < word.size(); ++i) {
            const auto next = unigrams_.child(node, static_cast<unsigned char>(word[i]));
            if (!next) break;
            node = *next;
            const auto id = unigrams_.value(node);
            if (!id) continue;
            has_character = has_character || i + 1 - at == char_size;
            reach(i + 1, score_here + json_.scores[static_cast<std::size_t>(*id)], *id);
        }
        if (!has_character) reach(at + char_size, score_here + (lowest_score_ - kBeyondWorst), kUnknown);
        at += char_size;
    }
    std::vector<std::pair<std::size_t, std::size_t>> parts;  // from the last one back; unknown neighbours are one
    std::vector<TokenId> ids;
    for (std::size_t end = word.size(); end > 0; end = best[end].begin) {
        const bool joins = best[end].id == kUnknown && !ids.empty() && ids.back() == kUnknown;
        if (joins) {
            parts.back().first = best[end].begin;
        } else {
            parts.emplace_back(best[end].begin, end);
            ids.push_back(best[end].id);
        }
    }
    for (std::size_t i = parts.size(); i-- > 0;) {
        const std::string_view text = word.substr(parts[i].first, parts[i].second - parts[i].first);
        if (ids[i] != kUnknown) {
            out.push_back(ids[i]);
        } else if (has_bytes(text)) {
            for (const char c : text) out.push_back(*byte_tokens_[static_cast<unsigned char>(c)]);
        } else if (json_.unknown) {
            out.push_back(*json_.unknown);
        }
    }
}

std::string_view JsonTokenizer::piece(TokenId id, SpecialTokens special) const {
    RAFTER_CHECK(id >= 0 && static_cast<std::size_t>(id) < n_tokens(), "token id {} of {}", id, n_tokens());
    const TokenType type = vocabulary_.type(id);
    if (special == SpecialTokens::kAsText && (type == TokenType::kControl || type == TokenType::kUnknown)) return {};
    return pieces_[static_cast<std::size_t>(id)];
}

std::string JsonTokenizer::decode(std::span<const TokenId> ids, SpecialTokens special) const {
    std::string text;
    bool is_first = true;
    for (const TokenId id : ids) {
        const std::string_view shown = piece(id, special);
        if (is_first && !shown.empty() && !json_.decoding.first_mark.empty()) {
            const std::string& mark = json_.decoding.first_mark;
            std::string own = json_.tokens[static_cast<std::size_t>(id)];
            for (std::size_t at = own.find(mark); at != std::string::npos; at = own.find(mark, at)) own.erase(at, mark.size());
            text += own;
        } else {
            text += shown;
        }
        is_first = is_first && shown.empty();
    }
    const std::string& strip = json_.decoding.strip_start;
    std::size_t at = 0;
    for (std::size_t i = 0; i < json_.decoding.n_strip_start && !strip.empty() && std::string_view(text).substr(at).starts_with(strip);
         ++i) {
        at += strip.size();
    }
    return text.substr(at);
}

std::string JsonTokenizer::description() const {
    std::string count = std::to_string(n_tokens());
    for (std::size_t i = count.size(); i > 3; i -= 3) count.insert(i - 3, 1, ',');
    return fmt::format("{} (tokenizer.json), {} tokens", json_.kind == ModelKind::kBpe ? "BPE" : "Unigram", count);
}

// Control and unknown tokens are what text must not be able to spell.
void drop_merges_into_special_tokens(const Vocabulary& vocabulary, TokenizerJson& json) {
    std::size_t n_kept = 0;
    for (std::size_t rank = 0; rank < json.merges.size(); ++rank) {
        if (!may_come_from_text(vocabulary.type(json.merged[rank]))) continue;
        json.merges[n_kept] = json.merges[rank];
        json.merged[n_kept++] = json.merged[rank];
    }
    json.merges.resize(n_kept);
    json.merged.resize(n_kept);
}

std::optional<TokenId> id_of(const Vocabulary& vocabulary, const TokenizerConfig& config, const char* role) {
    const auto found = config.tokens.find(role);
    return found == config.tokens.end() ? std::nullopt : vocabulary.find(found->second);
}

}  // namespace

Result<std::unique_ptr<Tokenizer>> load_json_tokenizer(const files::Metadata& metadata) {
    RAFTER_TRY(const std::string_view text, metadata.get_string(kTokenizerKey));
    RAFTER_TRY(const auto config_text, metadata.find_string(kTokenizerConfigKey));
    RAFTER_TRY(TokenizerJson json, read_tokenizer_json(text));
    RAFTER_TRY(const TokenizerConfig config, read_tokenizer_config(config_text.value_or("")));

    // The vocabulary as a GGUF file has it, so that all that is known about special tokens holds here too.
    files::Metadata known;
    known.add("tokenizer.ggml.tokens", files::MetadataArray(std::vector<std::string_view>(json.tokens.begin(), json.tokens.end())));
    std::vector<std::int64_t> types;
    for (const TokenType type : json.types) types.push_back(static_cast<std::int64_t>(type));
    known.add("tokenizer.ggml.token_type", files::MetadataArray(std::move(types)));
    auto vocabulary = Vocabulary::load(known);
    if (!vocabulary) return vocabulary.error().within("tokenizer.json");

    for (const char* key : {"tokenizer.ggml.bos_token_id", "tokenizer.ggml.eos_token_id", "tokenizer.ggml.padding_token_id"}) {
        const char* role = std::string_view(key).find("bos") != std::string_view::npos   ? "bos_token"
                           : std::string_view(key).find("eos") != std::string_view::npos ? "eos_token"
                                                                                         : "pad_token";
        std::optional<TokenId> id = id_of(*vocabulary, config, role);
        if (!id) {
            RAFTER_TRY(id, find_token_id(metadata, key, vocabulary->size()));
        }
        if (id) known.add(key, static_cast<std::uint64_t>(*id));
    }
    // Named only: what becomes of unknown text is the model's own matter.
    const std::optional<TokenId> unknown = json.unknown ? json.unknown : id_of(*vocabulary, config, "unk_token");
    if (unknown) known.add("tokenizer.ggml.unknown_token_id", static_cast<std::uint64_t>(*unknown));
    Warnings warnings;
    const SpecialIds defaults{.bos = json.bos, .eos = json.eos, .unknown = {}, .padding = {}};
    RAFTER_TRY(SpecialIds special, find_special_ids(known, *vocabulary, defaults, warnings));
    special.add_bos = config.add_bos.value_or(json.adds_bos) && special.bos.has_value();
    special.add_eos = config.add_eos.value_or(json.adds_eos) && special.eos.has_value();
    RAFTER_TRY(const auto ends, metadata.find_ints(kEosIdsKey));
    for (const std::int64_t end : ends.value_or(std::vector<std::int64_t>())) {
        if (end < 0 || static_cast<std::size_t>(end) >= vocabulary->size()) continue;
        const auto id = static_cast<TokenId>(end);
        if (std::ranges::find(special.end_of_generation, id) == special.end_of_generation.end()) special.end_of_generation.push_back(id);
        vocabulary->set_type(id, TokenType::kControl);
    }
    std::ranges::sort(special.end_of_generation);
    drop_merges_into_special_tokens(*vocabulary, json);
    return std::unique_ptr<Tokenizer>(
        std::make_unique<JsonTokenizer>(std::move(json), *std::move(vocabulary), std::move(special), std::move(warnings)));
}

}  // namespace rafter::text::hf
