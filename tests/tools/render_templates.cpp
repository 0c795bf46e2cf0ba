// Renders templates, one a line of JSON, for tests in Python that compare with jinja2:
//   {"template": "...", "variables": {...}, "now": [year, month, day, hour, minute, second]} -> {"text": "..."} or {"error": "..."}
#include <ctime>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "text/jinja/parse/parser.h"
#include "text/jinja/run/render.h"

namespace {

using Json = nlohmann::ordered_json;
namespace jinja = rafter::text::jinja;

Json answer(const Json& request) {
    auto parsed = jinja::parse_template(request.at("template").get<std::string>(), "template");
    if (!parsed) return {{"error", parsed.error().message}};
    jinja::RenderOptions options;
    if (request.contains("now")) {
        const auto now = request["now"].get<std::vector<int>>();
        std::tm time{};
        time.tm_year = now[0] - 1900;
        time.tm_mon = now[1] - 1;
        time.tm_mday = now[2];
        time.tm_hour = now[3];
        time.tm_min = now[4];
        time.tm_sec = now[5];
        timegm(&time);  // fills in the days of the week and the year
        options.now = time;
    }
    jinja::Variables variables;
    if (request.contains("variables")) {
        for (const auto& [name, value] : request["variables"].items()) variables.emplace_back(name, &value);
    }
    auto text = jinja::render(**parsed, variables, options);
    if (!text) return {{"error", text.error().message}};
    return {{"text", *text}};
}

}  // namespace

int main() {
    std::ios::sync_with_stdio(false);
    std::string line;
    while (std::getline(std::cin, line)) std::cout << answer(Json::parse(line)).dump() << '\n';
    return 0;
}
