// Hundreds of small templates and a few large ones, against what jinja2 made of them (tests/golden says with which command).
#include <gtest/gtest.h>

#include <ctime>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "text/jinja/parse/parser.h"
#include "text/jinja/run/render.h"

namespace rafter::text::jinja {
namespace {

using Json = nlohmann::ordered_json;

const std::string kGolden = RAFTER_SOURCE_DIR "/tests/golden/";

std::string read_text(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    EXPECT_TRUE(file.is_open()) << path;
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

// The first line says what holds for all.
std::vector<Json> read_lines(const std::string& path) {
    std::vector<Json> lines;
    std::istringstream text(read_text(path));
    for (std::string line; std::getline(text, line);) lines.push_back(Json::parse(line));
    EXPECT_GT(lines.size(), 10U) << path;
    return lines;
}

RenderOptions options_at(const Json& now) {
    std::tm time{};
    time.tm_year = now[0].get<int>() - 1900;
    time.tm_mon = now[1].get<int>() - 1;
    time.tm_mday = now[2];
    time.tm_hour = now[3];
    time.tm_min = now[4];
    time.tm_sec = now[5];
    timegm(&time);  // fills in the days of the week and the year
    return {.limits = {}, .now = time};
}

Result<std::string> render_text(const std::string& source, const Json& variables, const RenderOptions& options) {
    RAFTER_TRY(const auto parsed, parse_template(source, "template"));
    Variables named;
    for (const auto& [name, value] : variables.items()) named.emplace_back(name, &value);
    return render(*parsed, named, options);
}

void expect_outcome(const Json& golden, const Result<std::string>& text, const std::string& what) {
    if (golden.contains("error")) {
        EXPECT_FALSE(text.has_value()) << what << "\nexpected an error, found: " << text.value_or("");
        return;
    }
    ASSERT_TRUE(text.has_value()) << what << "\n" << text.error().message;
    EXPECT_EQ(golden["text"].get<std::string>(), *text) << what;
}

TEST(JinjaGolden, SmallTemplatesRenderAsInJinja2) {
    const std::vector<Json> lines = read_lines(kGolden + "jinja.jsonl");
    const RenderOptions options = options_at(lines[0]["now"]);
    for (std::size_t i = 1; i < lines.size(); ++i) {
        const std::string source = lines[i]["template"];
        expect_outcome(lines[i], render_text(source, lines[0]["variables"], options), source);
    }
}

TEST(JinjaGolden, ChatTemplatesRenderAsInJinja2) {
    const std::vector<Json> lines = read_lines(kGolden + "chat_templates/prompts.jsonl");
    const RenderOptions options = options_at(lines[0]["now"]);
    for (std::size_t i = 1; i < lines.size(); ++i) {
        const std::string name = lines[i]["template"];
        const std::string conversation = lines[i]["conversation"];
        const std::string source = read_text(kGolden + "chat_templates/" + name);
        expect_outcome(lines[i], render_text(source, lines[0]["conversations"][conversation], options), name + " with " + conversation);
    }
}

}  // namespace
}  // namespace rafter::text::jinja
