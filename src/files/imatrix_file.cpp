// See imatrix_file.h. The GGUF form goes through the checks of the GGUF reader first; the .dat form is a plain sequence:
//   int32 n_entries; of each: int32 name length, name, int32 n_chunks, int32 n_values, floats (mean of squares * n_chunks);
//   then, in newer files: int32 n_chunks, int32 length, name of the text.
#include "files/imatrix_file.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "base/os_file.h"
#include "base/quote.h"
#include "files/byte_reader.h"
#include "files/gguf.h"
#include "files/gguf_writer.h"

namespace rafter::files {
namespace {

constexpr std::string_view kTypeKey = "general.type";
constexpr std::string_view kType = "imatrix";
constexpr std::string_view kDatasetsKey = "imatrix.datasets";
constexpr std::string_view kChunkCountKey = "imatrix.chunk_count";
constexpr std::string_view kChunkSizeKey = "imatrix.chunk_size";
constexpr std::string_view kSumsSuffix = ".in_sum2";
constexpr std::string_view kCountsSuffix = ".counts";

constexpr float kMaxCount = 1e15F;  // rows; no text has as many, and sums and means stay far from the ends of a float's range
constexpr std::size_t kMaxDatasetBytes = 65535;
constexpr std::size_t kMinDatEntryBytes = 4 + 1 + 4 + 4 + 4;  // a name of one letter, one value

Result<void> check_numbers(const ImportanceEntry& entry) {
    for (std::size_t m = 0; m < entry.counts.size(); ++m) {
        const float count = entry.counts[m];
        if (!(count >= 0.0F && count <= kMaxCount)) {
            return bad_input("count {}: expected a number of rows from 0 to {:.0e}, found {}", m, kMaxCount, count);
        }
    }
    const std::size_t n_cols = entry.sum_squares.size() / entry.n_matrices;
    for (std::size_t i = 0; i < entry.sum_squares.size(); ++i) {
        const float sum = entry.sum_squares[i];
        if (!std::isfinite(sum) || sum < 0.0F) {
            return bad_input("sum of squares {}: expected a finite number, 0 or more, found {}", i, sum);
        }
        const float count = entry.counts[i / n_cols];
        if (count > 0.0F && !std::isfinite(sum / count)) {
            return bad_input("sum of squares {}: expected one whose mean over {} rows is a finite number, found {}", i, count, sum);
        }
        if (sum > 0.0F && count == 0.0F) {
            return bad_input("sum of squares {}: expected 0, as the count {} says that no row was seen, found {}", i, i / n_cols, sum);
        }
    }
    return {};
}

// ---- GGUF

std::vector<float> floats_of(const NamedTensor& tensor) {
    std::vector<float> values(tensor.bytes.size() / sizeof(float));
    std::memcpy(values.data(), tensor.bytes.data(), values.size() * sizeof(float));
    return values;
}

Result<void> check_type(const NamedTensor& tensor) {
    if (tensor.dtype == tensor::DType::kF32) return {};
    return bad_input("{}: expected type F32, found another", quote(tensor.name));
}

std::uint64_t n_of(const NamedTensor& tensor) { return tensor.bytes.size() / sizeof(float); }

// counts: null when the file has none for these sums.
Result<ImportanceEntry> entry_of(const NamedTensor& sums, const NamedTensor* counts) {
    if (counts == nullptr) return bad_input("{}: expected a tensor of counts beside it, found none", quote(sums.name));
    RAFTER_TRY_VOID(check_type(sums));
    RAFTER_TRY_VOID(check_type(*counts));
    const std::uint64_t n_counts = n_of(*counts);
    if (n_counts == 0 || n_counts > std::numeric_limits<std::uint32_t>::max() || n_of(sums) == 0 || n_of(sums) % n_counts != 0) {
        return bad_input("{}: expected a row of sums for each count, found {} sums and {} counts", quote(sums.name), n_of(sums), n_counts);
    }
    // One count for a stack of matrices is right as it is; otherwise the rows of sums are the matrices.
    if (n_counts > 1 && n_counts != sums.n_rows()) {
        return bad_input("{}: expected {} rows, one a count, found {}", quote(sums.name), n_counts, sums.n_rows());
    }
    ImportanceEntry entry{.n_matrices = static_cast<std::uint32_t>(n_counts), .sum_squares = floats_of(sums), .counts = floats_of(*counts)};
    if (const auto checked = check_numbers(entry); !checked) return checked.error().within(quote(sums.name));
    return entry;
}

Result<std::uint32_t> find_uint32(const Metadata& metadata, std::string_view key) {
    RAFTER_TRY(const auto found, metadata.find_uint(key));
    if (found.value_or(0) > std::numeric_limits<std::uint32_t>::max()) {
        return bad_input("{}: expected at most {}, found {}", key, std::numeric_limits<std::uint32_t>::max(), *found);
    }
    return static_cast<std::uint32_t>(found.value_or(0));
}

Result<ImportanceMatrix> matrix_of(const GgufFile& file) {
    const Metadata& metadata = file.metadata();
    RAFTER_TRY(const auto type, metadata.find_string(kTypeKey));
    if (type != kType) {
        return bad_input("{}: expected {}, found {}: is this a model, not an importance matrix?", kTypeKey, kType,
                         type ? quote(*type) : "no such key");
    }
    ImportanceMatrix matrix;
    RAFTER_TRY(matrix.chunk_tokens, find_uint32(metadata, kChunkSizeKey));
    RAFTER_TRY(matrix.n_chunks, find_uint32(metadata, kChunkCountKey));
    RAFTER_TRY(const auto datasets, metadata.find_strings(kDatasetsKey));
    if (datasets) matrix.datasets.assign(datasets->begin(), datasets->end());
    for (const NamedTensor& tensor : file.tensors()) {
        const std::string_view name = tensor.name;
        if (name.ends_with(kSumsSuffix)) {
            const std::string of(name.substr(0, name.size() - kSumsSuffix.size()));
            RAFTER_TRY(ImportanceEntry entry, entry_of(tensor, file.find_tensor(of + std::string(kCountsSuffix))));
            matrix.entries.emplace(of, std::move(entry));
        } else if (name.ends_with(kCountsSuffix)) {
            const std::string of(name.substr(0, name.size() - kCountsSuffix.size()));
            if (file.find_tensor(of + std::string(kSumsSuffix)) == nullptr) {
                return bad_input("{}: expected a tensor of sums of squares beside it, found none", quote(name));
            }
        }
        // Others, such as sums that are not squared and statistics, are not needed.
    }
    return matrix;
}

Result<ImportanceMatrix> parse_gguf(std::span<const std::byte> bytes, std::string_view name) {
    RAFTER_TRY(const GgufFile file, GgufFile::parse(bytes, name));
    auto matrix = matrix_of(file);
    if (!matrix) return matrix.error().within(name);
    return matrix;
}

// ---- .dat

Result<std::uint32_t> read_length(ByteReader& reader, std::uint32_t min, std::size_t max, std::string_view what) {
    const std::size_t begin = reader.offset();
    RAFTER_TRY(const auto found, reader.read<std::int32_t>(what));
    if (found < static_cast<std::int64_t>(min) || static_cast<std::uint64_t>(found) > max) {
        return bad_input("{} at byte {}: expected {} to {}, found {}", what, begin, min, max, found);
    }
    return static_cast<std::uint32_t>(found);
}

Result<std::string> read_text(ByteReader& reader, std::uint32_t min, std::size_t max, std::string_view what) {
    RAFTER_TRY(const std::uint32_t size, read_length(reader, min, max, what));
    RAFTER_TRY(const auto text, reader.read_bytes(size, what));
    return std::string(reinterpret_cast<const char*>(text.data()), text.size());
}

Result<ImportanceEntry> read_dat_entry(ByteReader& reader) {
    constexpr auto kMaxInt = static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max());
    RAFTER_TRY(const std::uint32_t n_chunks, read_length(reader, 0, kMaxInt, "number of chunks"));
    RAFTER_TRY(const std::uint32_t n_values, read_length(reader, 1, reader.n_left() / sizeof(float), "number of values"));
    RAFTER_TRY(const auto values, reader.read_bytes(n_values * sizeof(float), "values"));
    ImportanceEntry entry;
    entry.sum_squares.resize(n_values);
    std::memcpy(entry.sum_squares.data(), values.data(), values.size());
    entry.counts = {static_cast<float>(std::max(n_chunks, 1U))};  // 0: the values are means already
    RAFTER_TRY_VOID(check_numbers(entry));
    return entry;
}

Result<void> read_dat_end(ByteReader& reader, ImportanceMatrix& matrix) {
    if (reader.n_left() == 0) return {};  // the oldest files end here
    constexpr auto kMaxInt = static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max());
    RAFTER_TRY(matrix.n_chunks, read_length(reader, 0, kMaxInt, "number of chunks of all"));
    if (reader.n_left() == 0) return {};
    RAFTER_TRY(std::string dataset, read_text(reader, 0, kMaxDatasetBytes, "name of the text"));
    if (!dataset.empty()) matrix.datasets.push_back(std::move(dataset));
    if (reader.n_left() > 0)
        return bad_input("byte {}: expected the end of the file, found {} more bytes", reader.offset(), reader.n_left());
    return {};
}

