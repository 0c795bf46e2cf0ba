// Runs a parsed template: walks its tree, once for each render.
#include "text/jinja/run/interpreter.h"

#include <algorithm>
#include <deque>
#include <utility>
#include <vector>

#include "text/jinja/builtins/arguments.h"
#include "text/jinja/builtins/filters.h"
#include "text/jinja/parse/error_text.h"
#include "text/jinja/run/loop.h"
#include "text/jinja/run/operators.h"
#include "text/jinja/run/print.h"

namespace rafter::text::jinja {

// The variables of a block that runs.
struct Frame {
    const Scope* scope = nullptr;
    Frame* parent = nullptr;
    std::vector<Value> slots;
};

namespace {

// **kwargs from a large dict would make binding them slow.
constexpr std::size_t kMaxKeywords = 256;

class Interpreter {
  public:
    // All three outlive the interpreter.
    Interpreter(const Template& source, Runtime& runtime, const std::unordered_map<std::string, Value>& variables)
        : template_(source), runtime_(runtime), variables_(variables) {}

    Result<std::string> run() {
        Frame root{.scope = &template_.scope};
        load(root);
        std::string out;
        RAFTER_TRY_VOID(execute(template_.body, root, out));
        return out;
    }

  private:
    enum class Flow { kNext, kBreak, kContinue };
    // Counts nested evaluations.
    class Depth {
      public:
        explicit Depth(Interpreter& interpreter) : depth_(interpreter.depth_) { ++depth_; }
        Depth(const Depth&) = delete;
        Depth& operator=(const Depth&) = delete;
        ~Depth() { --depth_; }

      private:
        std::uint32_t& depth_;
    };
    // Spends a step and checks the depth.
    Result<void> enter() {
        if (depth_ > runtime_.limits().max_depth) return bad_input("evaluation nested more than {} deep", runtime_.limits().max_depth);
        return runtime_.spend(1);
    }

    // Only the innermost place that an error passes through is named.
    Error at(const Error& error, Position position) {
        if (std::exchange(error_is_located_, true)) return error;
        return located(error, template_.name, position);
    }

    Value resolve(std::string_view name) {
        const auto found = variables_.find(std::string(name));
        if (found != variables_.end()) return found->second;
        const MethodRow* function = find_global(name);
        return function == nullptr ? Value() : runtime_.function(function);
    }

    Value& variable(Frame& frame, VariableRef ref) {
        Frame* at = &frame;
        for (std::uint32_t i = 0; i < ref.n_hops; ++i) at = at->parent;
        return at->slots[ref.slot];
    }

    // Gives the variables what they begin with.
    void load(Frame& frame) {
        const auto& slots = frame.scope->slots;
        frame.slots.resize(slots.size());
        for (std::size_t i = 0; i < slots.size(); ++i) {
            const Scope::Slot& slot = slots[i];
            const bool is_alias = slot.load == Scope::Load::kAlias;
            frame.slots[i] = is_alias                             ? variable(*frame.parent, slot.outer)
                             : slot.load == Scope::Load::kResolve ? resolve(slot.name)
                                                                  : Value();
        }
    }

    // The frame for a scope: `local`, or one that lives on when macros see it.
    Frame& open(Frame& local, const Scope& scope, Frame* parent) {
        Frame* frame = &local;
        if (scope.is_captured) {
            frame = &kept_frames_.emplace_back();
            runtime_.heap().charge(sizeof(Frame) + scope.slots.size() * sizeof(Value));
        }
        frame->scope = &scope;
        frame->parent = parent;
        load(*frame);
        return *frame;
    }

    Result<void> assign(const Target& target, Value value, Frame& frame) {
        if (target.kind == Target::Kind::kName) {
            variable(frame, target.variable) = std::move(value);
            return {};
        }
        if (target.kind == Target::Kind::kNamespaceAttribute) {
            const Value& owner = variable(frame, target.variable);
            if (!owner.is(Type::kNamespace)) return at(bad_input("cannot assign attribute on non-namespace object"), target.at);
            return set_attribute(runtime_, owner, target.attribute, std::move(value));
        }
        if (!is_iterable(value)) return at(bad_input("cannot unpack non-iterable {} object", type_name(value)), target.at);
        RAFTER_TRY(std::vector<Value> items, to_vector(runtime_, value));
        if (items.size() != target.parts.size()) {
            return at(bad_input("expected {} values to unpack, found {}", target.parts.size(), items.size()), target.at);
        }
        for (std::size_t i = 0; i < items.size(); ++i) RAFTER_TRY_VOID(assign(target.parts[i], std::move(items[i]), frame));
        return {};
    }

