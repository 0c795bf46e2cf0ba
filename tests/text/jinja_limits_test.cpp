// Templates as an enemy writes them: each ends soon, with an error, in little memory.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/support/rounds.h"
#include "text/jinja/parse/parser.h"
#include "text/jinja/run/render.h"

namespace rafter::text::jinja {
namespace {

std::string repeated(std::string_view text, int n) {
    std::string out;
    for (int i = 0; i < n; ++i) out += text;
    return out;
}

Result<std::string> render_text(std::string source, const Limits& limits = {}) {
    RAFTER_TRY(const auto parsed, parse_template(std::move(source), "t"));
    return render(*parsed, {}, {.limits = limits, .now = {}});
}

void expect_error(std::string source, std::string_view words, const Limits& limits = {}) {
    const std::string shown = source.substr(0, 200);
    const auto start = std::chrono::steady_clock::now();
    const auto text = render_text(std::move(source), limits);
    const auto elapsed = std::chrono::steady_clock::now() - start;
    ASSERT_FALSE(text) << shown << " gave " << text->size() << " bytes";
    EXPECT_NE(text.error().message.find(words), std::string::npos) << shown << "\n" << text.error().message;
    // Generous: a sanitizer on a busy machine is slow. Without its limit each of these would run for hours.
    EXPECT_LT(elapsed, std::chrono::seconds(60)) << shown;
}

TEST(JinjaLimits, EndlessLoopsStop) {
    const Limits limits{.max_steps = 1'000'000};
    expect_error("{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}", "steps", limits);
    expect_error("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "deep", limits);
    expect_error("{% macro m() %}{% for i in range(99) %}{{ m() }}{% endfor %}{% endmacro %}{{ m() }}", "deep", limits);
}

TEST(JinjaLimits, LargeValuesAreRefusedBeforeTheyAreMade) {
    for (const char* source :
         {"{{ 'a' * 10**9 }}", "{{ 'abc' * 10**18 }}", "{{ 10**30 * 'a' }}", "{{ [0] * 10**9 }}", "{{ (1, 2) * 10**18 }}",
          "{{ 'a\nb' | indent(10**12) }}", "{{ '%1000000000d' % 1 }}", "{{ '%*d' % (10**9, 1) }}", "{{ '{:1000000000}'.format(1) }}",
          "{{ ('a,' * 10**6).split(',') | list * 100 }}", "{{ [1] | batch(10**12, 0) | list }}", "{{ [1] | slice(10**12, 0) | list }}"}) {
        expect_error(source, "bytes of memory");
    }
    expect_error("{{ range(10**6) }}", "range");
    expect_error("{{ '%.999999d' % 1 }}{{ '%.999999f' % 1 }}", "precision");
    expect_error("{{ 10**39 }}", "128 bits");
    expect_error("{{ strftime_now('%1000000d') }}", "bytes");
}

TEST(JinjaLimits, GrowthByDoublingStops) {
    expect_error("{% set ns = namespace(x='ab') %}{% for i in range(100) %}{% set ns.x = ns.x + ns.x %}{% endfor %}", "bytes of memory");
    expect_error("{% set ns = namespace(x=[1]) %}{% for i in range(100) %}{% set ns.x = ns.x + ns.x %}{% endfor %}", "bytes of memory");
    expect_error("{% set ns = namespace(x='ab') %}{% for i in range(100) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}", "bytes of memory");
    expect_error("{% set ns = namespace(x='ab') %}{% for i in range(100) %}{% set ns.x = ns.x.replace('a', ns.x) %}{% endfor %}",
                 "bytes of memory");
    expect_error("{% set ns = namespace(x='ab') %}{% for i in range(100) %}{% set ns.x = [ns.x, ns.x] | join %}{% endfor %}",
                 "bytes of memory");
    expect_error("{% set s = 'x' * 10**6 %}{{ ([s] * 10**6) | join }}", "bytes of memory");
    expect_error("{% set s = 'x' * 10**6 %}{{ [s] * 10**6 }}", "bytes of memory");
    expect_error("{% set s = 'x' * 10**6 %}{{ ([s] * 10**6) | tojson }}", "bytes of memory");
    expect_error("{% set s = 'x' * 10**6 %}{{ ('{0}' * 10**6).format(s) }}", "bytes of memory");
    expect_error("{% set s = 'x' * 10**6 %}{{ ('%(s)s' * 10**6) % {'s': s} }}", "bytes of memory");
}

TEST(JinjaLimits, TooMuchOutputStops) {
    expect_error("{% set s = 'x' * 10**6 %}{% for i in range(1000) %}{{ s }}{% endfor %}", "bytes of text");
    // Also where it is caught and thrown away, on every level of a recursion.
    expect_error(
        "{% set s = 'x' * 10**6 %}{% macro m(n) %}{% for i in range(50) %}{{ s }}{% endfor %}{{ m(n + 1) }}{% endmacro %}{% set y = m(0) "
        "%}",
        "bytes of text");
}

// Lists that hold each other twice over have few objects, but 2^100 paths.
TEST(JinjaLimits, SharedListsCannotMakeComparisonsExponential) {
    const Limits limits{.max_steps = static_cast<std::uint64_t>(tests::rounds(100'000'000)),
                        .max_live_bytes = static_cast<std::size_t>(tests::rounds(128 << 20))};
    const std::string twins =
        "{% set ns = namespace(a=[1], b=[1]) %}{% for i in range(100) %}{% set ns.a = [ns.a, ns.a] %}{% set ns.b = [ns.b, ns.b] %}{% "
        "endfor %}";
    expect_error(twins + "{{ ns.a == ns.b }}", "steps", limits);
    expect_error(twins + "{{ ns.a < ns.b }}", "steps", limits);
    expect_error(twins + "{{ ns.a in [ns.b] }}", "steps", limits);
    expect_error(twins + "{{ [ns.b].count(ns.a) }}", "steps", limits);
    expect_error(twins + "{{ [ns.b, ns.a] | unique | list }}", "", limits);
    expect_error(twins + "{{ ns.a }}", "", limits);
    expect_error(twins + "{{ ns.a | tojson }}", "", limits);
    const std::string tuples =
        "{% set ns = namespace(a=(1,), b=(1,)) %}{% for i in range(100) %}{% set ns.a = (ns.a, ns.a) %}{% set ns.b = (ns.b, ns.b) %}{% "
        "endfor %}";
    expect_error(tuples + "{{ {ns.a: 1}[ns.b] }}", "steps", limits);
    expect_error(tuples + "{{ [ns.a, ns.b] | unique | list }}", "steps", limits);
}

TEST(JinjaLimits, DeepValuesAreRefused) {
    const Limits limits{.max_steps = 10'000'000};
    expect_error("{% set ns = namespace(x=[]) %}{% for i in range(100000) %}{% set ns.x = [ns.x] %}{% endfor %}", "deep", limits);
    expect_error("{% set ns = namespace(x={}) %}{% for i in range(100000) %}{% set ns.x = {'a': ns.x} %}{% endfor %}", "deep", limits);
    expect_error("{% set ns = namespace(x=[1]) %}{% for i in range(100000) %}{% set ns.x = ns.x | map('string') %}{% endfor %}", "deep",
                 limits);
    expect_error("{% set ns = namespace(x='a') %}{% for i in range(100000) %}{% set ns.x = (ns.x, 1) %}{% endfor %}", "deep", limits);
    expect_error("{% set ns = namespace() %}{% set ns.x = [ns] %}{{ ns }}", "deep", limits);

    nlohmann::ordered_json deep = 1;
    for (int i = 0; i < 1000; ++i) deep = nlohmann::ordered_json::array({std::move(deep)});
    const auto parsed = parse_template("{{ x }}", "t");
    const auto text = render(**parsed, {{"x", &deep}}, {});
    ASSERT_FALSE(text);
    EXPECT_NE(text.error().message.find("deep"), std::string::npos) << text.error().message;
}

TEST(JinjaLimits, DeepTemplatesAreRefusedByTheParser) {
    constexpr int kMany = 100'000;
    expect_error("{{ " + repeated("(", kMany), "deep");
    expect_error("{{ " + repeated("[", kMany), "deep");
    expect_error("{{ " + repeated("{1:", kMany), "deep");
    expect_error("{{ " + repeated("-", kMany) + "1 }}", "deep");
    expect_error("{{ " + repeated("not ", kMany) + "1 }}", "deep");
    expect_error("{{ 1" + repeated("+1", kMany) + " }}", "deep");
    expect_error("{{ 1" + repeated(" and 1", kMany) + " }}", "deep");
    expect_error("{{ 1" + repeated(" if 1 else 1", kMany / 2) + " }}", "deep");
    expect_error("{{ a" + repeated(".a", kMany) + " }}", "deep");
    expect_error("{{ a" + repeated("[0]", kMany) + " }}", "deep");
    expect_error("{{ a" + repeated("()", kMany) + " }}", "deep");
    expect_error("{{ a" + repeated("|e", kMany) + " }}", "deep");
    expect_error("{{ a" + repeated("(a", kMany), "deep");
    expect_error(repeated("{% if 1 %}", kMany), "deep");
    expect_error(repeated("{% for i in x %}", kMany / 2), "deep");
    expect_error("{% if 1 %}" + repeated("{% elif 1 %}", kMany / 2) + "{% endif %}", "deep");
    expect_error("{% set " + repeated("(", kMany), "deep");
    expect_error(std::string(std::size_t{2} << 20, 'x'), "bytes");
}

TEST(JinjaLimits, ManyVariablesAreRefused) {
    std::string source;
    for (int i = 0; i < 2000; ++i) source += fmt::format("{{% if a %}}{{% set x{} = 1 %}}{{% endif %}}", i);
    expect_error(std::move(source), "variables");
}

// Searching a text of a million characters for one nearly as long must not take their product.
TEST(JinjaLimits, SearchesTakeLinearTime) {
    const std::string start = "{% set a = 'a' * 10**6 %}{% set b = 'a' * 5 * 10**5 + 'b' %}";
    for (const char* search :
         {"{{ a.find(b) }}", "{{ a.count(b) }}", "{{ b in a }}", "{{ a.replace(b, '') | length }}", "{{ a.split(b) | length }}"}) {
        const auto begin = std::chrono::steady_clock::now();
        EXPECT_TRUE(render_text(start + search)) << search;
        EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10)) << search;
    }
}

TEST(JinjaLimits, WhatALoopLeavesBehindIsHarmless) {
    // The variable outlives its loop, and asks for items that are gone.
    const auto text = render_text(
        "{% set ns = namespace() %}{% for x in [1, 2, 3] if x != ns.skip %}{% set ns.l = loop %}{% if loop.changed(loop) %}{% "
        "endif %}"
        "{% break %}{% endfor %}{{ ns.l.index }}{{ ns.l.last }}{{ ns.l.nextitem }}{{ ns.l.length }}");
    ASSERT_TRUE(text) << text.error().message;
    EXPECT_FALSE(render_text("{% set ns = namespace() %}{% for x in [1] %}{% set ns.l = loop %}{% endfor %}{{ ns.l([1]) }}"));
    // A macro keeps the variables of the loop it was made in.
    const auto kept = render_text(
        "{% set ns = namespace() %}{% for x in [1, 2] %}{% macro m() %}{{ x }}{% endmacro %}{% set ns.m = m %}{% endfor %}{{ ns.m() }}");
    ASSERT_TRUE(kept) << kept.error().message;
    EXPECT_EQ(*kept, "2");
}

}  // namespace
}  // namespace rafter::text::jinja
