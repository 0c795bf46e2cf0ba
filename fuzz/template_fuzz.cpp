// Chat templates that a fuzzer writes, over a conversation that has a bit of everything. The input is the template; after a NUL byte comes
// the text of a message. Whatever it is, rendering ends soon, with valid UTF-8 or with an error of one line, and twice the same.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "text/jinja/parse/parser.h"
#include "text/jinja/run/render.h"
#include "text/utf8.h"

namespace {

namespace jinja = rafter::text::jinja;
using nlohmann::ordered_json;

// Small, so that an input is tried in milliseconds.
constexpr jinja::Limits kLimits{.max_steps = 200'000, .max_live_bytes = std::size_t{8} << 20U, .max_output_bytes = std::size_t{1} << 20U};

void require(bool holds) {
    if (!holds) std::abort();
}

ordered_json conversation(std::string_view text) {
    const ordered_json call{{"type", "function"},
                            {"id", "c1"},
                            {"function", {{"name", "add"}, {"arguments", {{"a", 1}, {"b", 2.5}, {"c", nullptr}, {"d", {true, "x"}}}}}}};
    return ordered_json::array({{{"role", "system"}, {"content", "Be brief."}},
                                {{"role", "user"}, {"content", std::string(text)}},
                                {{"role", "assistant"}, {"content", ""}, {"tool_calls", ordered_json::array({call})}},
                                {{"role", "tool"}, {"tool_call_id", "c1"}, {"content", "{\"sum\": 3.5}"}},
                                {{"role", "user"}, {"content", ordered_json::array({{{"type", "text"}, {"text", "Ünï 🙂"}}})}}});
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view input(reinterpret_cast<const char*>(data), size);
    const std::size_t end = input.find('\0');
    const auto parsed = jinja::parse_template(std::string(input.substr(0, end)), "t");
    if (!parsed) {
        require(parsed.error().message.find('\n') == std::string::npos);
        return 0;
    }
    const ordered_json messages = conversation(end == std::string_view::npos ? "Hello <b>you</b>" : input.substr(end + 1));
    const ordered_json tools = ordered_json::array({{{"name", "add"}, {"parameters", {{"type", "object"}}}}});
    const ordered_json yes = true;
    const ordered_json bos = "<s>";
    const jinja::Variables variables{{"messages", &messages}, {"tools", &tools}, {"add_generation_prompt", &yes}, {"bos_token", &bos}};
    const jinja::RenderOptions options{.limits = kLimits, .now = std::tm{}};
    const auto text = jinja::render(**parsed, variables, options);
    const auto again = jinja::render(**parsed, variables, options);
    require(text.has_value() == again.has_value());
    if (text) {
        require(*text == *again && rafter::text::find_invalid_utf8(*text) == text->size());
    } else {
        require(text.error().message == again.error().message && text.error().message.find('\n') == std::string::npos);
    }
    return 0;
}
