// A user's own device: a JSON file with the keys of a catalog row.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "hardware/hardware.h"

namespace rafter::hardware {

struct UnknownKey {
    std::string key;
    std::vector<std::string> known;  // that may stand where it stood
};

struct HardwareFile {
    Hardware hardware;
    std::vector<UnknownKey> unknown_keys;  // ignored
    // Numbers that no device is near, such as 989 FLOP/s, each with the unit that was probably meant. They make any answer doubtful.
    std::vector<std::string> doubts;
};

// Keys: name, flop_per_s {fp32, fp16, bf16, fp8, fp4, int8, int4: at least one}, memory_bytes, memory_bandwidth_bytes_per_s; and, where
// known, description, on_chip_bytes, link_bandwidth_bytes_per_s, link_latency_s, price_per_hour. All numbers finite and positive; latency
// and price may be 0.
[[nodiscard]] Result<HardwareFile> parse_hardware(std::string_view text, std::string_view name);
[[nodiscard]] Result<HardwareFile> read_hardware_file(const std::string& path);

}  // namespace rafter::hardware
