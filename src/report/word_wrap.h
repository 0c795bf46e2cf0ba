// Text for a terminal as it comes, piece by piece: lines break between words, and control characters are shown instead of obeyed.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace rafter::report {

// Columns that a character takes: 0 (combining marks), 1, or 2 (East Asian wide characters, emoji).
[[nodiscard]] unsigned character_width(char32_t character);

// A word is shown when its end is known, so the last one waits for finish(). Lines between ``` are code: shown as they are, with no break
// of ours, so that they can be copied.
class WordWrap {
  public:
    explicit WordWrap(std::size_t columns) : columns_(columns) {}
    // The terminal may have been resized; from the next line on.
    void set_columns(std::size_t columns) { columns_ = columns; }

    // text: whole characters of UTF-8. Returns what can be shown now.
    [[nodiscard]] std::string push(std::string_view text);
    // The rest. The next push() begins a line.
    [[nodiscard]] std::string finish();

  private:
    void take(char32_t character, std::string_view bytes, std::string& out);
    void end_line(std::string& out);
    void end_word(std::string& out);

    std::size_t columns_;
    std::size_t column_ = 0;    // where the shown text ends
    std::size_t n_spaces_ = 0;  // after it, not yet shown
    std::string word_;          // after them, not yet shown
    std::size_t word_width_ = 0;
    std::string line_begin_;  // up to three characters of the line that are no blanks
    bool is_code_ = false;
};

}  // namespace rafter::report
