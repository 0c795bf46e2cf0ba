// Writes small GGUF files that are right, for the fuzzer of the reader to start from:  gguf_fuzz_seeds FOLDER
#include <fmt/format.h>

#include <filesystem>
#include <string>
#include <vector>

#include "files/gguf_writer.h"
#include "tensor/formats/formats.h"

namespace {

using namespace rafter;

files::GgufWriter metadata_only() {
    files::GgufWriter writer;
    writer.add_string("general.architecture", "llama");
    writer.add_uint32("llama.block_count", 2);
    writer.add_uint64("u64", 1);
    writer.add_int32("i32", -1);
    writer.add_float32("f32", 1e-5f);
    writer.add_bool("b", true);
    writer.add_strings("tokenizer.ggml.tokens", std::vector<std::string>{"a", "", "<0x00>"});
    writer.add_int32s("tokenizer.ggml.token_type", std::vector<std::int32_t>{1, 3, 6});
    writer.add_float32s("tokenizer.ggml.scores", std::vector<float>{0, -1, -2});
    const bool flags[] = {true, false};
    writer.add_bools("flags", flags);
    return writer;
}

files::GgufWriter one_tensor(tensor::DType dtype, std::vector<std::uint64_t> shape) {
    files::GgufWriter writer;
    std::size_t n = 1;
    for (const std::uint64_t dimension : shape) n *= dimension;
    writer.add_tensor_f32("t", dtype, shape, std::vector<float>(n, 0.5f));
    return writer;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) {
        fmt::print(stderr, "usage: gguf_fuzz_seeds FOLDER\n");
        return 2;
    }
    const std::filesystem::path folder = argv[1];
    std::filesystem::create_directories(folder);
    bool written = metadata_only().write(folder / "metadata").has_value();
    for (const tensor::FormatInfo& format : tensor::formats()) {
        if (format.encode != nullptr) {
            written &= one_tensor(format.dtype, {2, format.block_elements}).write(folder / format.name).has_value();
        }
    }
    files::GgufWriter both = metadata_only();
    const std::vector<float> values(2 * 3 * 32, 1.0f);
    both.add_tensor_f32("a", tensor::DType::kQ8_0, std::vector<std::uint64_t>{2, 3, 32}, values);
    both.add_tensor_f32("b", tensor::DType::kF32, std::vector<std::uint64_t>{1, 2, 3, 32}, values);
    written &= both.write(folder / "both").has_value();
    return written ? 0 : 1;
}
