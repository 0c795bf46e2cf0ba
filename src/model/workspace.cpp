// The placing of values in the workspace: lifetimes from the list, then first fit.
#include "model/workspace.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <utility>

#include "base/check.h"

namespace rafter::model {
namespace {

constexpr std::size_t kAlignment = 64;
std::size_t aligned(std::size_t n) { return (n + kAlignment - 1) / kAlignment * kAlignment; }

// The ops during which a value's bytes are in use.
struct Lifetime {
    std::size_t first = std::numeric_limits<std::size_t>::max();
    std::size_t last = 0;
    void touch(std::size_t op) {
        first = std::min(first, op);
        last = std::max(last, op);
    }
    [[nodiscard]] bool used() const { return first <= last; }
    [[nodiscard]] bool overlaps(const Lifetime& other) const { return first <= other.last && other.first <= last; }
};

void touch_all(const Op& op, std::size_t index, std::vector<Lifetime>& lifetimes) {
    for (const ValueId v : op.inputs) lifetimes[v].touch(index);
    for (const ValueId v : op.outputs) lifetimes[v].touch(index);
    for (const Op& part : op.parts) touch_all(part, index, lifetimes);
}

}  // namespace

QuantizedRow quantized_row(Encoding encoding, std::size_t width) {
    RAFTER_CHECK(encoding != Encoding::kF32 && width % 32 == 0, "width {}", width);
    QuantizedRow row{};
    std::size_t end = 0;
    const auto part = [&end](std::size_t bytes) { return std::exchange(end, aligned(end + bytes)); };
    if (encoding == Encoding::kQ16) row.high = part(width);
    row.low = part(width);
    row.scale = part(width / 32 * sizeof(float));
    row.sum = part(width / 16 * sizeof(std::int32_t));
    row.sum_of_32 = part(width / 32 * sizeof(std::int32_t));
    row.minus = part(width / 16 * sizeof(float));
    row.minus_of_32 = part(width / 32 * sizeof(float));
    row.size_bytes = end;
    return row;
}

std::size_t row_bytes(const Value& value) {
    if (value.encoding == Encoding::kF32) return aligned(value.width * sizeof(float));
    return quantized_row(value.encoding, value.width).size_bytes;
}

std::size_t n_rows(const Program& program, RowKind rows, RowLimits limits) {
    switch (rows) {
        case RowKind::kTokens:
            return limits.n_tokens;
        case RowKind::kOutputs:
            return limits.n_outputs;
        case RowKind::kSlots:
            return limits.n_tokens * program.config.moe.n_experts_used;
    }
    return 0;
}

WorkspacePlan plan_workspace(const Program& program, RowLimits limits) {
    std::vector<Lifetime> lifetimes(program.values.size());
    for (std::size_t i = 0; i < program.ops.size(); ++i) touch_all(program.ops[i], i, lifetimes);
    // What a step gives back is read after its last op.
    lifetimes[program.hidden].touch(program.ops.size());
    lifetimes[program.logits].touch(program.ops.size());

    WorkspacePlan plan;
    plan.offset_bytes.assign(program.values.size(), 0);
    struct Placed {
        std::size_t begin, end;
        Lifetime lifetime;
    };
    std::vector<Placed> placed;  // by begin
    for (ValueId v = 0; v < program.values.size(); ++v) {
        if (!lifetimes[v].used()) continue;
        const std::size_t size = row_bytes(program.values[v]) * n_rows(program, program.values[v].rows, limits);
        // First fit: the lowest gap between values that live at the same time.
        std::size_t begin = 0;
        for (const Placed& p : placed) {
            if (!p.lifetime.overlaps(lifetimes[v])) continue;
            if (begin + size <= p.begin) break;
            begin = std::max(begin, p.end);
        }
        plan.offset_bytes[v] = begin;
        plan.size_bytes = std::max(plan.size_bytes, begin + size);
        const auto at = std::ranges::upper_bound(placed, begin, {}, &Placed::begin);
        placed.insert(at, {begin, begin + size, lifetimes[v]});
    }
    return plan;
}

}  // namespace rafter::model
