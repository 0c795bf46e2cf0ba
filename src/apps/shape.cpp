// Reads verbs and options from CLI11. What it calls a type ("TEXT:{auto,scalar}", "TEXT:FILE") says which values there are.
#include "apps/shape.h"

#include <algorithm>
#include <string_view>

namespace rafter::apps {
namespace {

std::vector<std::string> choices_in(std::string_view type) {
    const std::size_t open = type.find('{');
    const std::size_t close = type.find('}', open == std::string_view::npos ? 0 : open);
    if (open == std::string_view::npos || close == std::string_view::npos) return {};
    std::vector<std::string> choices;
    std::string_view rest = type.substr(open + 1, close - open - 1);
    while (!rest.empty()) {
        const std::size_t comma = std::min(rest.find(','), rest.size());
        std::string_view choice = rest.substr(0, comma);
        choice = choice.substr(0, choice.find("->"));  // of a map, the name alone
        if (!choice.empty()) choices.emplace_back(choice);
        rest.remove_prefix(std::min(comma + 1, rest.size()));
    }
    return choices;
}

OptionShape shape_of(const CLI::Option& option) {
    OptionShape shape;
    for (const std::string& name : option.get_snames()) shape.names.push_back("-" + name);
    for (const std::string& name : option.get_lnames()) shape.names.push_back("--" + name);
    const std::string type = option.get_type_name();
    if (option.get_items_expected_max() > 0) {
        shape.value = option.get_positional() ? option.get_name(true) : type.substr(0, type.find_first_of(":{ ("));
        if (shape.value.empty()) shape.value = "VALUE";
        shape.choices = choices_in(type);
        shape.names_model = option.get_positional() && (shape.value == "MODEL" || shape.value == "NAME");
        for (const char* word : {"MODEL", "FILE", "PATH", "DIR"}) {
            if (type.find(word) != std::string::npos || shape.value.find(word) != std::string::npos) shape.takes_file = true;
        }
        shape.repeatable = option.get_items_expected_max() > 1;
    }
    shape.description = option.get_description();
    shape.required = option.get_required();
    return shape;
}

}  // namespace

VerbShape shape_of(const CLI::App& app) {
    VerbShape shape{.name = app.get_name(), .description = app.get_description(), .options = {}, .positionals = {}, .verbs = {}};
    for (const CLI::Option* option : app.get_options()) {
        if (option->get_group().empty()) continue;
        (option->get_positional() ? shape.positionals : shape.options).push_back(shape_of(*option));
    }
    for (const CLI::App* verb : app.get_subcommands([](const CLI::App* a) { return !a->get_group().empty(); })) {
        shape.verbs.push_back(shape_of(*verb));
    }
    return shape;
}

}  // namespace rafter::apps
