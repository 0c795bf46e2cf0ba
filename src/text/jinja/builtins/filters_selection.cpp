// Filters that are generators in jinja2: map, select, unique, batch, ... They work when walked over, item by item, and only once.
#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "text/jinja/builtins/attribute_path.h"
#include "text/jinja/builtins/filters.h"
#include "text/jinja/run/operators.h"

namespace rafter::text::jinja {

namespace {

using Call = const Arguments&;
using Item = std::optional<Value>;

// A generator over the items of `value`. step(item) gives what comes of an item, nullopt to go on to the next. prepare() runs before the
// first item, if the value is not empty: as in jinja2, a wrong argument is an error only then. State lives in the closures.
template <typename Prepare, typename Step>
Result<Value> generator(Runtime& runtime, const Value& value, Prepare prepare, Step step) {
    struct State {
        Value value;
        std::optional<Cursor> cursor;
        bool ended = false;
    };
    auto state = std::make_shared<State>(State{.value = value});
    auto next = [&runtime, state, prepare = std::move(prepare), step = std::move(step)]() mutable -> Result<Item> {
        if (!state->cursor && !state->ended) {
            RAFTER_TRY(const bool wanted, prepare(state->value));
            state->ended = !wanted;
            if (wanted) {
                RAFTER_TRY(state->cursor, Cursor::over(state->value));
            }
        }
        while (!state->ended) {
            RAFTER_TRY(Item item, state->cursor->next(runtime));
            if (!item) {
                state->ended = true;
                break;
            }
            RAFTER_TRY(Item made, step(*item));
            if (made) return made;
        }
        return Item();
    };
    return runtime.iterator(value, "generator", std::move(next));
}

// What map and select call for every item: a filter or test by name with its arguments, or an attribute. Filled in by prepare().
struct Action {
    const MethodRow* row = nullptr;
    Arguments arguments;
    std::optional<AttributePath> path;

