// A progress bar on a terminal's stderr; nothing at all in a pipe.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

#include "report/style.h"

namespace rafter::report {

struct Terminal {
    std::FILE* stream = stderr;
    bool interactive = false;  // a terminal that can move its cursor
    unsigned width = 80;
    Style style;
};

// "Loading SmolLM2 ━━━━━━━━━━──────  62%  1.2 s left". Drawn at most 20 times a second; gone without a trace when it ends.
class Progress {
  public:
    Progress(const Terminal& terminal, std::string label);
    ~Progress() { clear(); }
    Progress(const Progress&) = delete;
    Progress& operator=(const Progress&) = delete;

    // fraction: 0..1. `note` stands behind the percentage. From one thread at a time.
    void update(double fraction, std::string_view note = "");
    void clear();

  private:
    [[nodiscard]] std::size_t terminal_columns() const;

    Terminal terminal_;
    std::string label_;
    std::int64_t next_draw_ns_ = 0;
    bool drawn_ = false;
};

}  // namespace rafter::report
