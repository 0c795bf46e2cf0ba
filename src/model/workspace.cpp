// The placing of values in the workspace: lifetimes from the list, then first fit.
#include "model/workspace.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <numeric>
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

// A softmax's output lives where its input does: result[v] is the value whose bytes v has, and lifetimes[result[v]] covers both.
std::vector<ValueId> share_bytes(const Program& program, std::vector<Lifetime>& lifetimes) {
    std::vector<ValueId> owner(program.values.size());
    std::iota(owner.begin(), owner.end(), ValueId{0});
    for (const Op& op : program.ops) {
        if (op.kind != OpKind::kSoftmax) continue;
        const ValueId scores = op.inputs.front();
        owner[op.outputs.front()] = scores;
        lifetimes[scores].touch(lifetimes[op.outputs.front()].last);
    }
    return owner;
}

}  // namespace

std::size_t row_bytes(Encoding encoding, std::size_t width) {
    if (encoding == Encoding::kF32) return aligned(width * sizeof(float));
    RAFTER_CHECK(width % 32 == 0, "width {}", width);
    return aligned(width / 32 * (encoding == Encoding::kQ16 ? sizeof(QuantizedBlock16) : sizeof(QuantizedBlock)));
}

std::size_t row_bytes(const Value& value) { return row_bytes(value.encoding, value.width); }

std::size_t row_bytes(const Program& program, const Value& value, RowLimits limits) {
    if (value.width > 0) return row_bytes(value);
    return program.config.n_heads * padded_positions(limits.n_positions) * sizeof(float);
}

bool has_scores(const Program& program) {
    return std::ranges::any_of(program.ops, [](const Op& op) { return op.kind == OpKind::kAttentionScores; });
}

std::size_t n_rows(const Program& program, RowKind rows, RowLimits limits) {
    switch (rows) {
        case RowKind::kTokens:
        case RowKind::kHidden:  // any token may be one
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

    const std::vector<ValueId> owner = share_bytes(program, lifetimes);
    WorkspacePlan plan;
    plan.offset_bytes.assign(program.values.size(), 0);
    struct Placed {
        std::size_t begin, end;
        Lifetime lifetime;
    };
    std::vector<Placed> placed;  // by begin
    for (ValueId v = 0; v < program.values.size(); ++v) {
        if (!lifetimes[v].used() || owner[v] != v) continue;
        const std::size_t size = row_bytes(program, program.values[v], limits) * n_rows(program, program.values[v].rows, limits);
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
    for (ValueId v = 0; v < program.values.size(); ++v) plan.offset_bytes[v] = plan.offset_bytes[owner[v]];
    return plan;
}

}  // namespace rafter::model
