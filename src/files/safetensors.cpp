// A file is eight bytes of length, a JSON header of that length, and the tensors' data.
#include "files/safetensors.h"

#include <algorithm>
#include <map>
#include <set>
#include <system_error>

#include "base/json_reader.h"
#include "base/os_file.h"
#include "base/quote.h"

namespace rafter::files {
namespace {

constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;  // the format's own limit
constexpr std::uint64_t kMaxDimension = 1ULL << 48;
constexpr std::uint64_t kMaxElements = 1ULL << 50;

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
    tensor.offset_bytes = begin;
    unsigned __int128 bits = 1;
    for (const nlohmann::json& n : *shape) {
        RAFTER_TRY(const std::uint64_t dimension, whole_number(n, where));
        if (dimension > kMaxDimension) return bad_input("{}: expected dimensions up to {}, found {}", where, kMaxDimension, dimension);
        tensor.shape.push_back(dimension);
        bits *= dimension;
        if (bits > kMaxElements) return bad_input("{}: expected at most {} elements, found more", where, kMaxElements);
    }
    const auto* type = std::ranges::find(kTypes, std::string_view(tensor.dtype), &TypeBits::name);
    if (type == std::end(kTypes)) return bad_input("{}: expected a known dtype, found {}", where, quote(tensor.dtype));
    bits *= type->bits;
    if (bits != static_cast<unsigned __int128>(tensor.size_bytes) * 8) {
        return bad_input("{}: expected {} bytes of {}, found {}", where, static_cast<std::uint64_t>(bits / 8), tensor.dtype,
                         tensor.size_bytes);
    }
    return tensor;
}

// Finds a key that an object has twice: the JSON library would keep the last one without a word.
struct DuplicateKeys final : nlohmann::json_sax<nlohmann::json> {
    std::vector<std::set<std::string>> open;
    std::string found;

