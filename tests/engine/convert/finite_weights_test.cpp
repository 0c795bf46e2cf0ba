// The search for weights that are no finite numbers: the first is named, by any number of threads.
#include "engine/convert/finite_weights.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <tuple>
#include <vector>

#include "engine/loading/model_source.h"
#include "tests/support/tiny_model.h"

namespace rafter::engine {
namespace {

std::unique_ptr<files::TensorSource> written_source(const std::vector<std::byte>& bytes) {
    const auto path = std::filesystem::path(::testing::TempDir()) / "finite-weights.gguf";
    std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    auto source = open_source(path).value();
    std::filesystem::remove(path);
    return source;
}

// Element i of a float32 tensor becomes x.
void damage(std::vector<std::byte>& file, const files::TensorSource& source, const std::string& name, std::size_t i, float x) {
    const std::span<const std::byte> tensor = source.find_tensor(name)->bytes;
    const auto at = std::ranges::search(file, tensor).begin();
    ASSERT_NE(at, file.end());
    std::memcpy(&*at + i * sizeof x, &x, sizeof x);
}

TEST(FiniteWeights, NamesTheFirstThatIsNoneWhateverTheNumberOfThreads) {
    std::vector<std::byte> file = model::tiny_gguf({.name = "llama", .matrices = tensor::DType::kF32});
    const auto whole = written_source(file);
    for (const unsigned n_threads : {1U, 2U, 4U}) {
        ThreadPool pool({.n_threads = n_threads, .pin = false});
        EXPECT_TRUE(check_finite_weights(*whole, pool)) << n_threads;
    }
    // The file's later tensor first, then an earlier one too.
    std::vector<std::string> names;
    for (const files::NamedTensor& tensor : whole->tensors()) {
        if (tensor.shape.size() == 2) names.push_back(tensor.name);
    }
    ASSERT_GE(names.size(), 4U);
    for (const auto& [name, element, x] : {std::tuple{names.back(), 77U, std::numeric_limits<float>::quiet_NaN()},
                                           std::tuple{names[1], 130U, -std::numeric_limits<float>::infinity()}}) {
        damage(file, *whole, name, element, x);
        const auto damaged = written_source(file);
        for (const unsigned n_threads : {1U, 2U, 4U}) {
            ThreadPool pool({.n_threads = n_threads, .pin = false});
            const auto found = check_finite_weights(*damaged, pool);
            ASSERT_FALSE(found) << name;
            EXPECT_NE(found.error().message.find("tensor " + name + ": element " + std::to_string(element) + ":"), std::string::npos)
                << found.error().message;
        }
    }
}

}  // namespace
}  // namespace rafter::engine
