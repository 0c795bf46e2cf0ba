// Expressions. Each kind has a function of its own, so that the stack of a nested evaluation stays small.
#include <utility>

#include "text/jinja/interpreter.h"
#include "text/jinja/operators.h"
#include "text/jinja/print.h"

namespace rafter::text::jinja {

Result<Value> Interpreter::evaluate(const Expression& node, Frame& frame) {
    if (node.kind == ExpressionKind::kConstant) return node.constant.borrow();
    if (node.kind == ExpressionKind::kName) {
        const Value& value = variable(frame, node.variable);
        return value.is_missing() ? runtime_.undefined_variable(node.name) : value;
    }
    const Depth depth(*this);
    auto outcome = enter();
    if (!outcome) return at(outcome.error(), node.at);
    auto value = evaluate_kind(node, frame);
    if (!value) return at(value.error(), node.at);
    return value;
}

Result<Value> Interpreter::evaluate_kind(const Expression& node, Frame& frame) {
    switch (node.kind) {
        case ExpressionKind::kConstant:
        case ExpressionKind::kName:
            return evaluate(node, frame);
        case ExpressionKind::kTuple:
        case ExpressionKind::kList: {
            RAFTER_TRY(std::vector<Value> items, evaluate_all(node.children, frame));
            return node.kind == ExpressionKind::kList ? runtime_.list(std::move(items)) : runtime_.tuple(std::move(items));
        }
        case ExpressionKind::kDict:
            return evaluate_dict(node, frame);
        case ExpressionKind::kAnd:
        case ExpressionKind::kOr:
            return evaluate_logic(node, frame);
        case ExpressionKind::kNot: {
            RAFTER_TRY(const Value value, evaluate(*node.children[0], frame));
            return Value::boolean(!truth(value));
        }
        case ExpressionKind::kNegate:
        case ExpressionKind::kPlus: {
            RAFTER_TRY(const Value value, evaluate(*node.children[0], frame));
            return node.kind == ExpressionKind::kNegate ? negate(runtime_, value) : plus(runtime_, value);
        }
        case ExpressionKind::kBinary:
            return evaluate_binary(node, frame);
        case ExpressionKind::kConcat:
            return evaluate_concat(node, frame);
        case ExpressionKind::kCompare:
            return evaluate_comparison(node, frame);
        case ExpressionKind::kCondition:
            return evaluate_condition(node, frame);
        case ExpressionKind::kAttribute: {
            RAFTER_TRY(const Value owner, evaluate(*node.children[0], frame));
            return get_attribute(runtime_, owner, node.name);
        }
        case ExpressionKind::kItem:
            return evaluate_item(node, frame);
        case ExpressionKind::kSlice:
            return bad_input("a slice outside of brackets");
        case ExpressionKind::kCall:
            return evaluate_call(node, frame, Value());
        case ExpressionKind::kFilter:
            return evaluate_filter(node, frame);
        case ExpressionKind::kTest:
            return evaluate_test(node, frame);
    }
    return Value();
}

Result<std::vector<Value>> Interpreter::evaluate_all(const std::vector<ExpressionPtr>& nodes, Frame& frame) {
    std::vector<Value> values;
    values.reserve(nodes.size());
    for (const ExpressionPtr& node : nodes) {
        RAFTER_TRY(Value value, evaluate(*node, frame));
        values.push_back(std::move(value));
    }
    return values;
}

Result<Value> Interpreter::evaluate_dict(const Expression& node, Frame& frame) {
    DictObject dict;
    for (std::size_t i = 0; i < node.children.size(); i += 2) {
        RAFTER_TRY(const Value key, evaluate(*node.children[i], frame));
        RAFTER_TRY(Value value, evaluate(*node.children[i + 1], frame));
        RAFTER_TRY_VOID(runtime_.spend(weight_of(key)));
        if (!is_hashable(key)) return bad_input("unhashable type: '{}'", type_name(key));
        dict.set(key, std::move(value));
    }
    return runtime_.dict(std::move(dict));
}

Result<Value> Interpreter::evaluate_logic(const Expression& node, Frame& frame) {
    RAFTER_TRY(Value left, evaluate(*node.children[0], frame));
    if (truth(left) != (node.kind == ExpressionKind::kAnd)) return left;
    return evaluate(*node.children[1], frame);
}

Result<Value> Interpreter::evaluate_binary(const Expression& node, Frame& frame) {
    RAFTER_TRY(const Value left, evaluate(*node.children[0], frame));
    RAFTER_TRY(const Value right, evaluate(*node.children[1], frame));
    return binary(runtime_, node.op, left, right);
}

Result<Value> Interpreter::evaluate_concat(const Expression& node, Frame& frame) {
    // All parts are evaluated before any is turned into text: a part may change what another prints.
    RAFTER_TRY(const std::vector<Value> parts, evaluate_all(node.children, frame));
    std::string text;
    for (const Value& part : parts) {
        RAFTER_TRY(const std::string part_text, to_text(runtime_, part));
        RAFTER_TRY_VOID(runtime_.grow(text, part_text.size()));
        text += part_text;
    }
    return runtime_.string(std::move(text));
}

Result<Value> Interpreter::evaluate_comparison(const Expression& node, Frame& frame) {
    RAFTER_TRY(Value left, evaluate(*node.children[0], frame));
    for (std::size_t i = 0; i < node.comparisons.size(); ++i) {
        RAFTER_TRY(Value right, evaluate(*node.children[i + 1], frame));
        RAFTER_TRY(const bool holds, compare(runtime_, node.comparisons[i], left, right));
        if (!holds) return Value::boolean(false);
        left = std::move(right);
    }
    return Value::boolean(true);
}

Result<Value> Interpreter::evaluate_condition(const Expression& node, Frame& frame) {
    RAFTER_TRY(const Value condition, evaluate(*node.children[0], frame));
    if (truth(condition)) return evaluate(*node.children[1], frame);
    if (node.children[2]) return evaluate(*node.children[2], frame);
    return runtime_.undefined("the inline if-expression evaluated to false and no else section was defined.");
}

Result<Value> Interpreter::evaluate_item(const Expression& node, Frame& frame) {
    RAFTER_TRY(const Value owner, evaluate(*node.children[0], frame));
    const Expression& key_node = *node.children[1];
    if (key_node.kind != ExpressionKind::kSlice) {
        RAFTER_TRY(const Value key, evaluate(key_node, frame));
        return get_item(runtime_, owner, key);
    }
    std::vector<Value> bounds(3);
    for (std::size_t i = 0; i < 3; ++i) {
        if (key_node.children[i]) {
            RAFTER_TRY(bounds[i], evaluate(*key_node.children[i], frame));
        }
    }
    return get_slice(runtime_, owner, bounds[0], bounds[1], bounds[2]);
}

Result<Value> Interpreter::evaluate_filter(const Expression& node, Frame& frame) {
    Value input;
    if (node.children[0]) {
        RAFTER_TRY(input, evaluate(*node.children[0], frame));
    } else {
        input = std::exchange(block_text_, Value());
    }
    RAFTER_TRY(const Arguments arguments, evaluate_arguments(node.arguments, frame));
    if (node.function == nullptr) return bad_input("no filter named '{}'", node.name);
    RAFTER_TRY_VOID(runtime_.spend(text_cost(input)));
    return node.function(runtime_, input, arguments);
}

Result<Value> Interpreter::evaluate_test(const Expression& node, Frame& frame) {
    RAFTER_TRY(const Value subject, evaluate(*node.children[0], frame));
    RAFTER_TRY(const Arguments arguments, evaluate_arguments(node.arguments, frame));
    if (node.function == nullptr) return bad_input("no test named '{}'", node.name);
    RAFTER_TRY_VOID(runtime_.spend(text_cost(subject)));
    return node.function(runtime_, subject, arguments);
}

}  // namespace rafter::text::jinja
