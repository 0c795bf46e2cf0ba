// What a quantised file would be, before there is one: a source of which some matrices have other types. To load it, their bytes must be
// there; to price it, types are enough.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/loading/loaded_model.h"
#include "files/tensor_source.h"
#include "tensor/dtype.h"

namespace rafter::engine {

class EncodedSource final : public files::TensorSource {
  public:
    // source outlives this.
    explicit EncodedSource(const files::TensorSource& source);

    // The tensor, which the source has, in another type: its rows encoded, one after the other, or no bytes where none will be read.
    void set(std::string_view name, tensor::DType dtype, std::vector<std::byte> rows = {});

    [[nodiscard]] const files::Metadata& metadata() const override { return source_.metadata(); }
    [[nodiscard]] std::span<const files::NamedTensor> tensors() const override { return tensors_; }
    [[nodiscard]] const files::NamedTensor* find_tensor(std::string_view name) const override;
    [[nodiscard]] const std::string& name() const override { return source_.name(); }
    [[nodiscard]] std::uint64_t size_bytes() const override { return source_.size_bytes(); }
    [[nodiscard]] std::span<const std::byte> rows(const files::NamedTensor& tensor, std::uint64_t first, std::uint64_t n,
                                                  std::span<std::byte> scratch) const override;
    void will_need(const files::NamedTensor& tensor) const override;
    // The source's pages are needed again, for the next of many trials.
    void release(const files::NamedTensor& tensor, std::uint64_t first, std::uint64_t n) const override;

  private:
    const files::TensorSource& source_;
    std::vector<files::NamedTensor> tensors_;                // in the source's order
    std::map<std::string, std::size_t, std::less<>> index_;  // of tensors_
    std::map<std::size_t, std::vector<std::byte>> encoded_;  // of those that were set
};

// The model with another source for its weights. It has no tokenizer and no chat template: it is loaded or priced, and no text goes in.
[[nodiscard]] Result<OpenedModel> opened_with(const OpenedModel& opened, std::unique_ptr<files::TensorSource> source);

}  // namespace rafter::engine
