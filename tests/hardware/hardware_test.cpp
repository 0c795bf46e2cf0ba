// The catalog of devices, and devices from users' files, good and bad.
#include "hardware/hardware_file.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "hardware/catalog.h"

namespace rafter::hardware {
namespace {

TEST(HardwareCatalog, HasASourceForEveryNumber) {
    for (const CatalogRow& row : catalog()) {
        EXPECT_TRUE(numbers_without_source(row).empty()) << row.hardware.name << ": " << numbers_without_source(row).front();
    }
    CatalogRow bare = catalog().front();
    bare.sources.clear();
    EXPECT_EQ(numbers_without_source(bare).size(), 7U);
}

TEST(HardwareCatalog, HasSoundNumbersAndNamesOfTheirOwn) {
    std::set<std::string> names;
    for (const CatalogRow& row : catalog()) {
        const Hardware& h = row.hardware;
        EXPECT_TRUE(names.insert(h.name).second) << h.name;
        EXPECT_TRUE(peak_for(h, Precision::kBf16)) << h.name;
        const double ridge = peak_for(h, Precision::kBf16)->flop_per_s / h.memory_bandwidth_bytes_per_s;
        EXPECT_GT(ridge, 5) << h.name;
        EXPECT_LT(ridge, 1500) << h.name;
        EXPECT_GE(h.memory_bytes, 8e9) << h.name;
        // Narrower types are never slower.
        if (h.peak(Precision::kFp8)) EXPECT_GE(*h.peak(Precision::kFp8), peak_for(h, Precision::kBf16)->flop_per_s) << h.name;
        if (h.peak(Precision::kInt8)) EXPECT_GE(*h.peak(Precision::kInt8), peak_for(h, Precision::kBf16)->flop_per_s) << h.name;
    }
    for (const char* name : {"A100-40GB", "A100-80GB", "H100-PCIe", "H100-SXM",  "H200",          "B200",     "GB200",  "A6000",
                             "L4",        "L40S",      "RTX-3090",  "RTX-4090",  "RTX-5090",      "MI250X",   "MI300X", "MI355X",
                             "TPU-v5e",   "TPU-v5p",   "TPU-v6e",   "Gaudi-3",   "M2-Max",        "M2-Ultra", "M3-Max", "M3-Ultra",
                             "M4-Max",    "Xeon-8480", "EPYC-9654", "Graviton4", "Raspberry-Pi-5"}) {
        EXPECT_TRUE(names.contains(name)) << name;
    }
}

TEST(HardwareCatalog, FindsNamesAsPeopleWriteThem) {
    for (const char* name : {"h100", "H100 SXM", "h100_sxm", "NVIDIA H100-SXM"}) {
        ASSERT_NE(find_in_catalog(name), nullptr) << name;
        EXPECT_EQ(find_in_catalog(name)->hardware.name, "H100-SXM") << name;
    }
    EXPECT_EQ(find_in_catalog("rtx 4090")->hardware.name, "RTX-4090");
    for (const char* name : {"A100-SXM-80GB", "NVIDIA A100-SXM4-80GB", "A100-80GB"}) {
        ASSERT_NE(find_in_catalog(name), nullptr) << name;
        EXPECT_EQ(find_in_catalog(name)->hardware.name, "A100-80GB") << name;
    }
    ASSERT_NE(find_in_catalog("H100-SXM5-80GB"), nullptr);
    EXPECT_EQ(find_in_catalog("H100-SXM5-80GB")->hardware.name, "H100-SXM");
    EXPECT_EQ(find_in_catalog("H100-SXM-40GB"), nullptr);
    EXPECT_EQ(find_in_catalog("H1000"), nullptr);
    EXPECT_EQ(find_in_catalog(""), nullptr);
}

TEST(Peaks, OfTypesThatADeviceLacksAreThoseOfWhatItDoesInstead) {
    Hardware h;
    h.peak(Precision::kBf16) = 200;
    h.peak(Precision::kFp32) = 20;
    EXPECT_EQ(peak_for(h, Precision::kFp16)->precision, Precision::kBf16);
    EXPECT_EQ(peak_for(h, Precision::kFp8)->flop_per_s, 200);
    EXPECT_EQ(peak_for(h, Precision::kInt4)->flop_per_s, 200);
    EXPECT_EQ(peak_for(h, Precision::kFp32)->flop_per_s, 20);
    Hardware only_int8;
    only_int8.peak(Precision::kInt8) = 7;
    EXPECT_EQ(peak_for(only_int8, Precision::kBf16)->flop_per_s, 7);
    EXPECT_FALSE(peak_for(Hardware{}, Precision::kBf16));
}

constexpr const char* kGood = R"({"name": "x", "flop_per_s": {"bf16": 1e14}, "memory_bytes": 16e9, "memory_bandwidth_bytes_per_s": 1e12})";

TEST(HardwareFile, NeedsANameARateAMemoryAndItsBandwidth) {
    const auto file = parse_hardware(kGood, "hw.json");
    ASSERT_TRUE(file) << file.error().message;
    EXPECT_EQ(file->hardware.name, "x");
    EXPECT_FALSE(file->hardware.link_bandwidth_bytes_per_s);
    EXPECT_TRUE(file->unknown_keys.empty());
}

std::string with(std::string text, const std::string& from, const std::string& to) {
    text.replace(text.find(from), from.size(), to);
    return text;
}

TEST(HardwareFile, WithSomethingWrongGetsOneLineThatNamesIt) {
    const std::pair<std::string, std::string> cases[] = {
        {"", "JSON"},
        {"[]", "object"},
        {"{", "JSON"},
        {with(kGood, "16e9", "NaN"), "NaN"},
        {with(kGood, "16e9", "Infinity"), "Infinity"},
        {with(kGood, "16e9", "1e999"), "JSON"},
        {with(kGood, "16e9", "-16e9"), "memory_bytes"},
        {with(kGood, "16e9", "0"), "memory_bytes"},
        {with(kGood, "16e9", "\"16 GB\""), "memory_bytes"},
        {with(kGood, "16e9", "1e300"), "memory_bytes"},
        {with(kGood, "\"memory_bytes\"", "\"memory\""), "memory_bytes"},
        {with(kGood, "\"memory_bandwidth_bytes_per_s\"", "\"bandwidth\""), "memory_bandwidth_bytes_per_s"},
        {with(kGood, "\"name\"", "\"nam\""), "name"},
        {with(kGood, "1e14", "-1"), "bf16"},
        {with(kGood, "1e14", "null"), "flop_per_s"},
        {with(kGood, "\"bf16\"", "\"bf17\""), "flop_per_s"},
        {with(kGood, "{\"bf16\": 1e14}", "3"), "flop_per_s"},
    };
    for (const auto& [text, word] : cases) {
        const auto file = parse_hardware(text, "hw.json");
        ASSERT_FALSE(file) << text;
        EXPECT_NE(file.error().message.find(word), std::string::npos) << file.error().message;
        EXPECT_EQ(file.error().message.find('\n'), std::string::npos) << file.error().message;
    }
}

TEST(HardwareFile, TellsOfKeysThatNobodyKnows) {
    const auto file = parse_hardware(with(kGood, "\"name\"", "\"link_bandwith\": 3, \"name\""), "hw.json");
    ASSERT_TRUE(file);
    ASSERT_EQ(file->unknown_keys.size(), 1U);
    EXPECT_EQ(file->unknown_keys.front().key, "link_bandwith");
    const auto nested = parse_hardware(with(kGood, "\"bf16\"", "\"fp17\": 3, \"bf16\""), "hw.json");
    ASSERT_TRUE(nested);
    EXPECT_EQ(nested->unknown_keys.front().key, "flop_per_s.fp17");
}

TEST(HardwareFile, DeepNestingIsRefusedOrReadButNeverFatal) {
    std::string deep(100'000, '[');
    EXPECT_FALSE(parse_hardware(deep, "hw.json"));
    EXPECT_FALSE(parse_hardware(deep + std::string(100'000, ']'), "hw.json"));
}

}  // namespace
}  // namespace rafter::hardware
