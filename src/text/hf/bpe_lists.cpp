// Finds the lists, and reads them with a JsonCursor.
#include "text/hf/bpe_lists.h"

#include "base/json_reader.h"
#include "base/quote.h"
#include "text/hf/json_cursor.h"

namespace rafter::text::hf {
namespace {

constexpr std::size_t kUsualEntryBytes = 16;  // of a vocabulary or of merges

// What stands at the cursor, for a message.
std::string shown_value(JsonCursor& in) {
    const auto json = in.take_value();
    if (!json) return "no value";
    const auto value = parse_json(*json, "");
    return value ? shown_json(*value) : quote(*json);
}

// Calls read(key) in front of each value of an object; it takes the value. False where something else than an object stands there.
template <typename Read>
Result<bool> for_each_member(JsonCursor& in, const Read& read) {
    if (!in.take('{')) return false;
    if (in.take('}')) return true;
    std::string resolved;
    do {
        const auto key = in.take_text(resolved);
        if (!key || !in.take(':')) return false;
        RAFTER_TRY(const bool taken, read(*key));
        if (!taken) return false;
    } while (in.take(','));
    return in.take('}');
}

// The same for a list.
template <typename Read>
Result<bool> for_each_entry(JsonCursor& in, const Read& read) {
    if (!in.take('[')) return false;
    if (in.take(']')) return true;
    do {
        RAFTER_TRY(const bool taken, read());
        if (!taken) return false;
    } while (in.take(','));
    return in.take(']');
}

// One merge: a pair, or a text with one space. The texts view the JSON or the two strings.
std::optional<std::pair<std::string_view, std::string_view>> take_merge(JsonCursor& in, std::string& left, std::string& right) {
    if (in.take('[')) {
        const auto first = in.take_text(left);
        if (!first || !in.take(',')) return std::nullopt;
        const auto second = in.take_text(right);
        if (!second || !in.take(']')) return std::nullopt;
        return std::pair(*first, *second);
    }
    const auto text = in.take_text(left);
    if (!text) return std::nullopt;
    const std::size_t space = text->find(' ');
    if (space == std::string_view::npos || text->find(' ', space + 1) != std::string_view::npos) return std::nullopt;
    return std::pair(text->substr(0, space), text->substr(space + 1));
}

}  // namespace

std::optional<TokenId> TokenIds::add(std::string_view text, TokenId id) {
    const auto i = static_cast<std::int32_t>(ids_.size());
    texts_.append(text);
    if (const auto same = index_.add(texts_, i)) {
        texts_.pop_back();
        return ids_[static_cast<std::size_t>(*same)];
    }
    ids_.push_back(id);
    return std::nullopt;
}

Result<CutJson> cut_long_lists(std::string_view json) {
    CutJson cut;
    std::size_t n_kept = 0;  // of the JSON, in `rest` or cut out
    JsonCursor in(json);
    const auto cut_out = [&](std::string_view value, std::string_view stand_in, std::string_view& part) {
        part = value;
        const auto begin = static_cast<std::size_t>(value.data() - json.data());
        cut.rest += json.substr(n_kept, begin - n_kept);
        cut.rest += stand_in;
        n_kept = begin + value.size();
    };
    const auto once = [](bool& seen, std::string_view name) -> Result<void> {
        if (std::exchange(seen, true)) return bad_input("{}: expected once, found twice", name);
        return {};
    };
    bool has_model = false;
    bool has_vocab = false;
    bool has_merges = false;
    const auto read_model = [&](std::string_view key) -> Result<bool> {
        const auto value = in.take_value();
        if (!value) return false;
        if (key == "vocab") {
            RAFTER_TRY_VOID(once(has_vocab, "model: vocab"));
            if (value->starts_with('{')) cut_out(*value, "{}", cut.vocab);
        } else if (key == "merges") {
            RAFTER_TRY_VOID(once(has_merges, "model: merges"));
            if (value->starts_with('[')) cut_out(*value, "[]", cut.merges);
        }
        return true;
    };
    RAFTER_TRY(const bool is_whole, for_each_member(in, [&](std::string_view key) -> Result<bool> {
                   if (key != "model") return in.take_value().has_value();
                   RAFTER_TRY_VOID(once(has_model, "model"));
                   JsonCursor ahead = in;
                   if (!ahead.take('{')) return in.take_value().has_value();
                   return for_each_member(in, read_model);
               }));
    if (!is_whole || !in.at_end()) return bad_input("expected a JSON object, found none at byte {}", in.position());
    cut.rest += json.substr(n_kept);
    return cut;
}

Result<void> read_bpe_vocab(std::string_view json, TokenIds& ids) {
    JsonCursor in(json);
    RAFTER_TRY(const bool is_whole, for_each_member(in, [&](std::string_view text) -> Result<bool> {
                   const auto id = in.take_count();
                   if (!id || *id >= kMaxTokens) {
                       return bad_input("model: vocab: {}: expected an id below {}, found {}", quote(text), kMaxTokens, shown_value(in));
                   }
                   const auto known = ids.add(text, static_cast<TokenId>(*id));
                   if (known && *known != static_cast<TokenId>(*id)) {
                       return bad_input("model: vocab: expected every text once, found {} as {} and {}", quote(text), *known, *id);
                   }
                   if (ids.size() > kMaxTokens) return bad_input("model: vocab: expected at most {} tokens, found more", kMaxTokens);
                   return true;
               }));
    if (!is_whole) return bad_input("model: vocab: expected texts with their ids, found something else at its byte {}", in.position());
    return {};
}

Result<BpeMerges> read_bpe_merges(std::string_view json, const TokenIds& ids) {
    BpeMerges out;
    out.pairs.reserve(json.size() / kUsualEntryBytes);
    out.merged.reserve(json.size() / kUsualEntryBytes);
    JsonCursor in(json);
    std::string resolved[2];
    std::string merged_text;
    RAFTER_TRY(const bool is_whole, for_each_entry(in, [&]() -> Result<bool> {
                   const std::size_t i = out.pairs.size();
                   JsonCursor entry = in;
                   const auto merge = take_merge(in, resolved[0], resolved[1]);
                   if (!merge) return bad_input("model: merges: entry {}: expected two tokens, found {}", i, shown_value(entry));
                   if (i == kMaxMerges) return bad_input("model: merges: expected at most {}, found more", kMaxMerges);
                   const auto [left_text, right_text] = *merge;
                   merged_text.assign(left_text).append(right_text);
                   const auto left = ids.find(left_text);
                   const auto right = ids.find(right_text);
                   const auto merged = ids.find(merged_text);
                   if (!left || !right || !merged) {
                       const std::string_view unknown = !left ? left_text : !right ? right_text : std::string_view(merged_text);
                       return bad_input("model: merges: entry {} names {}, which is no token", i, quote(unknown));
                   }
                   out.pairs.emplace_back(*left, *right);
                   out.merged.push_back(*merged);
                   return true;
               }));
    if (!is_whole) return bad_input("model: merges: expected a list, found something else at its byte {}", in.position());
    return out;
}

}  // namespace rafter::text::hf
