// What stands in for a precision that a device has no rate for.
#include "hardware/hardware.h"

#include <vector>

namespace rafter::hardware {
namespace {

constexpr std::array<Precision, kPrecisions> kAll{Precision::kFp32, Precision::kFp16, Precision::kBf16, Precision::kFp8,
                                                  Precision::kFp4,  Precision::kInt8, Precision::kInt4};

std::vector<Precision> in_order(Precision wanted) {
    switch (wanted) {
        case Precision::kFp32:
            return {Precision::kFp32, Precision::kBf16, Precision::kFp16};
        case Precision::kFp16:
            return {Precision::kFp16, Precision::kBf16, Precision::kFp32};
        case Precision::kBf16:
            return {Precision::kBf16, Precision::kFp16, Precision::kFp32};
        case Precision::kFp8:
            return {Precision::kFp8, Precision::kBf16, Precision::kFp16, Precision::kFp32};
        case Precision::kFp4:
            return {Precision::kFp4, Precision::kFp8, Precision::kBf16, Precision::kFp16, Precision::kFp32};
        case Precision::kInt8:
            return {Precision::kInt8, Precision::kFp16, Precision::kBf16, Precision::kFp32};
        case Precision::kInt4:
            return {Precision::kInt4, Precision::kInt8, Precision::kFp16, Precision::kBf16, Precision::kFp32};
    }
    return {};
}

}  // namespace

std::span<const Precision> all_precisions() { return kAll; }

std::string_view to_string(Precision precision) {
    switch (precision) {
        case Precision::kFp32:
            return "fp32";
        case Precision::kFp16:
            return "fp16";
        case Precision::kBf16:
            return "bf16";
        case Precision::kFp8:
            return "fp8";
        case Precision::kFp4:
            return "fp4";
        case Precision::kInt8:
            return "int8";
        case Precision::kInt4:
            return "int4";
    }
    return "?";
}

std::optional<Peak> peak_for(const Hardware& hardware, Precision precision) {
    for (const Precision candidate : in_order(precision)) {
        if (const auto& rate = hardware.peak(candidate)) return Peak{*rate, candidate};
    }
    for (const Precision candidate : kAll) {  // a file that has only an int8 rate
        if (const auto& rate = hardware.peak(candidate)) return Peak{*rate, candidate};
    }
    return std::nullopt;
}

std::string roof_name(const Hardware& hardware, Precision precision) {
    const std::string& unit = hardware.unit(precision);
    return unit.empty() ? std::string(to_string(precision)) : unit;
}

}  // namespace rafter::hardware
