// Text tables: columns aligned, numbers to the right, a line under the header.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "report/style.h"

namespace rafter::report {

enum class Align { kLeft, kRight };

struct Column {
    std::string title;
    Align align = Align::kLeft;
};

class Table {
  public:
    explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
    // As many cells as there are columns. Cells may be styled.
    void add(std::vector<std::string> cells);
    // A row under a line of its own: totals.
    void add_total(std::vector<std::string> cells);
    // Lines end with a line end; `indent` stands before each.
    [[nodiscard]] std::string render(const Style& style, std::string_view indent = "") const;

  private:
    struct Row {
        std::vector<std::string> cells;
        bool total;
    };
    std::vector<Column> columns_;
    std::vector<Row> rows_;
};

// A cell that shows how much of a whole: fraction (of 0..1) of `width` columns, to an eighth of one.
[[nodiscard]] std::string bar(double fraction, unsigned width);

// Lines of at most so many columns where words allow that. Lines after the first begin with `indent`; `used` columns of the first are
// taken.
[[nodiscard]] std::string wrapped(std::string_view text, std::size_t columns, std::string_view indent, std::size_t used = 0);

// "name   value" lines with the names dim and the values in one column.
class Facts {
  public:
    void add(std::string name, std::string value) { rows_.emplace_back(std::move(name), std::move(value)); }
    // Values that would go beyond `columns` go on under themselves.
    [[nodiscard]] std::string render(const Style& style, std::size_t columns = std::string::npos) const;

  private:
    std::vector<std::pair<std::string, std::string>> rows_;
};

}  // namespace rafter::report
