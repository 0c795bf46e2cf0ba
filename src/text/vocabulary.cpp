// Reads and checks tokenizer.ggml.tokens, .token_type and .scores.
#include "text/vocabulary.h"

#include <cmath>
#include <limits>

#include "base/hex_digit.h"
#include "base/quote.h"

namespace rafter::text {
namespace {

constexpr std::string_view kTokensKey = "tokenizer.ggml.tokens";
constexpr std::string_view kTypesKey = "tokenizer.ggml.token_type";
constexpr std::string_view kScoresKey = "tokenizer.ggml.scores";

}  // namespace

std::optional<unsigned char> byte_of_token_text(std::string_view text) {
    if (text.size() != 6 || !text.starts_with("<0x") || text.back() != '>') return std::nullopt;
    const auto high = hex_digit(text[3]);
    const auto low = hex_digit(text[4]);
    if (!high || !low) return std::nullopt;
    return static_cast<unsigned char>(*high << 4 | *low);
}

Result<Vocabulary> Vocabulary::load(const files::Metadata& metadata) {
    RAFTER_TRY(const auto texts, metadata.find_strings(kTokensKey));
    RAFTER_TRY(const auto types, metadata.find_ints(kTypesKey));
    RAFTER_TRY(const auto scores, metadata.find_floats(kScoresKey));
    if (!texts) return bad_input("{}: expected a list of texts, found no such key", kTokensKey);
    if (texts->empty()) return bad_input("{}: expected at least one token, found none", kTokensKey);
    if (texts->size() > static_cast<std::size_t>(std::numeric_limits<TokenId>::max())) {
        return bad_input("{}: expected at most {} tokens, found {}", kTokensKey, std::numeric_limits<TokenId>::max(), texts->size());
    }
    if (types && types->size() != texts->size()) {
        return bad_input("{}: expected one for each of {} tokens, found {}", kTypesKey, texts->size(), types->size());
    }
    if (scores && scores->size() != texts->size()) {
        return bad_input("{}: expected one for each of {} tokens, found {}", kScoresKey, texts->size(), scores->size());
    }

    Vocabulary made;
    made.index_ = TextIndex(texts->size());
    for (std::size_t i = 0; i < texts->size(); ++i) {
        const std::string_view text = (*texts)[i];
        made.texts_.append(text);
        if (!text.empty()) {
            const std::optional<TokenId> same = made.index_.add(made.texts_, static_cast<TokenId>(i));
            if (same) return bad_input("{}: expected every text once, found {} as {} and {}", kTokensKey, quote(text), *same, i);
        }
        const std::int64_t type = types ? (*types)[i] : static_cast<std::int64_t>(TokenType::kNormal);
        if (type < 0 || type > static_cast<std::int64_t>(TokenType::kByte)) {
            return bad_input("{}: token {}: expected 0 to 6, found {}", kTypesKey, i, type);
        }
        made.types_.push_back(type == 0 ? TokenType::kNormal : static_cast<TokenType>(type));
        if (!scores) continue;
        if (std::isnan((*scores)[i])) return bad_input("{}: token {}: expected a number, found NaN", kScoresKey, i);
        made.scores_.push_back(static_cast<float>((*scores)[i]));
    }
    return made;
}

std::optional<TokenId> Vocabulary::find_byte(unsigned char byte) const {
    constexpr std::string_view kHex = "0123456789ABCDEF";
    const char text[] = {'<', '0', 'x', kHex[byte >> 4], kHex[byte & 15], '>'};
    return find({text, sizeof(text)});
}

}  // namespace rafter::text
