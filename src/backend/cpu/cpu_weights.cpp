// Placing and packing weights.
#include "backend/cpu/cpu_weights.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "backend/cpu/packed_layout.h"
#include "base/check.h"
#include "model/model_file.h"
#include "tensor/formats/formats.h"

namespace rafter::backend::cpu {
namespace {

constexpr std::size_t aligned_to_64(std::size_t n) { return (n + 63) / 64 * 64; }

bool is_matrix(const model::Weight& w) {
    return w.kind == model::WeightKind::kMatrix || w.kind == model::WeightKind::kEmbedding || w.kind == model::WeightKind::kExperts;
}

std::size_t place_bytes(const model::Weight& w) {
    if (is_matrix(w)) return w.n_experts * aligned_to_64(packed_bytes(w.dtype, w.n_rows, w.n_cols));
    return w.n_experts * aligned_to_64(w.n_cols * sizeof(float));
}

// Where each weight goes in one buffer, and which of them is the first of its place.
struct Offsets {
    std::vector<std::size_t> offset_bytes;  // [n_weights]
    std::vector<bool> first_use;
    std::size_t size_bytes = 0;
};

Offsets place_all(const model::Program& program) {
    Offsets offsets;
    std::map<std::tuple<std::string_view, std::uint32_t, std::uint32_t>, std::size_t> known;
    for (const model::Weight& w : program.weights) {
        const auto [found, is_new] = known.try_emplace({w.tensor, w.first_row, w.n_rows}, offsets.size_bytes);
        offsets.offset_bytes.push_back(found->second);
        offsets.first_use.push_back(is_new);
        if (is_new) offsets.size_bytes += place_bytes(w);
    }
    return offsets;
}

// What a thread needs to convert a panel: a row as floats, and the panel's rows encoded.
std::size_t row_floats_bytes(std::uint32_t n_cols) { return aligned_to_64(n_cols * sizeof(float)); }
std::size_t scratch_bytes(const model::Program& program) {
    std::size_t most = 0;
    for (const model::Weight& w : program.weights) {
        if (!is_matrix(w) || w.dtype == w.source_dtype) continue;
        most = std::max(most, row_floats_bytes(w.n_cols) + aligned_to_64(kPanelRows * tensor::format_of(w.dtype).row_bytes(w.n_cols)));
    }
    return most;
}

// Panels [range.first, range.last) of a matrix whose rows lie at `rows` in another type than it is held in.
void pack_converted(const PackedMatrix& matrix, tensor::DType source_dtype, const std::byte* rows, PanelRange range, std::byte* data,
                    std::byte* scratch) {
    const tensor::FormatInfo& from = tensor::format_of(source_dtype);
    const tensor::FormatInfo& to = tensor::format_of(matrix.dtype);
    auto* const values = reinterpret_cast<float*>(scratch);
    std::byte* const encoded = scratch + row_floats_bytes(matrix.n_cols);
    for (std::uint32_t panel = range.first; panel < range.last; ++panel) {
        const std::uint32_t first_row = panel * kPanelRows;
        const std::uint32_t n_rows = std::min(kPanelRows, matrix.n_rows - first_row);
        for (std::uint32_t r = 0; r < n_rows; ++r) {
            from.decode(rows + (first_row + r) * from.row_bytes(matrix.n_cols), values, matrix.n_cols);
            to.encode(values, encoded + r * to.row_bytes(matrix.n_cols), matrix.n_cols);
        }
        std::byte* const place = data + panel * matrix.panel_bytes;
        pack_panels(packed_matrix(matrix.dtype, n_rows, matrix.n_cols, place), encoded, 0, 1, place);
    }
}

// The ops that a backend executes, fused rows opened up.
void for_each_op(const std::vector<model::Op>& ops, const std::function<void(const model::Op&)>& visit) {
    for (const model::Op& op : ops) {
        if (op.kind == model::OpKind::kFusedRows) {
            for_each_op(op.parts, visit);
        } else {
            visit(op);
        }
    }
}

}  // namespace

std::size_t CpuWeights::needed_bytes(const model::Program& program) { return place_all(program).size_bytes; }

Result<CpuWeights> CpuWeights::load(const model::Program& program, const files::GgufFile& file, ThreadPool& pool,
                                    const LoadOptions& options) {
    CpuWeights weights;
    const Offsets offsets = place_all(program);
    RAFTER_TRY(weights.memory_, PageBuffer::allocate(offsets.size_bytes, "weights"));
    for (model::WeightId id = 0; id < program.weights.size(); ++id) {
        const model::Weight& w = program.weights[id];
        Place place;
        place.data = weights.memory_.data() + offsets.offset_bytes[id];
        place.first_use = offsets.first_use[id];
        if (is_matrix(w)) {
            place.matrix = packed_matrix(w.dtype, w.n_rows, w.n_cols, place.data);
            place.expert_bytes = aligned_to_64(packed_bytes(w.dtype, w.n_rows, w.n_cols));
        } else {
            place.vector = reinterpret_cast<float*>(place.data);
            place.vector_stride = aligned_to_64(w.n_cols * sizeof(float)) / sizeof(float);
        }
        weights.places_.push_back(place);
    }
    RAFTER_TRY_VOID(weights.pack(program, file, pool, options));
    return weights;
}

void CpuWeights::pack_share(const model::Weight& weight, const Place& place, std::span<const std::byte> source, PanelRange range,
                            std::byte* scratch) {
    const std::size_t source_bytes = weight.n_rows * tensor::format_of(weight.source_dtype).row_bytes(weight.n_cols);
    for (std::uint32_t e = 0; e < weight.n_experts; ++e) {
        std::byte* const data = place.data + e * place.expert_bytes;
        const std::byte* const rows = source.data() + e * source_bytes;
        PackedMatrix matrix = place.matrix;
        matrix.data = data;
        if (weight.dtype == weight.source_dtype) {
            pack_panels(matrix, rows, range.first, range.last, data);
        } else {
            pack_converted(matrix, weight.source_dtype, rows, range, data, scratch);
        }
    }
}

void CpuWeights::decode_vectors(const model::Program& program, const files::GgufFile& file) {
    for (model::WeightId id = 0; id < program.weights.size(); ++id) {
        const model::Weight& w = program.weights[id];
        if (is_matrix(w) || !places_[id].first_use) continue;
        const tensor::FormatInfo& format = tensor::format_of(w.source_dtype);
        const std::byte* source = model::bytes_of(w, file).data();
        for (std::uint32_t e = 0; e < w.n_experts; ++e) {
            format.decode(source + e * format.row_bytes(w.n_cols), places_[id].vector + e * places_[id].vector_stride, w.n_cols);
        }
    }
}

Result<void> CpuWeights::pack(const model::Program& program, const files::GgufFile& file, ThreadPool& pool, const LoadOptions& options) {
    const std::size_t scratch_stride = scratch_bytes(program);
    RAFTER_TRY(const PageBuffer scratch, PageBuffer::allocate(pool.n_threads() * scratch_stride, "rows of weights that change their type"));
    // One job an op whose matrices are read together; a matrix that only embeds is one by itself. Ops that multiply come first: an
    // embedding that is also a head is split as the head is.
    std::vector<std::vector<model::WeightId>> jobs;
    std::vector<bool> taken(program.weights.size(), false);
    const auto add_job = [&](const model::Op& op) {
        std::vector<model::WeightId> job;
        for (const model::WeightId id : op.weights) {
            if (is_matrix(program.weights[id])) job.push_back(id);
        }
        for (const model::WeightId id : job) taken[id] = true;
        if (!job.empty()) jobs.push_back(std::move(job));
    };
    for_each_op(program.ops, [&](const model::Op& op) {
        if (op.kind != model::OpKind::kEmbed) add_job(op);
    });
    std::vector<const std::byte*> packed;  // places that a job has
    for (const auto& job : jobs) {
        for (const model::WeightId id : job) packed.push_back(places_[id].data);
    }
    for (model::WeightId id = 0; id < program.weights.size(); ++id) {
        const bool is_shared = std::ranges::find(packed, places_[id].data) != packed.end();
        if (is_matrix(program.weights[id]) && !taken[id] && !is_shared) jobs.push_back({id});
    }

    decode_vectors(program, file);

    double total_bytes = 0;
    for (const auto& job : jobs) {
        for (const model::WeightId id : job) total_bytes += static_cast<double>(place_bytes(program.weights[id]));
    }
    double done_bytes = 0;
    for (const auto& job : jobs) {
        std::vector<PackedMatrix> matrices;
        for (const model::WeightId id : job) matrices.push_back(places_[id].matrix);
        std::vector<std::span<const std::byte>> sources;
        for (const model::WeightId id : job) sources.push_back(model::bytes_of(program.weights[id], file));
        pool.run([&](unsigned thread) {
            std::byte* const own = scratch.data() + thread * scratch_stride;
            for (std::size_t i = 0; i < job.size(); ++i) {
                const PanelRange share = share_of(matrices, i, thread, pool.n_threads());
                pack_share(program.weights[job[i]], places_[job[i]], sources[i], share, own);
            }
        });
        for (std::size_t i = 0; i < job.size(); ++i) {
            file.release(sources[i]);
            done_bytes += static_cast<double>(place_bytes(program.weights[job[i]]));
        }
        if (options.progress) options.progress(done_bytes / total_bytes);
        if (options.let_others) options.let_others();
    }
    return {};
}

}  // namespace rafter::backend::cpu
