// GGUF files put together field by field, independently of GgufWriter, so that a test can make any field wrong.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "files/gguf.h"

namespace rafter::files {

template <typename Number>
std::string raw(Number number) {
    std::string out(sizeof number, '\0');
    std::memcpy(out.data(), &number, sizeof number);
    return out;
}

inline std::string raw_string(std::string_view text) { return raw<std::uint64_t>(text.size()) + std::string(text); }

template <typename Number>
std::string raw_array(std::uint32_t type, const std::vector<Number>& values) {
    std::string out = raw(type) + raw<std::uint64_t>(values.size());
    for (const Number value : values) out += raw(value);
    return out;
}

inline std::string raw_strings(const std::vector<std::string>& values) {
    std::string out = raw<std::uint32_t>(8) + raw<std::uint64_t>(values.size());
    for (const std::string& value : values) out += raw_string(value);
    return out;
}

struct RawEntry {
    std::string key;
    std::uint32_t type;
    std::string payload;
};

struct RawTensor {
    std::string name;
    std::vector<std::uint64_t> dimensions;  // innermost first, as in the file
    std::uint32_t type;
    std::uint64_t offset;
    std::optional<std::uint32_t> n_dimensions = std::nullopt;  // when it is to differ from dimensions.size()
};

struct RawFile {
    std::string magic = "GGUF";
    std::uint32_t version = 3;
    std::optional<std::uint64_t> n_tensors, n_entries;  // when they are to differ
    std::vector<RawEntry> entries;
    std::vector<RawTensor> tensors;
    std::size_t alignment = 32;
    std::string data;

    [[nodiscard]] std::string bytes() const {
        std::string out = magic + raw(version) + raw<std::uint64_t>(n_tensors.value_or(tensors.size())) +
                          raw<std::uint64_t>(n_entries.value_or(entries.size()));
        for (const RawEntry& entry : entries) out += raw_string(entry.key) + raw(entry.type) + entry.payload;
        for (const RawTensor& tensor : tensors) {
            out += raw_string(tensor.name) + raw<std::uint32_t>(tensor.n_dimensions.value_or(tensor.dimensions.size()));
            for (const std::uint64_t dimension : tensor.dimensions) out += raw(dimension);
            out += raw(tensor.type) + raw(tensor.offset);
        }
        if (!data.empty()) out.resize((out.size() + alignment - 1) / alignment * alignment);
        return out + data;
    }
};

// A small file that is right: one metadata entry of every kind and two tensors, F32 [2, 3] and Q4_0 [1, 64].
inline RawFile good_file() {
    RawFile file;
    file.entries = {
        {"general.architecture", 8, raw_string("llama")},
        {"a.uint8", 0, raw<std::uint8_t>(200)},
        {"a.int8", 1, raw<std::int8_t>(-100)},
        {"a.uint16", 2, raw<std::uint16_t>(60000)},
        {"a.int16", 3, raw<std::int16_t>(-30000)},
        {"a.uint32", 4, raw<std::uint32_t>(4000000000)},
        {"a.int32", 5, raw<std::int32_t>(-2000000000)},
        {"a.float32", 6, raw(0.5f)},
        {"a.bool", 7, raw<std::uint8_t>(1)},
        {"a.strings", 9, raw_strings({"", "x", "two words"})},
        {"a.uint64", 10, raw<std::uint64_t>(1)},
        {"a.int64", 11, raw<std::int64_t>(-1)},
        {"a.float64", 12, raw(-0.25)},
        {"an.array.of.uint8", 9, raw_array<std::uint8_t>(0, {1, 255})},
        {"an.array.of.int32", 9, raw_array<std::int32_t>(5, {-1, 7})},
        {"an.array.of.float32", 9, raw_array<float>(6, {1, 2.5f})},
        {"an.array.of.bool", 9, raw_array<std::uint8_t>(7, {1, 0, 1})},
    };
    file.tensors = {{"a.weight", {3, 2}, 0, 0}, {"b.weight", {64, 1}, 2, 32}};
    file.data = std::string(32 + 36, '\x11');
    return file;
}

inline std::span<const std::byte> as_bytes(std::string_view text) { return {reinterpret_cast<const std::byte*>(text.data()), text.size()}; }

// The message with which a file is refused, "" when it is not. Parses a copy of the exact size, so that AddressSanitizer sees a byte too
// far.
inline std::string refusal(const std::string& bytes) {
    const std::vector<char> copy(bytes.begin(), bytes.end());
    const auto file = GgufFile::parse(as_bytes({copy.data(), copy.size()}), "x.gguf");
    return file ? "" : file.error().message;
}
inline std::string refusal(const RawFile& file) { return refusal(file.bytes()); }

}  // namespace rafter::files
