// One self-contained page: no network, no fonts to load, readable in light, dark and print, and by keyboard.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace rafter::report {

struct Card {
    std::string label, value, note;
    bool bad = false;
};

class Page {
  public:
    // made_by: the command that draws it, for the last line.
    Page(std::string title, std::string subtitle, std::string made_by = "rafter plan")
        : title_(std::move(title)), subtitle_(std::move(subtitle)), made_by_(std::move(made_by)) {}
    void add_cards(const std::vector<Card>& cards);
    void add_heading(const std::string& heading, const std::string& note);
    // What makes the page's answer doubtful.
    void add_warnings(const std::vector<std::string>& warnings);
    void add_doubts(const std::vector<std::string>& sentences);  // the same, in whole sentences
    // A chart in two layouts, of which a window shows the one that it can show with readable text. legend: names and css classes of series,
    // which a click or the space bar shows and hides.
    struct Figure {
        std::string wide, narrow;
        std::vector<std::pair<std::string, std::string>> legend;
    };
    void add_figure(const Figure& figure);
    struct BarRow {
        std::string name, value, note;
        double fraction = 0.0;  // of the longest bar
        bool dim = false;
    };
    void add_bars(const std::vector<BarRow>& rows);
    void add_table(const std::vector<std::string>& header, const std::vector<std::vector<std::string>>& rows);
    void add_notes(const std::vector<std::string>& notes);
    // One of several things that are told at length, beside each other where the window is wide.
    struct Story {
        std::string mark, title, value;                          // "4", "16-bit weights", "1.94×"
        std::string text;                                        // what it is
        std::vector<std::pair<std::string, std::string>> facts;  // names and values
        std::vector<std::string> misses;                         // what went wrong
        bool is_bad = false;                                     // the mark is a warning
        bool is_dim = false;                                     // not of the main line
    };
    void add_stories(const std::vector<Story>& stories);
    void add_code(const std::string& code);
    [[nodiscard]] std::string render() const;

  private:
    std::string title_, subtitle_, made_by_, body_;
};

}  // namespace rafter::report