    Result<Flow> execute(const std::vector<Statement>& statements, Frame& frame, std::string& out) {
        for (const Statement& statement : statements) {
            RAFTER_TRY(const Flow flow, execute(statement, frame, out));
            if (flow != Flow::kNext) return flow;
        }
        return Flow::kNext;
    }

    Result<Flow> execute(const Statement& statement, Frame& frame, std::string& out) {
        const Depth depth(*this);
        auto outcome = enter();
        if (!outcome) return at(outcome.error(), statement.at);
        auto flow = execute_kind(statement, frame, out);
        if (!flow) return at(flow.error(), statement.at);
        return flow;
    }

    Result<Flow> execute_kind(const Statement& statement, Frame& frame, std::string& out) {
        switch (statement.kind) {
            case StatementKind::kOutput:
                RAFTER_TRY_VOID(print(statement.expressions, frame, out));
                return Flow::kNext;
            case StatementKind::kSet: {
                RAFTER_TRY(Value value, evaluate(*statement.expression, frame));
                RAFTER_TRY_VOID(assign(statement.targets[0], std::move(value), frame));
                return Flow::kNext;
            }
            case StatementKind::kSetBlock:
            case StatementKind::kFilterBlock:
                return run_caught(statement, frame, out);
            case StatementKind::kFor:
                return run_for(statement, frame, out);
            case StatementKind::kIf: {
                RAFTER_TRY(const Value condition, evaluate(*statement.expression, frame));
                return execute(truth(condition) ? statement.body : statement.else_body, frame, out);
            }
            case StatementKind::kMacro:
                RAFTER_TRY_VOID(assign(statement.targets[0], runtime_.macro(&statement, &frame), frame));
                return Flow::kNext;
            case StatementKind::kCallBlock:
                return run_call_block(statement, frame, out);
            case StatementKind::kGeneration: {
                Frame local;
                return execute(statement.body, open(local, statement.scope, &frame), out);
            }
            case StatementKind::kWith:
                return run_with(statement, frame, out);
            case StatementKind::kBreak:
                return Flow::kBreak;
            case StatementKind::kContinue:
                return Flow::kContinue;
        }
        return Flow::kNext;
    }

    Result<void> emit(std::string_view text, std::string& out) {
        buffered_bytes_ += text.size();
        if (buffered_bytes_ > runtime_.limits().max_output_bytes) {
            return bad_input("more than {} bytes of text", runtime_.limits().max_output_bytes);
        }
        out += text;
        return runtime_.spend(text.size() / kBytesPerStep);
    }

    Result<void> print(const std::vector<ExpressionPtr>& expressions, Frame& frame, std::string& out) {
        for (const ExpressionPtr& expression : expressions) {
            RAFTER_TRY(const Value value, evaluate(*expression, frame));
            if (value.is(Type::kString)) {
                RAFTER_TRY_VOID(emit(text_of(value), out));
                continue;
            }
            const auto text = to_text(runtime_, value);
            if (!text) return at(text.error(), expression->at);
            RAFTER_TRY_VOID(emit(*text, out));
        }
        return {};
    }

    Result<std::optional<Value>> next_that_passes(const Statement& statement, Cursor& cursor, Frame& test_frame) {
        while (true) {
            RAFTER_TRY(std::optional<Value> item, cursor.next(runtime_));
            if (!item || !statement.filter) return item;
            RAFTER_TRY_VOID(assign(statement.targets[0], *item, test_frame));
            RAFTER_TRY(const Value passes, evaluate(*statement.filter, test_frame));
            if (truth(passes)) return item;
        }
    }

