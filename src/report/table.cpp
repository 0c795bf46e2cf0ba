// Widths are counted in characters, so that styled and accented cells line up.
#include "report/table.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "base/check.h"

namespace rafter::report {
namespace {

std::string padded(const std::string& cell, std::size_t width, Align align) {
    const std::string blanks(width - std::min(width, display_width(cell)), ' ');
    return align == Align::kLeft ? cell + blanks : blanks + cell;
}

// Blanks at the end of a line are nobody's.
void end_line(std::string& text) {
    text.erase(text.find_last_not_of(' ') + 1);
    text += '\n';
}

}  // namespace

std::size_t display_width(std::string_view text) {
    std::size_t width = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '\x1b') {  // to the letter that ends the sequence
            while (i < text.size() && text[i] != 'm') ++i;
            continue;
        }
        const bool continues_character = (static_cast<unsigned char>(text[i]) & 0xC0U) == 0x80U;
        if (!continues_character) ++width;
    }
    return width;
}

void Table::add(std::vector<std::string> cells) {
    RAFTER_CHECK(cells.size() == columns_.size(), "{} cells for {} columns", cells.size(), columns_.size());
    rows_.push_back({std::move(cells), false});
}

void Table::add_total(std::vector<std::string> cells) {
    add(std::move(cells));
    rows_.back().total = true;
}

std::string Table::render(const Style& style, std::string_view indent) const {
    std::vector<std::size_t> widths;
    for (std::size_t c = 0; c < columns_.size(); ++c) {
        std::size_t width = display_width(columns_[c].title);
        for (const Row& row : rows_) width = std::max(width, display_width(row.cells[c]));
        widths.push_back(width);
    }
    std::string rule;
    for (std::size_t c = 0; c < columns_.size(); ++c) {
        if (c > 0) rule += "  ";
        for (std::size_t i = 0; i < widths[c]; ++i) rule += "─";
    }
    const auto rule_line = [&] { return std::string(indent) + style.dim(rule) + "\n"; };

    std::string text(indent);
    for (std::size_t c = 0; c < columns_.size(); ++c) {
        if (c > 0) text += "  ";
        text += padded(style.bold(columns_[c].title), widths[c], columns_[c].align);
    }
    end_line(text);
    text += rule_line();
    for (const Row& row : rows_) {
        if (row.total) text += rule_line();
        text += indent;
        for (std::size_t c = 0; c < columns_.size(); ++c) {
            if (c > 0) text += "  ";
            text += padded(row.cells[c], widths[c], columns_[c].align);
        }
        end_line(text);
    }
    return text;
}

std::string wrapped(std::string_view text, std::size_t columns, std::string_view indent, std::size_t used) {
    std::string lines;
    bool is_first_word = true;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find(' '), text.size());
        const std::string_view word = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        const std::size_t width = display_width(word);
        if (!is_first_word && used + 1 + width > columns) {
            lines += fmt::format("\n{}", indent);
            used = display_width(indent);
        } else if (!is_first_word) {
            lines += ' ';
            ++used;
        }
        lines += word;
        used += width;
        is_first_word = false;
    }
    return lines;
}

std::string Facts::render(const Style& style, std::size_t columns) const {
    std::size_t width = 0;
    for (const auto& [name, value] : rows_) width = std::max(width, display_width(name));
    std::string text;
    for (const auto& [name, value] : rows_) {
        const std::string line = padded(style.dim(name), width, Align::kLeft) + "  ";
        text += line + (columns == std::string::npos ? value : wrapped(value, columns, std::string(width + 2, ' '), width + 2)) + "\n";
    }
    return text;
}

std::string bar(double fraction, unsigned width) {
    constexpr std::array<const char*, 8> kEighths{"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
    const auto eighths = static_cast<unsigned>(std::lround(std::clamp(fraction, 0.0, 1.0) * width * 8));
    std::string text;
    for (unsigned i = 0; i < eighths / 8; ++i) text += "█";
    return text + kEighths[eighths % 8];
}

}  // namespace rafter::report
