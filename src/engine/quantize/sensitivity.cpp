// Every trial loads the model again with one tensor replaced: loading takes a small part of a trial's time, and nothing else need know of
// swaps.
#include "engine/quantize/sensitivity.h"

#include <algorithm>
#include <array>
#include <limits>
#include <memory>
#include <span>

#include "engine/convert/convert_rows.h"
#include "engine/convert/tensor_importance.h"
#include "engine/convert/tensor_types.h"
#include "engine/quantize/encoded_source.h"
#include "tensor/formats/formats.h"

namespace rafter::engine {
namespace {

using tensor::DType;

// Of a matrix, for the errors of its types: every so-manieth row is enough.
constexpr std::uint64_t kSampledWeights = std::uint64_t{1} << 18U;

struct Columns {
    std::vector<float> importance;  // [matrices, n_cols] or empty
    std::uint64_t rows_per_matrix = 1;

    [[nodiscard]] std::span<const float> of_row(std::uint64_t row, std::size_t n_cols) const {
        if (importance.empty()) return {};
        return std::span(importance).subspan(row / rows_per_matrix * n_cols, n_cols);
    }
};
Result<Columns> columns_of(const files::NamedTensor& tensor, const files::ImportanceMatrix* matrix) {
    Columns columns;
    if (matrix == nullptr) return columns;
    RAFTER_TRY(columns.importance, tensor_importance(tensor, *matrix));
    if (!columns.importance.empty()) columns.rows_per_matrix = tensor.n_rows() / (columns.importance.size() / tensor.shape.back());
    return columns;
}

// A single row's floats, as the source has them and as another type would have them.
class RowTrial {
  public:
    RowTrial(const files::TensorSource& source, const files::NamedTensor& tensor, const Columns& columns)
        : source_(source),
          tensor_(tensor),
          columns_(columns),
          n_cols_(tensor.shape.back()),
          scratch_(tensor.row_bytes()),
          values_(n_cols_),
          decoded_(n_cols_) {}

    void read(std::uint64_t row) {
        row_ = row;
        bytes_ = source_.rows(tensor_, row, 1, scratch_);
        tensor::format_of(tensor_.dtype).decode(bytes_.data(), values_.data(), n_cols_);
    }
    [[nodiscard]] double weight(std::size_t column) const {
        const std::span<const float> importance = columns_.of_row(row_, n_cols_);
        return importance.empty() ? 1.0 : static_cast<double>(importance[column]);
    }
    [[nodiscard]] double square() const {
        double sum = 0.0;
        for (std::size_t c = 0; c < n_cols_; ++c) sum += weight(c) * static_cast<double>(values_[c]) * static_cast<double>(values_[c]);
        return sum;
    }
    [[nodiscard]] double error(DType type) {
        encoded_.resize(tensor::format_of(type).row_bytes(n_cols_));
        quantize_rows(tensor_.dtype, bytes_, type, encoded_, n_cols_, columns_.of_row(row_, n_cols_));
        tensor::format_of(type).decode(encoded_.data(), decoded_.data(), n_cols_);
        double sum = 0.0;
        for (std::size_t c = 0; c < n_cols_; ++c) {
            const double off = static_cast<double>(decoded_[c]) - static_cast<double>(values_[c]);
            sum += weight(c) * off * off;
        }
        return sum;
    }