    Result<Flow> run_for(const Statement& statement, Frame& frame, std::string& out) {
        RAFTER_TRY(const Value items, evaluate(*statement.expression, frame));
        RAFTER_TRY(Cursor cursor, Cursor::over(items));
        Frame test_frame{.scope = &statement.test_scope, .parent = &frame};
        if (statement.filter) load(test_frame);
        const auto next = [&] { return next_that_passes(statement, cursor, test_frame); };

        Value loop_value;
        LoopObject* loop = nullptr;
        if (statement.loop_slot) {
            LoopObject made;
            made.source = next;
            if (!statement.filter) made.known_length = length_of(items);
            loop_value = runtime_.loop(std::move(made));
            loop = &loop_value.as<LoopObject>();
        }
        // The template may keep the variable `loop`; it must not reach into this function then.
        const struct Closer {
            LoopObject* loop;
            ~Closer() {
                if (loop != nullptr) loop->close();
            }
        } closer{loop};

        Frame local;
        bool completed_one = false;
        while (true) {
            std::optional<Value> item;
            if (loop != nullptr) {
                RAFTER_TRY(const bool more, loop->advance());
                if (more) item = loop->current;
            } else {
                RAFTER_TRY(item, next());
            }
            if (!item) break;
            Frame& inner = open(local, statement.scope, &frame);
            if (statement.loop_slot) inner.slots[*statement.loop_slot] = loop_value;
            RAFTER_TRY_VOID(assign(statement.targets[0], std::move(*item), inner));
            RAFTER_TRY(const Flow flow, execute(statement.body, inner, out));
            if (flow == Flow::kBreak) break;
            // As jinja2 has it: an iteration that was cut short does not keep the else from running.
            completed_one = completed_one || flow == Flow::kNext;
        }
        if (completed_one || statement.else_body.empty()) return Flow::kNext;
        Frame else_local;
        return execute(statement.else_body, open(else_local, statement.else_scope, &frame), out);
    }

    // Set and filter blocks: their text is caught, filtered, and set or printed.
    Result<Flow> run_caught(const Statement& statement, Frame& frame, std::string& out) {
        Frame local;
        Frame& inner = open(local, statement.scope, &frame);
        std::string text;
        RAFTER_TRY(const Flow flow, execute(statement.body, inner, text));
        buffered_bytes_ -= text.size();
        if (flow != Flow::kNext) return flow;
        Value value = runtime_.string(std::move(text));
        if (statement.expression) {
            block_text_ = std::move(value);
            RAFTER_TRY(value, evaluate(*statement.expression, inner));
        }
        if (statement.kind == StatementKind::kSetBlock) {
            RAFTER_TRY_VOID(assign(statement.targets[0], std::move(value), frame));
            return Flow::kNext;
        }
        return print_value(value, out);
    }

    Result<Flow> print_value(const Value& value, std::string& out) {
        RAFTER_TRY(const std::string text, to_text(runtime_, value));
        RAFTER_TRY_VOID(emit(text, out));
        return Flow::kNext;
    }

    Result<Flow> run_call_block(const Statement& statement, Frame& frame, std::string& out) {
        const Value caller = runtime_.macro(&statement, &frame);
        RAFTER_TRY(const Value value, evaluate_call(*statement.expression, frame, caller));
        return print_value(value, out);
    }

    Result<Flow> run_with(const Statement& statement, Frame& frame, std::string& out) {
        Frame local;
        Frame& inner = open(local, statement.scope, &frame);
        for (std::size_t i = 0; i < statement.targets.size(); ++i) {
            RAFTER_TRY(Value value, evaluate(*statement.expressions[i], frame));
            RAFTER_TRY_VOID(assign(statement.targets[i], std::move(value), inner));
        }
        return execute(statement.body, inner, out);
    }

    // Expressions. Each kind has a function of its own, so that the stack of a nested evaluation stays small.

