// Importance matrices in files: what the inputs of a model's matrices were like on some text, which tells a quantiser which columns matter.
// Reads and writes the GGUF form that llama.cpp's tools share (general.type = imatrix; of each matrix NAME the tensors NAME.in_sum2, the
// sums of squares, and NAME.counts), and reads the older .dat form.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace rafter::files {

// For one matrix, or for the matrices of a tensor that stacks several (experts): the sum of squares of each column's inputs, over the rows
// that the matrix multiplied. Sums and counts are finite and not negative.
struct ImportanceEntry {
    std::uint32_t n_matrices = 1;    // 1, too, where a file keeps one count for all of a stack: sum_squares then has all its columns
    std::vector<float> sum_squares;  // [n_matrices, n_cols]
    std::vector<float> counts;       // [n_matrices]: rows seen; of a .dat file, chunks of them. A matrix of count 0 has sums of 0
};

struct ImportanceMatrix {
    std::map<std::string, ImportanceEntry, std::less<>> entries;  // by the matrix's tensor: "blk.0.attn_q.weight"
    std::vector<std::string> datasets;                            // what the text was, in any words: not to be trusted in messages
    std::uint32_t chunk_tokens = 0;                               // of a window of the text; 0: the file does not say
    std::uint32_t n_chunks = 0;
};

// Either form, told apart by its first bytes. Everything in the file is untrusted, and what is returned is as ImportanceEntry says.
[[nodiscard]] Result<ImportanceMatrix> read_imatrix(const std::filesystem::path& path);
// The same for bytes in memory; `name` stands in for the path in messages.
[[nodiscard]] Result<ImportanceMatrix> parse_imatrix(std::span<const std::byte> bytes, std::string_view name);

// The GGUF form, written beside and renamed: path has all of it, or is as it was. The entries are as ImportanceEntry says.
[[nodiscard]] Result<void> write_imatrix(const std::filesystem::path& path, const ImportanceMatrix& matrix);

// The mean of squares of each column's inputs, for a tensor of n_matrices matrices of n_cols columns: [n_matrices, n_cols]. A matrix that
// saw no row has 1 everywhere: nothing is known of it. Fails where the entry is of another shape, as of another model's tensor.
[[nodiscard]] Result<std::vector<float>> mean_squares(const ImportanceEntry& entry, std::size_t n_matrices, std::size_t n_cols);

}  // namespace rafter::files
