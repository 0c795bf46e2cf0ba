// Tensors that were not set are the source's own, by name: a source may know its tensors by where they are.
#include "engine/quantize/encoded_source.h"

#include "base/check.h"

namespace rafter::engine {

EncodedSource::EncodedSource(const files::TensorSource& source)
    : source_(source), tensors_(source.tensors().begin(), source.tensors().end()) {
    for (std::size_t i = 0; i < tensors_.size(); ++i) index_[tensors_[i].name] = i;
}

void EncodedSource::set(std::string_view name, tensor::DType dtype, std::vector<std::byte> rows) {
    const auto found = index_.find(name);
    RAFTER_CHECK(found != index_.end(), "no tensor {}", name);
    files::NamedTensor& tensor = tensors_[found->second];
    std::vector<std::byte>& kept = encoded_[found->second] = std::move(rows);
    tensor.dtype = dtype;
    tensor.bytes = kept;
}

const files::NamedTensor* EncodedSource::find_tensor(std::string_view name) const {
    const auto found = index_.find(name);
    return found == index_.end() ? nullptr : &tensors_[found->second];
}

std::span<const std::byte> EncodedSource::rows(const files::NamedTensor& tensor, std::uint64_t first, std::uint64_t n,
                                               std::span<std::byte> scratch) const {
    const std::size_t i = index_.find(tensor.name)->second;
    if (!encoded_.contains(i)) return source_.rows(*source_.find_tensor(tensor.name), first, n, scratch);
    RAFTER_CHECK(tensor.bytes.size() == tensor.size_bytes(), "{} has a type only", tensor.name);
    return tensor.bytes.subspan(first * tensor.row_bytes(), n * tensor.row_bytes());
}

void EncodedSource::will_need(const files::NamedTensor& tensor) const {
    if (!encoded_.contains(index_.find(tensor.name)->second)) source_.will_need(*source_.find_tensor(tensor.name));
}

void EncodedSource::release(const files::NamedTensor& /*tensor*/, std::uint64_t /*first*/, std::uint64_t /*n*/) const {}

Result<OpenedModel> opened_with(const OpenedModel& opened, std::unique_ptr<files::TensorSource> source) {
    RAFTER_TRY(text::ChatTemplate no_template, text::ChatTemplate::parse("", "no template"));
    return OpenedModel{.source = std::move(source), .tokenizer = nullptr, .config = opened.config, .chat_template = std::move(no_template)};
}

}  // namespace rafter::engine
