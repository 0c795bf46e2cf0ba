// Tokenizer::load: finds out which kind of vocabulary a file holds and puts the parts together.
#include "text/tokenizer.h"

#include <map>
#include <string>
#include <variant>

#include "base/quote.h"
#include "text/added_tokens.h"
#include "text/byte_alphabet.h"
#include "text/byte_bpe.h"
#include "text/hf/json_tokenizer.h"
#include "text/nfc.h"
#include "text/pre_tokenizer_families.h"
#include "text/space_mark_bpe.h"
#include "text/unigram.h"
#include "text/utf8.h"
#include "text/vocabulary.h"

namespace rafter::text {
namespace {

constexpr std::string_view kModelKey = "tokenizer.ggml.model";
constexpr std::string_view kPreKey = "tokenizer.ggml.pre";

// How a normal token's text is to be read.
enum class Spelling { kByteAlphabet, kSpaceMark };

// What a token adds to the text.
Result<std::string> piece_of(const Vocabulary& vocabulary, TokenId id, Spelling spelling, const ByteAlphabet& alphabet) {
    const std::string_view text = vocabulary.text(id);
    const TokenType type = vocabulary.type(id);
    if (type == TokenType::kControl || type == TokenType::kUnknown || type == TokenType::kUserDefined) return std::string(text);
    if (type == TokenType::kByte) {
        const std::optional<unsigned char> byte = byte_of_token_text(text);
        if (byte) return std::string(1, static_cast<char>(*byte));
        if (spelling == Spelling::kSpaceMark)
            return bad_input("tokenizer.ggml.tokens: token {}: expected a byte, <0x00> to <0xFF>, found {}", id, quote(text));
    }
    if (spelling == Spelling::kByteAlphabet) return alphabet.decode(text).value_or(std::string(text));
    std::string piece;
    for (std::size_t i = 0; i < text.size();) {
        const bool mark = text.substr(i).starts_with(kSpaceMark);
        piece += mark ? ' ' : text[i];
        i += mark ? kSpaceMark.size() : 1;
    }
    return piece;
}

// The vocabulary of a file and what encodes with it.
class FileTokenizer final : public Tokenizer {
  public:
    using Encoder = std::variant<ByteBpeEncoder, SpaceMarkEncoder, UnigramEncoder>;
    struct Parts {
        Vocabulary vocabulary;
        SpecialIds special;
        Encoder encoder;
        Spelling spelling;
        bool add_space_prefix = false;      // a text, and each stretch behind an added token, starts with a space of its own
        bool prefix_at_start_only = false;  // the text only
        bool prefix_unless_there = false;   // only where it does not start with a space
        bool to_nfc = false;                // each stretch between added tokens is normalised first
        std::string kind;                   // for description()
        Warnings warnings = {};
    };
    static Result<std::unique_ptr<Tokenizer>> make(Parts parts, const files::Metadata& metadata);

    std::vector<TokenId> encode(std::string_view text, SpecialTokens special) const override;
    std::string_view piece(TokenId id, SpecialTokens special) const override;
    std::string decode(std::span<const TokenId> ids, SpecialTokens special) const override;
    std::size_t n_tokens() const override { return parts_.vocabulary.size(); }
    const SpecialIds& special() const override { return parts_.special; }
    std::optional<TokenId> find(std::string_view token_text) const override { return parts_.vocabulary.find(token_text); }
    std::string description() const override;
    std::span<const std::string> warnings() const override { return parts_.warnings; }

  private:
    explicit FileTokenizer(Parts parts) : parts_(std::move(parts)), added_(parts_.vocabulary) {}
    Result<void> apply_strips(const files::Metadata& metadata);
    Result<void> apply_prefix(const files::Metadata& metadata);
    [[nodiscard]] bool is_added(TokenId id) const {
        const TokenType type = parts_.vocabulary.type(id);
        return type == TokenType::kControl || type == TokenType::kUnknown || type == TokenType::kUserDefined;
    }

