// Decodes blocks of a format to floats, or encodes floats, from stdin to stdout, so that tests in Python can compare with other programs:
//   convert_blocks decode|encode FORMAT < IN > OUT
#include <cstdio>
#include <cstring>
#include <string_view>
#include <vector>

#include "tensor/formats/formats.h"

namespace {

std::vector<char> read_all(std::FILE* file) {
    std::vector<char> bytes;
    char piece[1 << 16];
    while (const std::size_t n = std::fread(piece, 1, sizeof piece, file)) bytes.insert(bytes.end(), piece, piece + n);
    return bytes;
}

}  // namespace

int main(int argc, char** argv) {
    const auto dtype = argc == 3 ? rafter::tensor::dtype_from_name(argv[2]) : std::nullopt;
    if (!dtype) {
        std::fprintf(stderr, "usage: convert_blocks decode|encode FORMAT\n");
        return 2;
    }
    const rafter::tensor::FormatInfo& format = rafter::tensor::format_of(*dtype);
    const std::vector<char> in = read_all(stdin);
    std::vector<char> out;
    if (argv[1] == std::string_view("decode")) {
        const std::size_t n = in.size() / format.block_bytes * format.block_elements;
        std::vector<float> values(n);
        format.decode(in.data(), values.data(), n);
        out.resize(n * sizeof(float));
        std::memcpy(out.data(), values.data(), out.size());
    } else {
        std::vector<float> values(in.size() / sizeof(float) / format.block_elements * format.block_elements);
        std::memcpy(values.data(), in.data(), values.size() * sizeof(float));
        out.resize(format.row_bytes(values.size()));
        format.encode(values.data(), out.data(), values.size());
    }
    return std::fwrite(out.data(), 1, out.size(), stdout) == out.size() ? 0 : 1;
}
