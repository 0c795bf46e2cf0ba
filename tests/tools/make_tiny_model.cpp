// make_tiny_model NAME TYPE SEED OUT.gguf: writes a tiny model for tests that drive the program from outside; without arguments, lists the
// names.
#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>

#include "tensor/formats/formats.h"
#include "tests/support/tiny_model.h"

int main(int argc, char** argv) {
    using namespace rafter;
    if (argc != 5) {
        for (const std::string& name : model::tiny_models()) fmt::print("{}\n", name);
        return argc == 1 ? 0 : 2;
    }
    const auto dtype = tensor::dtype_from_name(argv[2]);
    if (!dtype) {
        fmt::print(stderr, "make_tiny_model: expected a tensor type, found {}\n", argv[2]);
        return 2;
    }
    const auto bytes = model::tiny_gguf({.name = argv[1], .matrices = *dtype, .seed = std::strtoull(argv[3], nullptr, 10)});
    std::FILE* file = std::fopen(argv[4], "wb");
    const bool written = file != nullptr && std::fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size();
    if (file == nullptr || std::fclose(file) != 0 || !written) {
        fmt::print(stderr, "make_tiny_model: {}: cannot be written\n", argv[4]);
        return 1;
    }
    return 0;
}
