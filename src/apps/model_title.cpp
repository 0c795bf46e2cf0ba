// People know a model by the name of its file, as it was published; general.name often is a training run's.
#include "apps/model_title.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <map>
#include <vector>

#include "files/split_name.h"
#include "tensor/formats/formats.h"
#include "text/utf8_stream.h"

namespace rafter::apps {
namespace {

// general.file_type: https://github.com/ggml-org/llama.cpp/blob/master/include/llama.h, llama_ftype
constexpr std::array<std::pair<std::uint64_t, std::string_view>, 24> kFileTypes{{
    {0, "F32"},     {1, "F16"},     {2, "Q4_0"},    {3, "Q4_1"},    {7, "Q8_0"},    {8, "Q5_0"},    {9, "Q5_1"},    {10, "Q2_K"},
    {11, "Q3_K_S"}, {12, "Q3_K_M"}, {13, "Q3_K_L"}, {14, "Q4_K_S"}, {15, "Q4_K_M"}, {16, "Q5_K_S"}, {17, "Q5_K_M"}, {18, "Q6_K"},
    {21, "Q2_K_S"}, {22, "IQ3_XS"}, {25, "IQ4_NL"}, {26, "IQ3_S"},  {27, "IQ3_M"},  {30, "IQ4_XS"}, {32, "BF16"},   {38, "MXFP4"},
}};

std::string upper(std::string_view text) {
    std::string all(text);
    std::transform(all.begin(), all.end(), all.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    return all;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// "135M", "1.7B", "8x7B".
bool is_size(std::string_view word) {
    if (word.size() < 2 || !is_digit(word[0])) return false;
    const char unit = static_cast<char>(std::toupper(static_cast<unsigned char>(word.back())));
    const std::string_view number = word.substr(0, word.size() - 1);
    return (unit == 'M' || unit == 'B') &&
           std::all_of(number.begin(), number.end(), [](char c) { return is_digit(c) || c == '.' || c == 'x'; });
}

// "Q4_K_M", "IQ4_XS", "BF16", "FP16"
bool is_quantisation(std::string_view word) {
    const std::string name = upper(word);
    for (const std::string_view plain : {"F16", "F32", "BF16", "FP16", "FP32", "MXFP4", "FP8"}) {
        if (name == plain) return true;
    }
    const std::size_t q = name.starts_with("IQ") ? 2 : name.starts_with("Q") || name.starts_with("TQ") ? name.find('Q') + 1 : 0;
    return q > 0 && name.size() > q && is_digit(name[q]);
}

// Parts between "-", and between "." where no number is cut.
std::vector<std::string> words_of(std::string_view stem) {
    std::vector<std::string> words(1);
    for (std::size_t i = 0; i < stem.size(); ++i) {
        const bool in_number = stem[i] == '.' && i > 0 && i + 1 < stem.size() && is_digit(stem[i - 1]) && is_digit(stem[i + 1]);
        if (stem[i] == '-' || stem[i] == ' ' || (stem[i] == '.' && !in_number)) {
            words.emplace_back();
        } else {
            words.back() += stem[i];
        }
    }
    std::erase(words, "");
    return words;
}

std::string name_from(std::string_view stem) {
    std::string name;
    bool has_size = false;
    for (const std::string& word : words_of(stem)) {
        if (is_quantisation(word)) continue;
        if (upper(word) == "GGUF") continue;
        has_size = has_size || is_size(word);
        name += (name.empty() ? "" : " ") + word;
    }
    std::replace(name.begin(), name.end(), '_', ' ');
    return has_size ? name : std::string();
}

// "model-00001-of-00003": the part's number says nothing of the model.
std::string without_part(const std::string& stem) {
    const auto part = files::parse_split_name(stem);
    return part ? part->model : stem;
}

}  // namespace

std::string quantization_name(const files::TensorSource& file) {
    if (const auto type = file.metadata().find_uint("general.file_type"); type && *type) {
        for (const auto& [number, name] : kFileTypes) {
            if (number == **type) return std::string(name);
        }
    }
    std::map<tensor::DType, std::uint64_t> elements;
    for (const files::NamedTensor& tensor : file.tensors()) {
        if (tensor.shape.size() > 1) elements[tensor.dtype] += tensor.n_elements();
    }
    const auto most = std::max_element(elements.begin(), elements.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
    return most == elements.end() ? std::string() : std::string(tensor::format_of(most->first).name);
}

std::string model_title(const files::TensorSource& file) {
    const std::string stem = std::filesystem::path(file.name()).stem().string();
    std::string name = name_from(without_part(stem));
    if (name.empty()) {
        const auto known = file.metadata().find_string("general.name");
        name = known && *known && !(*known)->empty() ? std::string(**known) : stem;
    }
    const std::string quantisation = quantization_name(file);
    std::string title = text::valid_utf8(quantisation.empty() ? name : fmt::format("{}, {}", name, quantisation));
    std::replace_if(
        title.begin(), title.end(), [](unsigned char c) { return c < 0x20 || c == 0x7F; }, ' ');
    return title;
}

}  // namespace rafter::apps
