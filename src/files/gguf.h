// Reads GGUF v2 and v3 files (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md) by memory map, split files too. Everything in a
// file is untrusted: open() checks all of it, so what a GgufFile hands out is inside the mapping and of the type that it says.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "files/tensor_source.h"

namespace rafter::files {

// Movable; views stay valid as long as the GgufFile (or what it was moved into) lives. Safe to read from several threads.
class GgufFile final : public TensorSource {
  public:
    // path may be any part of a split file (-00001-of-0000N): all its siblings are opened.
    [[nodiscard]] static Result<GgufFile> open(const std::filesystem::path& path);
    // For tests and fuzzers: parses bytes that the caller keeps alive. `name` stands in for the path in messages.
    [[nodiscard]] static Result<GgufFile> parse(std::span<const std::byte> bytes, std::string_view name);

    [[nodiscard]] const Metadata& metadata() const override;
    [[nodiscard]] std::span<const NamedTensor> tensors() const override;
    [[nodiscard]] const NamedTensor* find_tensor(std::string_view name) const override;
    [[nodiscard]] const std::string& name() const override;
    [[nodiscard]] std::uint64_t size_bytes() const override;
    [[nodiscard]] std::span<const std::byte> rows(const NamedTensor& tensor, std::uint64_t first, std::uint64_t n,
                                                  std::span<std::byte> scratch) const override;
    void will_need(const NamedTensor& tensor) const override;
    void release(const NamedTensor& tensor, std::uint64_t first, std::uint64_t n) const override;

    GgufFile(GgufFile&&) noexcept;
    GgufFile& operator=(GgufFile&&) noexcept;
    ~GgufFile() override;

  private:
    struct State;
    explicit GgufFile(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

}  // namespace rafter::files
