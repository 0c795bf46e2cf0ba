// Plain types, the formats of this program, and what mixtures come to.
#include "roofline/number_types.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <iterator>

#include "base/folded_name.h"
#include "tensor/formats/formats.h"

namespace rafter::roofline {
namespace {

struct Named {
    std::string_view name;
    double bits;
    bool is_mixture;
};

// Plain types have no scales; of 4-bit ones with scales: NF4 with double quantisation 4.127 (https://arxiv.org/abs/2305.14314), MXFP4 a
// byte to 32, NVFP4 a byte to 16. Mixtures: bits a weight of Llama 3.1 8B in the table of llama.cpp's tools/quantize/README.md.
constexpr Named kNamed[] = {
    {"fp64", 64, false},    {"fp32", 32, false},    {"f32", 32, false},     {"fp16", 16, false},    {"f16", 16, false},
    {"bf16", 16, false},    {"fp8", 8, false},      {"int8", 8, false},     {"fp6", 6, false},      {"int6", 6, false},
    {"fp4", 4, false},      {"int4", 4, false},     {"int3", 3, false},     {"int2", 2, false},     {"nf4", 4.127, false},
    {"mxfp4", 4.25, false}, {"nvfp4", 4.5, false},  {"q2_k_s", 2.97, true}, {"q3_k_s", 3.64, true}, {"q3_k_m", 4.00, true},
    {"q3_k_l", 4.30, true}, {"q4_k_s", 4.67, true}, {"q4_k_m", 4.89, true}, {"q5_k_s", 5.57, true}, {"q5_k_m", 5.70, true},
};

}  // namespace

std::optional<NumberType> number_type(std::string_view name) {
    const std::string wanted = lower_case(name);
    for (const Named& known : kNamed) {
        if (known.name != wanted) continue;
        // A checkpoint's own tools (modelopt, llm-compressor, bitsandbytes) quantise linear layers alone.
        return NumberType{std::string(known.name), known.bits, known.is_mixture, !known.is_mixture && known.bits <= 8};
    }
    if (const auto dtype = tensor::dtype_from_name(wanted)) {
        const tensor::FormatInfo& format = tensor::format_of(*dtype);
        return NumberType{std::string(format.name), format.bits_per_element(), false};
    }
    double bits = 0.0;
    const auto [end, failed] = std::from_chars(wanted.data(), wanted.data() + wanted.size(), bits);
    if (failed != std::errc() || end != wanted.data() + wanted.size() || !(bits >= 0.1 && bits <= 64)) return std::nullopt;
    return NumberType{wanted + " bits", bits, false};
}

std::optional<NumberType> kv_number_type(std::string_view name) {
    const std::string wanted = lower_case(name);
    if (wanted == "q8") return NumberType{"q8", 8.5, false};  // a scale of 16 bits to 32 elements
    if (wanted == "q4") return NumberType{"q4", 5.0, false};  // and a minimum
    return number_type(name);
}

std::vector<std::string> number_type_names() {
    std::vector<std::string> names;
    for (const Named& known : kNamed) names.emplace_back(known.name);
    for (const tensor::FormatInfo& format : tensor::formats()) {
        const std::string name = lower_case(format.name);
        if (format.block_elements > 1 && std::ranges::find(names, name) == names.end()) names.push_back(name);
    }
    return names;
}

std::optional<hardware::Precision> precision_named(std::string_view name) {
    std::string wanted = lower_case(name);
    if (wanted == "f32") wanted = "fp32";
    if (wanted == "f16") wanted = "fp16";
    for (const hardware::Precision p : hardware::all_precisions()) {
        if (hardware::to_string(p) == wanted) return p;
    }
    return std::nullopt;
}

double bytes_of(hardware::Precision precision) {
    switch (precision) {
        case hardware::Precision::kFp32:
            return 4.0;
        case hardware::Precision::kFp16:
        case hardware::Precision::kBf16:
            return 2.0;
        case hardware::Precision::kFp8:
        case hardware::Precision::kInt8:
            return 1.0;
        case hardware::Precision::kFp4:
        case hardware::Precision::kInt4:
            return 0.5;
    }
    return 2.0;
}

}  // namespace rafter::roofline
