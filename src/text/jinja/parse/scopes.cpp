// jinja2 compiles a template to Python functions and gives every name of a block a local variable. What such a variable begins with is
// decided by the block's text: a name that is read before it is set comes from outside, one that is set first begins unset, and one that is
// set only in some branch of an if begins as what it is outside. This follows those rules (jinja2's idtracking) over our tree.
#include "text/jinja/parse/parser_state.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/jinja/parse/error_text.h"

namespace rafter::text::jinja {

namespace {

enum class Use { kLoad, kStore };
using NameVisitor = std::function<void(const std::string&, Use)>;

void walk_names(const ExpressionPtr& node, const NameVisitor& visit);

void walk_names(const std::vector<ExpressionPtr>& nodes, const NameVisitor& visit) {
    for (const ExpressionPtr& node : nodes) walk_names(node, visit);
}

void walk_names(const ExpressionPtr& node, const NameVisitor& visit) {
    if (!node) return;
    if (node->kind == ExpressionKind::kName) visit(node->name, Use::kLoad);
    walk_names(node->children, visit);
    walk_names(node->arguments.positional, visit);
    for (const auto& [name, value] : node->arguments.keywords) walk_names(value, visit);
    walk_names(node->arguments.more_keywords, visit);
}

// Attributes of namespaces are no names of their own.
void walk_names(const Target& target, const NameVisitor& visit) {
    if (target.kind == Target::Kind::kName) visit(target.name, Use::kStore);
    for (const Target& part : target.parts) walk_names(part, visit);
}

void walk_names(const std::vector<Statement>& statements, const NameVisitor& visit) {
    for (const Statement& statement : statements) {
        for (const Target& target : statement.targets) walk_names(target, visit);
        walk_names(statement.expressions, visit);
        walk_names(statement.expression, visit);
        for (const std::string& parameter : statement.parameters) visit(parameter, Use::kStore);
        walk_names(statement.defaults, visit);
        walk_names(statement.body, visit);
        walk_names(statement.else_body, visit);
        walk_names(statement.filter, visit);
    }
}

// Whether the body reads the name before anything in it sets it.
bool reads(const std::vector<Statement>& body, std::string_view name) {
    bool found = false;
    bool set = false;
    walk_names(body, [&](const std::string& other, Use use) {
        if (other != name) return;
        if (use == Use::kStore) set = true;
        if (use == Use::kLoad && !set) found = true;
    });
    return found;
}

// What is known of a frame's names; branches of an if work on copies of it.
struct Symbols {
    std::map<std::string, std::uint32_t> slots;
    std::map<std::uint32_t, Scope::Slot> loads;
    std::set<std::string> stores;
};

struct FrameSymbols {
    FrameSymbols* parent = nullptr;
    Scope* scope = nullptr;
    Symbols symbols;
    bool is_soft = false;  // inside a condition: unknown filters are an error only when run
};

// Real templates have some dozens. The bound keeps the copies at every if cheap.
constexpr std::size_t kMaxVariables = 500;

class Resolver {
  public:
    explicit Resolver(Template& parsed) : template_(parsed) {}

    Result<void> run() {
        std::set<std::string> names;
        walk_names(template_.body, [&](const std::string& name, Use) {
            if (names.size() <= kMaxVariables) names.insert(name);
        });
        if (names.size() > kMaxVariables) return bad_input("{}: more than {} variables", template_.name, kMaxVariables);
        FrameSymbols root{.scope = &template_.scope};
        analyze(root, template_.body);
        RAFTER_TRY_VOID(resolve(root, template_.body));
        finish(root);
        return {};
    }

  private:
    // --- what a frame's names are ---

    static std::optional<VariableRef> find(const FrameSymbols& frame, const std::string& name) {
        std::uint32_t n_hops = 0;
        for (const FrameSymbols* at = &frame; at != nullptr; at = at->parent, ++n_hops) {
            const auto found = at->symbols.slots.find(name);
            if (found != at->symbols.slots.end()) return VariableRef{n_hops, found->second};
        }
        return std::nullopt;
    }

