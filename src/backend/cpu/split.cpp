// Shares of panels, rows and columns.
#include "backend/cpu/split.h"

#include <algorithm>

namespace rafter::backend::cpu {
namespace {

using model::Op;
using model::OpKind;

// Whether a column of the result needs no other columns than those of its block.
bool is_of_columns(const Op& op) {
    return op.kind == OpKind::kAdd || op.kind == OpKind::kAddBias || op.kind == OpKind::kGatedActivation || op.kind == OpKind::kQuantize;
}

}  // namespace

PanelRange share_of(std::span<const PackedMatrix> matrices, std::size_t matrix, unsigned part, unsigned n_parts) {
    // Of equal shapes (gate and up) the same rows, if that is as equal: what is made of both is then made by the thread that has them in
    // its cache.
    const std::uint32_t n_panels = matrices.front().n_panels;
    if (n_panels % n_parts == 0 && std::ranges::all_of(matrices, [&](const PackedMatrix& m) { return m.n_panels == n_panels; })) {
        const auto boundary = [&](unsigned t) { return static_cast<std::uint32_t>(std::uint64_t{n_panels} * t / n_parts); };
        return {boundary(part), boundary(part + 1)};
    }
    std::size_t total = 0;
    std::size_t before = 0;
    for (std::size_t i = 0; i < matrices.size(); ++i) {
        const std::size_t bytes = matrices[i].n_panels * matrices[i].panel_bytes;
        if (i < matrix) before += bytes;
        total += bytes;
    }
    // A panel belongs to the part of all the bytes in which it begins.
    const PackedMatrix& m = matrices[matrix];
    const auto first_panel_from = [&](std::size_t byte) {
        const std::size_t inside = byte > before ? byte - before : 0;
        return static_cast<std::uint32_t>(std::min<std::size_t>((inside + m.panel_bytes - 1) / m.panel_bytes, m.n_panels));
    };
    return {first_panel_from(total * part / n_parts), first_panel_from(total * (part + std::size_t{1}) / n_parts)};
}

std::vector<PanelRange> share_of(std::span<const PackedMatrix> matrices, unsigned part, unsigned n_parts) {
    std::vector<PanelRange> share;
    for (std::size_t i = 0; i < matrices.size(); ++i) share.push_back(share_of(matrices, i, part, n_parts));
    return share;
}

std::optional<std::size_t> column_width(const model::Program& program, const Op& op) {
    const std::span<const Op> parts = op.kind == OpKind::kFusedRows ? std::span<const Op>(op.parts) : std::span(&op, 1);
    std::optional<std::size_t> width;
    for (const Op& part : parts) {
        if (!is_of_columns(part)) return std::nullopt;
        const std::size_t part_width = program.values[part.outputs.front()].width;
        if (width.value_or(part_width) != part_width) return std::nullopt;
        width = part_width;
    }
    return width;
}

RowShare share_of_rows(std::size_t n_rows, std::optional<std::size_t> column_width, unsigned thread, unsigned n_threads) {
    const std::size_t next = thread + std::size_t{1};
    if (!column_width || n_rows >= n_threads) {
        return {.first = n_rows * thread / n_threads, .end = n_rows * next / n_threads, .columns = std::nullopt};
    }
    // Fewer rows than threads: each thread has its columns of all rows.
    const std::size_t n_blocks = (*column_width + kColumnBlock - 1) / kColumnBlock;
    const std::size_t first = n_blocks * thread / n_threads * kColumnBlock;
    const std::size_t end = std::min(n_blocks * next / n_threads * kColumnBlock, *column_width);
    if (first >= end) return {.columns = Columns{}};
    return {.first = 0, .end = n_rows, .columns = Columns{.first = first, .n = end - first}};
}

Columns share_of_columns(std::size_t width, unsigned thread, unsigned n_threads) {
    constexpr std::size_t kVector = 16;
    const auto boundary = [&](std::size_t t) { return t == n_threads ? width : width * t / n_threads / kVector * kVector; };
    return {.first = boundary(thread), .n = boundary(thread + std::size_t{1}) - boundary(thread)};
}

}  // namespace rafter::backend::cpu
