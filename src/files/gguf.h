// Reads GGUF v2 and v3 files (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md) by memory map, split files too. Everything in a
// file is untrusted: open() checks all of it, so what a GgufFile hands out is inside the mapping and of the type that it says.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "tensor/dtype.h"

namespace rafter::files {

// A metadata value. Numbers are widened (any integer to int64 or uint64, any float to double), strings are views into the mapping
// and need not be UTF-8; arrays are of one type.
using MetadataArray = std::variant<std::vector<std::int64_t>, std::vector<std::uint64_t>, std::vector<double>, std::vector<bool>,
                                   std::vector<std::string_view>>;
using MetadataValue = std::variant<std::int64_t, std::uint64_t, double, bool, std::string_view, MetadataArray>;

class Metadata {
  public:
    // Lookups name the key, the expected and the found type in their error. get_* fail when the key is missing; find_* return nullopt then,
    // and still fail on a wrong type. Integers are accepted wherever they fit.
    [[nodiscard]] bool has(std::string_view key) const;
    [[nodiscard]] Result<std::uint64_t> get_uint(std::string_view key) const;
    [[nodiscard]] Result<double> get_float(std::string_view key) const;
    [[nodiscard]] Result<std::string_view> get_string(std::string_view key) const;
    [[nodiscard]] Result<std::optional<std::uint64_t>> find_uint(std::string_view key) const;
    [[nodiscard]] Result<std::optional<double>> find_float(std::string_view key) const;  // an integer is taken too
    [[nodiscard]] Result<std::optional<bool>> find_bool(std::string_view key) const;
    [[nodiscard]] Result<std::optional<std::string_view>> find_string(std::string_view key) const;
    // Arrays; null when the key is missing. Any integer type is converted where every element fits; an empty array is one of any type.
    [[nodiscard]] Result<std::optional<std::vector<std::string_view>>> find_strings(std::string_view key) const;
    [[nodiscard]] Result<std::optional<std::vector<std::int64_t>>> find_ints(std::string_view key) const;
    [[nodiscard]] Result<std::optional<std::vector<double>>> find_floats(std::string_view key) const;  // integers are taken too
    [[nodiscard]] Result<std::optional<std::vector<bool>>> find_bools(std::string_view key) const;

    // In file order, for `rafter info`.
    [[nodiscard]] std::span<const std::pair<std::string, MetadataValue>> entries() const { return entries_; }
    // False when the key is there already.
    bool add(std::string key, MetadataValue value);

  private:
    [[nodiscard]] const MetadataValue* find(std::string_view key) const;

    std::vector<std::pair<std::string, MetadataValue>> entries_;
    std::map<std::string, std::size_t, std::less<>> index_;  // not a hash map: keys chosen to collide would make it quadratic
};

// A tensor in the file. `shape` is in row-major order, outermost first: a weight of n_out rows of n_in elements is [n_out, n_in]
// (GGUF stores it the other way round). Bytes lie in the mapping: they live as long as the file.
struct NamedTensor {
    std::string name;
    tensor::DType dtype;
    std::vector<std::uint64_t> shape;
    std::span<const std::byte> bytes;

    [[nodiscard]] std::uint64_t n_elements() const;
};

// Movable; views stay valid as long as the GgufFile (or what it was moved into) lives. Safe to read from several threads.
class GgufFile {
  public:
    // path may be any part of a split file (-00001-of-0000N): all its siblings are opened.
    [[nodiscard]] static Result<GgufFile> open(const std::filesystem::path& path);
    // For tests and fuzzers: parses bytes that the caller keeps alive. `name` stands in for the path in messages.
    [[nodiscard]] static Result<GgufFile> parse(std::span<const std::byte> bytes, std::string_view name);

    [[nodiscard]] const Metadata& metadata() const;
    [[nodiscard]] std::span<const NamedTensor> tensors() const;
    [[nodiscard]] const NamedTensor* find_tensor(std::string_view name) const;  // null when missing
    [[nodiscard]] const std::string& name() const;                              // path of the first part, for messages
    [[nodiscard]] std::uint64_t size_bytes() const;                             // of all parts
    // Tells the kernel to start reading these bytes of the mapping from the disk.
    void will_need(std::span<const std::byte> bytes) const;
    // Tells the kernel that the pages of these bytes of the mapping will not be read again (after repacking).
    void release(std::span<const std::byte> bytes) const;

    GgufFile(GgufFile&&) noexcept;
    GgufFile& operator=(GgufFile&&) noexcept;
    ~GgufFile();

  private:
    struct State;
    explicit GgufFile(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

}  // namespace rafter::files
