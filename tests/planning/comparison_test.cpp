// The forms of a comparison: what they say first, how wide they are, and that names from files do no harm.
#include "planning/comparison.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "planning/comparison_words.h"

namespace rafter::planning {
namespace {

ComparedModel model_of(std::string file, double rate, double kl) {
    ComparedModel model{.title = file, .file = file, .size_bytes = 98.4e6, .bits = 5.74};
    model.prefill = {.predicted = 19012.0, .measured = 12345.0};
    model.decode = {.predicted = 2.0 * rate, .measured = rate};
    model.loss = {.n_tokens = 2651,
                  .mean_kl = kl,
                  .mean_kl_error = kl / 20,
                  .kl_99 = 9 * kl,
                  .kl_999 = 20 * kl,
                  .max_kl = 40 * kl,
                  .same_top = 0.97,
                  .same_top_error = 0.004,
                  .n_scored = 2651,
                  .perplexity = 12345.67,
                  .perplexity_error = 1.2,
                  .perplexity_ratio = 1.01,
                  .perplexity_ratio_error = 0.002};
    return model;
}

Comparison made_up() {
    return {.models = {model_of("one.gguf", 20.0, 1e-8), model_of("two.gguf", 123456.0, 0.5), model_of("three.gguf", 15.0, 0.0123),
                       model_of("four.gguf", 20.0, 0.0)},
            .reference_title = "One",
            .reference_file = "one.gguf",
            .reference_mode = "exact",
            .text = "the built-in text",
            .n_windows = 1,
            .context = 512,
            .n_prompt = 512,
            .n_context = 256,
            .hardware = "Some CPU, 2 threads, avx2",
            .version = "1.2.3",
            .command = "rafter compare one.gguf two.gguf",
            .doubts = {}};
}

std::size_t widest(const std::string& text) {
    std::size_t width = 0;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = std::min(text.find('\n', at), text.size());
        width = std::max(width, report::display_width(std::string_view(text).substr(at, end - at)));
        at = end + 1;
    }
    return width;
}

TEST(Comparison, TextBeginsWithTheFrontAndFits80Columns) {
    const std::string text = comparison_text(made_up(), {});
    EXPECT_TRUE(text.starts_with("Pareto front, from the fastest: 2 (123,456 tok/s, KL 0.500), 4 (20.0 tok/s,")) << text;
    EXPECT_LE(widest(text), 80U) << text;
    for (const char* const words : {"one.gguf", "<10⁻⁷", "0.0123 ± 0.0006", " 2*", " 3 ", "1 window of 512, 2,651 tokens scored"}) {
        EXPECT_NE(text.find(words), std::string::npos) << words << "\n" << text;
    }
    EXPECT_EQ(comparison_text({}, {}), "No model was compared.\n");
}

TEST(Comparison, DivergencesHaveThreeDigitsThatCount) {
    EXPECT_EQ(kl_words(0.0), "0");
    EXPECT_EQ(kl_words(1.2345), "1.23");
    EXPECT_EQ(kl_words(123.4), "123");
    EXPECT_EQ(kl_words(0.0012345), "0.00123");
    EXPECT_EQ(kl_words(0.00000012), "0.0000001");
    EXPECT_EQ(kl_words(1e-9), "<10⁻⁷");
    EXPECT_EQ(kl_error_words(0.0123, 0.00044), "0.0123 ± 0.0004");
    EXPECT_EQ(kl_error_words(0.0, 0.0), "0");
}

TEST(Comparison, JsonHasEveryModelWithItsPlaceOnTheFront) {
    const nlohmann::json json = nlohmann::json::parse(comparison_json(made_up()));
    ASSERT_EQ(json["models"].size(), 4U);
    EXPECT_EQ(json["models"][1]["on_front"], true);
    EXPECT_EQ(json["models"][2]["on_front"], false);
    EXPECT_EQ(json["models"][3]["kl"], 0.0);
    EXPECT_EQ(json["models"][0]["size_bytes"], 98400000);
    EXPECT_EQ(json["models"][0]["decode_tokens_per_second"]["predicted"], 40.0);
}

TEST(Comparison, NamesFromFilesAreTextEverywhere) {
    Comparison hostile = made_up();
    hostile.models[0].file = "<script>alert(1)</script>\x1b[31m\xff.gguf";
    hostile.models[1].file = std::string(300, 'n') + ".gguf";
    hostile.reference_file = "a\nb\"<b>";
    const std::string text = comparison_text(hostile, {});
    EXPECT_EQ(text.find('\x1b'), std::string::npos);
    for (const std::string& markup : {comparison_html(hostile), comparison_svg(hostile)}) {
        EXPECT_EQ(markup.find("<script>alert"), std::string::npos);
        EXPECT_EQ(markup.find("<b>"), std::string::npos);
        EXPECT_EQ(markup.find('\x1b'), std::string::npos);
        EXPECT_EQ(markup.find('\xff'), std::string::npos);
    }
    EXPECT_TRUE(nlohmann::json::accept(comparison_json(hostile)));
}

}  // namespace
}  // namespace rafter::planning
