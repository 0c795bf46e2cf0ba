// Compares merging by rank with merging by score on the text of each token, which is enough: what becomes of a stretch of a text depends on
// nothing outside it until something merges across its ends. So each token is made by one pair of tokens only, whatever stands beside it:
// the pair that its own text ends with. Where every token's text ends with the same pair by rank and by score, both ways take the same
// steps through any text.
#include "text/hf/gguf_scores.h"

#include <algorithm>
#include <string_view>

#include "base/quote.h"
#include "text/merge_table.h"
#include "text/space_mark_bpe.h"
#include "text/trie.h"
#include "text/utf8.h"

namespace rafter::text::hf {
namespace {

// Merging by score looks texts up, so a longer token would take quadratic time. The longest in use have some hundred bytes.
constexpr std::size_t kMaxTokenBytes = 1024;

// Added tokens that are cut out of every text before anything merges.
class AlwaysCut {
  public:
    explicit AlwaysCut(const TokenizerJson& json) {
        for (const AddedToken& token : json.added) {
            const bool is_marked = token.text.find(' ') != std::string::npos || token.text.find(kSpaceMark) != std::string::npos;
            if (!token.special && !is_marked && !token.single_word) texts_.insert(token.text, token.id);
        }
    }
    [[nodiscard]] bool stands_in(std::string_view text) const {
        for (std::size_t begin = 0; begin < text.size(); ++begin) {
            Trie::Node node = Trie::kRoot;
            for (std::size_t i = begin; i < text.size(); ++i) {
                const auto next = texts_.child(node, static_cast<unsigned char>(text[i]));
                if (!next) break;
                node = *next;
                if (texts_.value(node)) return true;
            }
        }
        return false;
    }

  private:
    Trie texts_;
};

struct LastMerge {
    std::uint32_t left_bytes = 0;  // 0: the text does not become one token
    std::uint32_t priority = 0;
    bool operator==(const LastMerge& other) const { return left_bytes == other.left_bytes; }
};

// How a text of several characters becomes one token. start(character) -> TokenId, find(left, right) -> std::optional<PairMerge>.
template <typename Start, typename Find>
LastMerge last_merge(std::string_view text, SymbolMerger& merger, const Start& start, const Find& find) {
    merger.start(text.size());
    for (std::size_t i = 0; i < text.size();) {
        const std::size_t size = utf8_char_at(text, i).size;
        merger.push(start(text.substr(i, size)), size);
        i += size;
    }
    LastMerge last;
    merger.merge([&](const Symbol& left, const Symbol& right) {
        const std::optional<PairMerge> found = find(left, right);
        if (found && left.size + right.size == text.size()) last = {left.size, found->priority};
        return found;
    });
    return last;
}

Result<Vocabulary> vocabulary_of(const TokenizerJson& json, const std::vector<double>& scores) {
    files::Metadata metadata;
    metadata.add("tokenizer.ggml.tokens", files::MetadataArray(std::vector<std::string_view>(json.tokens.begin(), json.tokens.end())));
    std::vector<std::int64_t> types;
    for (const TokenType type : json.types) types.push_back(static_cast<std::int64_t>(type));
    metadata.add("tokenizer.ggml.token_type", files::MetadataArray(std::move(types)));
    metadata.add("tokenizer.ggml.scores", files::MetadataArray(scores));
    return Vocabulary::load(metadata);
}

// Merges go by texts in GGUF, so a byte's token or a special one must have no part in them.
Result<void> check_merges(const TokenizerJson& json) {
    for (std::size_t rank = 0; rank < json.merges.size(); ++rank) {
        for (const TokenId id : {json.merges[rank].first, json.merges[rank].second}) {
            if (!may_come_from_text(json.types[static_cast<std::size_t>(id)])) {
                return bad_input("model: merges: entry {}: expected tokens that text may become, found {}", rank,
                                 quote(json.tokens[static_cast<std::size_t>(id)]));
            }
        }
    }
    return {};
}

}  // namespace

Result<std::vector<double>> gguf_scores(const TokenizerJson& json) {
    RAFTER_TRY_VOID(check_merges(json));
    std::vector<double> scores(json.tokens.size(), -static_cast<double>(json.merges.size()));
    RAFTER_TRY(const Vocabulary texts, vocabulary_of(json, scores));
    const auto start = [&](std::string_view character) {
        const std::optional<TokenId> id = texts.find_ordinary(character);
        return id && json.in_model[static_cast<std::size_t>(*id)] ? *id : kNoToken;
    };
    const MergeTable ranked = MergeTable::of(json.merges, json.merged);
    const AlwaysCut always_cut(json);
    SymbolMerger merger;
    std::vector<LastMerge> by_rank(json.tokens.size());
    std::vector<std::size_t> compared;
    for (std::size_t i = 0; i < json.tokens.size(); ++i) {
        const std::string_view text = json.tokens[i];
        if (text.size() > kMaxTokenBytes)
            return bad_input("model: token {}: expected at most {} bytes, found {}", i, kMaxTokenBytes, text.size());
        const bool is_text = may_come_from_text(json.types[i]) && text.find(' ') == std::string_view::npos;
        if (!is_text || text.empty() || always_cut.stands_in(text)) continue;
        compared.push_back(i);
        by_rank[i] =
            last_merge(text, merger, start, [&](const Symbol& left, const Symbol& right) { return ranked.find(left.id, right.id); });
        if (by_rank[i].left_bytes > 0) scores[i] = -static_cast<double>(by_rank[i].priority);
    }
    RAFTER_TRY(const Vocabulary vocabulary, vocabulary_of(json, scores));
    const ScoredMerges scored(vocabulary);
    for (const std::size_t i : compared) {
        const std::string_view text = json.tokens[i];
        const LastMerge by_score = last_merge(text, merger, start, [&](const Symbol& left, const Symbol& right) {
            return scored.find(vocabulary, text.substr(left.begin, left.size + right.size));
        });
        if (by_score == by_rank[i]) continue;
        return bad_input("model: merges: the text {} becomes other tokens by scores, which is all that GGUF has with byte_fallback",
                         quote(text));
    }
    return scores;
}

}  // namespace rafter::text::hf