    Parts parts_;
    AddedTokens added_;
    TextTable pieces_;  // by id
};

Result<std::unique_ptr<Tokenizer>> FileTokenizer::make(Parts parts, const files::Metadata& metadata) {
    std::unique_ptr<FileTokenizer> made(new FileTokenizer(std::move(parts)));
    const ByteAlphabet alphabet;
    for (std::size_t i = 0; i < made->n_tokens(); ++i) {
        RAFTER_TRY(const std::string piece, piece_of(made->parts_.vocabulary, static_cast<TokenId>(i), made->parts_.spelling, alphabet));
        made->pieces_.append(piece);
    }
    RAFTER_TRY_VOID(made->apply_strips(metadata));
    RAFTER_TRY_VOID(made->apply_prefix(metadata));
    return std::unique_ptr<Tokenizer>(std::move(made));
}

Result<void> FileTokenizer::apply_strips(const files::Metadata& metadata) {
    RAFTER_TRY(const auto left, metadata.find_ints(kLstripIdsKey));
    RAFTER_TRY(const auto right, metadata.find_ints(kRstripIdsKey));
    if (left || right) {
        std::map<std::int64_t, AddedTokens::Strip> strips;
        for (const std::int64_t id : left.value_or(std::vector<std::int64_t>())) strips[id].left = true;
        for (const std::int64_t id : right.value_or(std::vector<std::int64_t>())) strips[id].right = true;
        for (const auto& [id, strip] : strips) {
            if (id < 0 || static_cast<std::size_t>(id) >= n_tokens())
                return bad_input("{}: expected ids below {}, found {}", strip.left ? kLstripIdsKey : kRstripIdsKey, n_tokens(), id);
            if (is_added(static_cast<TokenId>(id))) added_.set_strip(static_cast<TokenId>(id), strip);
        }
        return {};
    }
    RAFTER_TRY(const std::optional<std::string_view> name, metadata.find_string("general.name"));
    if (!swallows_white_space_by_name(name.value_or(""))) return {};
    for (std::size_t i = 0; i < n_tokens(); ++i) {
        const auto id = static_cast<TokenId>(i);
        if (is_added(id) && is_swallowing_by_name(parts_.vocabulary.text(id))) added_.set_strip(id, {.right = true});
    }
    return {};
}

Result<void> FileTokenizer::apply_prefix(const files::Metadata& metadata) {
    RAFTER_TRY(const auto scheme, metadata.find_string(kSpacePrefixKey));
    if (!scheme) return {};
    if (*scheme != "first" && *scheme != "always")
        return bad_input("{}: expected first or always, found {}", kSpacePrefixKey, quote(*scheme));
    parts_.prefix_unless_there = true;
    parts_.prefix_at_start_only = *scheme == "first";
    return {};
}

std::vector<TokenId> FileTokenizer::encode(std::string_view text, SpecialTokens special) const {
    std::vector<TokenId> out;
    std::string normalized;
    const auto run = [&](const auto& encode_stretch) {
        bool after_token = true;
        added_.split(
            text, special,
            [&](std::string_view stretch) {
                const bool has_space = stretch.starts_with(' ') || stretch.starts_with(kSpaceMark);
                const bool is_wanted =
                    (!parts_.prefix_at_start_only || stretch.data() == text.data()) && !(parts_.prefix_unless_there && has_space);
                const std::string_view prefix = parts_.add_space_prefix && after_token && is_wanted ? " " : "";
                encode_stretch(parts_.to_nfc ? to_nfc(stretch, normalized) : stretch, prefix);
                after_token = false;
            },
            [&](TokenId id) {
                out.push_back(id);
                after_token = true;
            });
    };
    if (const auto* bytes = std::get_if<ByteBpeEncoder>(&parts_.encoder)) {
        ByteBpeEncoder::Scratch scratch(text.size());
        run([&](std::string_view stretch, std::string_view /*prefix*/) { bytes->encode(stretch, scratch, out); });
    } else if (const auto* marked = std::get_if<SpaceMarkEncoder>(&parts_.encoder)) {
        SpaceMarkEncoder::Scratch scratch(text.size());
        run([&](std::string_view stretch, std::string_view prefix) { marked->encode(parts_.vocabulary, prefix, stretch, scratch, out); });
    } else {
        const auto& unigram = std::get<UnigramEncoder>(parts_.encoder);
        UnigramEncoder::Scratch scratch(text.size());
        run([&](std::string_view stretch, std::string_view prefix) { unigram.encode(parts_.vocabulary, prefix, stretch, scratch, out); });
    }
    return out;
}

std::string_view FileTokenizer::piece(TokenId id, SpecialTokens special) const {
    RAFTER_CHECK(id >= 0 && static_cast<std::size_t>(id) < n_tokens(), "token id {} of {}", id, n_tokens());
    const TokenType type = parts_.vocabulary.type(id);
    if (special == SpecialTokens::kAsText && (type == TokenType::kControl || type == TokenType::kUnknown)) return {};
    return pieces_[static_cast<std::size_t>(id)];
}

std::string FileTokenizer::decode(std::span<const TokenId> ids, SpecialTokens special) const {
    std::string text;
    // The space that encode put before a stretch of text is not part of it.
    bool at_prefix = parts_.add_space_prefix;
    for (const TokenId id : ids) {
        std::string_view piece_text = piece(id, special);
        if (piece_text.empty()) continue;
        if (at_prefix && !is_added(id) && piece_text.front() == ' ') piece_text.remove_prefix(1);
        text += piece_text;
        at_prefix = parts_.add_space_prefix && !parts_.prefix_at_start_only && is_added(id);
    }
    return text;
}

std::string FileTokenizer::description() const {
    std::string count = std::to_string(n_tokens());
    for (std::size_t i = count.size(); i > 3; i -= 3) count.insert(i - 3, 1, ',');
    return fmt::format("{}, {} tokens", parts_.kind, count);
}

Result<std::unique_ptr<Tokenizer>> load_bpe(const files::Metadata& metadata, Vocabulary vocabulary, std::string_view pre) {
    const PreTokenizerFamily* family = find_pre_tokenizer_family(pre);
    std::string kind = fmt::format("BPE ({})", pre);
    Warnings warnings;
    if (family == nullptr) {
        family = &default_pre_tokenizer_family();
        kind =
            pre.empty() ? "BPE (no pre-tokenizer named: default)" : fmt::format("BPE (pre-tokenizer {} is unknown: default)", quote(pre));
        warnings.push_back(fmt::format("{}: {}; using the default pre-tokenizer, so text may be split into other tokens than in training",
                                       kPreKey,
                                       pre.empty() ? "the file names no pre-tokenizer" : fmt::format("{} is unknown", quote(pre))));
    }
    RAFTER_TRY(SpecialIds special, find_special_ids(metadata, vocabulary, {.add_bos = family->add_bos}, warnings));
    if (!family->space_mark) {
        RAFTER_TRY(ByteBpeEncoder encoder, ByteBpeEncoder::make(metadata, vocabulary, *family, warnings));
        return FileTokenizer::make({.vocabulary = std::move(vocabulary),
                                    .special = std::move(special),
                                    .encoder = std::move(encoder),
                                    .spelling = Spelling::kByteAlphabet,
                                    .to_nfc = normalizes_to_nfc(pre),
                                    .kind = std::move(kind),
                                    .warnings = std::move(warnings)},
                                   metadata);
    }
    RAFTER_TRY(const std::optional<bool> prefix, metadata.find_bool("tokenizer.ggml.add_space_prefix"));
    // Early Gemma 4 files say false, and the model breaks without it.
    if (family->add_bos) special.add_bos = special.bos.has_value();
    RAFTER_TRY(SpaceMarkEncoder encoder,
               SpaceMarkEncoder::make(
                   metadata, vocabulary,
                   {.family = family, .rank_merged = true, .whole_line_ends = family->add_bos, .unknown = special.unknown}, warnings));
    return FileTokenizer::make({.vocabulary = std::move(vocabulary),
                                .special = std::move(special),
                                .encoder = std::move(encoder),
                                .spelling = Spelling::kSpaceMark,
                                .add_space_prefix = prefix.value_or(false),
                                .kind = std::move(kind),
                                .warnings = std::move(warnings)},
                               metadata);
}

Result<std::unique_ptr<Tokenizer>> load_sentence_piece(const files::Metadata& metadata, Vocabulary vocabulary) {
    Warnings warnings;
    RAFTER_TRY(SpecialIds special, find_special_ids(metadata, vocabulary, {.bos = 1, .eos = 2, .unknown = 0, .add_bos = true}, warnings));
    RAFTER_TRY(const std::optional<bool> prefix, metadata.find_bool("tokenizer.ggml.add_space_prefix"));
    // Files converted from a tokenizer.json may have the merges and no scores.
    const bool rank_merged = !vocabulary.has_scores() && metadata.has("tokenizer.ggml.merges");
    RAFTER_TRY(SpaceMarkEncoder encoder,
               SpaceMarkEncoder::make(metadata, vocabulary, {.rank_merged = rank_merged, .unknown = special.unknown}, warnings));
    return FileTokenizer::make({.vocabulary = std::move(vocabulary),
                                .special = std::move(special),
                                .encoder = std::move(encoder),
                                .spelling = Spelling::kSpaceMark,
                                .add_space_prefix = prefix.value_or(true),
                                .kind = "SentencePiece",
                                .warnings = std::move(warnings)},
                               metadata);
}

Result<std::unique_ptr<Tokenizer>> load_unigram(const files::Metadata& metadata, Vocabulary vocabulary) {
    Warnings warnings;
    RAFTER_TRY(SpecialIds special, find_special_ids(metadata, vocabulary, {.eos = 1, .unknown = 2, .add_eos = true}, warnings));
    RAFTER_TRY(const std::optional<bool> prefix, metadata.find_bool("tokenizer.ggml.add_space_prefix"));
    RAFTER_TRY(UnigramEncoder encoder, UnigramEncoder::make(metadata, vocabulary, special.unknown));
    return FileTokenizer::make({.vocabulary = std::move(vocabulary),
                                .special = std::move(special),
                                .encoder = std::move(encoder),
                                .spelling = Spelling::kSpaceMark,
                                .add_space_prefix = prefix.value_or(false),
                                .kind = "Unigram",
                                .warnings = std::move(warnings)},
                               metadata);
}

}  // namespace

Result<std::unique_ptr<Tokenizer>> Tokenizer::load(const files::Metadata& metadata) {
    if (!metadata.has(kModelKey) && metadata.has(hf::kTokenizerKey)) return hf::load_json_tokenizer(metadata);
    RAFTER_TRY(const std::string_view model, metadata.get_string(kModelKey));
    RAFTER_TRY(const std::optional<std::string_view> pre, metadata.find_string(kPreKey));
    if (model != "gpt2" && model != "gemma4" && model != "llama" && model != "t5") {
        return bad_input("{}: expected gpt2, gemma4, llama or t5, found {}", kModelKey, quote(model));
    }
    RAFTER_TRY(Vocabulary vocabulary, Vocabulary::load(metadata));
    if (model == "llama") return load_sentence_piece(metadata, std::move(vocabulary));
    if (model == "t5") return load_unigram(metadata, std::move(vocabulary));
    return load_bpe(metadata, std::move(vocabulary), model == "gemma4" ? "gemma4" : pre.value_or(""));
}

}  // namespace rafter::text
