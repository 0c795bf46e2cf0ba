// Placing and packing weights.
#include "backend/cpu/cpu_weights.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "backend/cpu/packed_layout.h"
#include "backend/encoding.h"
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

// Without making rows, and without changing their type.
bool is_packed_as_it_is(const model::Weight& w, const files::NamedTensor& tensor) {
    return w.dtype == w.source_dtype && !tensor.bytes.empty();
}

// What a thread needs for a panel: its rows as a source makes them, as floats, and encoded.
struct PanelScratch {
    std::size_t made_bytes = 0;
    std::size_t floats_bytes = 0;
    std::size_t encoded_bytes = 0;

    [[nodiscard]] std::size_t size_bytes() const { return made_bytes + floats_bytes + encoded_bytes; }
};
PanelScratch panel_scratch(const model::Weight& w, const files::NamedTensor& tensor) {
    PanelScratch need;
    if (tensor.bytes.empty()) need.made_bytes = aligned_to_64(kPanelRows * tensor.row_bytes());
    if (w.dtype != w.source_dtype) {
        need.floats_bytes = aligned_to_64(kPanelRows * w.n_cols * sizeof(float));
        need.encoded_bytes = aligned_to_64(kPanelRows * tensor::format_of(w.dtype).row_bytes(w.n_cols));
    }
    return need;
}
std::size_t scratch_bytes(const model::Program& program, const files::TensorSource& source) {
    std::size_t most = 0;
    for (const model::Weight& w : program.weights) {
        if (is_matrix(w)) most = std::max(most, panel_scratch(w, model::tensor_of(w, source)).size_bytes());
    }
    return most;
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

Result<CpuWeights> CpuWeights::load(const model::Program& program, const files::TensorSource& source, ThreadPool& pool,
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
    RAFTER_TRY_VOID(weights.pack(program, source, pool, options));
    return weights;
}

void CpuWeights::pack_share(const model::Weight& weight, const Place& place, const files::TensorSource& source, PanelRange range,
                            std::byte* scratch) {
    const files::NamedTensor& tensor = model::tensor_of(weight, source);
    const PanelScratch need = panel_scratch(weight, tensor);
    const std::span<std::byte> made(scratch, need.made_bytes);
    auto* const values = reinterpret_cast<float*>(scratch + need.made_bytes);
    std::byte* const encoded = scratch + need.made_bytes + need.floats_bytes;
    const tensor::FormatInfo& from = tensor::format_of(weight.source_dtype);
    for (std::uint32_t e = 0; e < weight.n_experts; ++e) {
        std::byte* const data = place.data + e * place.expert_bytes;
        PackedMatrix matrix = place.matrix;
        matrix.data = data;
        const std::uint64_t first = model::first_row(weight, e);
        if (is_packed_as_it_is(weight, tensor)) {
            pack_panels(matrix, source.rows(tensor, first, weight.n_rows, {}).data(), range.first, range.last, data);
            // By the thread that has read them: taking pages out of a mapping costs a tenth of the time of packing them.
            const std::uint64_t end = std::min(weight.n_rows, range.last * kPanelRows);
            const std::uint64_t begin = std::min<std::uint64_t>(end, range.first * kPanelRows);
            source.release(tensor, first + begin, end - begin);
            continue;
        }
        for (std::uint32_t panel = range.first; panel < range.last; ++panel) {
            const std::uint32_t n_rows = std::min(kPanelRows, matrix.n_rows - panel * kPanelRows);
            const std::byte* rows = source.rows(tensor, first + panel * kPanelRows, n_rows, made).data();
            if (weight.dtype != weight.source_dtype) {
                from.decode(rows, values, std::size_t{n_rows} * matrix.n_cols);
                const WeightRows weights{.values = values, .importance = nullptr, .n_rows = n_rows, .n_cols = matrix.n_cols};
                host_encoder()(weight.dtype, weights, encoded);
                rows = encoded;
            }
            std::byte* const panel_data = data + panel * matrix.panel_bytes;
            pack_panels(packed_matrix(matrix.dtype, n_rows, matrix.n_cols, panel_data), rows, 0, 1, panel_data);
        }
    }
}

void CpuWeights::decode_vectors(const model::Program& program, const files::TensorSource& source) {
    std::vector<std::byte> scratch;
    for (model::WeightId id = 0; id < program.weights.size(); ++id) {
        const model::Weight& w = program.weights[id];
        if (is_matrix(w) || !places_[id].first_use) continue;
        const tensor::FormatInfo& format = tensor::format_of(w.source_dtype);
        const files::NamedTensor& tensor = model::tensor_of(w, source);
        scratch.resize(tensor.size_bytes());
        const std::byte* rows = source.rows(tensor, 0, tensor.n_rows(), scratch).data();
        for (std::uint32_t e = 0; e < w.n_experts; ++e) {
            format.decode(rows + e * format.row_bytes(w.n_cols), places_[id].vector + e * places_[id].vector_stride, w.n_cols);
        }
    }
}

Result<void> CpuWeights::pack(const model::Program& program, const files::TensorSource& source, ThreadPool& pool,
                              const LoadOptions& options) {
    const std::size_t scratch_stride = scratch_bytes(program, source);
    RAFTER_TRY(const PageBuffer scratch,
               PageBuffer::allocate(pool.n_threads() * scratch_stride, "rows of weights that are made or change their type"));
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

    decode_vectors(program, source);

    double total_bytes = 0;
    for (const auto& job : jobs) {
        for (const model::WeightId id : job) total_bytes += static_cast<double>(place_bytes(program.weights[id]));
    }
    double done_bytes = 0;
    for (const auto& job : jobs) {
        std::vector<PackedMatrix> matrices;
        for (const model::WeightId id : job) matrices.push_back(places_[id].matrix);
        pool.run([&](unsigned thread) {
            std::byte* const own = scratch.data() + thread * scratch_stride;
            for (std::size_t i = 0; i < job.size(); ++i) {
                const PanelRange share = share_of(matrices, i, thread, pool.n_threads());
                pack_share(program.weights[job[i]], places_[job[i]], source, share, own);
            }
        });
        for (const model::WeightId id : job) {
            const model::Weight& w = program.weights[id];
            const files::NamedTensor& tensor = model::tensor_of(w, source);
            if (!is_packed_as_it_is(w, tensor)) {
                source.release(tensor, w.first_row, (w.n_experts - 1) * std::uint64_t{w.n_source_rows} + w.n_rows);
            }
            done_bytes += static_cast<double>(place_bytes(w));
        }
        if (options.progress) options.progress(done_bytes / total_bytes);
        if (options.let_others) options.let_others();
    }
    return {};
}

}  // namespace rafter::backend::cpu