    bool null() override { return true; }
    bool boolean(bool) override { return true; }
    bool number_integer(number_integer_t) override { return true; }
    bool number_unsigned(number_unsigned_t) override { return true; }
    bool number_float(number_float_t, const string_t&) override { return true; }
    bool string(string_t&) override { return true; }
    bool binary(binary_t&) override { return true; }
    bool start_object(std::size_t) override {
        open.emplace_back();
        return true;
    }
    bool key(string_t& name) override {
        if (open.back().insert(name).second) return true;
        found = quote(name);
        return false;
    }
    bool end_object() override {
        open.pop_back();
        return true;
    }
    bool start_array(std::size_t) override { return true; }
    bool end_array() override { return true; }
    bool parse_error(std::size_t, const std::string&, const nlohmann::json::exception&) override { return false; }
};

// Data of tensors follow each other without overlap, without gaps, to the file's end.
Result<void> check_layout(std::vector<SafetensorsTensor>& tensors, std::uint64_t data_bytes, std::string_view file) {
    std::ranges::sort(tensors, {}, [](const SafetensorsTensor& t) { return std::pair(t.offset_bytes, t.size_bytes); });
    std::uint64_t end = 0;
    for (const SafetensorsTensor& tensor : tensors) {
        if (tensor.offset_bytes != end) {
            return bad_input("{}: {}: expected data that begin at {}, where those before end, found {}", file, quote(tensor.name), end,
                             tensor.offset_bytes);
        }
        end += tensor.size_bytes;
    }
    if (end != data_bytes) return bad_input("{}: expected {} bytes of data, as the tensors say, found {}", file, end, data_bytes);
    return {};
}

constexpr std::string_view kIndexName = "model.safetensors.index.json";

// Null without an index.
Result<nlohmann::json> read_weight_map(const std::filesystem::path& folder) {
    const std::filesystem::path path = folder / kIndexName;
    std::error_code failed;
    if (!std::filesystem::exists(path, failed)) return nlohmann::json();
    RAFTER_TRY(nlohmann::json index, read_json_file(path.string()));
    const auto map = index.is_object() ? index.find("weight_map") : index.end();
    if (!index.is_object() || map == index.end() || !map->is_object() || map->empty()) {
        return bad_input("{}: weight_map: expected an object that names files, found none", path.string());
    }
    for (const auto& [tensor, file] : map->items()) {
        if (!file.is_string())
            return bad_input("{}: {}: expected the name of a file, found {}", path.string(), quote(tensor), shown_json(file));
    }
    return *map;
}

// A file that an index names lies in the folder; or in the repository's folder, whose snapshots are links to its blobs.
Result<void> check_inside(const std::filesystem::path& folder, const std::string& name) {
    const std::filesystem::path path = folder / name;
    const std::string where = (folder / kIndexName).string();
    if (name.empty() || name != std::filesystem::path(name).filename().string() || name == "..") {
        return bad_input("{}: expected the name of a file in this folder, found {}", where, quote(name));
    }
    std::error_code failed;
    const std::filesystem::path real = std::filesystem::canonical(path, failed);
    if (failed) return bad_input("{}: {}: expected this file beside the index, found none", where, quote(name));
    std::filesystem::path root = std::filesystem::canonical(folder, failed);
    if (root.parent_path().filename() == "snapshots") root = root.parent_path().parent_path();
    const auto [root_end, ignored] = std::mismatch(root.begin(), root.end(), real.begin(), real.end());
    if (root_end != root.end()) return bad_input("{}: {}: expected a file in this folder, found a link out of it", where, quote(name));
    return {};
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
    DuplicateKeys keys;
    if (!nlohmann::json::sax_parse(text, &keys)) return bad_input("{}: expected each key once, found {} twice", name, keys.found);
    std::vector<SafetensorsTensor> tensors;
    for (const auto& [key, entry] : json.items()) {
        if (key == "__metadata__") continue;
        RAFTER_TRY(SafetensorsTensor tensor, read_tensor(key, entry, bytes.size() - 8 - header, name));
        tensors.push_back(std::move(tensor));
    }
    RAFTER_TRY_VOID(check_layout(tensors, bytes.size() - 8 - header, name));
    for (SafetensorsTensor& tensor : tensors) tensor.offset_bytes += 8 + header;
    return tensors;
}

Result<std::vector<WeightFile>> weight_files(const std::filesystem::path& folder) {
    std::map<std::filesystem::path, std::vector<std::string>> found;
    RAFTER_TRY(const nlohmann::json index, read_weight_map(folder));
    if (!index.is_null()) {
        for (const auto& [tensor, file] : index.items()) {
            const auto name = file.get<std::string>();
            if (!found.contains(folder / name)) RAFTER_TRY_VOID(check_inside(folder, name));
            found[folder / name].push_back(tensor);
        }
    } else {
        std::error_code failed;
        for (std::filesystem::directory_iterator it(folder, failed), end; !failed && it != end; it.increment(failed)) {
            const std::string name = it->path().filename().string();
            const bool other = name.starts_with("consolidated") || name.starts_with("adapter");
            if (it->path().extension() == ".safetensors" && !other) found[it->path()];
        }
        if (failed) return Error{fmt::format("{}: cannot be read: {}", folder.string(), failed.message()), ErrorKind::kIo};
    }
    std::vector<WeightFile> files;
    for (auto& [path, tensors] : found) files.push_back({path, std::move(tensors)});
    return files;
}

Result<std::vector<SafetensorsTensor>> parse_weight_file(const WeightFile& file, std::span<const std::byte> bytes) {
    RAFTER_TRY(auto tensors, parse_safetensors(bytes, file.path.string()));
    std::set<std::string_view> names;
    for (const SafetensorsTensor& tensor : tensors) names.insert(tensor.name);
    for (const std::string& wanted : file.tensors) {
        if (names.contains(wanted)) continue;
        return bad_input("{}: {}: expected this tensor, as {} says, found no such tensor", file.path.string(), quote(wanted), kIndexName);
    }
    return tensors;
}

Result<std::vector<SafetensorsTensor>> read_safetensors_folder(const std::filesystem::path& folder) {
    RAFTER_TRY(const std::vector<WeightFile> files, weight_files(folder));
    std::vector<SafetensorsTensor> all;
    for (const WeightFile& file : files) {
        RAFTER_TRY(const MappedFile map, MappedFile::open(file.path));
        RAFTER_TRY(auto tensors, parse_weight_file(file, map.bytes()));
        std::move(tensors.begin(), tensors.end(), std::back_inserter(all));
    }
    return all;
}

}  // namespace rafter::files
