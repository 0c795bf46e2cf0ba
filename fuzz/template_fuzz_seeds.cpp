// Templates for the fuzzer to start from: the default ones, and small ones that between them use most of the language.
//   template_fuzz_seeds FOLDER
#include <fmt/format.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <string_view>

#include "text/default_templates.h"

namespace {

constexpr std::array<std::string_view, 16> kSmall{
    "{% for m in messages if m.role != 'tool' %}{{ loop.index0 }}{{ loop.last }}{{ m['role'] | upper }}{% else %}-{% endfor %}",
    "{%- set ns = namespace(n=0) -%}{%- for m in messages -%}{%- set ns.n = ns.n + m.content | length -%}{%- endfor -%}{{ ns.n }}",
    "{% macro f(a, b=2, *rest, **named) %}{{ a ~ b }}{{ caller() if caller else varargs }}{% endmacro %}{% call f(1) %}x{% endcall %}",
    "{{ messages | map(attribute='role') | unique | join(', ') }}{{ messages | selectattr('role', 'eq', 'user') | list | length }}",
    "{{ tools | tojson(indent=2) }}{{ {'a': [1, 2.5, none], 'b': 'ü'} | tojson }}",
    "{{ 'a,b,c'.split(',')[::-1] }}{{ 'abc'[-2:] }}{{ (1, 2)[0] }}{{ [1, 2, 3][1:] }}",
    "{{ '%05.2f|%s|%x' % (3.14159, 'x', 255) }}{{ '{:>8}{a!r}'.format('x', a=1) }}",
    "{{ 7 // 2 }}{{ -7 % 3 }}{{ 2 ** 10 }}{{ 1 / 3 }}{{ 1 < 2 <= 2 != 3 }}{{ not 1 in [2] }}{{ 1 if none else 'no' }}",
    "{{ messages | groupby('role') }}{{ [3, 1, 2] | sort(reverse=true) | first }}{{ {'b': 1} | dictsort }}",
    "{{ range(5) | batch(2, 'x') | list }}{{ range(1, 9, 3) | sum }}{{ [1, 2] | slice(2) | list }}",
    "{% filter upper | trim %}abc{% endfilter %}{% set x %}body{% endset %}{{ x }}{% generation %}y{% endgeneration %}",
    "{{ strftime_now('%d %B %Y') }}{{ raise_exception('no') }}",
    "{{ '<b>' | escape }}{{ 'x' | indent(4, true) }}{{ 'a b' | title | center(9) | replace('A', '') | wordcount }}",
    "{% if messages[0].x is defined and tools is iterable %}{{ 1 }}{% elif false %}{% else %}{{ messages[9].y }}{% endif %}",
    "{% for k, v in messages[2].tool_calls[0].function.arguments.items() recursive %}{{ k }}={{ v }}{% break %}{% endfor %}",
    "{# comment #}{% raw %}{{ raw }}{% endraw %}{{ cycler('a', 'b').next() }}{{ joiner(',')() }}{{ dict(a=1) }}{{ 0x1f }}{{ 1_000 }}",
};

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) {
        fmt::print(stderr, "usage: template_fuzz_seeds FOLDER\n");
        return 2;
    }
    const std::filesystem::path folder = argv[1];
    std::filesystem::create_directories(folder);
    bool written = true;
    const auto write = [&](const std::string& name, std::string_view text) {
        written &= static_cast<bool>(std::ofstream(folder / name, std::ios::binary) << text);
    };
    for (std::size_t i = 0; i < kSmall.size(); ++i) write(fmt::format("small-{}", i), kSmall[i]);
    for (const char* mark : {"<start_of_turn>", "<|start_header_id|>", "<|im_start|>", "[INST]", "<|user|>", "<|channel|>"}) {
        const auto& known = rafter::text::default_chat_template("llama", [&](std::string_view token) { return token == mark; });
        write(std::string(known.name), known.source);
    }
    return written ? 0 : 1;
}