    static std::optional<VariableRef> find_outside(const FrameSymbols& frame, const std::string& name) {
        return frame.parent == nullptr ? std::nullopt : find(*frame.parent, name);
    }

    static std::uint32_t define(FrameSymbols& frame, const std::string& name, Scope::Load load, VariableRef outer = {}) {
        auto& slots = frame.scope->slots;
        const auto found = std::find_if(slots.begin(), slots.end(), [&](const Scope::Slot& slot) { return slot.name == name; });
        const auto index = static_cast<std::uint32_t>(found - slots.begin());
        if (found == slots.end()) slots.push_back({.name = name});
        frame.symbols.slots[name] = index;
        frame.symbols.loads[index] = {.name = name, .load = load, .outer = outer};
        return index;
    }

    static void load(FrameSymbols& frame, const std::string& name) {
        if (!find(frame, name)) define(frame, name, Scope::Load::kResolve);
    }

    static void store(FrameSymbols& frame, const std::string& name) {
        frame.symbols.stores.insert(name);
        if (frame.symbols.slots.contains(name)) return;
        if (const auto outer = find_outside(frame, name)) {
            define(frame, name, Scope::Load::kAlias, *outer);
        } else {
            define(frame, name, Scope::Load::kUnset);
        }
    }

    static std::uint32_t declare_parameter(FrameSymbols& frame, const std::string& name) {
        frame.symbols.stores.insert(name);
        return define(frame, name, Scope::Load::kParameter);
    }

    static void declare_parameters(FrameSymbols& frame, const Target& target) {
        if (target.kind == Target::Kind::kName) declare_parameter(frame, target.name);
        for (const Target& part : target.parts) declare_parameters(frame, part);
    }

    template <typename Node>
    static void analyze_loads(FrameSymbols& frame, const Node& node) {
        walk_names(node, [&](const std::string& name, Use) { load(frame, name); });
    }

    static void analyze_target(FrameSymbols& frame, const Target& target) {
        if (target.kind == Target::Kind::kName) store(frame, target.name);
        if (target.kind == Target::Kind::kNamespaceAttribute) load(frame, target.name);
        for (const Target& part : target.parts) analyze_target(frame, part);
    }

    static void merge_branches(FrameSymbols& frame, const std::vector<Symbols>& branches) {
        std::set<std::string> stored;
        for (const Symbols& branch : branches) stored.insert(branch.stores.begin(), branch.stores.end());
        for (const std::string& name : frame.symbols.stores) stored.erase(name);
        for (const Symbols& branch : branches) {
            for (const auto& [name, slot] : branch.slots) frame.symbols.slots[name] = slot;
            for (const auto& [slot, load] : branch.loads) frame.symbols.loads[slot] = load;
            frame.symbols.stores.insert(branch.stores.begin(), branch.stores.end());
        }
        // The branch may not be taken: then the name is what it is outside.
        for (const std::string& name : stored) {
            const auto outer = find_outside(frame, name);
            define(frame, name, outer ? Scope::Load::kAlias : Scope::Load::kResolve, outer.value_or(VariableRef{}));
        }
    }

    // Statements that make a frame of their own are looked at only as far as they run in this one.
    static void analyze(FrameSymbols& frame, const std::vector<Statement>& statements) {
        for (const Statement& statement : statements) analyze(frame, statement);
    }

    static void analyze(FrameSymbols& frame, const Statement& statement) {
        switch (statement.kind) {
            case StatementKind::kOutput:
            case StatementKind::kWith:
                analyze_loads(frame, statement.expressions);
                return;
            case StatementKind::kSet:
                analyze_loads(frame, statement.expression);
                analyze_target(frame, statement.targets[0]);
                return;
            case StatementKind::kSetBlock:
                analyze_target(frame, statement.targets[0]);
                return;
            case StatementKind::kFor:
            case StatementKind::kCallBlock:
            case StatementKind::kFilterBlock:
                analyze_loads(frame, statement.expression);
                return;
            case StatementKind::kMacro:
                store(frame, statement.name);
                return;
            case StatementKind::kIf: {
                analyze_loads(frame, statement.expression);
                const Symbols before = frame.symbols;
                std::vector<Symbols> branches;
                for (const auto* branch : {&statement.body, &statement.else_body}) {
                    analyze(frame, *branch);
                    branches.push_back(std::exchange(frame.symbols, before));
                }
                merge_branches(frame, branches);
                return;
            }
            case StatementKind::kGeneration:
            case StatementKind::kBreak:
            case StatementKind::kContinue:
                return;
        }
    }

