// Reads and checks; see the header.
#include "text/hf/tokenizer_json.h"

#include <algorithm>
#include <cmath>

#include "base/quote.h"
#include "text/hf/bpe_lists.h"
#include "text/hf/json_values.h"

namespace rafter::text::hf {
namespace {

constexpr std::string_view kFile = "tokenizer.json";
constexpr std::size_t kUsualVocabEntryBytes = 20;

using Json = nlohmann::json;

Result<TokenId> id_of(const Json& value, std::string_view where) {
    if (!value.is_number_unsigned() || value.get<std::uint64_t>() >= kMaxTokens) {
        return bad_input("{}: expected an id below {}, found {}", where, kMaxTokens, shown_json(value));
    }
    return static_cast<TokenId>(value.get<std::uint64_t>());
}

// Puts texts where their ids say; ids that are left are filled later.
Result<void> place(TokenizerJson& out, std::vector<bool>& taken, std::string_view text, TokenId id) {
    const auto at = static_cast<std::size_t>(id);
    if (at >= out.tokens.size()) {
        out.tokens.resize(at + 1);
        taken.resize(at + 1, false);
    }
    if (taken[at] && out.tokens[at] != text) {
        return bad_input("model: token {}: expected one text, found {} and {}", id, quote(out.tokens[at]), quote(text));
    }
    out.tokens[at] = text;
    taken[at] = true;
    return {};
}

Result<void> read_bpe_vocabulary(const Json& model, std::string_view vocab, TokenizerJson& out, TokenIds& ids, std::vector<bool>& taken) {
    if (vocab.empty()) return bad_input("model: vocab: expected tokens with their ids, found {}", shown_json(member(model, "vocab")));
    RAFTER_TRY_VOID(read_bpe_vocab(vocab, ids));
    out.tokens.reserve(ids.size());
    for (std::size_t i = 0; i < ids.size(); ++i) {
        // A vocabulary names each of its ids but for a few: far ones would be all gaps.
        if (static_cast<std::size_t>(ids.id(i)) > 2 * ids.size() + 65536) {
            return bad_input("model: vocab: expected ids up to about {}, found {} for {}", ids.size(), ids.id(i), quote(ids.text(i)));
        }
        RAFTER_TRY_VOID(place(out, taken, ids.text(i), ids.id(i)));
    }
    return {};
}

Result<void> read_bpe(const Json& model, std::string_view merges, TokenizerJson& out, const TokenIds& ids) {
    for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
        RAFTER_TRY(const std::string affix, text_or(model, key, "", "model"));
        if (!affix.empty()) return bad_input("model: {}: expected none, which is all that is supported, found {}", key, quote(affix));
    }
    const Json& dropout = member(model, "dropout");
    if (!dropout.is_null() && dropout != 0.0) {
        return bad_input("model: dropout: expected none, since it makes tokens random, found {}", shown_json(dropout));
    }
    RAFTER_TRY(out.byte_fallback, bool_or(model, "byte_fallback", false, "model"));
    RAFTER_TRY(out.fuse_unknown, bool_or(model, "fuse_unk", false, "model"));
    RAFTER_TRY(out.ignore_merges, bool_or(model, "ignore_merges", false, "model"));
    RAFTER_TRY(const std::string unknown, text_or(model, "unk_token", "", "model"));
    if (!unknown.empty()) out.unknown = ids.find(unknown);
    if (merges.empty()) return bad_input("model: merges: expected a list, found {}", shown_json(member(model, "merges")));
    RAFTER_TRY(BpeMerges read, read_bpe_merges(merges, ids));
    out.merges = std::move(read.pairs);
    out.merged = std::move(read.merged);
    return {};
}

Result<void> read_unigram(const Json& model, TokenizerJson& out, TokenIds& ids, std::vector<bool>& taken) {
    const Json& vocab = member(model, "vocab");
    if (!vocab.is_array() || vocab.empty() || vocab.size() > kMaxTokens) {
        return bad_input("model: vocab: expected a list of 1 to {} tokens with scores, found {}", kMaxTokens, shown_json(vocab));
    }
    for (std::size_t i = 0; i < vocab.size(); ++i) {
        const Json& entry = vocab[i];
        if (!entry.is_array() || entry.size() != 2 || !entry[0].is_string() || !entry[1].is_number()) {
            return bad_input("model: vocab: entry {}: expected a text and a score, found {}", i, shown_json(entry));
        }
        const std::string text = entry[0].get<std::string>();
        RAFTER_TRY_VOID(place(out, taken, text, static_cast<TokenId>(i)));
        out.scores.push_back(entry[1].get<double>());
        if (ids.add(text, static_cast<TokenId>(i))) return bad_input("model: vocab: expected every text once, found {} again", quote(text));
    }
    const Json& unknown = member(model, "unk_id");
    if (!unknown.is_null()) {
        RAFTER_TRY(out.unknown, id_of(unknown, "model: unk_id"));
        if (static_cast<std::size_t>(*out.unknown) >= vocab.size()) {
            return bad_input("model: unk_id: expected an id below {}, found {}", vocab.size(), *out.unknown);
        }
    }
    RAFTER_TRY(out.byte_fallback, bool_or(model, "byte_fallback", false, "model"));
    out.fuse_unknown = true;
    return {};
}

Result<void> read_added(const Json& json, TokenizerJson& out, TokenIds& ids, std::vector<bool>& taken) {
    const Json& list = member(json, "added_tokens");
    if (list.is_null()) return {};
    if (!list.is_array() || list.size() > kMaxTokens) return bad_input("added_tokens: expected a list, found {}", shown_json(list));
    for (const Json& entry : list) {
        if (!entry.is_object()) return bad_input("added_tokens: expected objects, found {}", shown_json(entry));
        AddedToken token{};
        RAFTER_TRY(token.text, text_or(entry, "content", "", "added_tokens"));
        if (token.text.empty()) continue;  // nothing can be found for it
        const std::string where = "added_tokens: " + quote(token.text);
        RAFTER_TRY(token.id, id_of(member(entry, "id"), where));
        if (static_cast<std::size_t>(token.id) > 2 * (out.tokens.size() + list.size()) + 65536) {
            return bad_input("{}: expected an id up to about {}, found {}", where, out.tokens.size() + list.size(), token.id);
        }
        RAFTER_TRY(token.single_word, bool_or(entry, "single_word", false, where));
        RAFTER_TRY(token.lstrip, bool_or(entry, "lstrip", false, where));
        RAFTER_TRY(token.rstrip, bool_or(entry, "rstrip", false, where));
        RAFTER_TRY(token.special, bool_or(entry, "special", false, where));
        RAFTER_TRY(token.normalized, bool_or(entry, "normalized", !token.special, where));
        const auto known = ids.add(token.text, token.id);
        if (known && *known != token.id) {
            return bad_input("{}: expected its id in the vocabulary, {}, found {}", where, *known, token.id);
        }
        RAFTER_TRY_VOID(place(out, taken, token.text, token.id));
        out.added.push_back(std::move(token));
    }
    return {};
}

// Tokens that the post-processor puts around a text.
Result<void> read_post_processor(const Json& json, const TokenIds& ids, TokenizerJson& out) {
    return for_each_part(json, "processors", "post_processor", [&](const std::string& type, const Json& part) -> Result<void> {
        if (type == "ByteLevel") return {};
        if (type == "TemplateProcessing") {
            bool before = true;
            const Json& single = member(part, "single");
            if (!single.is_array()) return bad_input("post_processor: single: expected a list, found {}", shown_json(single));
            for (const Json& item : single) {
                if (!member(item, "Sequence").is_null()) before = false;
                const Json& special = member(item, "SpecialToken");
                if (special.is_null()) continue;
                RAFTER_TRY(const std::string text, text_or(special, "id", "", "post_processor"));
                (before ? out.adds_bos : out.adds_eos) = true;
                (before ? out.bos : out.eos) = ids.find(text);
            }
            return {};
        }
        if (type == "RobertaProcessing" || type == "BertProcessing") {
            const auto token = [&](const char* key) {
                const Json& pair = member(part, key);
                return pair.is_array() && !pair.empty() && pair[0].is_string() ? ids.find(pair[0].get<std::string>()) : std::nullopt;
            };
            out.bos = token("cls");
            out.eos = token("sep");
            out.adds_bos = out.adds_eos = true;
            return {};
        }
        return bad_input("post_processor: the type {} is not supported", quote(type));
    });
}

Result<void> read_decoder(const Json& json, Decoding& out) {
    if (json.is_null()) {  // tokens with a space between them
        out.replacements.emplace_back("", " ");
        out.strip_start = " ";
        out.n_strip_start = 1;
        return {};
    }
    constexpr std::size_t kMaxReplacements = 64;
    bool fused = false;
    double growth = 1;
    return for_each_part(json, "decoders", "decoder", [&](const std::string& type, const Json& part) -> Result<void> {
        if (type == "ByteLevel") {
            out.spelling = Decoding::Spelling::kByteAlphabet;
        } else if (type == "ByteFallback") {
            out.bytes = true;
        } else if (type == "Fuse") {
            fused = true;
        } else if (type == "Replace") {
            RAFTER_TRY(const Pattern pattern, Pattern::read(member(part, "pattern"), "decoder: Replace"));
            RAFTER_TRY(std::string content, text_or(part, "content", "", "decoder"));
            if (pattern.is_regex() || pattern.source().empty() || fused)
                return bad_input("decoder: Replace: expected a text before any Fuse, found {}", quote(pattern.source()));
            growth *= growth_of(pattern, content);
            if (growth > kMaxGrowth || out.replacements.size() == kMaxReplacements) {
                return bad_input("decoder: expected at most {} Replace that make a token at most {} times as long, found more",
                                 kMaxReplacements, kMaxGrowth);
            }
            out.replacements.emplace_back(pattern.source(), std::move(content));
        } else if (type == "Metaspace") {
            RAFTER_TRY(std::string mark, text_or(part, "replacement", "\xE2\x96\x81", "decoder"));
            RAFTER_TRY(const bool prefix, bool_or(part, "add_prefix_space", true, "decoder"));
            RAFTER_TRY(const std::string scheme, text_or(part, "prepend_scheme", prefix ? "always" : "never", "decoder"));
            if (mark.empty()) return bad_input("decoder: replacement: expected one character, found none");
            if (scheme != "never") out.first_mark = mark;
            out.replacements.emplace_back(std::move(mark), " ");
        } else if (type == "Strip") {
            RAFTER_TRY(out.strip_start, text_or(part, "content", " ", "decoder"));
            const Json& start = member(part, "start");
            const Json& stop = member(part, "stop");
            const bool fits = start.is_number_unsigned() && (stop.is_null() || (stop.is_number_unsigned() && stop == 0U));
            if (!fits || !fused || out.strip_start.empty())
                return bad_input("decoder: Strip: expected a count at the start of a fused text, found {}", shown_json(part));
            out.n_strip_start = start.get<std::size_t>();
        } else {
            return bad_input("decoder: the type {} is not supported", quote(type));
        }
        return {};
    });
}

void set_types(TokenizerJson& out, const std::vector<bool>& taken, const TokenIds& ids) {
    out.types.assign(out.tokens.size(), TokenType::kNormal);
    for (std::size_t i = 0; i < out.tokens.size(); ++i) {
        if (!taken[i]) {
            out.types[i] = TokenType::kUnused;
            out.tokens[i] = "[PAD" + std::to_string(i) + "]";
            while (ids.find(out.tokens[i])) out.tokens[i] += ' ';
        } else if (out.byte_fallback && byte_of_token_text(out.tokens[i])) {
            out.types[i] = TokenType::kByte;
        }
    }
    if (out.unknown) out.types[static_cast<std::size_t>(*out.unknown)] = TokenType::kUnknown;
    for (const AddedToken& token : out.added) {
        TokenType& type = out.types[static_cast<std::size_t>(token.id)];
        if (type != TokenType::kByte) type = token.special ? TokenType::kControl : TokenType::kUserDefined;
    }
}

// `json` is what is left of the file without the lists.
Result<TokenizerJson> read(const Json& json, const CutJson& lists) {
    TokenizerJson out;
    TokenIds ids(lists.vocab.size() / kUsualVocabEntryBytes);
    std::vector<bool> taken;
    const Json& model = member(json, "model");
    if (!model.is_object()) return bad_input("model: expected an object, found {}", shown_json(model));
    RAFTER_TRY(const std::string type, text_or(model, "type", member(model, "merges").is_null() ? "Unigram" : "BPE", "model"));
    if (type == "BPE") {
        RAFTER_TRY_VOID(read_bpe_vocabulary(model, lists.vocab, out, ids, taken));
        RAFTER_TRY_VOID(read_bpe(model, lists.merges, out, ids));
    } else if (type == "Unigram") {
        out.kind = ModelKind::kUnigram;
        RAFTER_TRY_VOID(read_unigram(model, out, ids, taken));
        if (!lists.merges.empty()) RAFTER_TRY_VOID(parse_json(lists.merges, "model: merges"));  // unused, but JSON like all of the file
    } else {
        return bad_input("model: expected the type BPE or Unigram, found {}", quote(type));
    }
    out.in_model = taken;
    RAFTER_TRY_VOID(read_added(json, out, ids, taken));
    out.in_model.resize(out.tokens.size(), false);
    if (out.tokens.empty()) return bad_input("model: expected at least one token, found none");
    RAFTER_TRY(out.normalizers, read_normalizers(member(json, "normalizer")));
    RAFTER_TRY(out.pre_tokenizers, read_pre_tokenizers(member(json, "pre_tokenizer")));
    RAFTER_TRY_VOID(read_post_processor(member(json, "post_processor"), ids, out));
    RAFTER_TRY_VOID(read_decoder(member(json, "decoder"), out.decoding));
    set_types(out, taken, ids);
    return out;
}

}  // namespace

Result<TokenizerJson> read_tokenizer_json(std::string_view text) {
    constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
    if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
    auto made = [&]() -> Result<TokenizerJson> {
        RAFTER_TRY(const CutJson cut, cut_long_lists(text));
        RAFTER_TRY(const Json json, parse_json(cut.rest, kFile));
        return read(json, cut);
    }();
    if (made) return made;
    // A file that is no JSON is told as such, with the place.
    RAFTER_TRY(const Json json, parse_json(text, kFile));
    if (!json.is_object()) return bad_input("{}: expected an object, found {}", kFile, shown_json(json));
    return made.error().within(kFile);
}

}  // namespace rafter::text::hf
