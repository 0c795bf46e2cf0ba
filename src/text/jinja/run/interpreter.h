// Runs a parsed template: walks its tree, once for each render. Statements are in interpreter_statements.cpp, expressions
// and calls in interpreter_expressions.cpp.
#pragma once

#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "text/jinja/builtins/arguments.h"
#include "text/jinja/parse/ast.h"
#include "text/jinja/run/runtime.h"

namespace rafter::text::jinja {

// The variables of a block that runs.
struct Frame {
    const Scope* scope = nullptr;
    Frame* parent = nullptr;
    std::vector<Value> slots;
};

class Interpreter {
  public:
    // All three outlive the interpreter.
    Interpreter(const Template& source, Runtime& runtime, const std::unordered_map<std::string, Value>& variables)
        : template_(source), runtime_(runtime), variables_(variables) {}

    // Once for each interpreter. Errors say where in the template.
    [[nodiscard]] Result<std::string> run();

  private:
    enum class Flow { kNext, kBreak, kContinue };

    // Counts nested evaluations; see Limits::max_depth.
    class Depth {
      public:
        explicit Depth(Interpreter& interpreter) : depth_(interpreter.depth_) { ++depth_; }
        Depth(const Depth&) = delete;
        Depth& operator=(const Depth&) = delete;
        ~Depth() { --depth_; }

      private:
        std::uint32_t& depth_;
    };
    [[nodiscard]] Result<void> enter();  // spends a step and checks the depth

    // Only the innermost place that an error passes through is named.
    [[nodiscard]] Error at(const Error& error, Position position);

    // Frames.
    void load(Frame& frame);  // gives the variables what they begin with
    // The frame for a scope: `local`, or one that lives on when macros see it.
    [[nodiscard]] Frame& open(Frame& local, const Scope& scope, Frame* parent);
    [[nodiscard]] static Value& variable(Frame& frame, VariableRef ref);
    [[nodiscard]] Value resolve(std::string_view name);
    [[nodiscard]] Result<void> assign(const Target& target, Value value, Frame& frame);

    // Statements.
    [[nodiscard]] Result<Flow> execute(const std::vector<Statement>& statements, Frame& frame, std::string& out);
    [[nodiscard]] Result<Flow> execute(const Statement& statement, Frame& frame, std::string& out);
    [[nodiscard]] Result<Flow> execute_kind(const Statement& statement, Frame& frame, std::string& out);
    [[nodiscard]] Result<void> print(const std::vector<ExpressionPtr>& expressions, Frame& frame, std::string& out);
    [[nodiscard]] Result<void> emit(std::string_view text, std::string& out);
    [[nodiscard]] Result<Flow> run_if(const Statement& statement, Frame& frame, std::string& out);
    [[nodiscard]] Result<Flow> run_for(const Statement& statement, Frame& frame, std::string& out);
    [[nodiscard]] Result<Flow> run_inner(const Statement& statement, Frame& frame, std::string& out);
    [[nodiscard]] Result<Flow> run_set_block(const Statement& statement, Frame& frame);
    [[nodiscard]] Result<Flow> run_filter_block(const Statement& statement, Frame& frame, std::string& out);
    [[nodiscard]] Result<Flow> run_with(const Statement& statement, Frame& frame, std::string& out);
    [[nodiscard]] Result<Flow> run_call_block(const Statement& statement, Frame& frame, std::string& out);
    [[nodiscard]] Result<std::optional<Value>> next_that_passes(const Statement& statement, Cursor& cursor, Frame& test_frame);

    // Expressions.
    [[nodiscard]] Result<Value> evaluate(const Expression& node, Frame& frame);
    [[nodiscard]] Result<Value> evaluate_kind(const Expression& node, Frame& frame);
    [[nodiscard]] Result<std::vector<Value>> evaluate_all(const std::vector<ExpressionPtr>& nodes, Frame& frame);
    [[nodiscard]] Result<Value> evaluate_dict(const Expression& node, Frame& frame);
    [[nodiscard]] Result<Value> evaluate_logic(const Expression& node, Frame& frame);
    [[nodiscard]] Result<Value> evaluate_binary(const Expression& node, Frame& frame);
    [[nodiscard]] Result<Value> evaluate_concat(const Expression& node, Frame& frame);
    [[nodiscard]] Result<Value> evaluate_comparison(const Expression& node, Frame& frame);
    [[nodiscard]] Result<Value> evaluate_condition(const Expression& node, Frame& frame);
    [[nodiscard]] Result<Value> evaluate_item(const Expression& node, Frame& frame);
    [[nodiscard]] Result<Value> evaluate_filter(const Expression& node, Frame& frame);
    [[nodiscard]] Result<Value> evaluate_test(const Expression& node, Frame& frame);

    // Calls.
    [[nodiscard]] Result<Value> evaluate_call(const Expression& node, Frame& frame, const Value& caller);
    [[nodiscard]] Result<Arguments> evaluate_arguments(const CallArguments& nodes, Frame& frame);
    [[nodiscard]] Result<void> add_keywords(Arguments& arguments, const Value& dict);
    [[nodiscard]] Result<Value> call(const Value& callee, const Arguments& arguments);
    [[nodiscard]] Result<Value> call_macro(const MacroObject& macro, const Arguments& arguments);
    [[nodiscard]] Result<void> bind_parameters(const MacroObject& macro, const Arguments& arguments, Frame& frame);

    const Template& template_;
    Runtime& runtime_;
    const std::unordered_map<std::string, Value>& variables_;
    std::deque<Frame> kept_frames_;
    std::uint32_t depth_ = 0;
    std::size_t buffered_bytes_ = 0;  // of all texts that are being written: the output, and macros and blocks whose text is caught
    Value block_text_;                // what the filter of a block works on
    bool error_is_located_ = false;
};

}  // namespace rafter::text::jinja
