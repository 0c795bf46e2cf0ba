// Checked key by key: what is not a number of the right size is an error, a key that is not known is a warning, and a number that no device
// is near is doubted, with the unit that was probably meant.
#include "hardware/hardware_file.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <optional>

#include "base/json_reader.h"

namespace rafter::hardware {
namespace {

// Sizes and rates in whatever unit are within these: beyond them no unit was meant.
constexpr double kSmallest = 1e-3;
constexpr double kMaxRate = 1e21;   // bytes or operations a second
constexpr double kMaxBytes = 1e18;  // of one device
constexpr double kMaxSeconds = 1e6;
constexpr double kMaxPrice = 1e6;  // dollars an hour

// A unit that people take by mistake: numbers from `least` on were probably meant in it, and `factor` makes them the right one.
struct Unit {
    double least = 0.0;
    const char* name = nullptr;
    double factor = 1.0;
};

// What a key says in which unit, and between which numbers devices lie, with room for those to come.
struct Quantity {
    const char* key;
    const char* unit;
    double least, most;
    std::array<Unit, 3> mistaken;  // the largest unit first
};
constexpr double kMiB = 1024.0 * 1024;
constexpr Quantity kRate{"flop_per_s", "FLOP/s", 1e9, 1e18, {{{0, "TFLOP/s", 1e12}, {5e4, "GFLOP/s", 1e9}}}};
constexpr Quantity kMemory{"memory_bytes", "bytes", 1e8, 1e14, {{{0, "GB", 1e9}, {4e3, "MiB", kMiB}, {1e7, "KiB", 1024}}}};
constexpr Quantity kBandwidth{
    "memory_bandwidth_bytes_per_s", "bytes/s", 1e8, 1e17, {{{0, "TB/s", 1e12}, {12, "GB/s", 1e9}, {1e5, "MB/s", 1e6}}}};
constexpr Quantity kOnChip{"on_chip_bytes", "bytes", 2.5e5, 1e12, {{{0, "MiB", kMiB}, {1e3, "KiB", 1024}}}};
constexpr Quantity kLink{"link_bandwidth_bytes_per_s", "bytes/s", 1e7, 1e14, {{{0, "TB/s", 1e12}, {4, "GB/s", 1e9}, {1e5, "MB/s", 1e6}}}};
constexpr Quantity kLatency{"link_latency_s", "seconds", 1e-9, 0.1, {{{0.1, "us", 1e-6}, {1e3, "ns", 1e-9}}}};
constexpr Quantity kPrice{"price_per_hour", "dollars an hour", 1e-4, 1e3, {}};
// Operations for each byte of memory bandwidth at 16 bits: 5 to 600 in the catalog.
constexpr double kMinRidge = 0.5;
constexpr double kMaxRidge = 1e4;

// "3.35", "0.0000001", "989,000,000,000": without an exponent, from a million on in groups.
std::string shown(double n) {
    if (n < 1e6) {
        std::string text = n >= 1e-3 ? fmt::format("{:.10g}", n) : fmt::format("{:.12f}", n);
        if (n < 1e-3 && n > 0) text.erase(text.find_last_not_of('0') + 1);
        return text;
    }
    std::string digits = fmt::format("{:.0f}", n);
    for (std::size_t i = digits.size(); i > 3; i -= 3) digits.insert(i - 3, 1, ',');
    return digits;
}
// "989e12": as a person writes so many of a unit.
std::string shown(double n, const Unit& unit) {
    const double exponent = std::round(std::log10(unit.factor));
    if (unit.factor == std::pow(10.0, exponent)) return fmt::format("{:.10g}e{:.0f}", n, exponent);
    return fmt::format("{:.0f}", n * unit.factor);
}

// The doubt about a number that no device is near; none where it may be right. `where`: the file and the key.
std::optional<std::string> doubt_of(const Quantity& q, const std::string& where, const std::optional<double>& found) {
    if (!found || *found == 0.0 || (*found >= q.least && *found <= q.most)) return std::nullopt;
    const bool too_little = *found < q.least;
    std::string text = fmt::format("{} is {} {}, {} than any known device has: expected {}", where, shown(*found), q.unit,
                                   too_little ? "less" : "more", q.unit);
    const Unit* meant = nullptr;
    for (const Unit& unit : q.mistaken) {
        if (unit.name != nullptr && *found >= unit.least && too_little == (unit.factor > 1.0)) meant = &unit;
    }
    if (meant != nullptr) text += fmt::format(", e.g. {} for {} {}", shown(*found, *meant), shown(*found), meant->name);
    return text;
}

void add_doubts(const std::string& name, HardwareFile& file) {
    const Hardware& h = file.hardware;
    const auto add = [&](const Quantity& q, const std::string& key, const std::optional<double>& found) {
        if (auto doubt = doubt_of(q, name + ": " + key, found)) file.doubts.push_back(*std::move(doubt));
    };
    for (const Precision p : all_precisions()) add(kRate, fmt::format("{}.{}", kRate.key, to_string(p)), h.peak(p));
    add(kMemory, kMemory.key, h.memory_bytes);
    add(kBandwidth, kBandwidth.key, h.memory_bandwidth_bytes_per_s);
    add(kOnChip, kOnChip.key, h.on_chip_bytes);
    add(kLink, kLink.key, h.link_bandwidth_bytes_per_s);
    add(kLatency, kLatency.key, h.link_latency_s);
    add(kPrice, kPrice.key, h.price_per_hour);
    if (!file.doubts.empty()) return;
    // Each may be right of some device, and both of none.
    const double rate = peak_for(h, Precision::kBf16)->flop_per_s;
    const double ridge = rate / h.memory_bandwidth_bytes_per_s;
    if (ridge < kMinRidge || ridge > kMaxRidge) {
        file.doubts.push_back(fmt::format(
            "{}: flop_per_s of {} and memory_bandwidth_bytes_per_s of {} are {} operations for each byte: expected about 5 to 600, "
            "as known devices have; one of the two may be in the wrong unit",
            name, shown(rate), shown(h.memory_bandwidth_bytes_per_s),
            ridge < 100 ? fmt::format("{:.3f}", ridge) : shown(std::round(ridge))));
    }
    if (h.on_chip_bytes && *h.on_chip_bytes > h.memory_bytes) {
        file.doubts.push_back(fmt::format("{}: on_chip_bytes is {}, more than the {} of memory_bytes: expected the last cache's size", name,
                                          shown(*h.on_chip_bytes), shown(h.memory_bytes)));
    }
}

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
        RAFTER_TRY(h.peak(precision), peaks->find_number(std::string(to_string(precision)), kSmallest, kMaxRate));
        any = any || h.peak(precision).has_value();
    }
    for (std::string& key : peaks->unknown_keys()) file.unknown_keys.push_back({"flop_per_s." + key, peaks->known_keys()});
    if (!any) return bad_input("{}: flop_per_s: expected at least one of fp32, fp16, bf16, fp8, fp4, int8, int4, found none", name);
    RAFTER_TRY(h.memory_bytes, keys.get_number("memory_bytes", kSmallest, kMaxBytes));
    RAFTER_TRY(h.memory_bandwidth_bytes_per_s, keys.get_number("memory_bandwidth_bytes_per_s", kSmallest, kMaxRate));
    RAFTER_TRY(h.on_chip_bytes, keys.find_number("on_chip_bytes", 0.0, kMaxBytes));
    RAFTER_TRY(h.link_bandwidth_bytes_per_s, keys.find_number("link_bandwidth_bytes_per_s", kSmallest, kMaxRate));
    RAFTER_TRY(h.link_latency_s, keys.find_number("link_latency_s", 0.0, kMaxSeconds));
    RAFTER_TRY(h.price_per_hour, keys.find_number("price_per_hour", 0.0, kMaxPrice));
    static_cast<void>(keys.find("sources"));  // what `plan --list hardware` prints beside a row
    for (std::string& key : keys.unknown_keys()) file.unknown_keys.push_back({std::move(key), keys.known_keys()});
    add_doubts(std::string(name), file);
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
