// Writes small importance matrices that are right, of both forms, for the fuzzer of the reader to start from:  imatrix_fuzz_seeds FOLDER
#include <filesystem>
#include <fstream>
#include <string>

#include "files/byte_writer.h"
#include "files/imatrix_file.h"

namespace {

using namespace rafter;

void append_dat_entry(std::vector<std::byte>& out, const std::string& name, std::int32_t n_chunks, const std::vector<float>& values) {
    files::append_number(out, static_cast<std::int32_t>(name.size()));
    files::append_bytes(out, name.data(), name.size());
    files::append_number(out, n_chunks);
    files::append_number(out, static_cast<std::int32_t>(values.size()));
    files::append_bytes(out, values.data(), values.size() * sizeof(float));
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) return 2;
    const std::filesystem::path folder = argv[1];
    std::filesystem::create_directories(folder);
    files::ImportanceMatrix matrix{.entries = {}, .datasets = {"a.txt"}, .chunk_tokens = 512, .n_chunks = 2};
    matrix.entries["blk.0.attn_q.weight"] = {.n_matrices = 1, .sum_squares = {1, 2, 3, 4}, .counts = {1024}};
    bool written = files::write_imatrix(folder / "one", matrix).has_value();
    matrix.entries["blk.0.ffn_down_exps.weight"] = {.n_matrices = 2, .sum_squares = {1, 2, 3, 0, 0, 0}, .counts = {8, 0}};
    written &= files::write_imatrix(folder / "experts", matrix).has_value();

    std::vector<std::byte> dat;
    files::append_number(dat, std::int32_t{2});
    append_dat_entry(dat, "blk.0.attn_q.weight", 2, {1, 2, 3, 4});
    append_dat_entry(dat, "output.weight", 0, {5});
    const auto write = [&](const char* name) {
        std::ofstream file(folder / name, std::ios::binary);
        file.write(reinterpret_cast<const char*>(dat.data()), static_cast<std::streamsize>(dat.size()));
        written &= file.good();
    };
    write("oldest.dat");
    files::append_number(dat, std::int32_t{2});
    files::append_number(dat, std::int32_t{5});
    files::append_bytes(dat, "a.txt", 5);
    write("older.dat");
    return written ? 0 : 1;
}