Result<ImportanceMatrix> read_dat(ByteReader& reader) {
    ImportanceMatrix matrix;
    RAFTER_TRY(const std::uint32_t n_entries, read_length(reader, 1, reader.n_left() / kMinDatEntryBytes,
                                                          "number of entries (neither GGUF nor a .dat importance matrix?)"));
    for (std::uint32_t i = 0; i < n_entries; ++i) {
        RAFTER_TRY(std::string name, read_text(reader, 1, kMaxTensorNameBytes, fmt::format("name of entry {}", i)));
        auto entry = read_dat_entry(reader);
        if (!entry) return entry.error().within(fmt::format("entry {}, {}", i, quote(name)));
        const auto [at, added] = matrix.entries.emplace(std::move(name), *std::move(entry));
        if (!added) return bad_input("entry {}: {} is there already", i, quote(at->first));
    }
    RAFTER_TRY_VOID(read_dat_end(reader, matrix));
    return matrix;
}

Result<ImportanceMatrix> parse_dat(std::span<const std::byte> bytes, std::string_view name) {
    ByteReader reader(bytes);
    auto matrix = read_dat(reader);
    if (!matrix) return matrix.error().within(name);
    return matrix;
}

}  // namespace

Result<ImportanceMatrix> parse_imatrix(std::span<const std::byte> bytes, std::string_view name) {
    const bool gguf = bytes.size() >= kGgufMagic.size() && std::memcmp(bytes.data(), kGgufMagic.data(), kGgufMagic.size()) == 0;
    RAFTER_TRY(ImportanceMatrix matrix, gguf ? parse_gguf(bytes, name) : parse_dat(bytes, name));
    if (matrix.entries.empty()) return bad_input("{}: expected the importance of some matrix, found none", name);
    return matrix;
}

