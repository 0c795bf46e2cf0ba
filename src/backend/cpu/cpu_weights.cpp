// Placing and packing weights.
#include "backend/cpu/cpu_weights.h"

#include <algorithm>
#include <map>
#include <tuple>

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
    weights.pack(program, file, pool, options);
    return weights;
}

void CpuWeights::pack_share(const model::Weight& weight, const Place& place, const files::GgufFile& file, PanelRange range) const {
    const std::byte* rows = model::bytes_of(weight, file).data();
    const std::size_t source_bytes = weight.n_rows * tensor::format_of(weight.dtype).row_bytes(weight.n_cols);
    for (std::uint32_t e = 0; e < weight.n_experts; ++e) {
        std::byte* const data = place.data + e * place.expert_bytes;
        PackedMatrix matrix = place.matrix;
        matrix.data = data;
        pack_panels(matrix, rows + e * source_bytes, range.first, range.last, data);
    }
}

void CpuWeights::pack(const model::Program& program, const files::GgufFile& file, ThreadPool& pool, const LoadOptions& options) {
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

    for (model::WeightId id = 0; id < program.weights.size(); ++id) {
        const model::Weight& w = program.weights[id];
        if (is_matrix(w) || !places_[id].first_use) continue;
        const tensor::FormatInfo& format = tensor::format_of(w.dtype);
        const std::byte* source = model::bytes_of(w, file).data();
        for (std::uint32_t e = 0; e < w.n_experts; ++e) {
            format.decode(source + e * format.row_bytes(w.n_cols), places_[id].vector + e * places_[id].vector_stride, w.n_cols);
        }
    }

    double total_bytes = 0;
    for (const auto& job : jobs) {
        for (const model::WeightId id : job) total_bytes += static_cast<double>(place_bytes(program.weights[id]));
    }
    double done_bytes = 0;
    for (const auto& job : jobs) {
        std::vector<PackedMatrix> matrices;
        for (const model::WeightId id : job) matrices.push_back(places_[id].matrix);
        pool.run([&](unsigned thread) {
            const std::vector<PanelRange> share = share_of(matrices, thread, pool.n_threads());
            for (std::size_t i = 0; i < job.size(); ++i) pack_share(program.weights[job[i]], places_[job[i]], file, share[i]);
        });
        for (const model::WeightId id : job) {
            file.release(model::bytes_of(program.weights[id], file));
            done_bytes += static_cast<double>(place_bytes(program.weights[id]));
        }
        if (options.progress) options.progress(done_bytes / total_bytes);
        if (options.let_others) options.let_others();
    }
}

}  // namespace rafter::backend::cpu
