// What loop.index, loop.last, loop.cycle(...) and the rest say.
#include "text/jinja/run/loop.h"

#include <array>
#include <utility>
#include <vector>

#include "text/jinja/builtins/arguments.h"

namespace rafter::text::jinja {

namespace {

Result<Value> cycle(Runtime&, const Value& self, const Bound& bound) {
    if (!bound.keywords().empty()) return bad_input("loop.cycle: expected no keyword arguments");
    if (bound.positional().empty()) return bad_input("loop.cycle: no items for cycling given");
    const auto size = static_cast<std::int64_t>(bound.positional().size());
    const std::int64_t index = self.as<LoopObject>().index0 % size;
    return bound.positional()[static_cast<std::size_t>(index < 0 ? index + size : index)];
}

Result<Value> changed(Runtime& runtime, const Value& self, const Bound& bound) {
    if (!bound.keywords().empty()) return bad_input("loop.changed: expected no keyword arguments");
    auto& loop = self.as<LoopObject>();
    RAFTER_TRY(Value values, runtime.tuple(bound.positional()));
    if (equal(loop.last_changed, values)) return Value::boolean(false);
    loop.last_changed = std::move(values);
    return Value::boolean(true);
}

constexpr MethodRow kMethods[] = {{"cycle", cycle, kAnything}, {"changed", changed, kAnything}};

}  // namespace

void LoopObject::close() {
    source = []() -> Result<std::optional<Value>> { return std::optional<Value>(); };
    // Swapped out first: what they hold may be this loop.
    const std::array<Value, 4> held = {std::exchange(before, {}), std::exchange(current, {}), std::exchange(after, {}),
                                       std::exchange(last_changed, {})};
}

Result<bool> LoopObject::advance() {
    Value item;
    if (!after.is_missing()) {
        item = std::exchange(after, Value());
    } else {
        RAFTER_TRY(std::optional<Value> next, source());
        if (!next) return false;
        item = std::move(*next);
    }
    ++index0;
    before = std::exchange(current, std::move(item));
    return true;
}

Result<Value> LoopObject::peek() {
    if (after.is_missing()) {
        RAFTER_TRY(std::optional<Value> next, source());
        if (next) after = std::move(*next);
    }
    return after;
}

Result<std::int64_t> LoopObject::length(Runtime& runtime) {
    if (known_length) return *known_length;
    std::vector<Value> rest;
    while (true) {
        RAFTER_TRY(std::optional<Value> next, source());
        if (!next) break;
        rest.push_back(std::move(*next));
    }
    known_length = static_cast<std::int64_t>(rest.size()) + index0 + 1 + (after.is_missing() ? 0 : 1);
    RAFTER_TRY(const Value items, runtime.list(std::move(rest)));
    source = [items, position = std::size_t{0}]() mutable -> Result<std::optional<Value>> {
        if (position >= items_of(items).size()) return std::optional<Value>();
        return std::optional<Value>(items_of(items)[position++]);
    };
    return *known_length;
}

Result<Value> LoopObject::attribute(Runtime& runtime, const Value& self, std::string_view name) {
    if (name == "index") return Value::integer(index0 + 1);
    if (name == "index0") return Value::integer(index0);
    if (name == "first") return Value::boolean(index0 == 0);
    if (name == "depth") return Value::integer(1);
    if (name == "depth0") return Value::integer(0);
    if (name == "last") {
        RAFTER_TRY(const Value next, peek());
        return Value::boolean(next.is_missing());
    }
    if (name == "length" || name == "revindex" || name == "revindex0") {
        RAFTER_TRY(const std::int64_t n, length(runtime));
        return Value::integer(name == "length" ? n : name == "revindex" ? n - index0 : n - index0 - 1);
    }
    if (name == "previtem") return index0 == 0 || before.is_missing() ? runtime.undefined("there is no previous item") : before;
    if (name == "nextitem") {
        RAFTER_TRY(Value next, peek());
        return next.is_missing() ? runtime.undefined("there is no next item") : std::move(next);
    }
    const MethodRow* method = find_row(kMethods, name);
    return method == nullptr ? Value() : runtime.method(self, method);
}

}  // namespace rafter::text::jinja
