// The forms of a quantiser's front: the choice comes first, and names from files do no harm.
#include "planning/quantize_front.h"

#include <gtest/gtest.h>

#include "planning/quantize_front_words.h"

namespace rafter::planning {
namespace {

QuantizeFront some_front() {
    QuantizeFront front{.model = "Some Model",
                        .target = "size=700 MB (700,000,000 bytes)",
                        .source_bytes = 2e9,
                        .predicted_kl = 0.031,
                        .first_kl = 0.034,
                        .text = "text.txt",
                        .n_context = 512,
                        .version = "1.2.3",
                        .command = "rafter quantize in.gguf out.gguf --target size=700MB"};
    front.loss.mean_kl = 0.0325;
    front.loss.mean_kl_error = 0.0012;
    front.points = {{.size_bytes = 5e8, .bits = 4.0, .kl = 0.1, .types = "3 Q4_0"},
                    {.size_bytes = 7e8, .bits = 5.6, .kl = 0.031, .types = "2 Q4_0, 1 Q8_0", .is_chosen = true},
                    {.size_bytes = 2e9, .bits = 16.0, .kl = 0.0, .types = "3 F16"}};
    front.type_losses = {{.dtype = tensor::DType::kQ8_0, .factor = 1.25}};
    front.trials = {{.kind = "ffn_down", .factor = 1.6, .n_changed = 4, .kl = 0.0325, .is_kept = true},
                    {.kind = "attn_v", .factor = 1.6, .n_changed = 2, .kl = 0.04}};
    return front;
}

TEST(QuantizeFront, TextBeginsWithTheChoiceAndSaysHowItWasFound) {
    const std::string text = front_text(some_front(), {});
    EXPECT_TRUE(text.starts_with("chosen: size=700 MB (700,000,000 bytes), KL 0.03100 predicted, 0.03250 ± 0.00120 measured on text.txt\n"))
        << text;
    for (const char* const words : {"measured over predicted by the weights' error: Q8_0 1.25.",
                                    "2 other choices of the same cost measured, 1 kept", "KL 0.03400 -> 0.03250", ">   700 MB"}) {
        EXPECT_NE(text.find(words), std::string::npos) << words << "\n" << text;
    }
    EXPECT_EQ(text.find("tok/s"), std::string::npos) << text;
}

TEST(QuantizeFront, RightInThePictureIsSmallerOrFaster) {
    QuantizeFront front = some_front();
    EXPECT_GT(tradeoff_of(front).points[0].x, tradeoff_of(front).points[1].x);
    front.is_speed = true;
    front.hardware = "Some Device";
    for (std::size_t i = 0; i < 3; ++i) front.points[i].tokens_per_s = 30.0 - 10.0 * static_cast<double>(i);
    const report::TradeoffChart chart = tradeoff_of(front);
    EXPECT_EQ(chart.points[2].x, 10.0);
    EXPECT_TRUE(chart.points[1].on_front);
    EXPECT_NE(front_text(front, {}).find("predicted for Some Device"), std::string::npos);
    EXPECT_NE(front_html(front).find("20.0 tok/s"), std::string::npos);
}

TEST(QuantizeFront, NamesFromFilesAreTextEverywhere) {
    QuantizeFront front = some_front();
    front.is_speed = true;
    for (FrontPoint& point : front.points) point.tokens_per_s = 10.0;
    front.model = front.text = front.hardware = "<script>alert(1)</script>\x1b[31m\xff";
    front.doubts = {front.model};
    front.trials[0].kind = front.model;
    front.command = "rafter quantize '<b>.gguf'";
    EXPECT_EQ(front_text(front, {}).find('\x1b'), std::string::npos);
    for (const std::string& markup : {front_html(front), front_svg(front)}) {
        EXPECT_EQ(markup.find("<script>alert"), std::string::npos);
        EXPECT_EQ(markup.find("<b>"), std::string::npos);
        EXPECT_EQ(markup.find('\x1b'), std::string::npos);
        EXPECT_EQ(markup.find('\xff'), std::string::npos);
    }
}

}  // namespace
}  // namespace rafter::planning
