// A chain of hashes: each part's hash is the seed of the next, and every part is hashed with its length.
#include "engine/offload/model_identity.h"

#include <algorithm>
#include <span>
#include <type_traits>
#include <variant>
#include <vector>

#include "base/os_cpu_info.h"
#include "base/os_file.h"
#include "base/os_process.h"
#include "base/xxh3.h"

namespace rafter::engine {
namespace {

constexpr std::size_t kPieceBytes = std::size_t{4} << 20U;  // that a thread hashes at a time

class Chain {
  public:
    void add(std::span<const std::byte> bytes) { hash_ = xxh3(bytes, hash_); }
    void add(std::string_view text) { add(std::as_bytes(std::span(text))); }
    template <typename T>
    requires std::is_arithmetic_v<T> || std::is_enum_v<T>
    void add(T value) { add(std::as_bytes(std::span(&value, 1))); }
    template <typename T>
    void add(const std::vector<T>& values) {
        add(values.size());
        for (const auto& value : values) add(static_cast<T>(value));
    }
    [[nodiscard]] std::uint64_t hash() const { return hash_; }

  private:
    std::uint64_t hash_ = 0;
};

// An op's options, each with all its values. An option type without an overload does not compile, nor does one that gains a field: the
// bindings name as many as there are.
void add_options(Chain& /*chain*/, const std::monostate& /*none*/) {}
void add_options(Chain& chain, const model::EmbedOptions& options) {
    const auto& [scale] = options;
    chain.add(scale);
}
void add_options(Chain& chain, const model::NormOptions& options) {
    const auto& [epsilon, group] = options;
    chain.add(epsilon);
    chain.add(group);
}
void add_options(Chain& chain, const model::RopeOptions& options) {
    const auto& [table, head_dim] = options;
    chain.add(table);
    chain.add(head_dim);
}
void add_options(Chain& chain, const model::CacheOptions& options) {
    const auto& [layer] = options;
    chain.add(layer);
}
void add_options(Chain& chain, const model::AttentionOptions& options) {
    const auto& [layer, n_heads, n_kv_heads, head_dim, window, scale, softcap] = options;
    for (const std::uint32_t number : {layer, n_heads, n_kv_heads, head_dim, window}) chain.add(number);
    chain.add(scale);
    chain.add(softcap);
}
void add_options(Chain& chain, const model::ActivationOptions& options) {
    const auto& [activation] = options;
    chain.add(activation);
}
void add_options(Chain& chain, const model::SoftcapOptions& options) {
    const auto& [cap] = options;
    chain.add(cap);
}
void add_options(Chain& chain, const model::RouteOptions& options) {
    const auto& [n_experts_used, scoring, normalize_weights] = options;
    chain.add(n_experts_used);
    chain.add(scoring);
    chain.add(normalize_weights);
}
void add_options(Chain& chain, const model::ObserveOptions& options) {
    const auto& [tensors, n_matrices, makes_values, first_moments, n_moments, first_position_counts] = options;
    for (const std::string& tensor : tensors) chain.add(std::string_view(tensor));
    for (const std::uint32_t number : {n_matrices, first_moments, n_moments, first_position_counts}) chain.add(number);
    chain.add(makes_values);
}

void add_op(Chain& chain, const model::Op& op) {
    chain.add(op.kind);
    chain.add(std::string_view(op.name));
    chain.add(op.inputs);
    chain.add(op.outputs);
    chain.add(op.weights);
    chain.add(op.options.index());
    std::visit([&](const auto& options) { add_options(chain, options); }, op.options);
    chain.add(op.parts.size());
    for (const model::Op& part : op.parts) add_op(chain, part);
}

}  // namespace

std::uint64_t weights_identity(const files::TensorSource& source, ThreadPool& pool) {
    Chain chain;
    for (const auto& [key, value] : source.metadata().entries()) {
        chain.add(std::string_view(key));
        chain.add(value.index());
        const auto add = [&](const auto& item) { chain.add(item); };
        if (const auto* array = std::get_if<files::MetadataArray>(&value)) {
            chain.add(array->index());
            std::visit(add, *array);
        } else {
            std::visit(
                [&](const auto& item) {
                    if constexpr (!std::is_same_v<std::decay_t<decltype(item)>, files::MetadataArray>) add(item);
                },
                value);
        }
    }
    struct Piece {
        const files::NamedTensor* tensor;
        std::uint64_t first_row, n_rows;
    };
    std::vector<Piece> pieces;
    for (const files::NamedTensor& tensor : source.tensors()) {
        chain.add(std::string_view(tensor.name));
        chain.add(tensor.dtype);
        chain.add(tensor.shape);
        const std::uint64_t n_piece_rows = std::max<std::uint64_t>(1, kPieceBytes / std::max<std::uint64_t>(1, tensor.row_bytes()));
        for (std::uint64_t row = 0; row < tensor.n_rows(); row += n_piece_rows) {
            pieces.push_back({&tensor, row, std::min(n_piece_rows, tensor.n_rows() - row)});
        }
    }
    std::vector<std::uint64_t> hashes(pieces.size());
    pool.run([&](unsigned thread) {
        std::vector<std::byte> scratch;  // a few MB: a machine without them could not have loaded the model
        for (std::size_t i = thread; i < pieces.size(); i += pool.n_threads()) {
            const Piece& piece = pieces[i];
            if (piece.tensor->bytes.empty()) scratch.resize(piece.n_rows * piece.tensor->row_bytes());
            hashes[i] = xxh3(source.rows(*piece.tensor, piece.first_row, piece.n_rows, scratch));
            source.release(*piece.tensor, piece.first_row, piece.n_rows);
        }
    });
    chain.add(hashes);
    return chain.hash();
}

std::uint64_t program_identity(const model::Program& program) {
    Chain chain;
    for (const model::Value& value : program.values) {
        chain.add(value.rows);
        chain.add(value.width);
        chain.add(value.encoding);
    }
    for (const model::Weight& weight : program.weights) {
        chain.add(std::string_view(weight.tensor));
        chain.add(weight.first_row);
        chain.add(weight.n_rows);
        chain.add(weight.dtype);
    }
    for (const model::Op& op : program.ops) add_op(chain, op);
    for (const model::CacheGroup& group : program.cache_groups) {
        chain.add(group.window);
        chain.add(group.layers);
    }
    for (const model::RopeTable& table : program.config.rope_tables) {
        chain.add(table.inverse_frequency);
        chain.add(table.magnitude);
        chain.add(table.pairing);
    }
    return chain.hash();
}

Result<std::uint64_t> machine_identity(std::string_view kernels) {
    RAFTER_TRY(const MappedFile program, MappedFile::open(this_program()));
    Chain chain;
    chain.add(program.bytes());
    chain.add(std::string_view(c_library()));
    chain.add(std::string_view(cpu_name()));
    chain.add(kernels);
    return chain.hash();
}

std::uint64_t combined_identity(std::initializer_list<std::uint64_t> parts) {
    Chain chain;
    for (const std::uint64_t part : parts) chain.add(part);
    return chain.hash();
}

}  // namespace rafter::engine
