// Expressions, from the loosest operator (x if y else z) to names and literals.
#include <algorithm>

#include "text/jinja/builtins/filters.h"
#include "text/jinja/parse/parser_state.h"

namespace rafter::text::jinja {

namespace {

std::uint32_t depth_below(const Expression& node) {
    std::uint32_t depth = 0;
    const auto see = [&](const ExpressionPtr& child) {
        if (child) depth = std::max(depth, child->depth);
    };
    for (const ExpressionPtr& child : node.children) see(child);
    for (const ExpressionPtr& argument : node.arguments.positional) see(argument);
    for (const auto& [name, argument] : node.arguments.keywords) see(argument);
    see(node.arguments.more_keywords);
    return depth;
}

}  // namespace

ExpressionPtr Parser::make(ExpressionKind kind, Position at) const {
    auto node = std::make_unique<Expression>();
    node->kind = kind;
    node->at = at;
    return node;
}

Result<ExpressionPtr> Parser::finish(ExpressionPtr node) const {
    node->depth = depth_below(*node) + 1;
    if (node->depth > kMaxExpressionDepth) return fail(node->at, "expression nested more than {} deep", kMaxExpressionDepth);
    return node;
}

Value Parser::literal(std::string text) {
    StringObject object;
    object.type = Type::kString;
    object.text = std::move(text);
    Value value = Value::counted(template_.literals.make(std::move(object), 0));
    // Counted now, because renders on several threads will only read.
    (void)n_code_points(value);
    return value;
}

Result<ExpressionPtr> Parser::expression(Conditional conditional) {
    if (++nesting_ > kMaxNesting) return fail(current().at, "blocks and brackets nested more than {} deep", kMaxNesting);
    auto node = conditional == Conditional::kAllowed ? condition_expression() : or_expression();
    --nesting_;
    return node;
}

Result<ExpressionPtr> Parser::condition_expression() {
    const Position at = current().at;
    RAFTER_TRY(ExpressionPtr value, or_expression());
    while (skip_name("if")) {
        auto node = make(ExpressionKind::kCondition, at);
        RAFTER_TRY(ExpressionPtr condition, or_expression());
        ExpressionPtr otherwise;
        if (skip_name("else")) {
            RAFTER_TRY(otherwise, expression());
        }
        node->children.push_back(std::move(condition));
        node->children.push_back(std::move(value));
        node->children.push_back(std::move(otherwise));
        RAFTER_TRY(value, finish(std::move(node)));
    }
    return value;
}

Result<ExpressionPtr> Parser::left_grouped(Rule operand, std::span<const OperatorRow> rows) {
    RAFTER_TRY(ExpressionPtr left, (this->*operand)());
    while (true) {
        const auto row =
            std::ranges::find_if(rows, [&](const OperatorRow& r) { return current().type == r.type && current().text == r.symbol; });
        if (row == rows.end()) return left;
        auto node = make(row->kind, take().at);
        node->op = row->op;
        RAFTER_TRY(ExpressionPtr right, (this->*operand)());
        node->children.push_back(std::move(left));
        node->children.push_back(std::move(right));
        RAFTER_TRY(left, finish(std::move(node)));
    }
}

Result<ExpressionPtr> Parser::or_expression() {
    static constexpr OperatorRow kRows[] = {{"or", TokenType::kName, ExpressionKind::kOr}};
    return left_grouped(&Parser::and_expression, kRows);
}

Result<ExpressionPtr> Parser::and_expression() {
    static constexpr OperatorRow kRows[] = {{"and", TokenType::kName, ExpressionKind::kAnd}};
    return left_grouped(&Parser::not_expression, kRows);
}

Result<ExpressionPtr> Parser::not_expression() {
    std::vector<Position> negations;
    while (is_name("not")) negations.push_back(take().at);
    RAFTER_TRY(ExpressionPtr node, comparison());
    for (; !negations.empty(); negations.pop_back()) {
        auto negation = make(ExpressionKind::kNot, negations.back());
        negation->children.push_back(std::move(node));
        RAFTER_TRY(node, finish(std::move(negation)));
    }
    return node;
}

std::optional<Comparison> Parser::comparison_operator() {
    if (is_name("not") && look_ahead().type == TokenType::kName && look_ahead().text == "in") {
        take();
        take();
        return Comparison::kNotIn;
    }
    if (skip_name("in")) return Comparison::kIn;
    if (skip_operator("==")) return Comparison::kEqual;
    if (skip_operator("!=")) return Comparison::kNotEqual;
    if (skip_operator("<=")) return Comparison::kLessEqual;
    if (skip_operator(">=")) return Comparison::kGreaterEqual;
    if (skip_operator("<")) return Comparison::kLess;
    if (skip_operator(">")) return Comparison::kGreater;
    return std::nullopt;
}

Result<ExpressionPtr> Parser::comparison() {
    RAFTER_TRY(ExpressionPtr first, sum());
    const Position at = current().at;
    auto op = comparison_operator();
    if (!op) return first;
    auto node = make(ExpressionKind::kCompare, at);
    node->children.push_back(std::move(first));
    for (; op; op = comparison_operator()) {
        RAFTER_TRY(ExpressionPtr operand, sum());
        node->comparisons.push_back(*op);
        node->children.push_back(std::move(operand));
    }
    return finish(std::move(node));
}

Result<ExpressionPtr> Parser::sum() {
    static constexpr OperatorRow kRows[] = {{.symbol = "+", .op = BinaryOperator::kAdd}, {.symbol = "-", .op = BinaryOperator::kSubtract}};
    return left_grouped(&Parser::concatenation, kRows);
}

Result<ExpressionPtr> Parser::concatenation() {
    RAFTER_TRY(ExpressionPtr first, product());
    if (!is_operator("~")) return first;
    auto node = make(ExpressionKind::kConcat, current().at);
    node->children.push_back(std::move(first));
    while (skip_operator("~")) {
        RAFTER_TRY(ExpressionPtr next, product());
        node->children.push_back(std::move(next));
    }
    return finish(std::move(node));
}

Result<ExpressionPtr> Parser::product() {
    static constexpr OperatorRow kRows[] = {{.symbol = "*", .op = BinaryOperator::kMultiply},
                                            {.symbol = "/", .op = BinaryOperator::kDivide},
                                            {.symbol = "//", .op = BinaryOperator::kFloorDivide},
                                            {.symbol = "%", .op = BinaryOperator::kModulo}};
    return left_grouped(&Parser::power, kRows);
}

// Groups from the left, as jinja2 does and Python does not.
Result<ExpressionPtr> Parser::power() {
    static constexpr OperatorRow kRows[] = {{.symbol = "**", .op = BinaryOperator::kPower}};
    return left_grouped(&Parser::unary, kRows);
}

Result<ExpressionPtr> Parser::unary() {
    std::vector<std::pair<ExpressionKind, Position>> signs;
    while (is_operator("-") || is_operator("+")) {
        const Token& sign = take();
        signs.emplace_back(sign.text == "-" ? ExpressionKind::kNegate : ExpressionKind::kPlus, sign.at);
    }
    RAFTER_TRY(ExpressionPtr node, primary());
    RAFTER_TRY(node, postfix(std::move(node)));
    for (; !signs.empty(); signs.pop_back()) {
        auto negation = make(signs.back().first, signs.back().second);
        negation->children.push_back(std::move(node));
        RAFTER_TRY(node, finish(std::move(negation)));
    }
    return filters_and_tests(std::move(node));
}

Result<ExpressionPtr> Parser::primary() {
    const Token& token = current();
    auto node = make(ExpressionKind::kConstant, token.at);
    switch (token.type) {
        case TokenType::kName: {
            take();
            const std::string& name = token.text;
            if (name == "true" || name == "True" || name == "false" || name == "False") {
                node->constant = Value::boolean(name[0] == 't' || name[0] == 'T');
            } else if (name == "none" || name == "None") {
                node->constant = Value::none();
            } else {
                node->kind = ExpressionKind::kName;
                node->name = name;
            }
            return node;
        }
        case TokenType::kString: {
            std::string text = take().text;
            while (current().type == TokenType::kString) text += take().text;
            node->constant = literal(std::move(text));
            return node;
        }
        case TokenType::kInteger: {
            const Int value = take().integer;
            if (value <= std::numeric_limits<std::int64_t>::max()) {
                node->constant = Value::integer(static_cast<std::int64_t>(value));
            } else {
                IntObject object;
                object.type = Type::kInt;
                object.value = value;
                node->constant = Value::counted(template_.literals.make(std::move(object), 0));
            }
            return node;
        }
        case TokenType::kFloat:
            node->constant = Value::real(take().real);
            return node;
        default:
            break;
    }
    if (is_operator("[")) return list_literal();
    if (is_operator("{")) return dict_literal();
    if (token.type == TokenType::kEnd) return fail(token.at, "unexpected end of the template");
    if (!skip_operator("(")) return fail(token.at, "unexpected {}", describe(token));
    RAFTER_TRY(ExpressionPtr inner, tuple(Conditional::kAllowed, Parentheses::kExplicit));
    RAFTER_TRY_VOID(expect_operator(")"));
    return inner;
}

Result<ExpressionPtr> Parser::tuple(Conditional conditional, Parentheses parentheses) {
    auto node = make(ExpressionKind::kTuple, current().at);
    bool is_tuple = false;
    const auto at_end = [&] {
        return current().type == TokenType::kVariableEnd || current().type == TokenType::kBlockEnd || is_operator(")");
    };
    while (!at_end()) {
        RAFTER_TRY(ExpressionPtr item, expression(conditional));
        node->children.push_back(std::move(item));
        if (!skip_operator(",")) break;
        is_tuple = true;
    }
    if (!is_tuple && !node->children.empty()) return std::move(node->children[0]);
    // Nothing at all is a tuple only between parentheses.
    if (!is_tuple && parentheses == Parentheses::kNone) return fail(current().at, "expected an expression, found {}", describe(current()));
    return finish(std::move(node));
}

// What commas separate, up to the bracket that closes it; one more comma may stand before that.
template <typename ParseItem>
Result<void> Parser::comma_list(std::string_view close, const ParseItem& parse_item) {
    for (bool is_first = true; !is_operator(close); is_first = false) {
        if (!is_first) RAFTER_TRY_VOID(expect_operator(","));
        if (is_operator(close)) break;
        RAFTER_TRY_VOID(parse_item());
    }
    return expect_operator(close);
}

Result<ExpressionPtr> Parser::list_literal() {
    auto node = make(ExpressionKind::kList, take().at);
    const auto parse_item = [&]() -> Result<void> {
        RAFTER_TRY(ExpressionPtr item, expression());
        node->children.push_back(std::move(item));
        return {};
    };
    RAFTER_TRY_VOID(comma_list("]", parse_item));
    return finish(std::move(node));
}

Result<ExpressionPtr> Parser::dict_literal() {
    auto node = make(ExpressionKind::kDict, take().at);
    const auto parse_item = [&]() -> Result<void> {
        RAFTER_TRY(ExpressionPtr key, expression());
        RAFTER_TRY_VOID(expect_operator(":"));
        RAFTER_TRY(ExpressionPtr value, expression());
        node->children.push_back(std::move(key));
        node->children.push_back(std::move(value));
        return {};
    };
    RAFTER_TRY_VOID(comma_list("}", parse_item));
    return finish(std::move(node));
}

Result<ExpressionPtr> Parser::postfix(ExpressionPtr node) {
    while (true) {
        if (is_operator(".") || is_operator("[")) {
            RAFTER_TRY(node, subscript(std::move(node)));
        } else if (is_operator("(")) {
            RAFTER_TRY(node, call(std::move(node)));
        } else {
            return node;
        }
    }
}

Result<ExpressionPtr> Parser::filters_and_tests(ExpressionPtr node) {
    while (true) {
        if (is_operator("|")) {
            RAFTER_TRY(node, filter_chain(std::move(node), FirstFilter::kAfterBar));
        } else if (is_name("is")) {
            RAFTER_TRY(node, test(std::move(node)));
        } else if (is_operator("(")) {
            RAFTER_TRY(node, call(std::move(node)));
        } else {
            return node;
        }
    }
}

Result<ExpressionPtr> Parser::subscript(ExpressionPtr owner) {
    const Position at = current().at;
    if (skip_operator(".")) {
        const Token& key = take();
        if (key.type == TokenType::kName) {
            auto node = make(ExpressionKind::kAttribute, at);
            node->name = key.text;
            node->children.push_back(std::move(owner));
            return finish(std::move(node));
        }
        if (key.type != TokenType::kInteger) return fail(key.at, "expected a name or number after '.', found {}", describe(key));
        auto node = make(ExpressionKind::kItem, at);
        auto index = make(ExpressionKind::kConstant, key.at);
        index->constant = Value::integer(static_cast<std::int64_t>(std::min<Int>(key.integer, std::numeric_limits<std::int64_t>::max())));
        node->children.push_back(std::move(owner));
        node->children.push_back(std::move(index));
        return finish(std::move(node));
    }
    RAFTER_TRY_VOID(expect_operator("["));
    auto node = make(ExpressionKind::kItem, at);
    auto keys = make(ExpressionKind::kTuple, current().at);
    while (!is_operator("]")) {
        if (!keys->children.empty()) RAFTER_TRY_VOID(expect_operator(","));
        RAFTER_TRY(ExpressionPtr key, subscript_key());
        keys->children.push_back(std::move(key));
    }
    RAFTER_TRY_VOID(expect_operator("]"));
    if (keys->children.size() != 1) {
        for (const ExpressionPtr& key : keys->children) {
            if (key->kind == ExpressionKind::kSlice) return fail(key->at, "a slice cannot be one of several keys");
        }
    }
    node->children.push_back(std::move(owner));
    if (keys->children.size() == 1) {
        node->children.push_back(std::move(keys->children[0]));
    } else {
        RAFTER_TRY(keys, finish(std::move(keys)));
        node->children.push_back(std::move(keys));
    }
    return finish(std::move(node));
}

Result<ExpressionPtr> Parser::subscript_key() {
    const Position at = current().at;
    std::vector<ExpressionPtr> parts(3);
    if (!is_operator(":")) {
        RAFTER_TRY(parts[0], expression());
        if (!is_operator(":")) return std::move(parts[0]);
    }
    for (std::size_t i = 1; i < 3 && skip_operator(":"); ++i) {
        if (is_operator(":") || is_operator("]") || is_operator(",")) continue;
        RAFTER_TRY(parts[i], expression());
    }
    auto node = make(ExpressionKind::kSlice, at);
    node->children = std::move(parts);
    return finish(std::move(node));
}

Result<CallArguments> Parser::call_arguments() {
    const Position at = current().at;
    RAFTER_TRY_VOID(expect_operator("("));
    CallArguments arguments;
    const auto parse_item = [&]() -> Result<void> {
        if (arguments.more_keywords) return fail(at, "invalid order of arguments in a call");
        if (skip_operator("**")) {
            RAFTER_TRY(arguments.more_keywords, expression());
            return {};
        }
        const bool is_named = current().type == TokenType::kName && look_ahead().type == TokenType::kOperator && look_ahead().text == "=";
        if (!is_named) {
            if (!arguments.keywords.empty()) return fail(at, "invalid order of arguments in a call");
            RAFTER_TRY(ExpressionPtr value, expression());
            arguments.positional.push_back(std::move(value));
            return {};
        }
        std::string name = take().text;
        take();
        for (const auto& [other, value] : arguments.keywords) {
            if (other == name) return fail(at, "keyword argument repeated: {}", name);
        }
        RAFTER_TRY(ExpressionPtr value, expression());
        arguments.keywords.emplace_back(std::move(name), std::move(value));
        return {};
    };
    RAFTER_TRY_VOID(comma_list(")", parse_item));
    return arguments;
}

Result<ExpressionPtr> Parser::call(ExpressionPtr callee) {
    auto node = make(ExpressionKind::kCall, current().at);
    node->children.push_back(std::move(callee));
    RAFTER_TRY(node->arguments, call_arguments());
    return finish(std::move(node));
}

Result<ExpressionPtr> Parser::filter_chain(ExpressionPtr node, FirstFilter first) {
    bool is_bare = first == FirstFilter::kBare;
    while (is_bare || skip_operator("|")) {
        is_bare = false;
        auto filter = make(ExpressionKind::kFilter, current().at);
        RAFTER_TRY(filter->name, identifier());
        if (is_operator("(")) {
            RAFTER_TRY(filter->arguments, call_arguments());
        }
        filter->function = find_filter(filter->name);
        filter->children.push_back(std::move(node));
        RAFTER_TRY(node, finish(std::move(filter)));
    }
    return node;
}

Result<ExpressionPtr> Parser::test(ExpressionPtr subject) {
    const Position at = take().at;
    const bool negated = skip_name("not");
    auto node = make(ExpressionKind::kTest, at);
    RAFTER_TRY(node->name, identifier());
    const TokenType next = current().type;
    const bool begins_value = next == TokenType::kName || next == TokenType::kString || next == TokenType::kInteger ||
                              next == TokenType::kFloat || is_operator("[") || is_operator("{");
    if (is_operator("(")) {
        RAFTER_TRY(node->arguments, call_arguments());
    } else if (begins_value && !is_name("else") && !is_name("or") && !is_name("and")) {
        if (is_name("is")) return fail(current().at, "tests cannot be chained with is");
        RAFTER_TRY(ExpressionPtr argument, primary());
        RAFTER_TRY(argument, postfix(std::move(argument)));
        node->arguments.positional.push_back(std::move(argument));
    }
    node->function = find_test(node->name);
    node->children.push_back(std::move(subject));
    RAFTER_TRY(node, finish(std::move(node)));
    if (!negated) return node;
    auto negation = make(ExpressionKind::kNot, at);
    negation->children.push_back(std::move(node));
    return finish(std::move(negation));
}

}  // namespace rafter::text::jinja