    Result<Value> evaluate(const Expression& node, Frame& frame) {
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

    Result<Value> evaluate_kind(const Expression& node, Frame& frame) {
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

    Result<std::vector<Value>> evaluate_all(const std::vector<ExpressionPtr>& nodes, Frame& frame) {
        std::vector<Value> values;
        values.reserve(nodes.size());
        for (const ExpressionPtr& node : nodes) {
            RAFTER_TRY(Value value, evaluate(*node, frame));
            values.push_back(std::move(value));
        }
        return values;
    }

    Result<Value> evaluate_dict(const Expression& node, Frame& frame) {
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

    Result<Value> evaluate_logic(const Expression& node, Frame& frame) {
        RAFTER_TRY(Value left, evaluate(*node.children[0], frame));
        if (truth(left) != (node.kind == ExpressionKind::kAnd)) return left;
        return evaluate(*node.children[1], frame);
    }

    Result<Value> evaluate_binary(const Expression& node, Frame& frame) {
        RAFTER_TRY(const Value left, evaluate(*node.children[0], frame));
        RAFTER_TRY(const Value right, evaluate(*node.children[1], frame));
        return binary(runtime_, node.op, left, right);
    }

    Result<Value> evaluate_concat(const Expression& node, Frame& frame) {
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

    Result<Value> evaluate_comparison(const Expression& node, Frame& frame) {
        RAFTER_TRY(Value left, evaluate(*node.children[0], frame));
        for (std::size_t i = 0; i < node.comparisons.size(); ++i) {
            RAFTER_TRY(Value right, evaluate(*node.children[i + 1], frame));
            RAFTER_TRY(const bool holds, compare(runtime_, node.comparisons[i], left, right));
            if (!holds) return Value::boolean(false);
            left = std::move(right);
        }
        return Value::boolean(true);
    }

    Result<Value> evaluate_condition(const Expression& node, Frame& frame) {
        RAFTER_TRY(const Value condition, evaluate(*node.children[0], frame));
        if (truth(condition)) return evaluate(*node.children[1], frame);
        if (node.children[2]) return evaluate(*node.children[2], frame);
        return runtime_.undefined("the inline if-expression evaluated to false and no else section was defined.");
    }

    Result<Value> evaluate_item(const Expression& node, Frame& frame) {
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

    Result<Value> evaluate_filter(const Expression& node, Frame& frame) {
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

    Result<Value> evaluate_test(const Expression& node, Frame& frame) {
        RAFTER_TRY(const Value subject, evaluate(*node.children[0], frame));
        RAFTER_TRY(const Arguments arguments, evaluate_arguments(node.arguments, frame));
        if (node.function == nullptr) return bad_input("no test named '{}'", node.name);
        return jinja::call(runtime_, *node.function, subject, arguments);
    }

    Result<Value> evaluate_call(const Expression& node, Frame& frame, const Value& caller) {
        RAFTER_TRY(const Value callee, evaluate(*node.children[0], frame));
        RAFTER_TRY(Arguments arguments, evaluate_arguments(node.arguments, frame));
        if (!caller.is_missing()) arguments.keywords.emplace_back("caller", caller);
        return call(callee, arguments);
    }

    Result<Arguments> evaluate_arguments(const CallArguments& nodes, Frame& frame) {
        Arguments arguments;
        RAFTER_TRY(arguments.positional, evaluate_all(nodes.positional, frame));
        for (const auto& [name, node] : nodes.keywords) {
            RAFTER_TRY(Value value, evaluate(*node, frame));
            arguments.keywords.emplace_back(name, std::move(value));
        }
        if (nodes.more_keywords) {
            RAFTER_TRY(const Value more, evaluate(*nodes.more_keywords, frame));
            RAFTER_TRY_VOID(add_keywords(arguments, more));
        }
        return arguments;
    }

    Result<void> add_keywords(Arguments& arguments, const Value& dict) {
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

    Result<Value> call(const Value& callee, const Arguments& arguments) {
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

    Result<Value> call_macro(const MacroObject& macro, const Arguments& arguments) {
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

    Result<void> bind_parameters(const MacroObject& macro, const Arguments& arguments, Frame& frame) {
        const Statement& definition = *macro.definition;
        const auto& parameters = definition.parameters;
        const std::string_view name = definition.name.empty() ? "caller" : std::string_view(definition.name);
        const std::size_t n_positional = arguments.positional.size();
        if (n_positional > parameters.size()) {
            return bad_input("macro '{}' takes not more than {} arguments, found {}", name, parameters.size(), n_positional);
        }
        std::copy_n(arguments.positional.begin(), n_positional, frame.slots.begin());
        if (definition.caller_slot) frame.slots[*definition.caller_slot] = runtime_.undefined("No caller defined");
        for (const auto& [keyword, value] : arguments.keywords) {
            const auto first = parameters.begin() + static_cast<std::ptrdiff_t>(n_positional);
            const auto found = std::find(first, parameters.end(), keyword);
            if (found != parameters.end()) {
                frame.slots[static_cast<std::size_t>(found - parameters.begin())] = value;
            } else if (keyword == "caller" && definition.caller_slot) {
                frame.slots[*definition.caller_slot] = value;
            } else {
                return bad_input("macro '{}' takes no keyword argument '{}'", name, keyword);
            }
        }
        return {};
    }

    const Template& template_;
    Runtime& runtime_;
    const std::unordered_map<std::string, Value>& variables_;
    std::deque<Frame> kept_frames_;
    std::uint32_t depth_ = 0;
    std::size_t buffered_bytes_ = 0;  // of all texts that are being written: the output, and macros and blocks whose text is caught
    Value block_text_;                // what the filter of a block works on
    bool error_is_located_ = false;
};

}  // namespace

std::string_view name_of_macro(const MacroObject& macro) { return macro.definition->name; }

Result<std::string> interpret(const Template& parsed, Runtime& runtime, const std::unordered_map<std::string, Value>& variables) {
    return Interpreter(parsed, runtime, variables).run();
}

}  // namespace rafter::text::jinja
