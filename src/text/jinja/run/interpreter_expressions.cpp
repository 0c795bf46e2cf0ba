// Expressions and calls. Each kind has a function of its own, so that the stack of a nested evaluation stays small.
#include <algorithm>
#include <utility>

#include "text/jinja/run/interpreter.h"
#include "text/jinja/run/operators.h"
#include "text/jinja/run/print.h"

namespace rafter::text::jinja {

namespace {

// **kwargs from a large dict would make binding them slow.
constexpr std::size_t kMaxKeywords = 256;

}  // namespace

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
    return jinja::call(runtime_, *node.function, input, arguments);
}

Result<Value> Interpreter::evaluate_test(const Expression& node, Frame& frame) {
    RAFTER_TRY(const Value subject, evaluate(*node.children[0], frame));
    RAFTER_TRY(const Arguments arguments, evaluate_arguments(node.arguments, frame));
    if (node.function == nullptr) return bad_input("no test named '{}'", node.name);
    return jinja::call(runtime_, *node.function, subject, arguments);
}

Result<Value> Interpreter::evaluate_call(const Expression& node, Frame& frame, const Value& caller) {
    RAFTER_TRY(const Value callee, evaluate(*node.children[0], frame));
    RAFTER_TRY(Arguments arguments, evaluate_arguments(node.arguments, frame));
    if (!caller.is_missing()) arguments.keywords.emplace_back("caller", caller);
    return call(callee, arguments);
}

Result<Arguments> Interpreter::evaluate_arguments(const CallArguments& nodes, Frame& frame) {
    Arguments arguments;
    RAFTER_TRY(arguments.positional, evaluate_all(nodes.positional, frame));
    for (const auto& [name, node] : nodes.keywords) {
        RAFTER_TRY(Value value, evaluate(*node, frame));
        arguments.keywords.emplace_back(name, std::move(value));
    }
    if (nodes.more_positional) {
        RAFTER_TRY(const Value more, evaluate(*nodes.more_positional, frame));
        RAFTER_TRY(std::vector<Value> items, to_vector(runtime_, more));
        std::move(items.begin(), items.end(), std::back_inserter(arguments.positional));
    }
    if (nodes.more_keywords) {
        RAFTER_TRY(const Value more, evaluate(*nodes.more_keywords, frame));
        RAFTER_TRY_VOID(add_keywords(arguments, more));
    }
    return arguments;
}

Result<void> Interpreter::add_keywords(Arguments& arguments, const Value& dict) {
    if (!dict.is(Type::kDict)) return wrong_type("a dict after **", dict);
    const auto& entries = dict.as<DictObject>().entries;
    if (entries.size() > kMaxKeywords) return bad_input("more than {} keyword arguments", kMaxKeywords);
    for (const auto& [key, value] : entries) {
        if (!key.is(Type::kString)) return bad_input("keywords must be strings");
        const std::string_view name = text_of(key);
        const auto is_same = [&](const auto& other) { return other.first == name; };
        if (std::any_of(arguments.keywords.begin(), arguments.keywords.end(), is_same)) {
            return bad_input("got multiple values for keyword argument '{}'", name);
        }
        arguments.keywords.emplace_back(std::string(name), value);
    }
    return {};
}

Result<Value> Interpreter::call(const Value& callee, const Arguments& arguments) {
    switch (callee.type()) {
        case Type::kFunction:
        case Type::kMethod:
            return jinja::call(runtime_, *callee.as<MethodObject>().row, callee.as<MethodObject>().self, arguments);
        case Type::kMacro:
            return call_macro(callee.as<MacroObject>(), arguments);
        case Type::kUndefined:
            return wrong_type("", callee);
        default:
            return bad_input("'{}' object is not callable", type_name(callee));
    }
}

Result<Value> Interpreter::call_macro(const MacroObject& macro, const Arguments& arguments) {
    const Statement& definition = *macro.definition;
    Frame local;
    Frame& frame = open(local, definition.scope, macro.home);
    RAFTER_TRY_VOID(bind_parameters(macro, arguments, frame));
    const std::size_t n_parameters = definition.parameters.size();
    for (std::size_t i = 0; i < n_parameters; ++i) {
        if (!frame.slots[i].is_missing()) continue;
        const std::size_t n_after = n_parameters - i;
        if (n_after > definition.defaults.size()) {
            frame.slots[i] = runtime_.undefined(fmt::format("parameter '{}' was not provided", definition.parameters[i]));
        } else {
            RAFTER_TRY(frame.slots[i], evaluate(*definition.defaults[definition.defaults.size() - n_after], frame));
        }
    }
    std::string text;
    RAFTER_TRY_VOID(execute(definition.body, frame, text));
    buffered_bytes_ -= text.size();
    return runtime_.string(std::move(text));
}

Result<void> Interpreter::bind_parameters(const MacroObject& macro, const Arguments& arguments, Frame& frame) {
    const Statement& definition = *macro.definition;
    const auto& parameters = definition.parameters;
    const std::string_view name = definition.name.empty() ? "caller" : std::string_view(definition.name);
    const std::size_t n_positional = std::min(arguments.positional.size(), parameters.size());
    std::copy_n(arguments.positional.begin(), n_positional, frame.slots.begin());
    DictObject rest;
    for (const auto& [keyword, value] : arguments.keywords) {
        const auto first = parameters.begin() + static_cast<std::ptrdiff_t>(n_positional);
        const auto found = std::find(first, parameters.end(), keyword);
        if (found != parameters.end()) {
            frame.slots[static_cast<std::size_t>(found - parameters.begin())] = value;
        } else if (keyword == "caller" && definition.caller_slot) {
            frame.slots[*definition.caller_slot] = value;
        } else {
            rest.set(runtime_.string(keyword), value);
        }
    }
    if (definition.caller_slot && frame.slots[*definition.caller_slot].is_missing()) {
        frame.slots[*definition.caller_slot] = runtime_.undefined("No caller defined");
    }
    if (definition.kwargs_slot) {
        RAFTER_TRY(frame.slots[*definition.kwargs_slot], runtime_.dict(std::move(rest)));
    } else if (!rest.entries.empty()) {
        return bad_input("macro '{}' takes no keyword argument '{}'", name, text_of(rest.entries[0].first));
    }
    if (definition.varargs_slot) {
        std::vector<Value> more(arguments.positional.begin() + static_cast<std::ptrdiff_t>(n_positional), arguments.positional.end());
        RAFTER_TRY(frame.slots[*definition.varargs_slot], runtime_.tuple(std::move(more)));
    } else if (arguments.positional.size() > parameters.size()) {
        return bad_input("macro '{}' takes not more than {} arguments, found {}", name, parameters.size(), arguments.positional.size());
    }
    return {};
}

}  // namespace rafter::text::jinja
