// One constraint at most: a file with a schema or a grammar, an expression, or texts.
#include "apps/constraint_options.h"

#include <optional>
#include <string_view>

#include "base/os_file.h"
#include "grammar/grammar_compiler.h"

namespace rafter::apps {
namespace {

Result<std::optional<grammar::Grammar>> grammar_of(const ConstraintOptions& options) {
    using grammar::Grammar;
    using grammar::GrammarKind;
    if (!options.schema_file.empty()) {
        RAFTER_TRY(std::string text, read_file(options.schema_file));
        return std::optional(Grammar{GrammarKind::kJsonSchema, std::move(text)});
    }
    if (!options.grammar_file.empty()) {
        RAFTER_TRY(std::string text, read_file(options.grammar_file));
        return std::optional(Grammar{GrammarKind::kEbnf, std::move(text)});
    }
    if (!options.regex.empty()) return std::optional(Grammar{GrammarKind::kRegex, options.regex});
    if (!options.choices.empty()) return std::optional(grammar::choice_grammar(options.choices));
    return std::optional<Grammar>();
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

Result<std::shared_ptr<engine::PendingMask>> constraint_mask(const ConstraintOptions& options, const text::Tokenizer& tokenizer) {
    RAFTER_TRY(const auto grammar, grammar_of(options));
    if (!grammar) return std::shared_ptr<engine::PendingMask>();
    grammar::GrammarCompiler compiler(tokenizer);
    auto mask = compiler.compile_now(*grammar);
    if (mask) return std::make_shared<engine::PendingMask>(*std::move(mask));
    const std::string& file = options.schema_file.empty() ? options.grammar_file : options.schema_file;
    return file.empty() ? mask.error() : mask.error().within(file);
}

}  // namespace rafter::apps
