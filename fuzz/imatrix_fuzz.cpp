// Fuzzes the reader of importance matrices, both forms: whatever the bytes, it must end, and what it hands out is as its header says.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/check.h"
#include "files/imatrix_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto matrix = rafter::files::parse_imatrix(std::as_bytes(std::span(data, size)), "fuzz");
    if (!matrix) {
        RAFTER_CHECK(!matrix.error().message.empty());
        return 0;
    }
    RAFTER_CHECK(!matrix->entries.empty());
    std::size_t n_values = 0;
    for (const auto& [name, entry] : matrix->entries) {
        n_values += entry.sum_squares.size() + entry.counts.size();
        RAFTER_CHECK(entry.n_matrices > 0 && entry.counts.size() == entry.n_matrices);
        RAFTER_CHECK(!entry.sum_squares.empty() && entry.sum_squares.size() % entry.n_matrices == 0);
        for (const float count : entry.counts) RAFTER_CHECK(std::isfinite(count) && count >= 0.0F);
        for (const float sum : entry.sum_squares) RAFTER_CHECK(std::isfinite(sum) && sum >= 0.0F);
        const auto means = rafter::files::mean_squares(entry, entry.n_matrices, entry.sum_squares.size() / entry.n_matrices);
        RAFTER_CHECK(means && means->size() == entry.sum_squares.size());
        (void)rafter::files::mean_squares(entry, 3, 5);
    }
    RAFTER_CHECK(n_values * sizeof(float) <= 2 * size);  // a count may be shared by overlapping tensors, never made up
    return 0;
}
