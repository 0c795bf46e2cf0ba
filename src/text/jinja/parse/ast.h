// A parsed template: statements that hold expressions, with every variable resolved to a place in a frame. Never changes after parsing, so
// any number of renders may walk it at once.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "text/jinja/run/operators.h"
#include "text/jinja/run/runtime.h"

namespace rafter::text::jinja {

struct Position {
    std::uint32_t line = 1, column = 1;  // in code points, from 1
};

// Where a variable lives: that many frames up, in that slot.
struct VariableRef {
    std::uint32_t n_hops = 0;
    std::uint32_t slot = 0;
};

enum class ExpressionKind : std::uint8_t {
    kConstant,
    kName,
    kTuple,
    kList,
    kDict,  // children: key, value, key, value, ...
    kAnd,
    kOr,
    kNot,
    kNegate,
    kPlus,
    kBinary,
    kConcat,     // a ~ b ~ c
    kCompare,    // a < b <= c: one child more than comparisons
    kCondition,  // children: condition, value, otherwise (null when there is no else)
    kAttribute,
    kItem,    // children: owner, key
    kSlice,   // children: start, stop, step; null where not given. Only as a key.
    kCall,    // children: callee
    kFilter,  // children: input, null for the text of a block
    kTest,    // children: subject
};

struct Expression;
using ExpressionPtr = std::unique_ptr<Expression>;

struct CallArguments {
    std::vector<ExpressionPtr> positional;
    std::vector<std::pair<std::string, ExpressionPtr>> keywords;
    ExpressionPtr more_keywords;  // **dict
};

struct Expression {
    ExpressionKind kind;
    Position at;
    std::uint32_t depth = 1;  // of the tree below: bounds recursion over it
    Value constant;
    std::string name;  // of the variable, attribute, filter or test
    VariableRef variable;
    BinaryOperator op = BinaryOperator::kAdd;
    const MethodRow* function = nullptr;  // of a filter or test; null when there is none of that name, which is an error only if it is run
    std::vector<ExpressionPtr> children;
    std::vector<Comparison> comparisons;
    CallArguments arguments;
};

// What can stand on the left of a set or for.
struct Target {
    enum class Kind : std::uint8_t { kName, kNamespaceAttribute, kTuple };
    Kind kind = Kind::kName;
    Position at;
    std::string name;
    std::string attribute;
    VariableRef variable;
    std::vector<Target> parts;
};

// The variables of one frame. jinja2 decides which frame a name belongs to from the text alone, before anything runs; so does this.
struct Scope {
    enum class Load : std::uint8_t {
        kUnset,      // undefined until set
        kParameter,  // set by whoever enters the frame
        kResolve,    // from the render's variables and the global functions
        kAlias,      // begins as what the variable of that name outside is
    };
    struct Slot {
        std::string name;
        Load load = Load::kUnset;
        VariableRef outer;  // for kAlias, seen from the frame outside
    };
    std::vector<Slot> slots;
    bool is_captured = false;  // a macro inside sees these variables, perhaps later: the frame must outlive its block
};

enum class StatementKind : std::uint8_t {
    kOutput,
    kSet,
    kSetBlock,
    kFor,
    kIf,
    kMacro,
    kCallBlock,
    kGeneration,  // marks what the model wrote; a scope of its own, as in transformers
    kFilterBlock,
    kWith,
    kBreak,
    kContinue,
};

struct Statement {
    StatementKind kind;
    Position at;
    std::string name;                        // of a macro
    std::vector<ExpressionPtr> expressions;  // what is printed; the values of a with
    std::vector<Target> targets;             // of a set or for: one; of a with, one for each value
    ExpressionPtr expression;                // value of a set, items of a for, condition of an if, call of a call block, filter of a block
    ExpressionPtr filter;                    // for x in y if FILTER
    std::vector<Statement> body, else_body;

    // The frames that the statement makes.
    Scope scope;                             // of the body
    Scope else_scope;                        // of a for's else
    Scope test_scope;                        // of a for's filter
    std::optional<std::uint32_t> loop_slot;  // of the variable loop, in a for whose body mentions it

    // Macros and call blocks: parameters take the first slots, in order; the last defaults.size() of them have defaults.
    std::vector<std::string> parameters;
    std::vector<ExpressionPtr> defaults;
    std::optional<std::uint32_t> caller_slot;  // where the body mentions it
};

struct Template {
    Template() : literals(~std::size_t{0}) {}

    std::string name;  // for messages
    std::string source;
    Heap literals;
    std::vector<Statement> body;
    Scope scope;
};

}  // namespace rafter::text::jinja
