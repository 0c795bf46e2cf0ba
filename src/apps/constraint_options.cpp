// One constraint at most: a file with a schema or a grammar, an expression, or texts.
#include "apps/constraint_options.h"

#include <optional>
#include <string_view>

#include "base/os_file.h"
#include "grammar/grammar_compiler.h"

namespace rafter::apps {
namespace {

Result<std::optional<protocols::OutputForm>> form_of(const ConstraintOptions& options) {
    using grammar::Grammar;
    using grammar::GrammarKind;
    using protocols::OutputForm;
    if (!options.schema_file.empty()) {
        RAFTER_TRY(std::string text, read_file(options.schema_file));
        return std::optional(OutputForm{.key = options.schema_file, .grammar = {GrammarKind::kJsonSchema, std::move(text)}});
    }
    if (!options.grammar_file.empty()) {
        RAFTER_TRY(std::string text, read_file(options.grammar_file));
        return std::optional(OutputForm{.key = options.grammar_file, .grammar = {GrammarKind::kEbnf, std::move(text)}});
    }
    if (!options.regex.empty()) return std::optional(OutputForm{.key = "--regex", .grammar = {GrammarKind::kRegex, options.regex}});
    if (!options.choices.empty()) return std::optional(OutputForm{.key = "--choice", .grammar = grammar::choice_grammar(options.choices)});
    return std::optional<OutputForm>();
}

}  // namespace

void add_constraint_options(OptionSet& options, ConstraintOptions& constraint) {
    options.add("json-schema", constraint.schema_file);
    options.add("regex", constraint.regex);
    options.add("grammar", constraint.grammar_file);
    options.add("choice", constraint.choices);
}

Result<void> check_usage(const ConstraintOptions& options) {
    std::vector<std::string_view> given;
    if (!options.schema_file.empty()) given.emplace_back("--json-schema");
    if (!options.regex.empty()) given.emplace_back("--regex");
    if (!options.grammar_file.empty()) given.emplace_back("--grammar");
    if (!options.choices.empty()) given.emplace_back("--choice");
    if (given.size() < 2) return {};
    return Error{fmt::format("{}: cannot be combined with {}", given[1], given[0]), ErrorKind::kUsage};
}

Result<std::optional<protocols::OutputForm>> output_form(const ConstraintOptions& options) {
    RAFTER_TRY(auto form, form_of(options));
    if (!form) return form;
    if (auto fault = grammar::check(form->grammar); !fault) return fault.error().within(form->key);
    return form;
}

}  // namespace rafter::apps
