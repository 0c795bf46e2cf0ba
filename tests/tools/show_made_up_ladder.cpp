// Prints the report of a made-up ladder, for tests that look at it: show_made_up_ladder html|svg|waterfall|json|text|color
// [usual|predicted|hostile|crowded].
#include <cstdio>
#include <string>
#include <string_view>

#include "planning/ladder/report.h"
#include "tests/support/made_up_ladder.h"

int main(int argc, char** argv) {
    using namespace rafter;
    const std::string_view form = argc > 1 ? argv[1] : "text";
    const std::string_view kind = argc > 2 ? argv[2] : "usual";
    planning::Ladder ladder = tests::made_up_ladder();
    if (kind == "predicted") tests::make_predicted(ladder);
    if (kind == "crowded") tests::make_crowded(ladder);
    if (kind == "hostile") tests::make_hostile(ladder);
    const std::string text = form == "html"        ? planning::ladder_html(ladder)
                             : form == "svg"       ? planning::ladder_svg(ladder)
                             : form == "waterfall" ? planning::ladder_svg(ladder, planning::LadderPicture::kWaterfall)
                             : form == "json"      ? planning::ladder_json(ladder)
                                                   : planning::ladder_text(ladder, {.color = form == "color"});
    return std::fwrite(text.data(), 1, text.size(), stdout) == text.size() ? 0 : 1;
}
