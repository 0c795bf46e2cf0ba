// The table of options as completion and the manual page show it.
#include "apps/shape.h"

#include <fmt/format.h>

#include "apps/options/help_text.h"

namespace rafter::apps {
namespace {

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

VerbShape shape_of(const Cli& cli) {
    VerbShape shape{.name = "rafter", .description = std::string(kSummary), .options = {}, .positionals = {}, .verbs = {}};
    for (const auto& names : {std::vector<std::string>{"-h", "--help"}, {"-V", "--version"}}) {
        OptionShape option;
        option.names = names;
        option.description = names.back() == "--help" ? "Print this help" : "Print the version";
        shape.options.push_back(std::move(option));
    }
    for (const auto& verb : cli.verbs) shape.verbs.push_back(shape_of(*verb));
    return shape;
}

}  // namespace rafter::apps