    static void finish(FrameSymbols& frame) {
        for (const auto& [index, load] : frame.symbols.loads) frame.scope->slots[index] = load;
    }

    // --- where names point ---

    Error fail(Position at, const std::string& message) const { return located(bad_input("{}", message), template_.name, at); }

    Result<void> resolve(FrameSymbols& frame, const std::vector<ExpressionPtr>& nodes) {
        for (const ExpressionPtr& node : nodes) RAFTER_TRY_VOID(resolve(frame, node));
        return {};
    }

    Result<void> resolve(FrameSymbols& frame, const ExpressionPtr& node) {
        if (!node) return {};
        if (node->kind == ExpressionKind::kName) {
            // Names in the filter of a set block are not looked at beforehand.
            load(frame, node->name);
            node->variable = *find(frame, node->name);
        }
        const bool was_soft = frame.is_soft;
        if (node->kind == ExpressionKind::kCondition) frame.is_soft = true;
        const bool is_filter = node->kind == ExpressionKind::kFilter;
        if ((is_filter || node->kind == ExpressionKind::kTest) && node->function == nullptr && !frame.is_soft) {
            return fail(node->at, fmt::format("no {} named '{}'", is_filter ? "filter" : "test", node->name));
        }
        RAFTER_TRY_VOID(resolve(frame, node->children));
        RAFTER_TRY_VOID(resolve(frame, node->arguments.positional));
        for (const auto& [name, value] : node->arguments.keywords) RAFTER_TRY_VOID(resolve(frame, value));
        RAFTER_TRY_VOID(resolve(frame, node->arguments.more_keywords));
        frame.is_soft = was_soft;
        return {};
    }

    static void resolve_target(const FrameSymbols& frame, Target& target) {
        if (target.kind != Target::Kind::kTuple) target.variable = *find(frame, target.name);
        for (Target& part : target.parts) resolve_target(frame, part);
    }

    Result<void> resolve(FrameSymbols& frame, std::vector<Statement>& statements) {
        for (Statement& statement : statements) RAFTER_TRY_VOID(resolve(frame, statement));
        return {};
    }

    Result<void> resolve(FrameSymbols& frame, Statement& statement) {
        switch (statement.kind) {
            case StatementKind::kOutput:
                return resolve(frame, statement.expressions);
            case StatementKind::kSet:
                RAFTER_TRY_VOID(resolve(frame, statement.expression));
                resolve_target(frame, statement.targets[0]);
                return {};
            case StatementKind::kIf:
                return resolve_if(frame, statement);
            case StatementKind::kFor:
                return resolve_for(frame, statement);
            case StatementKind::kMacro:
            case StatementKind::kCallBlock:
                return resolve_macro(frame, statement);
            case StatementKind::kSetBlock:
                resolve_target(frame, statement.targets[0]);
                return resolve_inner(frame, statement);
            case StatementKind::kWith:
                RAFTER_TRY_VOID(resolve(frame, statement.expressions));
                return resolve_inner(frame, statement);
            case StatementKind::kFilterBlock:
            case StatementKind::kGeneration:
                return resolve_inner(frame, statement);
            case StatementKind::kBreak:
            case StatementKind::kContinue:
                return {};
        }
        return {};
    }

    Result<void> resolve_if(FrameSymbols& frame, Statement& statement) {
        const bool was_soft = std::exchange(frame.is_soft, true);
        RAFTER_TRY_VOID(resolve(frame, statement.expression));
        RAFTER_TRY_VOID(resolve(frame, statement.body));
        RAFTER_TRY_VOID(resolve(frame, statement.else_body));
        frame.is_soft = was_soft;
        return {};
    }

