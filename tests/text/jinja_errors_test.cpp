// What an error says: which template, where in it, what was expected and found.
#include <gtest/gtest.h>

#include <string>

#include "text/jinja/parse/parser.h"
#include "text/jinja/run/render.h"

namespace rafter::text::jinja {
namespace {

std::string error_of(std::string source) {
    const auto parsed = parse_template(std::move(source), "chat template");
    if (!parsed) return parsed.error().message;
    const auto text = render(**parsed, {}, {});
    return text ? "no error: " + *text : text.error().message;
}

TEST(JinjaErrors, NameTheTemplateTheLineAndTheColumn) {
    EXPECT_EQ(error_of("{{ 1 +\n  * 2 }}"), "chat template, line 2, column 3: unexpected '*'");
    EXPECT_EQ(error_of("abc\n  {{ x.y.z }}"), "chat template, line 2, column 7: 'x' is undefined");
    EXPECT_EQ(error_of("é{{ 'a' + 1 }}"), "chat template, line 1, column 9: can only concatenate str (not \"int\") to str");
    EXPECT_EQ(error_of("{{ 1 +"), "chat template, line 1, column 7: unexpected end of the template");
    EXPECT_EQ(error_of("{{ (1 ]"), "chat template, line 1, column 7: unexpected ']', expected ')'");
    EXPECT_EQ(error_of("{{ {'a': 1}.b.c }}"), "chat template, line 1, column 14: 'dict object' has no attribute 'b'");
    EXPECT_EQ(error_of("{{ [1, 2][7].x }}"), "chat template, line 1, column 13: list object has no element 7");
    EXPECT_EQ(error_of("{{ none.x.y }}"), "chat template, line 1, column 10: 'None' has no attribute 'x'");
}

TEST(JinjaErrors, SayWhereABlockBegan) {
    EXPECT_EQ(error_of("x\n{% if 1 %}\n{% for"), "chat template, line 3, column 7: expected a name, found the end of the template");
    EXPECT_EQ(error_of("x\n{% for i in [] %}\n"),
              "chat template, line 2, column 16: the block that begins here never ends: expected 'endfor'");
    EXPECT_EQ(error_of("{# never"), "chat template, line 1, column 1: Missing end of comment tag");
    EXPECT_EQ(error_of("{% endfor %}"), "chat template, line 1, column 4: unknown tag 'endfor'");
    EXPECT_EQ(error_of("{% include 'x' %}"),
              "chat template, line 1, column 4: {% include %}: a chat template cannot reach other templates");
}

TEST(JinjaErrors, TellWhatTheTemplateRaises) {
    EXPECT_EQ(error_of("\n{{ raise_exception('Roles must alternate!') }}"), "chat template, line 2, column 19: Roles must alternate!");
    // The innermost place counts, also through a macro.
    EXPECT_EQ(error_of("{% macro m() %}\n{{ raise_exception('no') }}{% endmacro %}{{ m() }}"), "chat template, line 2, column 19: no");
}

TEST(JinjaErrors, StayOnOneLine) {
    // A terminal obeys control characters.
    const std::string message = error_of("{{ raise_exception('a\nb\\x1b[31m' + 'c' * 100000) }}");
    EXPECT_EQ(message.find_first_of("\n\x1b"), std::string::npos) << message;
    EXPECT_LT(message.size(), 3000U);
}

TEST(JinjaErrors, RefuseWhatIsNotUtf8) {
    EXPECT_EQ(error_of("abc\xff"), "chat template: expected UTF-8, found another byte at offset 3");
    EXPECT_EQ(error_of("\xed\xa0\x80"), "chat template: expected UTF-8, found another byte at offset 0");
}

TEST(JinjaErrors, NameUnknownFiltersAtOnceUnlessInACondition) {
    EXPECT_EQ(error_of("{% for i in [] %}{{ i | nosuch }}{% endfor %}"), "chat template, line 1, column 25: no filter named 'nosuch'");
    EXPECT_EQ(error_of("{{ 1 is nosuch }}"), "chat template, line 1, column 6: no test named 'nosuch'");
    EXPECT_EQ(error_of("{% if false %}{{ 1 | nosuch }}{% endif %}"), "no error: ");
}

// llama.cpp's filter, which some published templates use; jinja2 has none, so no golden row can.
TEST(JinjaErrors, FromJsonSaysWhatIsNoJson) {
    EXPECT_EQ(error_of(R"({{ ('{"a": [1, 2.5, null, "é"]}' | from_json).a }})"), "no error: [1, 2.5, None, 'é']");
    EXPECT_EQ(error_of("{{ '{' | from_json }}"), "chat template, line 1, column 10: from_json: expected JSON, found '{'");
    EXPECT_EQ(error_of("{{ 1 | from_json }}"), "chat template, line 1, column 8: from_json: expected a string, found int");
    EXPECT_NE(error_of("{{ ('[' * 1000 ~ ']' * 1000) | from_json }}").find("nested more than 200 deep"), std::string::npos);
}

TEST(JinjaErrors, NameWhatChatTemplatesHaveNoUseFor) {
    EXPECT_EQ(error_of("{{ 'a' | urlencode }}"), "chat template, line 1, column 10: no filter named 'urlencode'");
    EXPECT_EQ(error_of("{{ 1 is divisibleby 2 }}"), "chat template, line 1, column 6: no test named 'divisibleby'");
    EXPECT_EQ(error_of("{{ 'a'.swapcase() }}"), "chat template, line 1, column 16: 'str object' has no attribute 'swapcase'");
    EXPECT_EQ(error_of("{{ cycler(1) }}"), "chat template, line 1, column 10: 'cycler' is undefined");
    EXPECT_EQ(error_of("{% print 1 %}"), "chat template, line 1, column 4: unknown tag 'print'");
    EXPECT_EQ(error_of("{% raw %}{% endraw %}"), "chat template, line 1, column 4: unknown tag 'raw'");
}

TEST(JinjaErrors, NameTheFilterAndItsArgument) {
    EXPECT_EQ(error_of("{{ 'a' | indent('x', colour=1) }}"),
              "chat template, line 1, column 10: indent: unexpected keyword argument 'colour'");
    EXPECT_EQ(error_of("{{ 'a' | replace('x') }}"), "chat template, line 1, column 10: replace: argument 'new' is missing");
    EXPECT_EQ(error_of("{{ 'a' | truncate('x') }}"), "chat template, line 1, column 10: truncate: length: expected an integer, found str");
}

}  // namespace
}  // namespace rafter::text::jinja