    Result<Value> run(Runtime& runtime, const Value& item) const { return row == nullptr ? item : call(runtime, *row, item, arguments); }
};

// The name at `index` of the arguments and what follows it.
Result<void> prepare_call(Action& action, const Arguments& given, std::size_t index, const MethodRow* (*find)(std::string_view),
                          std::string_view kind) {
    const Value& name = given.positional[index];
    if (!name.is(Type::kString)) return wrong_type("the name of a filter or test", name);
    action.row = find(text_of(name));
    if (action.row == nullptr) return bad_input("no {} named '{}'", kind, text_of(name));
    action.arguments.positional.assign(given.positional.begin() + static_cast<std::ptrdiff_t>(index) + 1, given.positional.end());
    action.arguments.keywords = given.keywords;
    return {};
}

Result<void> prepare_map(Runtime& runtime, Action& action, const Arguments& given) {
    const auto keyword = [&](std::string_view name) {
        const auto found = std::find_if(given.keywords.begin(), given.keywords.end(), [&](const auto& pair) { return pair.first == name; });
        return found == given.keywords.end() ? Value() : found->second;
    };
    const Value attribute = keyword("attribute");
    if (given.positional.empty() && !attribute.is_missing()) {
        for (const auto& [name, value] : given.keywords) {
            if (name != "attribute" && name != "default") return bad_input("map: unexpected keyword argument '{}'", name);
        }
        RAFTER_TRY(action.path, AttributePath::parse(runtime, attribute, LetterCase::kKept, keyword("default")));
        return {};
    }
    if (given.positional.empty()) return bad_input("map requires a filter argument");
    return prepare_call(action, given, 0, find_filter, "filter");
}

Result<Value> map(Runtime& runtime, const Value& value, const Bound& bound) {
    auto action = std::make_shared<Action>();
    return generator(
        runtime, value,
        [&runtime, action, given = bound.arguments()](const Value& items) -> Result<bool> {
            if (!truth(items)) return false;
            RAFTER_TRY_VOID(prepare_map(runtime, *action, given));
            return true;
        },
        [&runtime, action](const Value& item) -> Result<Item> {
            RAFTER_TRY(Value made, action->path ? action->path->get(runtime, item) : action->run(runtime, item));
            return Item(std::move(made));
        });
}

enum class Keeps { kWhatPasses, kWhatFails };
enum class LooksAt { kItem, kAttribute };

template <Keeps kKeeps, LooksAt kLooksAt>
Result<Value> select(Runtime& runtime, const Value& value, const Bound& bound) {
    auto action = std::make_shared<Action>();
    return generator(
        runtime, value,
        [&runtime, action, given = bound.arguments()](const Value& items) -> Result<bool> {
            if (!truth(items)) return false;
            const std::size_t n_own = kLooksAt == LooksAt::kAttribute ? 1 : 0;
            if (given.positional.size() < n_own) return bad_input("Missing parameter for attribute name");
            const Value attribute = n_own == 1 ? given.positional[0] : Value();
            RAFTER_TRY(action->path, AttributePath::parse(runtime, attribute, LetterCase::kKept));
            if (given.positional.size() > n_own) RAFTER_TRY_VOID(prepare_call(*action, given, n_own, find_test, "test"));
            return true;
        },
        [&runtime, action](const Value& item) -> Result<Item> {
            RAFTER_TRY(const Value subject, action->path->get(runtime, item));
            RAFTER_TRY(const Value verdict, action->run(runtime, subject));
            return truth(verdict) == (kKeeps == Keeps::kWhatPasses) ? Item(item) : Item();
        });
}

Result<Value> items(Runtime& runtime, const Value& value, const Bound&) {
    const bool is_mapping = value.is(Type::kDict);
    const Value pairs = is_mapping ? runtime.dict_view(value, DictViewObject::Part::kItems) : value;
    return generator(
        runtime, pairs,
        [is_mapping](const Value& source) -> Result<bool> {
            if (is_mapping || source.is(Type::kUndefined)) return is_mapping;
            return bad_input("items: Can only get item pairs from a mapping, found {}", type_name(source));
        },
        [](const Value& pair) -> Result<Item> { return Item(pair); });
}

Result<bool> always(const Value&) { return true; }

Result<Value> unique(Runtime& runtime, const Value& value, const Bound& bound) {
    const LetterCase letter_case = bound.truth_or(0, false) ? LetterCase::kKept : LetterCase::kIgnored;
    RAFTER_TRY(const AttributePath path, AttributePath::parse(runtime, bound[1], letter_case));
    return generator(runtime, value, always, [&runtime, path, seen = std::make_shared<DictObject>()](const Value& item) -> Result<Item> {
        RAFTER_TRY(const Value key, path.get(runtime, item));
        RAFTER_TRY_VOID(runtime.spend(weight_of(key)));
        if (!is_hashable(key)) return bad_input("unique: unhashable type: '{}'", type_name(key));
        if (seen->find(key) != nullptr) return Item();
        seen->set(key, Value::none());
        return Item(item);
    });
}

// Batches and slices are made at once: made one by one they would print the same.
Result<Value> batch(Runtime& runtime, const Value& value, const Bound& bound) {
    RAFTER_TRY(const std::int64_t size, bound.integer(0));
    RAFTER_TRY(std::vector<Value> items, to_vector(runtime, value));
    std::vector<Value> batches;
    std::vector<Value> current;
    const auto end_batch = [&]() -> Result<void> {
        RAFTER_TRY(Value made, runtime.list(std::exchange(current, {})));
        batches.push_back(std::move(made));
        return {};
    };
    for (Value& item : items) {
        if (static_cast<std::int64_t>(current.size()) == size) RAFTER_TRY_VOID(end_batch());
        current.push_back(std::move(item));
    }
    const auto n_missing = size - static_cast<std::int64_t>(current.size());
    if (bound.has_value(1) && !current.empty() && n_missing > 0) {
        RAFTER_TRY_VOID(runtime.reserve(static_cast<std::size_t>(std::min(n_missing, std::int64_t{1} << 40)) * sizeof(Value)));
        current.resize(static_cast<std::size_t>(size), bound[1]);
    }
    if (!current.empty()) RAFTER_TRY_VOID(end_batch());
    return runtime.iterator(std::move(batches), "generator");
}

Result<Value> slice(Runtime& runtime, const Value& value, const Bound& bound) {
    RAFTER_TRY(const std::int64_t n_slices, bound.integer(0));
    RAFTER_TRY(const std::vector<Value> items, to_vector(runtime, value));
    if (n_slices == 0) return bad_input("slice: expected a number of slices other than 0");
    std::vector<Value> slices;
    RAFTER_TRY_VOID(runtime.reserve(static_cast<std::size_t>(std::clamp(n_slices, std::int64_t{0}, std::int64_t{1} << 40)) * 128));
    const auto size = static_cast<std::int64_t>(items.size());
    auto begin = items.begin();
    for (std::int64_t i = 0; i < n_slices; ++i) {
        const bool is_longer = i < size % n_slices;
        std::vector<Value> part(begin, begin + size / n_slices + (is_longer ? 1 : 0));
        begin += static_cast<std::ptrdiff_t>(part.size());
        if (bound.has_value(1) && !is_longer) part.push_back(bound[1]);
        RAFTER_TRY(Value made, runtime.list(std::move(part)));
        slices.push_back(std::move(made));
    }
    return runtime.iterator(std::move(slices), "generator");
}

constexpr MethodRow kSelectionFilters[] = {
    {"batch", batch, "linecount fill_with", 1},
    {"items", items},
    {"map", map, kAnything},
    {"reject", select<Keeps::kWhatFails, LooksAt::kItem>, kAnything},
    {"rejectattr", select<Keeps::kWhatFails, LooksAt::kAttribute>, kAnything},
    {"select", select<Keeps::kWhatPasses, LooksAt::kItem>, kAnything},
    {"selectattr", select<Keeps::kWhatPasses, LooksAt::kAttribute>, kAnything},
    {"slice", slice, "slices fill_with", 1},
    {"unique", unique, "case_sensitive attribute"},
};

}  // namespace

const MethodRow* find_selection_filter(std::string_view name) { return find_row(kSelectionFilters, name); }

}  // namespace rafter::text::jinja
