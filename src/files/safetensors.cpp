// A file is eight bytes of length, a JSON header of that length, and the tensors' data.
#include "files/safetensors.h"

#include <algorithm>
#include <set>
#include <system_error>

#include "base/json_reader.h"
#include "base/os_file.h"
#include "base/quote.h"

namespace rafter::files {
namespace {

constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;  // the format's own limit
constexpr std::uint64_t kMaxDimension = 1ULL << 48;

struct TypeBits {
    std::string_view name;
    std::uint64_t bits;
};
constexpr TypeBits kTypes[] = {{"F64", 64}, {"F32", 32}, {"F16", 16}, {"BF16", 16},   {"F8_E4M3", 8}, {"F8_E5M2", 8}, {"F8_E8M0", 8},
                               {"I64", 64}, {"I32", 32}, {"I16", 16}, {"I8", 8},      {"U64", 64},    {"U32", 32},    {"U16", 16},
                               {"U8", 8},   {"BOOL", 8}, {"F4", 4},   {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"C64", 64}};

Result<std::uint64_t> whole_number(const nlohmann::json& value, const std::string& where) {
    if (!value.is_number_unsigned()) return bad_input("{}: expected a whole number, found another value", where);
    return value.get<std::uint64_t>();
}

Result<SafetensorsTensor> read_tensor(const std::string& name, const nlohmann::json& entry, std::uint64_t data_bytes,
                                      std::string_view file) {
    const std::string where = fmt::format("{}: {}", file, quote(name));
    SafetensorsTensor tensor{.name = name, .dtype = {}, .shape = {}};
    if (!entry.is_object()) return bad_input("{}: expected an object, found another value", where);
    const auto dtype = entry.find("dtype");
    const auto shape = entry.find("shape");
    const auto offsets = entry.find("data_offsets");
    if (dtype == entry.end() || !dtype->is_string()) return bad_input("{}: expected a dtype, found none", where);
    if (shape == entry.end() || !shape->is_array()) return bad_input("{}: expected a shape, found none", where);
    if (offsets == entry.end() || !offsets->is_array() || offsets->size() != 2)
        return bad_input("{}: expected two data_offsets, found others", where);
    tensor.dtype = dtype->get<std::string>();
    RAFTER_TRY(const std::uint64_t begin, whole_number((*offsets)[0], where));
    RAFTER_TRY(const std::uint64_t end, whole_number((*offsets)[1], where));
    if (begin > end || end > data_bytes) return bad_input("{}: expected offsets up to {}, found {} to {}", where, data_bytes, begin, end);
    tensor.size_bytes = end - begin;
    double bits = 1.0;
    for (const nlohmann::json& n : *shape) {
        RAFTER_TRY(const std::uint64_t dimension, whole_number(n, where));
        if (dimension > kMaxDimension) return bad_input("{}: expected dimensions up to {}, found {}", where, kMaxDimension, dimension);
        tensor.shape.push_back(dimension);
        bits *= static_cast<double>(dimension);
    }
    const auto* type = std::ranges::find(kTypes, std::string_view(tensor.dtype), &TypeBits::name);
    if (type == std::end(kTypes)) return bad_input("{}: expected a known dtype, found {}", where, quote(tensor.dtype));
    bits *= static_cast<double>(type->bits);
    if (bits != 8.0 * static_cast<double>(tensor.size_bytes)) {
        return bad_input("{}: expected {:.0f} bytes of {}, found {}", where, bits / 8, tensor.dtype, tensor.size_bytes);
    }
    return tensor;
}

}  // namespace

Result<std::vector<SafetensorsTensor>> parse_safetensors(std::span<const std::byte> bytes, std::string_view name) {
    if (bytes.size() < 8) return bad_input("{}: expected a safetensors file, found {} bytes", name, bytes.size());
    std::uint64_t header = 0;
    for (int i = 7; i >= 0; --i) header = header << 8 | static_cast<std::uint64_t>(bytes[static_cast<std::size_t>(i)]);
    if (header > kMaxHeaderBytes || header > bytes.size() - 8) {
        return bad_input("{}: expected a header of at most {} bytes, found {}", name,
                         std::min<std::uint64_t>(kMaxHeaderBytes, bytes.size() - 8), header);
    }
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()) + 8, header);
    RAFTER_TRY(const nlohmann::json json, parse_json(text, name));
    if (!json.is_object()) return bad_input("{}: expected a header with tensors, found another value", name);
    std::vector<SafetensorsTensor> tensors;
    for (const auto& [key, entry] : json.items()) {
        if (key == "__metadata__") continue;
        RAFTER_TRY(SafetensorsTensor tensor, read_tensor(key, entry, bytes.size() - 8 - header, name));
        tensors.push_back(std::move(tensor));
    }
    return tensors;
}

Result<std::vector<SafetensorsTensor>> read_safetensors_folder(const std::filesystem::path& folder) {
    std::set<std::filesystem::path> paths;
    std::error_code failed;
    for (const auto& entry : std::filesystem::directory_iterator(folder, failed)) {
        if (entry.path().extension() == ".safetensors") paths.insert(entry.path());
    }
    if (failed) return Error{fmt::format("{}: cannot be read: {}", folder.string(), failed.message()), ErrorKind::kIo};
    std::vector<SafetensorsTensor> all;
    for (const std::filesystem::path& path : paths) {
        RAFTER_TRY(const MappedFile file, MappedFile::open(path));
        RAFTER_TRY(auto tensors, parse_safetensors(file.bytes(), path.string()));
        std::move(tensors.begin(), tensors.end(), std::back_inserter(all));
    }
    return all;
}

}  // namespace rafter::files