  private:
    const files::TensorSource& source_;
    const files::NamedTensor& tensor_;
    const Columns& columns_;
    std::size_t n_cols_;
    std::uint64_t row_ = 0;
    std::span<const std::byte> bytes_;
    std::vector<std::byte> scratch_;
    std::vector<std::byte> encoded_;
    std::vector<float> values_;
    std::vector<float> decoded_;
};

// Error of each type, in `matrix.types`, and that of the probe, which is returned.
double measure_errors(const files::TensorSource& source, const files::NamedTensor& tensor, const Columns& columns, ThreadPool& pool,
                      MatrixChoices& matrix) {
    const std::uint64_t n_cols = tensor.shape.back();
    const std::uint64_t n_rows = tensor.n_rows();
    const std::uint64_t n_sampled = std::clamp<std::uint64_t>(kSampledWeights / n_cols, 1, n_rows);
    const unsigned n_threads = pool.n_threads();
    struct Sums {
        std::vector<double> errors;
        double probe = 0.0;
        double squares = 0.0;
    };
    std::vector<Sums> sums(n_threads, Sums{.errors = std::vector<double>(matrix.types.size(), 0.0)});
    pool.run([&](unsigned thread) {
        RowTrial trial(source, tensor, columns);
        Sums& mine = sums[thread];
        for (std::uint64_t i = thread; i < n_sampled; i += n_threads) {
            trial.read(i * n_rows / n_sampled);
            mine.squares += trial.square();
            mine.probe += trial.error(kProbeType);
            for (std::size_t t = 0; t < matrix.types.size(); ++t) mine.errors[t] += trial.error(matrix.types[t].dtype);
        }
    });
    double squares = 0.0;
    double probe = 0.0;
    for (const Sums& mine : sums) {
        squares += mine.squares;
        probe += mine.probe;
        for (std::size_t t = 0; t < matrix.types.size(); ++t) matrix.types[t].error += mine.errors[t];
    }
    if (squares == 0.0) squares = 1.0;
    for (TypeChoice& choice : matrix.types) choice.error /= squares;
    return probe / squares;
}

Result<std::vector<std::byte>> encode_tensor(const files::TensorSource& source, const files::NamedTensor& tensor, DType type,
                                             const files::ImportanceMatrix* importance, ThreadPool& pool) {
    RAFTER_TRY(const Columns columns, columns_of(tensor, importance));
    const std::size_t n_cols = tensor.shape.back();
    const std::size_t row_bytes = tensor::format_of(type).row_bytes(n_cols);
    std::vector<std::byte> encoded(tensor.n_rows() * row_bytes);
    constexpr std::uint64_t kRows = 16;
    const std::uint64_t n_pieces = (tensor.n_rows() + kRows - 1) / kRows;
    pool.run([&](unsigned thread) {
        std::vector<std::byte> scratch(kRows * tensor.row_bytes());
        for (std::uint64_t piece = thread; piece < n_pieces; piece += pool.n_threads()) {
            const std::uint64_t first = piece * kRows;
            const std::uint64_t n = std::min(kRows, tensor.n_rows() - first);
            const std::span<const std::byte> rows = source.rows(tensor, first, n, scratch);
            for (std::uint64_t r = 0; r < n; ++r) {
                quantize_rows(tensor.dtype, rows.subspan(r * tensor.row_bytes(), tensor.row_bytes()), type,
                              std::span(encoded).subspan((first + r) * row_bytes, row_bytes), n_cols, columns.of_row(first + r, n_cols));
            }
        }
    });
    return encoded;
}

// All positions but the first few, which know too little to be like any others.
std::uint32_t first_scored(std::size_t window) { return static_cast<std::uint32_t>(window / 8); }

}  // namespace

std::vector<DType> types_for(std::uint64_t n_cols) {
    constexpr std::array kAll = {DType::kQ2_K, DType::kQ3_K, DType::kIQ4_XS, DType::kQ4_0, DType::kIQ4_NL, DType::kQ4_K, DType::kQ4_1,
                                 DType::kQ5_0, DType::kQ5_K, DType::kQ5_1,   DType::kQ6_K, DType::kQ8_0,   DType::kF16};
    std::vector<DType> types;
    for (const DType type : kAll) {
        if (n_cols % tensor::format_of(type).block_elements == 0) types.push_back(type);
    }
    return types;
}

Result<LoadedModel> OutputJudge::load(const OpenedModel& opened) const {
    LoadModelOptions load;
    load.context = static_cast<std::uint32_t>(options_->windows.front().size());
    load.n_outputs = std::min<std::uint32_t>(*load.context, 64);
    // As exact as can be: what is measured is the weights.
    load.activations = model::ActivationMode::kF32;
    load.key_type = backend::KvType::kF32;
    load.value_type = backend::KvType::kF32;
    return load_model(*runtime_, opened, load);
}

Result<OutputJudge> OutputJudge::create(Runtime& runtime, const OpenedModel& opened, const SensitivityOptions& options) {
    OutputJudge judge(runtime, opened, options);
    RAFTER_TRY(LoadedModel model, judge.load(opened));
    LoadedModel* const models[] = {&model};
    for (const std::vector<TokenId>& window : options.windows) {
        run_window(models, window, first_scored(window.size()),
                   [&](std::size_t, std::span<const backend::StepOutput> outputs, std::size_t n) {
                       const std::span<const float> logits = outputs.front().logits.first(n * outputs.front().n_vocab);
                       judge.reference_.insert(judge.reference_.end(), logits.begin(), logits.end());
                   });
    }
    return judge;
}

Result<DivergenceSummary> OutputJudge::judge(const TensorTypes& types) const {
    auto source = std::make_unique<EncodedSource>(*opened_->source);
    for (const auto& [name, type] : types) {
        const files::NamedTensor& tensor = *opened_->source->find_tensor(name);
        if (tensor.dtype == type) continue;
        RAFTER_TRY(std::vector<std::byte> encoded, encode_tensor(*opened_->source, tensor, type, options_->importance, runtime_->pool()));
        source->set(name, type, std::move(encoded));
    }
    RAFTER_TRY(const OpenedModel swapped, opened_with(*opened_, std::move(source)));
    RAFTER_TRY(LoadedModel model, load(swapped));
    LoadedModel* const models[] = {&model};
    Divergence divergence;
    std::size_t at = 0;
    for (const std::vector<TokenId>& window : options_->windows) {
        run_window(models, window, first_scored(window.size()),
                   [&](std::size_t first, std::span<const backend::StepOutput> outputs, std::size_t n) {
                       const std::size_t n_vocab = outputs.front().n_vocab;
                       std::vector<TokenDivergence> rows(n);
                       model.device->run_rows(n, [&](std::size_t row, unsigned) {
                           rows[row] = compare_logits(std::span(reference_).subspan(at + row * n_vocab, n_vocab),
                                                      outputs.front().logits.subspan(row * n_vocab, n_vocab), window[first + row + 1]);
                       });
                       for (const TokenDivergence& row : rows) divergence.add(row);
                       at += n * n_vocab;
                   });
    }
    return divergence.summary();
}

std::vector<MatrixChoices> choices_of(const files::TensorSource& source, const TensorTypes& fixed) {
    std::vector<MatrixChoices> matrices;
    for (const files::NamedTensor& tensor : source.tensors()) {
        if (!is_converted_matrix(tensor)) continue;
        MatrixChoices matrix{.tensor = tensor.name, .n_weights = static_cast<double>(tensor.n_elements())};
        const std::uint64_t n_cols = tensor.shape.back();
        const auto only = fixed.find(tensor.name);
        for (const DType type : only != fixed.end() ? std::vector{only->second} : types_for(n_cols)) {
            matrix.types.push_back(
                {.dtype = type, .bytes = static_cast<double>(tensor.n_rows() * tensor::format_of(type).row_bytes(n_cols))});
        }
        if (!matrix.types.empty()) matrices.push_back(std::move(matrix));
    }
    return matrices;
}

Result<bool> measure_sensitivity(const OutputJudge& judge, const OpenedModel& opened, const SensitivityOptions& options, ThreadPool& pool,
                                 std::span<MatrixChoices> matrices) {
    for (std::size_t m = 0; m < matrices.size(); ++m) {
        if (options.is_stopped && options.is_stopped()) return false;
        MatrixChoices& matrix = matrices[m];
        const files::NamedTensor& tensor = *opened.source->find_tensor(matrix.tensor);
        RAFTER_TRY(const Columns columns, columns_of(tensor, options.importance));
        if (tensor.shape.back() % tensor::format_of(kProbeType).block_elements == 0) {
            const double probe_error = measure_errors(*opened.source, tensor, columns, pool, matrix);
            RAFTER_TRY(const DivergenceSummary swapped, judge.judge({{matrix.tensor, kProbeType}}));
            const double kl_per_error = probe_error > 0.0 ? swapped.mean_kl / probe_error : 0.0;
            for (TypeChoice& choice : matrix.types) choice.kl = kl_per_error * choice.error;
        }
        if (options.progress) options.progress(m + 1, matrices.size());
    }
    return true;
}

}  // namespace rafter::engine
