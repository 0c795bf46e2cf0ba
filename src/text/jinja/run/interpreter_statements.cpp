// Statements and the frames that they make.
#include <utility>

#include "text/jinja/builtins/filters.h"
#include "text/jinja/parse/error_text.h"
#include "text/jinja/run/interpreter.h"
#include "text/jinja/run/loop.h"
#include "text/jinja/run/print.h"

namespace rafter::text::jinja {

Result<std::string> Interpreter::run() {
    Frame root{.scope = &template_.scope};
    load(root);
    std::string out;
    RAFTER_TRY_VOID(execute(template_.body, root, out));
    return out;
}

Result<void> Interpreter::enter() {
    if (depth_ > runtime_.limits().max_depth) return bad_input("evaluation nested more than {} deep", runtime_.limits().max_depth);
    return runtime_.spend(1);
}

Error Interpreter::at(const Error& error, Position position) {
    if (std::exchange(error_is_located_, true)) return error;
    return located(error, template_.name, position);
}

Value Interpreter::resolve(std::string_view name) {
    const auto found = variables_.find(std::string(name));
    if (found != variables_.end()) return found->second;
    const MethodRow* function = find_global(name);
    return function == nullptr ? Value() : runtime_.function(function);
}

Value& Interpreter::variable(Frame& frame, VariableRef ref) {
    Frame* at = &frame;
    for (std::uint32_t i = 0; i < ref.n_hops; ++i) at = at->parent;
    return at->slots[ref.slot];
}

void Interpreter::load(Frame& frame) {
    const auto& slots = frame.scope->slots;
    frame.slots.resize(slots.size());
    for (std::size_t i = 0; i < slots.size(); ++i) {
        switch (slots[i].load) {
            case Scope::Load::kUnset:
            case Scope::Load::kParameter:
                frame.slots[i] = Value();
                break;
            case Scope::Load::kResolve:
                frame.slots[i] = resolve(slots[i].name);
                break;
            case Scope::Load::kAlias:
                frame.slots[i] = variable(*frame.parent, slots[i].outer);
                break;
        }
    }
}

Frame& Interpreter::open(Frame& local, const Scope& scope, Frame* parent) {
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

Result<void> Interpreter::assign(const Target& target, Value value, Frame& frame) {
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

Result<Interpreter::Flow> Interpreter::execute(const std::vector<Statement>& statements, Frame& frame, std::string& out) {
    for (const Statement& statement : statements) {
        RAFTER_TRY(const Flow flow, execute(statement, frame, out));
        if (flow != Flow::kNext) return flow;
    }
    return Flow::kNext;
}

Result<Interpreter::Flow> Interpreter::execute(const Statement& statement, Frame& frame, std::string& out) {
    const Depth depth(*this);
    auto outcome = enter();
    if (!outcome) return at(outcome.error(), statement.at);
    auto flow = execute_kind(statement, frame, out);
    if (!flow) return at(flow.error(), statement.at);
    return flow;
}

Result<Interpreter::Flow> Interpreter::execute_kind(const Statement& statement, Frame& frame, std::string& out) {
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
            return run_set_block(statement, frame);
        case StatementKind::kFor:
            return run_for(statement, frame, out);
        case StatementKind::kIf:
            return run_if(statement, frame, out);
        case StatementKind::kMacro:
            RAFTER_TRY_VOID(assign(statement.targets[0], runtime_.macro(&statement, &frame), frame));
            return Flow::kNext;
        case StatementKind::kCallBlock:
            return run_call_block(statement, frame, out);
        case StatementKind::kGeneration:
            return run_inner(statement, frame, out);
        case StatementKind::kFilterBlock:
            return run_filter_block(statement, frame, out);
        case StatementKind::kWith:
            return run_with(statement, frame, out);
        case StatementKind::kBreak:
            return Flow::kBreak;
        case StatementKind::kContinue:
            return Flow::kContinue;
    }
    return Flow::kNext;
}

Result<void> Interpreter::emit(std::string_view text, std::string& out) {
    buffered_bytes_ += text.size();
    if (buffered_bytes_ > runtime_.limits().max_output_bytes) {
        return bad_input("more than {} bytes of text", runtime_.limits().max_output_bytes);
    }
    out += text;
    return runtime_.spend(text.size() / kBytesPerStep);
}

Result<void> Interpreter::print(const std::vector<ExpressionPtr>& expressions, Frame& frame, std::string& out) {
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

Result<Interpreter::Flow> Interpreter::run_if(const Statement& statement, Frame& frame, std::string& out) {
    RAFTER_TRY(const Value condition, evaluate(*statement.expression, frame));
    return execute(truth(condition) ? statement.body : statement.else_body, frame, out);
}

Result<std::optional<Value>> Interpreter::next_that_passes(const Statement& statement, Cursor& cursor, Frame& test_frame) {
    while (true) {
        RAFTER_TRY(std::optional<Value> item, cursor.next(runtime_));
        if (!item || !statement.filter) return item;
        RAFTER_TRY_VOID(assign(statement.targets[0], *item, test_frame));
        RAFTER_TRY(const Value passes, evaluate(*statement.filter, test_frame));
        if (truth(passes)) return item;
    }
}

Result<Interpreter::Flow> Interpreter::run_for(const Statement& statement, Frame& frame, std::string& out) {
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

Result<Interpreter::Flow> Interpreter::run_inner(const Statement& statement, Frame& frame, std::string& out) {
    Frame local;
    return execute(statement.body, open(local, statement.scope, &frame), out);
}

Result<Interpreter::Flow> Interpreter::run_set_block(const Statement& statement, Frame& frame) {
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
    RAFTER_TRY_VOID(assign(statement.targets[0], std::move(value), frame));
    return Flow::kNext;
}

Result<Interpreter::Flow> Interpreter::run_filter_block(const Statement& statement, Frame& frame, std::string& out) {
    Frame local;
    Frame& inner = open(local, statement.scope, &frame);
    std::string text;
    RAFTER_TRY(const Flow flow, execute(statement.body, inner, text));
    buffered_bytes_ -= text.size();
    if (flow != Flow::kNext) return flow;
    block_text_ = runtime_.string(std::move(text));
    RAFTER_TRY(const Value value, evaluate(*statement.expression, inner));
    RAFTER_TRY(const std::string filtered, to_text(runtime_, value));
    RAFTER_TRY_VOID(emit(filtered, out));
    return Flow::kNext;
}

Result<Interpreter::Flow> Interpreter::run_call_block(const Statement& statement, Frame& frame, std::string& out) {
    const Value caller = runtime_.macro(&statement, &frame);
    RAFTER_TRY(const Value value, evaluate_call(*statement.expression, frame, caller));
    RAFTER_TRY(const std::string text, to_text(runtime_, value));
    RAFTER_TRY_VOID(emit(text, out));
    return Flow::kNext;
}

Result<Interpreter::Flow> Interpreter::run_with(const Statement& statement, Frame& frame, std::string& out) {
    Frame local;
    Frame& inner = open(local, statement.scope, &frame);
    for (std::size_t i = 0; i < statement.targets.size(); ++i) {
        RAFTER_TRY(Value value, evaluate(*statement.expressions[i], frame));
        RAFTER_TRY_VOID(assign(statement.targets[i], std::move(value), inner));
    }
    return execute(statement.body, inner, out);
}

std::string_view name_of_macro(const MacroObject& macro) { return macro.definition->name; }

}  // namespace rafter::text::jinja
