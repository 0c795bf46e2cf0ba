// The recursive-descent parser: one method a rule. Expressions are in parser_expressions.cpp, statements in parser_statements.cpp.
#pragma once

#include <fmt/format.h>

#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "text/jinja/parse/ast.h"
#include "text/jinja/parse/error_text.h"
#include "text/jinja/parse/lexer.h"

namespace rafter::text::jinja {

class Parser {
  public:
    Parser(Template& parsed, std::vector<Token> tokens) : template_(parsed), tokens_(std::move(tokens)) {}

    // Until one of the names begins a tag, which is left as the current token; until the end when there are none.
    [[nodiscard]] Result<std::vector<Statement>> statements(std::initializer_list<std::string_view> end_tags);

  private:
    // How deep brackets, operators and blocks may nest: bounds the stack here and wherever the tree is walked.
    static constexpr std::uint32_t kMaxExpressionDepth = 300;
    static constexpr int kMaxNesting = 100;

    enum class Conditional { kAllowed, kNot };
    enum class Parentheses { kExplicit, kNone };

    [[nodiscard]] const Token& current() const { return tokens_[at_]; }
    [[nodiscard]] const Token& look_ahead() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
    const Token& take();
    [[nodiscard]] bool is_name(std::string_view name) const;
    [[nodiscard]] bool is_operator(std::string_view text) const;
    bool skip_name(std::string_view name);
    bool skip_operator(std::string_view text);
    [[nodiscard]] Result<void> expect_operator(std::string_view text);
    [[nodiscard]] Result<void> expect_name(std::string_view name);
    [[nodiscard]] Result<void> expect(TokenType type);
    [[nodiscard]] Result<std::string> identifier();
    [[nodiscard]] static std::string describe(const Token& token);
    template <typename... Args>
    [[nodiscard]] Error fail(Position at, fmt::format_string<Args...> format, Args&&... args) const {
        return located(bad_input(format, std::forward<Args>(args)...), template_.name, at);
    }

    [[nodiscard]] ExpressionPtr make(ExpressionKind kind, Position at) const;
    // To be called when a node has all its children: fails when the tree has become too deep.
    [[nodiscard]] Result<ExpressionPtr> finish(ExpressionPtr node) const;
    [[nodiscard]] Value literal(std::string text);

    [[nodiscard]] Result<ExpressionPtr> expression(Conditional conditional = Conditional::kAllowed);
    [[nodiscard]] Result<ExpressionPtr> condition_expression();
    // Operators of one level of precedence, and the rule for what stands between them.
    struct OperatorRow {
        std::string_view symbol;
        TokenType type = TokenType::kOperator;
        ExpressionKind kind = ExpressionKind::kBinary;
        BinaryOperator op = BinaryOperator::kAdd;
    };
    using Rule = Result<ExpressionPtr> (Parser::*)();
    [[nodiscard]] Result<ExpressionPtr> left_grouped(Rule operand, std::span<const OperatorRow> rows);
    [[nodiscard]] Result<ExpressionPtr> or_expression();
    [[nodiscard]] Result<ExpressionPtr> and_expression();
    [[nodiscard]] Result<ExpressionPtr> not_expression();
    [[nodiscard]] Result<ExpressionPtr> comparison();
    [[nodiscard]] std::optional<Comparison> comparison_operator();
    [[nodiscard]] Result<ExpressionPtr> sum();
    [[nodiscard]] Result<ExpressionPtr> concatenation();
    [[nodiscard]] Result<ExpressionPtr> product();
    [[nodiscard]] Result<ExpressionPtr> power();
    [[nodiscard]] Result<ExpressionPtr> unary();
    [[nodiscard]] Result<ExpressionPtr> primary();
    [[nodiscard]] Result<ExpressionPtr> postfix(ExpressionPtr node);
    [[nodiscard]] Result<ExpressionPtr> filters_and_tests(ExpressionPtr node);
    // Several expressions separated by commas make a tuple.
    [[nodiscard]] Result<ExpressionPtr> tuple(Conditional conditional = Conditional::kAllowed,
                                              Parentheses parentheses = Parentheses::kNone);
    template <typename ParseItem>
    [[nodiscard]] Result<void> comma_list(std::string_view close, const ParseItem& parse_item);
    [[nodiscard]] Result<ExpressionPtr> list_literal();
    [[nodiscard]] Result<ExpressionPtr> dict_literal();
    [[nodiscard]] Result<ExpressionPtr> subscript(ExpressionPtr owner);
    [[nodiscard]] Result<ExpressionPtr> subscript_key();
    [[nodiscard]] Result<CallArguments> call_arguments();
    [[nodiscard]] Result<ExpressionPtr> call(ExpressionPtr callee);
    // `node` is null in blocks; `first_is_bare`: the first filter's name stands without a bar before it.
    enum class FirstFilter { kAfterBar, kBare };
    [[nodiscard]] Result<ExpressionPtr> filter_chain(ExpressionPtr node, FirstFilter first);
    [[nodiscard]] Result<ExpressionPtr> test(ExpressionPtr subject);

    [[nodiscard]] Result<Statement> statement();
    [[nodiscard]] Result<Statement> statement_of(const Token& tag);
    // The body of a block: from the end of its tag to the tag that closes it, which is taken.
    [[nodiscard]] Result<std::vector<Statement>> body(std::string_view end_tag);
    [[nodiscard]] Result<std::vector<Statement>> body_until(std::initializer_list<std::string_view> end_tags);
    [[nodiscard]] Result<Statement> for_statement();
    [[nodiscard]] Result<Statement> if_statement();
    [[nodiscard]] Result<Statement> set_statement();
    [[nodiscard]] Result<Statement> macro_statement();
    [[nodiscard]] Result<Statement> call_statement();
    [[nodiscard]] Result<Statement> generation_statement();
    [[nodiscard]] Result<Statement> filter_statement();
    [[nodiscard]] Result<Statement> with_statement();
    [[nodiscard]] Result<Statement> loop_control(StatementKind kind);
    [[nodiscard]] Result<void> signature(Statement& statement);
    // A macro's body is a function: a break in it does not reach the loop around.
    [[nodiscard]] Result<std::vector<Statement>> function_body(std::string_view end_tag);

    enum class NamespaceTargets { kAllowed, kNot };
    [[nodiscard]] Result<Target> target(NamespaceTargets namespaces, std::string_view end_name = "");
    [[nodiscard]] Result<Target> name_target(NamespaceTargets namespaces);
    [[nodiscard]] Result<Target> single_target(NamespaceTargets namespaces);

    Template& template_;
    std::vector<Token> tokens_;
    std::size_t at_ = 0;
    int nesting_ = 0;
    int loops_around_ = 0;
};

// Fills in the scopes of all statements and the places of all variables. Fails on what jinja2 refuses when it compiles: unknown filters and
// tests outside of a condition, a loop that assigns to `loop`, a parameter `caller` without a default.
[[nodiscard]] Result<void> resolve_scopes(Template& parsed);

}  // namespace rafter::text::jinja
