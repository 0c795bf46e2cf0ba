// In parts of some rows, which the threads take in order.
#include "engine/convert/finite_weights.h"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "engine/convert/convert_rows.h"

namespace rafter::engine {
namespace {

constexpr std::uint64_t kPartBytes = std::uint64_t{4} << 20U;

struct WeightsPart {
    const files::NamedTensor* tensor = nullptr;
    std::uint64_t first_row = 0;
    std::uint64_t n_rows = 0;
};

std::vector<WeightsPart> parts_of(const files::TensorSource& source) {
    std::vector<WeightsPart> parts;
    for (const files::NamedTensor& tensor : source.tensors()) {
        const std::uint64_t n_rows = tensor.n_rows();
        const std::uint64_t n_together = std::max<std::uint64_t>(1, kPartBytes / std::max<std::uint64_t>(1, tensor.row_bytes()));
        for (std::uint64_t row = 0; row < n_rows; row += n_together) {
            parts.push_back({.tensor = &tensor, .first_row = row, .n_rows = std::min(n_together, n_rows - row)});
        }
    }
    return parts;
}

}  // namespace

Error not_finite(const files::TensorSource& source, const files::NamedTensor& tensor, std::uint64_t element) {
    return bad_input("{}: tensor {}: element {}: expected finite numbers, found NaN or infinity; --allow-nan converts it all the same",
                     source.name(), tensor.name, element);
}

Result<void> check_finite_weights(const files::TensorSource& source, ThreadPool& pool) {
    const std::vector<WeightsPart> parts = parts_of(source);
    std::atomic<std::size_t> next = 0;
    std::mutex mutex;
    std::optional<std::pair<std::size_t, std::uint64_t>> found;  // of the first part that has one: its number, and the element
    pool.run([&](unsigned /*thread*/) {
        std::vector<std::byte> made;  // rows that do not lie in the file so
        while (true) {
            // Parts are begun in order and those begun are finished, so that the first is found by any number of threads.
            const std::size_t number = next++;
            if (number >= parts.size()) return;
            const WeightsPart& part = parts[number];
            if (part.first_row == 0) source.will_need(*part.tensor);
            if (part.tensor->bytes.empty()) made.resize(part.n_rows * part.tensor->row_bytes());
            const auto element = first_non_finite(part.tensor->dtype, source.rows(*part.tensor, part.first_row, part.n_rows, made));
            if (!element) continue;
            next = parts.size();
            const std::lock_guard lock(mutex);
            if (!found || number < found->first) found = {number, part.first_row * part.tensor->shape.back() + *element};
        }
    });
    if (!found) return {};
    return not_finite(source, *parts[found->first].tensor, found->second);
}

}  // namespace rafter::engine
