// The table put together from its parts, and what follows from a row: the names under which an option is known, and the words for its
// values.
#include "apps/options/option_spec.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>

#include "base/check.h"
#include "report/units.h"

namespace rafter::apps {
namespace {

std::vector<OptionSpec> whole_table() {
    std::vector<OptionSpec> table;
    for (auto* part : {prompt_options, sampling_options, speculation_options, cache_options, machine_options, workload_options,
                       output_options, judging_options, plan_options, tool_options, server_options}) {
        for (OptionSpec& row : part()) table.push_back(std::move(row));
    }
    for (std::size_t i = 0; i < table.size(); ++i) {
        for (std::size_t j = 0; j < i; ++j) RAFTER_CHECK(table[i].name != table[j].name, "two options called {}", table[i].name);
    }
    return table;
}

std::string with_underscores(std::string_view name) {
    std::string text(name);
    std::replace(text.begin(), text.end(), '-', '_');
    return text;
}

}  // namespace

std::string OptionSpec::flag() const { return has_flag ? fmt::format("--{}", spelled.empty() ? name : spelled) : std::string(place); }

std::vector<std::string> OptionSpec::flags() const {
    if (!has_flag) return {};
    std::vector<std::string> all{flag()};
    std::string_view rest = also;
    while (!rest.empty()) {
        const std::size_t comma = std::min(rest.find(','), rest.size());
        const std::string_view one = rest.substr(0, comma);
        // A short name stands first, as in "-n, --tokens".
        all.insert(one.starts_with("--") ? all.end() : all.begin(), std::string(one));
        rest.remove_prefix(std::min(comma + 1, rest.size()));
    }
    return all;
}

std::string OptionSpec::variable() const {
    if (!has_variable) return {};
    std::string text = "RAFTER_" + with_underscores(name);
    std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    return text;
}

std::string OptionSpec::key() const {
    if (!has_key) return {};
    const std::string last = with_underscores(spelled.empty() ? name : spelled);
    return subject.section.empty() ? last : fmt::format("{}.{}", subject.section, last);
}

std::string OptionSpec::expected() const {
    if (!choices.empty()) {
        return fmt::format("one of {}{}", fmt::join(choices, ", "), list == ListKind::kPair ? ", or two of them separated by a comma" : "");
    }
    switch (kind) {
        case ValueKind::kFlag:
            return "true or false";
        case ValueKind::kWhole:
            return fmt::format("a whole number from {} to {}{}{}", report::grouped(whole.least), report::grouped(whole.most),
                               unset.empty() || !default_value.empty() ? "" : ", or ", default_value.empty() ? unset : "");
        case ValueKind::kNumber:
            return fmt::format("a number from {:g} to {:g}", number.least, number.most);
        case ValueKind::kBytes:
            return "a size, such as 512MB or 2GiB";
        case ValueKind::kText:
            return "a text";
        case ValueKind::kFile:
            return "a file";
        case ValueKind::kModel:
            return place == "NAME" ? "the name of a model" : "a GGUF file, a folder or a name that `rafter models` lists";
    }
    return {};
}

std::span<const OptionSpec> option_table() {
    static const std::vector<OptionSpec> table = whole_table();
    return table;
}

const OptionSpec& option_named(std::string_view name) {
    const std::span<const OptionSpec> table = option_table();
    const auto row = std::find_if(table.begin(), table.end(), [&](const OptionSpec& spec) { return spec.name == name; });
    RAFTER_CHECK(row != table.end(), "no option called {}", name);
    return *row;
}

}  // namespace rafter::apps
