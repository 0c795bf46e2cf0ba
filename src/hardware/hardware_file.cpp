// Checked key by key; what is not a number of the right size is an error, what nobody knows is a warning.
#include "hardware/hardware_file.h"

#include "base/json_reader.h"

namespace rafter::hardware {
namespace {

// Rates and sizes: no device is outside of these, and their quotients and products stay finite.
constexpr double kSmallest = 1e-3;
constexpr double kLargest = 1e30;

Result<HardwareFile> from_json(const nlohmann::json& json, std::string_view name) {
    RAFTER_TRY(const JsonReader keys, JsonReader::open(json, std::string(name)));
    HardwareFile file;
    Hardware& h = file.hardware;
    RAFTER_TRY(const auto own_name, keys.find_string("name"));
    if (!own_name || own_name->empty()) return bad_input("{}: name: expected a text, found no such key", name);
    h.name = *own_name;
    RAFTER_TRY(const auto description, keys.find_string("description"));
    h.description = description.value_or(h.name);
    RAFTER_TRY(const auto peaks, keys.find_object("flop_per_s"));
    if (!peaks) return bad_input("{}: flop_per_s: expected an object such as {{\"fp16\": 312e12}}, found no such key", name);
    bool any = false;
    for (const Precision precision : all_precisions()) {
        RAFTER_TRY(h.peak(precision), peaks->find_number(std::string(to_string(precision)), kSmallest, kLargest));
        any = any || h.peak(precision).has_value();
    }
    for (std::string& key : peaks->unknown_keys()) file.unknown_keys.push_back({"flop_per_s." + key, peaks->known_keys()});
    if (!any) return bad_input("{}: flop_per_s: expected at least one of fp32, fp16, bf16, fp8, fp4, int8, int4, found none", name);
    RAFTER_TRY(h.memory_bytes, keys.get_number("memory_bytes", kSmallest, kLargest));
    RAFTER_TRY(h.memory_bandwidth_bytes_per_s, keys.get_number("memory_bandwidth_bytes_per_s", kSmallest, kLargest));
    RAFTER_TRY(h.on_chip_bytes, keys.find_number("on_chip_bytes", 0.0, kLargest));
    RAFTER_TRY(h.link_bandwidth_bytes_per_s, keys.find_number("link_bandwidth_bytes_per_s", kSmallest, kLargest));
    RAFTER_TRY(h.link_latency_s, keys.find_number("link_latency_s", 0.0, 1e6));
    RAFTER_TRY(h.price_per_hour, keys.find_number("price_per_hour", 0.0, 1e12));
    static_cast<void>(keys.find("sources"));  // what `plan --list hardware` prints beside a row
    for (std::string& key : keys.unknown_keys()) file.unknown_keys.push_back({std::move(key), keys.known_keys()});
    return file;
}

}  // namespace

Result<HardwareFile> parse_hardware(std::string_view text, std::string_view name) {
    RAFTER_TRY(const nlohmann::json json, parse_json(text, name));
    return from_json(json, name);
}

Result<HardwareFile> read_hardware_file(const std::string& path) {
    RAFTER_TRY(const nlohmann::json json, read_json_file(path));
    return from_json(json, path);
}

}  // namespace rafter::hardware
