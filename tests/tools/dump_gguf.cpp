// Prints what our reader finds in a GGUF file as JSON, for tests in Python to compare with another reader:
//   dump_gguf FILE    {"metadata": {key: value}, "tensors": [{name, dtype, shape, n_bytes, sum, head}]}
// Strings are in hexadecimal, as they need not be UTF-8. `sum` adds up the tensor's bytes, `head` are its first 16.
#include <cstdio>
#include <nlohmann/json.hpp>
#include <numeric>
#include <string>

#include "files/gguf.h"
#include "tensor/formats/formats.h"

namespace {

using nlohmann::ordered_json;
using namespace rafter::files;

std::string hex(std::string_view text) {
    std::string out;
    for (const char c : text) out += fmt::format("{:02x}", static_cast<unsigned char>(c));
    return out;
}

ordered_json to_json(std::string_view text) { return hex(text); }
ordered_json to_json(std::int64_t number) { return number; }
ordered_json to_json(std::uint64_t number) { return number; }
ordered_json to_json(double number) { return number; }
ordered_json to_json(bool flag) { return flag; }

template <typename T>
ordered_json to_json(const std::vector<T>& values) {
    ordered_json out = ordered_json::array();
    for (const T value : values) out.push_back(to_json(value));
    return out;
}
ordered_json to_json(const MetadataArray& array) {
    return std::visit([](const auto& values) { return to_json(values); }, array);
}

ordered_json to_json(const NamedTensor& tensor) {
    const auto add = [](std::uint64_t sum, std::byte byte) { return sum + static_cast<std::uint64_t>(byte); };
    const auto* chars = reinterpret_cast<const char*>(tensor.bytes.data());
    return {{"name", hex(tensor.name)},
            {"dtype", rafter::tensor::format_of(tensor.dtype).name},
            {"shape", tensor.shape},
            {"n_bytes", tensor.bytes.size()},
            {"sum", std::accumulate(tensor.bytes.begin(), tensor.bytes.end(), std::uint64_t{0}, add)},
            {"head", hex({chars, std::min<std::size_t>(16, tensor.bytes.size())})}};
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) {
        fmt::print(stderr, "usage: dump_gguf FILE\n");
        return 2;
    }
    const auto file = GgufFile::open(argv[1]);
    if (!file) {
        fmt::print(stderr, "{}\n", file.error().message);
        return 1;
    }
    ordered_json out{{"metadata", ordered_json::object()}, {"tensors", ordered_json::array()}};
    for (const auto& [key, value] : file->metadata().entries()) {
        out["metadata"][key] = std::visit([](const auto& held) { return to_json(held); }, value);
    }
    for (const NamedTensor& tensor : file->tensors()) out["tensors"].push_back(to_json(tensor));
    fmt::print("{}\n", out.dump());
    return 0;
}
