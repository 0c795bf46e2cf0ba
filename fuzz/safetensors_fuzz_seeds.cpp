// Writes small safetensors files that are right, for the fuzzer of the reader to start from:  safetensors_fuzz_seeds FOLDER
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

int main(int argc, char** argv) {
    if (argc != 2) return 2;
    const std::filesystem::path folder = argv[1];
    std::filesystem::create_directories(folder);
    const auto write = [&](const char* name, const std::string& header, std::size_t n_data_bytes) {
        std::ofstream file(folder / name, std::ios::binary);
        for (int i = 0; i < 8; ++i) file.put(static_cast<char>(header.size() >> (8 * i) & 0xFF));
        file << header << std::string(n_data_bytes, '\1');
    };
    write("empty", "{}", 0);
    write("two",
          R"({"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},)"
          R"("b":{"dtype":"BF16","shape":[],"data_offsets":[24,26]}})",
          26);
    write("fp8", R"({"w":{"dtype":"F8_E4M3","shape":[4,0],"data_offsets":[0,0]}})", 0);
    return 0;
}
