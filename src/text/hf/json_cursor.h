// JSON read from front to back, without building a tree: for lists of hundreds of thousands of texts, for which a tree takes ten times as
// long as their bytes. Strict: what it takes is JSON with valid UTF-8.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace rafter::text::hf {

// Every call skips white space first. A call that finds something else than it takes gives nothing and stays in front of it.
class JsonCursor {
  public:
    explicit JsonCursor(std::string_view json) : json_(json) {}

    // One of { } [ ] : and comma.
    [[nodiscard]] bool take(char punctuation);
    // A text, with its escapes resolved: a view of the JSON, or of `resolved`, which is overwritten then.
    [[nodiscard]] std::optional<std::string_view> take_text(std::string& resolved);
    // An integer of 0 and above, written without a fraction or an exponent.
    [[nodiscard]] std::optional<std::uint64_t> take_count();
    // Any value, as its JSON. Of objects and lists only the ends of texts, the order of brackets and their depth (at most kMaxDepth) are
    // checked, of numbers and words nothing.
    [[nodiscard]] std::optional<std::string_view> take_value();
    [[nodiscard]] bool at_end();

    [[nodiscard]] std::size_t position() const { return at_; }  // in the JSON

    static constexpr std::size_t kMaxDepth = 100;

  private:
    void skip_space();
    [[nodiscard]] bool skip_text();
    [[nodiscard]] bool append_escape(std::string& out);
    [[nodiscard]] std::optional<char32_t> take_hex();

    std::string_view json_;
    std::size_t at_ = 0;
};

}  // namespace rafter::text::hf
