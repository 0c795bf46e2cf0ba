// One pass over the text with a stack of open groups.
#include "grammar/pattern.h"

#include <algorithm>
#include <cstdint>
#include <vector>

namespace rafter::grammar {
namespace {

// Reads what XGrammar reads, loosely: what is no valid pattern is XGrammar's to refuse.
class SizeReader {
  public:
    SizeReader(std::string_view text, PatternSyntax syntax, std::string_view where) : text_(text), syntax_(syntax), where_(where) {}

    Result<void> read() {
        while (at_ < text_.size()) RAFTER_TRY_VOID(next());
        for (const Group& group : groups_) {
            if (group.size > kMaxExpandedSize) return too_large();
        }
        return {};
    }

  private:
    struct Group {
        std::uint64_t size = 0;
        std::uint64_t last = 0;  // of the last item, which a repetition multiplies; counted in `size`
    };

    Error too_large() const {
        return bad_input("{}: expected at most {} characters, repetitions counted as often as they say, found more", where_,
                         kMaxExpandedSize);
    }
    void item(std::uint64_t size) {
        groups_.back().size += size;
        groups_.back().last = size;
    }

    Result<void> next() {
        const char c = text_[at_];
        if (c == '\\') {
            at_ += 2;
            item(1);
        } else if (c == '[') {
            skip_class();
            item(1);
        } else if (c == '"' && syntax_ == PatternSyntax::kEbnf) {
            skip_quoted();
        } else if (c == '#' && syntax_ == PatternSyntax::kEbnf) {
            at_ = std::min(text_.find('\n', at_), text_.size());
        } else if (c == '(') {
            if (groups_.size() > kMaxNesting)
                return bad_input("{}: expected at most {} groups within groups, found more", where_, kMaxNesting);
            groups_.emplace_back();
            ++at_;
        } else if (c == ')') {
            ++at_;
            close();
        } else if (c == '{') {
            RAFTER_TRY_VOID(repetition());
        } else {
            letter(c);
        }
        return groups_.back().size > kMaxExpandedSize ? Result<void>(too_large()) : Result<void>();
    }

    void letter(char c) {
        const auto is_name = [](char x) {
            return (x >= 'a' && x <= 'z') || (x >= 'A' && x <= 'Z') || (x >= '0' && x <= '9') || x == '_' || x == '-' || x == '.';
        };
        ++at_;
        if (syntax_ == PatternSyntax::kEbnf) {
            if (!is_name(c)) return;
            while (at_ < text_.size() && is_name(text_[at_])) ++at_;
        }
        item(1);
    }
    void close() {
        if (groups_.size() < 2) return;
        const std::uint64_t size = groups_.back().size;
        groups_.pop_back();
        item(size);
    }
    void skip_class() {
        ++at_;
        if (at_ < text_.size() && text_[at_] == '^') ++at_;
        while (at_ < text_.size() && text_[at_] != ']') at_ += text_[at_] == '\\' ? 2 : 1;
        ++at_;
    }
    void skip_quoted() {
        const std::size_t begin = ++at_;
        while (at_ < text_.size() && text_[at_] != '"') at_ += text_[at_] == '\\' ? 2 : 1;
        item(std::min(at_, text_.size()) - begin + 1);
        ++at_;
    }

    // {n}, {n,}, {n,m}: the larger of the numbers counts.
    Result<void> repetition() {
        std::uint64_t times = 0;
        std::uint64_t number = 0;
        for (++at_; at_ < text_.size() && text_[at_] != '}'; ++at_) {
            const char c = text_[at_];
            if (c >= '0' && c <= '9') {
                number = std::min<std::uint64_t>(number * 10 + static_cast<std::uint64_t>(c - '0'), kMaxExpandedSize + 1);
            } else if (c == ',') {
                times = std::max(times, number);
                number = 0;
            }
        }
        ++at_;
        times = std::max(times, number);
        Group& group = groups_.back();
        if (times > kMaxExpandedSize || group.last * times > kMaxExpandedSize) return too_large();
        if (times > 1) {
            group.size += group.last * (times - 1);
            group.last *= times;
        }
        return {};
    }

    std::string_view text_;
    PatternSyntax syntax_;
    std::string_view where_;
    std::size_t at_ = 0;
    std::vector<Group> groups_ = std::vector<Group>(1);
};

}  // namespace

Result<void> check_pattern_size(std::string_view text, PatternSyntax syntax, std::string_view where) {
    return SizeReader(text, syntax, where).read();
}

}  // namespace rafter::grammar
