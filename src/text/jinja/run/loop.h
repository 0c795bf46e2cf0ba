// The variable `loop` of a running for loop. It pulls items only when asked, as jinja2 does: loop.last looks one item ahead, so a filter
// (`for x in y if ...`) runs for that item then, and not before.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>

#include "text/jinja/run/runtime.h"

namespace rafter::text::jinja {

struct LoopObject : Object {
    std::function<Result<std::optional<Value>>()> source;  // the next item that passes the loop's filter, nullopt at the end
    std::optional<std::int64_t> known_length;
    std::int64_t index0 = -1;
    Value before, current, after;  // `after` only once it was looked at
    Value last_changed;            // what loop.changed() was last asked about

    // The loop has ended: it gives no more items, and lets go of what it holds, itself perhaps.
    void close();
    // Steps on; false at the end.
    [[nodiscard]] Result<bool> advance();
    // Looks at the item after this one; missing at the end.
    [[nodiscard]] Result<Value> peek();
    // Walks to the end and keeps what it finds, unless the length is known.
    [[nodiscard]] Result<std::int64_t> length(Runtime& runtime);
    // loop.index, loop.last, ...; missing for a name that loops do not have.
    [[nodiscard]] Result<Value> attribute(Runtime& runtime, const Value& self, std::string_view name);
};

[[nodiscard]] std::string_view name_of_macro(const MacroObject& macro);  // empty for a call block's caller

}  // namespace rafter::text::jinja
