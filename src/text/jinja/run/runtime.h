// What one render owns: the heap of its values, its budget of steps, bytes and depth, and the clock. Filters, tests, methods and functions
// get it as their first argument. One thread's.
#pragma once

#include <cstdint>
#include <ctime>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "text/jinja/run/objects.h"

namespace rafter::text::jinja {

// A template comes with a model file, so it is as untrusted as the rest of the file. A chat of 1000 messages takes some 10^5 steps.
struct Limits {
    std::uint64_t max_steps = 100'000'000;  // an evaluated expression, an item walked over, 64 bytes of text made: one step each
    std::size_t max_live_bytes = std::size_t{128} << 20;   // of all values alive at once, and 8 times the input
    std::size_t max_output_bytes = std::size_t{32} << 20;  // of the rendered text, and 8 times the input
    std::uint32_t max_depth = 800;                         // nested evaluations: bounds the stack
    std::uint32_t max_value_depth = 200;                   // containers in containers: bounds recursion over values
};

// As jinja2's sandbox has it.
inline constexpr std::int64_t kMaxRangeLength = 100'000;

struct LoopObject;

class Runtime {
  public:
    Runtime(const Limits& limits, std::optional<std::tm> now) : limits_(limits), now_(now), heap_(limits.max_live_bytes) {}
    Runtime(const Runtime&) = delete;
    Runtime& operator=(const Runtime&) = delete;

    [[nodiscard]] const Limits& limits() const { return limits_; }
    // Local time, the clock's unless the caller gave one.
    [[nodiscard]] std::tm now() const;

    // Fails when the budget of steps is spent or the values have outgrown theirs.
    [[nodiscard]] Result<void> spend(std::uint64_t n_steps) {
        n_steps_ = add_weights(n_steps_, n_steps);
        if (n_steps_ > limits_.max_steps || !heap_.has_room_for(0)) [[unlikely]]
            return over_budget();
        return {};
    }
    // To be asked before making something of that size: fails when it does not fit, and spends the steps of making it.
    [[nodiscard]] Result<void> reserve(std::size_t size_bytes);
    // The same for a text that grows piece by piece: so many bytes are to join those it has.
    [[nodiscard]] Result<void> grow(const std::string& text, std::size_t more_bytes);
    // The render's input does not count against what the template may use, and a long input may need more.
    void allow_for_input();

    [[nodiscard]] Value string(std::string text);
    [[nodiscard]] Value markup(std::string text);
    // A string that is markup if `model` is.
    [[nodiscard]] Value string_like(const Value& model, std::string text);
    [[nodiscard]] Value integer(Int value);
    // Containers fail when nested too deeply.
    [[nodiscard]] Result<Value> list(std::vector<Value> items);
    [[nodiscard]] Result<Value> tuple(std::vector<Value> items);
    [[nodiscard]] Result<Value> group(Value grouper, Value items);  // what groupby gives
    [[nodiscard]] Result<Value> dict(DictObject dict);
    [[nodiscard]] Value dict_view(const Value& dict, DictViewObject::Part part);
    [[nodiscard]] Result<Value> range(std::int64_t start, std::int64_t stop, std::int64_t step);
    // `source`: what next() walks over, for the bound on iterators that pull from iterators.
    [[nodiscard]] Result<Value> iterator(const Value& source, std::string_view type_name,
                                         std::function<Result<std::optional<Value>>()> next);
    // One that hands out the items of a list, once.
    [[nodiscard]] Result<Value> iterator(std::vector<Value> items, std::string_view type_name);
    [[nodiscard]] Value function(const MethodRow* row);
    [[nodiscard]] Value method(const Value& self, const MethodRow* row);
    [[nodiscard]] Value loop(LoopObject loop);
    [[nodiscard]] Value name_space(std::vector<std::pair<std::string, Value>> attributes);
    [[nodiscard]] Value macro(const Statement* definition, Frame* home);

    [[nodiscard]] Value undefined(std::string hint);
    [[nodiscard]] Value undefined_variable(std::string_view name);
    [[nodiscard]] Value undefined_attribute(const Value& owner, std::string_view name);
    [[nodiscard]] Value undefined_element(const Value& owner, const Value& key);

    [[nodiscard]] Heap& heap() { return heap_; }

  private:
    [[nodiscard]] Result<void> over_budget() const;
    [[nodiscard]] Result<Value> sequence(Type type, std::vector<Value> items);
    template <typename T>
    [[nodiscard]] Value make(Type type, T object, std::size_t payload_bytes);

    Limits limits_;
    std::optional<std::tm> now_;
    std::uint64_t n_steps_ = 0;
    Heap heap_;
    // These can change, so they could hold themselves: they live as long as the render, and values only point at them.
    std::deque<NamespaceObject> namespaces_;
    std::deque<MacroObject> macros_;
};

// Walks over any value that Python can iterate over.
class Cursor {
  public:
    // Fails for numbers, None, ...
    [[nodiscard]] static Result<Cursor> over(Value iterable);
    [[nodiscard]] Result<std::optional<Value>> next(Runtime& runtime);

  private:
    explicit Cursor(Value iterable) : iterable_(std::move(iterable)) {}
    Value iterable_;
    std::size_t position_ = 0;  // an index; in strings a byte
};

[[nodiscard]] Result<std::vector<Value>> to_vector(Runtime& runtime, const Value& iterable);
[[nodiscard]] bool is_iterable(const Value& value);
// len(): nullopt for what has none.
[[nodiscard]] std::optional<std::int64_t> length_of(const Value& value);
[[nodiscard]] bool truth(const Value& value);

// The error of using an undefined value, or of a value of the wrong type: "expected a string, found int".
[[nodiscard]] Error wrong_type(std::string_view expected, const Value& found);

}  // namespace rafter::text::jinja
