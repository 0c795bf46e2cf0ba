// Reads verbs and options from CLI11. What it calls a type ("TEXT:{auto,scalar}", "TEXT:FILE") says which values there are.
#include "apps/shape.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "apps/options/help_text.h"

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

OptionShape shape_of(const BoundOption& bound) {
    const OptionSpec& spec = bound.spec;
    OptionShape shape;
    shape.names = spec.flags();
    if (spec.kind != ValueKind::kFlag) shape.value = value_name(bound);
    shape.choices = spec.choices;
    shape.description = spec.help;
    if (const std::string notes = value_notes(bound); !notes.empty()) shape.description += fmt::format(" ({})", notes);
    shape.variable = spec.variable();
    shape.key = spec.key();
    shape.names_model = spec.kind == ValueKind::kModel;
    shape.takes_file = (spec.kind == ValueKind::kModel && spec.place != "NAME") || spec.kind == ValueKind::kFile;
    shape.repeatable = bound.takes_list && spec.list == ListKind::kRepeated;
    shape.required = bound.required;
    return shape;
}

OptionShape shape_of_place(const BoundOption& bound) {
    OptionShape shape = shape_of(bound);
    shape.names.clear();
    shape.value = bound.spec.place;
    return shape;
}

VerbShape shape_of(const Verb& verb) {
    VerbShape shape{.name = verb.name, .description = verb.summary, .options = {}, .positionals = {}, .verbs = {}};
    for (const BoundOption& bound : verb.options.options()) {
        if (bound.spec.has_flag) shape.options.push_back(shape_of(bound));
        if (!bound.spec.place.empty()) shape.positionals.push_back(shape_of_place(bound));
    }
    OptionShape help;
    help.names = {"-h", "--help"};
    help.description = "Print this help";
    shape.options.push_back(std::move(help));
    for (const Verb& inner : verb.inner) {
        shape.verbs.push_back(shape_of(inner));
        shape.verbs.back().name = inner.name.substr(inner.name.rfind(' ') + 1);
    }
    return shape;
}

}  // namespace

VerbShape shape_of(const CLI::App& app, const Cli& cli) {
    for (const auto& verb : cli.verbs) {
        if (verb->name == app.get_name()) return shape_of(*verb);
    }
    VerbShape shape{.name = app.get_name(), .description = app.get_description(), .options = {}, .positionals = {}, .verbs = {}};
    for (const CLI::Option* option : app.get_options()) {
        if (option->get_group().empty()) continue;
        (option->get_positional() ? shape.positionals : shape.options).push_back(shape_of(*option));
    }
    for (const CLI::App* verb : app.get_subcommands([](const CLI::App* a) { return !a->get_group().empty(); })) {
        shape.verbs.push_back(shape_of(*verb, cli));
    }
    return shape;
}

}  // namespace rafter::apps
