// A ladder as text for a terminal, as JSON that `--against` reads again, and as one page.
#pragma once

#include <cstddef>
#include <string>

#include "base/result.h"
#include "planning/ladder/ladder.h"
#include "report/style.h"

namespace rafter::planning {

// columns: of the terminal; 80 in a pipe.
[[nodiscard]] std::string ladder_text(const Ladder& ladder, const report::Style& style, std::size_t columns = 80);
[[nodiscard]] std::string ladder_json(const Ladder& ladder);
// One self-contained HTML file: the roofline with the path climbed, the waterfall of gains, the table, machine, method and caveats.
[[nodiscard]] std::string ladder_html(const Ladder& ladder);
enum class LadderPicture { kRoofline, kWaterfall };
// The roofline alone, or the waterfall alone, as a picture of its own.
[[nodiscard]] std::string ladder_svg(const Ladder& ladder, LadderPicture picture = LadderPicture::kRoofline);

// Reads what ladder_json() wrote; name: of the file, for messages.
[[nodiscard]] Result<Ladder> read_ladder(const std::string& text, const std::string& name);

// Rung by rung, shares of the roof and gains of two ladders, not seconds: so that another hour or another machine of the kind can be
// compared. A rung is worse when its share fell by more than both spreads and 10%, or when its outputs were right then and are wrong now.
struct LadderComparison {
    std::string text;
    std::size_t n_worse = 0;
    std::size_t n_compared = 0;
    std::size_t n_not_compared = 0;  // rungs of `then` that `now` lacks, skipped, or climbed at another load
};
[[nodiscard]] LadderComparison compare_ladders(const Ladder& now, const Ladder& then, const report::Style& style);

}  // namespace rafter::planning
