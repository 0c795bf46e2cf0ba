// A device as the roofline sees it: how fast it computes in each precision, how much memory it has and how fast that is read, and what
// links it to others. A row of the catalog (hardware/catalog.h), a user's JSON file (hardware/hardware_file.h) or a measured profile.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace rafter::hardware {

// The type that operands are multiplied in. Sums are kept wider, as devices do.
enum class Precision { kFp32, kFp16, kBf16, kFp8, kFp4, kInt8, kInt4 };
inline constexpr std::size_t kPrecisions = 7;
[[nodiscard]] std::string_view to_string(Precision precision);  // "fp16", as hardware files say it
[[nodiscard]] std::span<const Precision> all_precisions();

// Rates are of dense matrices: what vendors quote for structured sparsity is twice as much. A multiply and add count as two.
struct Hardware {
    std::string name;                                           // "H100-SXM": what a command line says
    std::string description;                                    // "NVIDIA H100 SXM5 80 GB"
    std::array<std::optional<double>, kPrecisions> flop_per_s;  // by Precision
    std::array<std::string, kPrecisions> units;                 // by Precision: what has that peak, "AMX int8"; may be empty
    std::string arithmetic_note;                                // what a plan says beside those names; may be empty
    double memory_bytes = 0.0;                                  // of one device
    double memory_bandwidth_bytes_per_s = 0.0;                  // read
    std::optional<double> on_chip_bytes;                        // last cache or scratch memory: activations that fit there stay there
    std::optional<double> link_bandwidth_bytes_per_s;           // to the other devices, one direction
    std::optional<double> link_latency_s;                       // of one message
    std::optional<double> price_per_hour;                       // US dollars, of one device

    [[nodiscard]] const std::optional<double>& peak(Precision precision) const { return flop_per_s[static_cast<std::size_t>(precision)]; }
    [[nodiscard]] std::optional<double>& peak(Precision precision) { return flop_per_s[static_cast<std::size_t>(precision)]; }
    [[nodiscard]] const std::string& unit(Precision precision) const { return units[static_cast<std::size_t>(precision)]; }
    [[nodiscard]] std::string& unit(Precision precision) { return units[static_cast<std::size_t>(precision)]; }
};

// The peak for a precision, or that of what the device does instead: fp16 and bf16 stand in for each other, narrower types fall back to
// wider ones (int4 to int8, fp4 to fp8, fp8 to 16 bits, int8 to 16 bits, 16 bits to fp32), and fp32 to 16 bits where nothing else is known.
struct Peak {
    double flop_per_s = 0.0;
    Precision precision = Precision::kFp16;  // whose rate it is
};
[[nodiscard]] std::optional<Peak> peak_for(const Hardware& hardware, Precision precision);
// The name of a precision's roof: its unit, or the precision where the device names none.
[[nodiscard]] std::string roof_name(const Hardware& hardware, Precision precision);

}  // namespace rafter::hardware