Result<ImportanceMatrix> read_imatrix(const std::filesystem::path& path) {
    RAFTER_TRY(const MappedFile file, MappedFile::open(path));
    return parse_imatrix(file.bytes(), path.string());
}

Result<void> write_imatrix(const std::filesystem::path& path, const ImportanceMatrix& matrix) {
    GgufWriter writer;
    writer.add_string(kTypeKey, kType);
    writer.add_strings(kDatasetsKey, matrix.datasets);
    writer.add_uint32(kChunkCountKey, matrix.n_chunks);
    writer.add_uint32(kChunkSizeKey, matrix.chunk_tokens);
    for (const auto& [name, entry] : matrix.entries) {
        RAFTER_CHECK(entry.n_matrices > 0 && entry.counts.size() == entry.n_matrices && !entry.sum_squares.empty() &&
                         entry.sum_squares.size() % entry.n_matrices == 0,
                     "{}: {} sums and {} counts of {} matrices", name, entry.sum_squares.size(), entry.counts.size(), entry.n_matrices);
        if (name.size() + kSumsSuffix.size() > kMaxTensorNameBytes) {
            return bad_input("{}: {}: expected a name of at most {} letters, found {}", path.string(), quote(name),
                             kMaxTensorNameBytes - kSumsSuffix.size(), name.size());
        }
        if (const auto checked = check_numbers(entry); !checked) return checked.error().within(path.string() + ": " + quote(name));
        const std::uint64_t n_cols = entry.sum_squares.size() / entry.n_matrices;
        const std::uint64_t sums_shape[] = {entry.n_matrices, n_cols};
        const std::uint64_t counts_shape[] = {entry.n_matrices, 1};
        writer.add_tensor(name + std::string(kSumsSuffix), tensor::DType::kF32, sums_shape, std::as_bytes(std::span(entry.sum_squares)));
        writer.add_tensor(name + std::string(kCountsSuffix), tensor::DType::kF32, counts_shape, std::as_bytes(std::span(entry.counts)));
    }
    return writer.write(path);
}

Result<std::vector<float>> mean_squares(const ImportanceEntry& entry, std::size_t n_matrices, std::size_t n_cols) {
    const std::size_t n = entry.sum_squares.size();
    if (n != n_matrices * n_cols || (entry.n_matrices != 1 && entry.n_matrices != n_matrices)) {
        return bad_input("expected the importance of {} columns in {} matri{}, found that of {} in {}: is it another model's?", n_cols,
                         n_matrices, n_matrices == 1 ? "x" : "ces", n / entry.n_matrices, entry.n_matrices);
    }
    std::vector<float> means(n);
    const std::size_t n_of_count = n / entry.n_matrices;
    for (std::size_t i = 0; i < n; ++i) {
        const float count = entry.counts[i / n_of_count];
        means[i] = count > 0.0F ? entry.sum_squares[i] / count : 1.0F;
    }
    return means;
}

}  // namespace rafter::files
