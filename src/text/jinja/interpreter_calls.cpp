// Calls: functions, methods, macros with their callers, and loops that call themselves.
#include <algorithm>
#include <utility>

#include "text/jinja/interpreter.h"
#include "text/jinja/loop.h"

namespace rafter::text::jinja {

namespace {

// **kwargs from a large dict would make binding them slow.
constexpr std::size_t kMaxKeywords = 256;

}  // namespace

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
            return callee.as<FunctionObject>().call(runtime_, arguments);
        case Type::kMethod:
            RAFTER_TRY_VOID(runtime_.spend(text_cost(callee.as<MethodObject>().self)));
            return callee.as<MethodObject>().call(runtime_, callee.as<MethodObject>().self, arguments);
        case Type::kMacro:
            return call_macro(callee.as<MacroObject>(), arguments);
        case Type::kLoop:
            return call_loop(callee, arguments);
        case Type::kJoiner: {
            if (!arguments.positional.empty() || !arguments.keywords.empty()) return bad_input("joiner: expected no arguments");
            auto& joiner = callee.as<JoinerObject>();
            return runtime_.string(std::exchange(joiner.used, true) ? joiner.separator : "");
        }
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

Result<Value> Interpreter::call_loop(const Value& loop, const Arguments& arguments) {
    RAFTER_TRY(const Bound bound, bind(arguments, "loop", {"iterable"}, 1));
    const auto& object = loop.as<LoopObject>();
    if (object.statement == nullptr) return bad_input("The loop must have the 'recursive' marker to be called recursively.");
    std::string text;
    RAFTER_TRY_VOID(run_loop(*object.statement, bound[0], *object.home, object.depth0 + 1, text));
    buffered_bytes_ -= text.size();
    return runtime_.string(std::move(text));
}

}  // namespace rafter::text::jinja
