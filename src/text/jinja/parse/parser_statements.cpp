// Statements: the tags between {% and %}, and the text between tags.
#include <algorithm>
#include <array>

#include "text/jinja/builtins/filters.h"
#include "text/jinja/parse/parser.h"
#include "text/jinja/parse/parser_state.h"
#include "text/utf8.h"

namespace rafter::text::jinja {

namespace {

// Real ones have up to 30 KB.
constexpr std::size_t kMaxTemplateBytes = std::size_t{1} << 20;

}  // namespace

const Token& Parser::take() {
    const Token& token = tokens_[at_];
    if (at_ + 1 < tokens_.size()) ++at_;
    return token;
}

bool Parser::is_name(std::string_view name) const { return current().type == TokenType::kName && current().text == name; }
bool Parser::is_operator(std::string_view text) const { return current().type == TokenType::kOperator && current().text == text; }

bool Parser::skip_name(std::string_view name) {
    const bool found = is_name(name);
    if (found) take();
    return found;
}

bool Parser::skip_operator(std::string_view text) {
    const bool found = is_operator(text);
    if (found) take();
    return found;
}

std::string Parser::describe(const Token& token) {
    switch (token.type) {
        case TokenType::kData:
            return "text";
        case TokenType::kVariableBegin:
            return "'{{'";
        case TokenType::kVariableEnd:
            return "'}}'";
        case TokenType::kBlockBegin:
            return "'{%'";
        case TokenType::kBlockEnd:
            return "'%}'";
        case TokenType::kString:
            return "a string";
        case TokenType::kInteger:
        case TokenType::kFloat:
            return "a number";
        case TokenType::kEnd:
            return "the end of the template";
        case TokenType::kName:
        case TokenType::kOperator:
            break;
    }
    return fmt::format("'{}'", token.text);
}

Result<void> Parser::expect_operator(std::string_view text) {
    if (skip_operator(text)) return {};
    return fail(current().at, "expected '{}', found {}", text, describe(current()));
}

Result<void> Parser::expect_name(std::string_view name) {
    if (skip_name(name)) return {};
    return fail(current().at, "expected '{}', found {}", name, describe(current()));
}

Result<void> Parser::expect(TokenType type) {
    if (current().type != type) return fail(current().at, "expected {}, found {}", describe({.type = type}), describe(current()));
    take();
    return {};
}

Result<std::string> Parser::identifier() {
    if (current().type != TokenType::kName) return fail(current().at, "expected a name, found {}", describe(current()));
    return take().text;
}

Result<std::vector<Statement>> Parser::statements(std::initializer_list<std::string_view> end_tags) {
    std::vector<Statement> result;
    const auto output = [&]() -> std::vector<ExpressionPtr>& {
        if (result.empty() || result.back().kind != StatementKind::kOutput) {
            result.push_back({.kind = StatementKind::kOutput, .at = current().at});
        }
        return result.back().expressions;
    };
    while (current().type != TokenType::kEnd) {
        if (current().type == TokenType::kData) {
            auto node = make(ExpressionKind::kConstant, current().at);
            node->constant = literal(take().text);
            output().push_back(std::move(node));
        } else if (current().type == TokenType::kVariableBegin) {
            auto& expressions = output();
            take();
            RAFTER_TRY(ExpressionPtr node, tuple());
            expressions.push_back(std::move(node));
            RAFTER_TRY_VOID(expect(TokenType::kVariableEnd));
        } else {
            RAFTER_TRY_VOID(expect(TokenType::kBlockBegin));
            if (std::any_of(end_tags.begin(), end_tags.end(), [&](std::string_view tag) { return is_name(tag); })) return result;
            RAFTER_TRY(Statement made, statement());
            result.push_back(std::move(made));
            RAFTER_TRY_VOID(expect(TokenType::kBlockEnd));
        }
    }
    return result;
}

Result<Statement> Parser::statement() {
    const Token& tag = current();
    if (tag.type != TokenType::kName) return fail(tag.at, "expected the name of a tag, found {}", describe(tag));
    if (++nesting_ > kMaxNesting) return fail(tag.at, "blocks and brackets nested more than {} deep", kMaxNesting);
    take();
    auto made = statement_of(tag);
    --nesting_;
    if (made) made->at = tag.at;
    return made;
}

Result<Statement> Parser::statement_of(const Token& tag) {
    const std::string& name = tag.text;
    if (name == "if") return if_statement();
    if (name == "for") return for_statement();
    if (name == "set") return set_statement();
    if (name == "macro") return macro_statement();
    if (name == "call") return call_statement();
    if (name == "generation") return generation_statement();
    if (name == "filter") return filter_statement();
    if (name == "with") return with_statement();
    if (name == "break") return loop_control(StatementKind::kBreak);
    if (name == "continue") return loop_control(StatementKind::kContinue);
    constexpr std::array<std::string_view, 4> kOtherFiles = {"include", "import", "from", "extends"};
    if (std::find(kOtherFiles.begin(), kOtherFiles.end(), name) != kOtherFiles.end()) {
        return fail(tag.at, "{{% {} %}}: a chat template cannot reach other templates", name);
    }
    return fail(tag.at, "unknown tag '{}'", name);
}

Result<std::vector<Statement>> Parser::body_until(std::initializer_list<std::string_view> end_tags) {
    const Position at = current().at;
    skip_operator(":");
    RAFTER_TRY_VOID(expect(TokenType::kBlockEnd));
    RAFTER_TRY(std::vector<Statement> result, statements(end_tags));
    if (current().type == TokenType::kEnd)
        return fail(at, "the block that begins here never ends: expected '{}'", *std::prev(end_tags.end()));
    return result;
}

Result<std::vector<Statement>> Parser::body(std::string_view end_tag) {
    RAFTER_TRY(std::vector<Statement> result, body_until({end_tag}));
    take();
    return result;
}

Result<std::vector<Statement>> Parser::function_body(std::string_view end_tag) {
    const int loops_around = std::exchange(loops_around_, 0);
    auto result = body(end_tag);
    loops_around_ = loops_around;
    return result;
}

Result<Statement> Parser::for_statement() {
    Statement made{.kind = StatementKind::kFor};
    RAFTER_TRY(Target item, target(NamespaceTargets::kNot, "in"));
    made.targets.push_back(std::move(item));
    RAFTER_TRY_VOID(expect_name("in"));
    RAFTER_TRY(made.expression, tuple(Conditional::kNot));
    if (skip_name("if")) {
        RAFTER_TRY(made.filter, expression());
    }
    ++loops_around_;
    auto inner = body_until({"else", "endfor"});
    --loops_around_;
    if (!inner) return inner.error();
    made.body = std::move(*inner);
    if (take().text == "else") {
        RAFTER_TRY(made.else_body, body("endfor"));
    }
    return made;
}

Result<Statement> Parser::if_statement() {
    Statement made{.kind = StatementKind::kIf};
    RAFTER_TRY(made.expression, tuple(Conditional::kNot));
    RAFTER_TRY(made.body, body_until({"elif", "else", "endif"}));
    const Token& next = take();
    if (next.text == "else") {
        RAFTER_TRY(made.else_body, body("endif"));
    } else if (next.text == "elif") {
        // An elif is an if inside the else; the two share one endif.
        if (++nesting_ > kMaxNesting) return fail(next.at, "blocks and brackets nested more than {} deep", kMaxNesting);
        RAFTER_TRY(Statement branch, if_statement());
        --nesting_;
        branch.at = next.at;
        made.else_body.push_back(std::move(branch));
    }
    return made;
}

Result<Statement> Parser::set_statement() {
    Statement made{.kind = StatementKind::kSet};
    RAFTER_TRY(Target variable, target(NamespaceTargets::kAllowed));
    made.targets.push_back(std::move(variable));
    if (skip_operator("=")) {
        RAFTER_TRY(made.expression, tuple());
        return made;
    }
    made.kind = StatementKind::kSetBlock;
    if (is_operator("|")) {
        RAFTER_TRY(made.expression, filter_chain(nullptr, FirstFilter::kAfterBar));
    }
    RAFTER_TRY(made.body, body("endset"));
    return made;
}

Result<void> Parser::signature(Statement& statement) {
    RAFTER_TRY_VOID(expect_operator("("));
    while (!is_operator(")")) {
        if (!statement.parameters.empty()) RAFTER_TRY_VOID(expect_operator(","));
        const Position at = current().at;
        RAFTER_TRY(Target parameter, name_target(NamespaceTargets::kNot));
        if (std::find(statement.parameters.begin(), statement.parameters.end(), parameter.name) != statement.parameters.end()) {
            return fail(at, "parameter '{}' is given twice", parameter.name);
        }
        if (skip_operator("=")) {
            RAFTER_TRY(ExpressionPtr value, expression());
            statement.defaults.push_back(std::move(value));
        } else if (!statement.defaults.empty()) {
            return fail(at, "parameter '{}' without a default follows one with a default", parameter.name);
        }
        statement.parameters.push_back(std::move(parameter.name));
    }
    return expect_operator(")");
}

Result<Statement> Parser::macro_statement() {
    Statement made{.kind = StatementKind::kMacro};
    RAFTER_TRY(const Target name, name_target(NamespaceTargets::kNot));
    made.name = name.name;
    RAFTER_TRY_VOID(signature(made));
    RAFTER_TRY(made.body, function_body("endmacro"));
    return made;
}

Result<Statement> Parser::call_statement() {
    Statement made{.kind = StatementKind::kCallBlock};
    if (is_operator("(")) RAFTER_TRY_VOID(signature(made));
    const Position at = current().at;
    RAFTER_TRY(made.expression, expression());
    if (made.expression->kind != ExpressionKind::kCall) return fail(at, "expected a call");
    RAFTER_TRY(made.body, function_body("endcall"));
    return made;
}

Result<Statement> Parser::generation_statement() {
    Statement made{.kind = StatementKind::kGeneration};
    RAFTER_TRY(made.body, function_body("endgeneration"));
    return made;
}

Result<Statement> Parser::filter_statement() {
    Statement made{.kind = StatementKind::kFilterBlock};
    RAFTER_TRY(made.expression, filter_chain(nullptr, FirstFilter::kBare));
    RAFTER_TRY(made.body, body("endfilter"));
    return made;
}

Result<Statement> Parser::with_statement() {
    Statement made{.kind = StatementKind::kWith};
    while (current().type != TokenType::kBlockEnd) {
        if (!made.targets.empty()) RAFTER_TRY_VOID(expect_operator(","));
        RAFTER_TRY(Target variable, target(NamespaceTargets::kNot));
        RAFTER_TRY_VOID(expect_operator("="));
        RAFTER_TRY(ExpressionPtr value, expression());
        made.targets.push_back(std::move(variable));
        made.expressions.push_back(std::move(value));
    }
    RAFTER_TRY(made.body, body("endwith"));
    return made;
}

Result<Statement> Parser::loop_control(StatementKind kind) {
    if (loops_around_ == 0) return fail(current().at, "a loop control outside of a loop");
    return Statement{.kind = kind};
}

Result<Target> Parser::single_target(NamespaceTargets namespaces) {
    if (!skip_operator("(")) return name_target(namespaces);
    RAFTER_TRY(Target inner, target(namespaces, ")"));
    RAFTER_TRY_VOID(expect_operator(")"));
    return inner;
}

Result<Target> Parser::name_target(NamespaceTargets namespaces) {
    const Token& token = current();
    Target made{.at = token.at};
    RAFTER_TRY(made.name, identifier());
    constexpr std::array<std::string_view, 6> kConstants = {"true", "false", "none", "True", "False", "None"};
    if (std::find(kConstants.begin(), kConstants.end(), made.name) != kConstants.end()) {
        return fail(token.at, "cannot assign to '{}'", made.name);
    }
    if (namespaces == NamespaceTargets::kAllowed && skip_operator(".")) {
        made.kind = Target::Kind::kNamespaceAttribute;
        RAFTER_TRY(made.attribute, identifier());
    }
    return made;
}

Result<Target> Parser::target(NamespaceTargets namespaces, std::string_view end_name) {
    Target made{.kind = Target::Kind::kTuple, .at = current().at};
    if (++nesting_ > kMaxNesting) return fail(made.at, "blocks and brackets nested more than {} deep", kMaxNesting);
    bool is_tuple = false;
    while (!is_operator(")") && current().type != TokenType::kBlockEnd && (end_name.empty() || !is_name(end_name))) {
        RAFTER_TRY(Target part, single_target(namespaces));
        made.parts.push_back(std::move(part));
        if (!skip_operator(",")) break;
        is_tuple = true;
    }
    --nesting_;
    if (made.parts.empty()) return fail(made.at, "expected the name of a variable, found {}", describe(current()));
    if (is_tuple) return made;
    Target only = std::move(made.parts[0]);
    return only;
}

namespace {

Result<std::unique_ptr<Template>> parse(std::string source, std::string_view name) {
    if (source.size() > kMaxTemplateBytes)
        return bad_input("{}: expected at most {} bytes, found {}", name, kMaxTemplateBytes, source.size());
    const std::size_t valid = find_invalid_utf8(source);
    if (valid != source.size()) return bad_input("{}: expected UTF-8, found another byte at offset {}", name, valid);
    auto parsed = std::make_unique<Template>();
    parsed->name = name;
    parsed->source = std::move(source);
    RAFTER_TRY(std::vector<Token> tokens, tokenize(parsed->source, parsed->name));
    RAFTER_TRY(parsed->body, Parser(*parsed, std::move(tokens)).statements({}));
    RAFTER_TRY_VOID(resolve_scopes(*parsed));
    return parsed;
}

}  // namespace

Result<std::unique_ptr<Template>> parse_template(std::string source, std::string_view name) {
    auto parsed = parse(std::move(source), name);
    if (!parsed) return one_line(parsed.error());
    return parsed;
}

}  // namespace rafter::text::jinja