    // Blocks with one frame, whose filter (if any) runs in it.
    Result<void> resolve_inner(FrameSymbols& outer, Statement& statement) {
        FrameSymbols inner{.parent = &outer, .scope = &statement.scope};
        const bool is_with = statement.kind == StatementKind::kWith;
        for (Target& target : statement.targets) {
            if (is_with) declare_parameters(inner, target);
        }
        analyze(inner, statement.body);
        for (Target& target : statement.targets) {
            if (is_with) resolve_target(inner, target);
        }
        RAFTER_TRY_VOID(resolve(inner, statement.expression));
        RAFTER_TRY_VOID(resolve(inner, statement.body));
        finish(inner);
        return {};
    }

    Result<void> resolve_for(FrameSymbols& frame, Statement& statement) {
        Target& target = statement.targets[0];
        RAFTER_TRY_VOID(resolve(frame, statement.expression));
        bool assigns_loop = false;
        const NameVisitor see = [&](const std::string& name, Use use) {
            assigns_loop = assigns_loop || (use == Use::kStore && name == "loop");
        };
        walk_names(target, see);
        walk_names(statement.body, see);
        walk_names(statement.else_body, see);
        if (assigns_loop) return fail(statement.at, "cannot assign to the special variable 'loop' inside a loop");

        if (statement.filter) {
            FrameSymbols test{.parent = &frame, .scope = &statement.test_scope};
            declare_parameters(test, target);
            analyze_loads(test, statement.filter);
            RAFTER_TRY_VOID(resolve(test, statement.filter));
            finish(test);
        }
        FrameSymbols inner{.parent = &frame, .scope = &statement.scope};
        // The target first, as in the filter's frame: both get their items through it, so its slots must be the same.
        declare_parameters(inner, target);
        if (reads(statement.body, "loop")) statement.loop_slot = declare_parameter(inner, "loop");
        analyze(inner, statement.body);
        resolve_target(inner, target);
        RAFTER_TRY_VOID(resolve(inner, statement.body));
        finish(inner);

        FrameSymbols otherwise{.parent = &frame, .scope = &statement.else_scope};
        analyze(otherwise, statement.else_body);
        RAFTER_TRY_VOID(resolve(otherwise, statement.else_body));
        finish(otherwise);
        return {};
    }

    Result<void> resolve_macro(FrameSymbols& frame, Statement& statement) {
        for (FrameSymbols* outer = &frame; outer != nullptr; outer = outer->parent) outer->scope->is_captured = true;
        if (statement.kind == StatementKind::kMacro) {
            Target name{.name = statement.name};
            resolve_target(frame, name);
            statement.targets.push_back(std::move(name));
        } else {
            RAFTER_TRY_VOID(resolve(frame, statement.expression));
        }
        FrameSymbols inner{.parent = &frame, .scope = &statement.scope};
        const auto has_parameter = [&](std::string_view name) {
            return std::find(statement.parameters.begin(), statement.parameters.end(), name) != statement.parameters.end();
        };
        for (const std::string& parameter : statement.parameters) declare_parameter(inner, parameter);
        if (reads(statement.body, "caller")) {
            if (!has_parameter("caller")) {
                statement.caller_slot = declare_parameter(inner, "caller");
            } else {
                const auto caller = std::find(statement.parameters.begin(), statement.parameters.end(), "caller");
                const auto n_after = static_cast<std::size_t>(statement.parameters.end() - caller);
                if (n_after > statement.defaults.size()) {
                    return fail(statement.at, "the special parameter 'caller' must be omitted or have a default");
                }
            }
        }
        analyze_loads(inner, statement.defaults);
        analyze(inner, statement.body);
        RAFTER_TRY_VOID(resolve(inner, statement.defaults));
        RAFTER_TRY_VOID(resolve(inner, statement.body));
        finish(inner);
        return {};
    }

    Template& template_;
};

}  // namespace

Result<void> resolve_scopes(Template& parsed) { return Resolver(parsed).run(); }

}  // namespace rafter::text::jinja
