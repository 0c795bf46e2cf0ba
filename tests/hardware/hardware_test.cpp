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
    for (const char* name :
         {"T4",        "V100-16GB",  "V100-32GB",   "A10",    "A10G",         "A100-PCIe-40GB", "A100-PCIe-80GB",     "H100-NVL",
          "H20",       "GH200",      "GH200-144GB", "B300",   "RTX-6000-Ada", "RTX-PRO-6000",   "RTX-PRO-6000-Max-Q", "RTX-PRO-6000-Server",
          "DGX-Spark", "Strix-Halo", "RX-9070-XT",  "MI325X", "Trainium2"}) {
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

TEST(HardwareCatalog, FindsNamesAsDriversAndCloudsWriteThem) {
    const std::pair<const char*, const char*> names[] = {
        {"A100-SXM-80GB", "A100-80GB"},
        {"NVIDIA A100-SXM4-80GB", "A100-80GB"},
        {"NVIDIA A100-SXM4-40GB", "A100-40GB"},
        {"NVIDIA A100 80GB PCIe", "A100-PCIe-80GB"},
        {"NVIDIA A100-PCIE-40GB", "A100-PCIe-40GB"},
        {"a100", "A100-80GB"},
        {"A100 80 GB", "A100-80GB"},
        {"H100 80GB HBM3", "H100-SXM"},
        {"NVIDIA H100 80GB HBM3", "H100-SXM"},
        {"NVIDIA H100 PCIe", "H100-PCIe"},
        {"NVIDIA H100 NVL", "H100-NVL"},
        {"nvidiah100sxm80gb", "H100-SXM"},
        {"NVIDIA H200", "H200"},
        {"H200-SXM-141GB", "H200"},
        {"NVIDIA H20", "H20"},
        {"H20-96GB", "H20"},
        {"NVIDIA GH200 480GB", "GH200"},
        {"NVIDIA GH200 144G HBM3e", "GH200-144GB"},
        {"GH200-96GB", "GH200"},
        {"NVIDIA B200", "B200"},
        {"NVIDIA B300 SXM6 AC", "B300"},
        {"B300 288GB", "B300"},
        {"NVIDIA GB200", "GB200"},
        {"Tesla T4", "T4"},
        {"T4-16GB", "T4"},
        {"Tesla V100-SXM2-16GB", "V100-16GB"},
        {"Tesla V100-SXM2-32GB", "V100-32GB"},
        {"v100-32gb", "V100-32GB"},
        {"NVIDIA A10G", "A10G"},
        {"NVIDIA A10", "A10"},
        {"NVIDIA L4", "L4"},
        {"L40S 48GB", "L40S"},
        {"NVIDIA RTX A6000", "A6000"},
        {"NVIDIA RTX 6000 Ada Generation", "RTX-6000-Ada"},
        {"RTX 6000 Ada", "RTX-6000-Ada"},
        {"NVIDIA RTX PRO 6000 Blackwell Workstation Edition", "RTX-PRO-6000"},
        {"NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition", "RTX-PRO-6000-Max-Q"},
        {"NVIDIA RTX PRO 6000 Blackwell Server Edition", "RTX-PRO-6000-Server"},
        {"RTX PRO 6000", "RTX-PRO-6000"},
        {"NVIDIA GeForce RTX 4090", "RTX-4090"},
        {"rtx4090", "RTX-4090"},
        {"4090", "RTX-4090"},
        {"NVIDIA GeForce RTX 5090", "RTX-5090"},
        {"gb10", "DGX-Spark"},
        {"NVIDIA GB10", "DGX-Spark"},
        {"DGX Spark", "DGX-Spark"},
        {"AMD Ryzen AI Max+ 395", "Strix-Halo"},
        {"AMD RYZEN AI MAX+ 395 w/ Radeon 8060S", "Strix-Halo"},
        {"Radeon 8060S Graphics", "Strix-Halo"},
        {"strix halo", "Strix-Halo"},
        {"Radeon RX 9070 XT", "RX-9070-XT"},
        {"AMD Radeon RX 9070 XT", "RX-9070-XT"},
        {"RX9070XT", "RX-9070-XT"},
        {"AMD Instinct MI300X", "MI300X"},
        {"AMD Instinct MI325X OAM", "MI325X"},
        {"MI325X 256GB", "MI325X"},
        {"trn2", "Trainium2"},
        {"AWS Trainium 2", "Trainium2"},
        {"Google Cloud TPU v5e", "TPU-v5e"},
        {"Apple M3 Ultra", "M3-Ultra"},
    };
    for (const auto& [name, row] : names) {
        ASSERT_NE(find_in_catalog(name), nullptr) << name;
        EXPECT_EQ(find_in_catalog(name)->hardware.name, row) << name;
    }
}

TEST(HardwareCatalog, DoesNotTakeOneDeviceForAnother) {
    for (const char* name : {"RTX 4090 Laptop", "RTX 4090 D", "H100-SXM-40GB", "H20-141GB", "RX 9070", "Apple M4", "V100-PCIE-16GB",
                             "MI300", "A100 24GB", "RTX 6000", "T40", "L40", "H200 NVL", "nvidia", "sxm"}) {
        EXPECT_EQ(find_in_catalog(name), nullptr) << name;
    }
    const auto candidates = [](const char* name) {
        std::string names;
        for (const CatalogRow* row : candidates_in_catalog(name)) names += row->hardware.name + " ";
        return names;
    };
    EXPECT_EQ(find_in_catalog("V100"), nullptr);
    EXPECT_EQ(candidates("Tesla V100"), "V100-16GB V100-32GB ");
    EXPECT_EQ(candidates("A100 PCIe"), "A100-PCIe-40GB A100-PCIe-80GB ");
    EXPECT_EQ(candidates("RTX 6000"), "RTX-6000-Ada RTX-PRO-6000 RTX-PRO-6000-Max-Q RTX-PRO-6000-Server ");
    EXPECT_EQ(candidates("Apple M3"), "M3-Max M3-Ultra ");
    EXPECT_EQ(candidates("TPU"), "TPU-v5e TPU-v5p TPU-v6e ");
    EXPECT_EQ(candidates("NVIDIA"), "");
    EXPECT_EQ(candidates("V1000"), "");
    EXPECT_EQ(candidates(""), "");
}

// Vendors' data sheets: dense rates, half of what they print for sparse ones.
TEST(HardwareCatalog, HasWhatDataSheetsSay) {
    struct Sheet {
        const char* name;
        double bf16, fp8, fp4, memory, bandwidth, link;  // 0: not there
    };
    constexpr double kGiBytes = 1024.0 * 1024 * 1024;
    const Sheet sheets[] = {
        {"T4", 65e12, 0, 0, 15 * kGiBytes, 320e9, 16e9},
        {"V100-16GB", 125e12, 0, 0, 16 * kGiBytes, 900e9, 150e9},
        {"V100-32GB", 125e12, 0, 0, 32 * kGiBytes, 900e9, 150e9},
        {"A10G", 70e12, 0, 0, 22.5 * kGiBytes, 600e9, 32e9},
        {"H20", 148e12, 296e12, 0, 96 * kGiBytes, 4.0e12, 450e9},
        {"GH200", 989.4e12, 1978.9e12, 0, 96 * kGiBytes, 4.0e12, 450e9},
        {"B300", 2250e12, 4500e12, 13500e12, 288.4e9, 8.0e12, 900e9},
        {"RTX-6000-Ada", 364.25e12, 728.5e12, 0, 48 * kGiBytes, 960e9, 32e9},
        {"RTX-PRO-6000", 503.8e12, 1007.6e12, 2015.2e12, 96 * kGiBytes, 1792e9, 64e9},
        {"DGX-Spark", 125e12, 250e12, 500e12, 128.45e9, 273e9, 25e9},
        {"Strix-Halo", 59.4e12, 0, 0, 128 * kGiBytes, 256e9, 0},
        {"RX-9070-XT", 195e12, 389e12, 0, 16 * kGiBytes, 640e9, 64e9},
        {"MI325X", 1307.4e12, 2614.9e12, 0, 256 * kGiBytes, 6.0e12, 448e9},
        {"Trainium2", 667e12, 1299e12, 0, 96 * kGiBytes, 2.9e12, 640e9},
    };
    for (const Sheet& sheet : sheets) {
        ASSERT_NE(find_in_catalog(sheet.name), nullptr) << sheet.name;
        const Hardware& h = find_in_catalog(sheet.name)->hardware;
        EXPECT_DOUBLE_EQ(peak_for(h, Precision::kBf16)->flop_per_s, sheet.bf16) << sheet.name;
        EXPECT_DOUBLE_EQ(h.peak(Precision::kFp8).value_or(0), sheet.fp8) << sheet.name;
        EXPECT_DOUBLE_EQ(h.peak(Precision::kFp4).value_or(0), sheet.fp4) << sheet.name;
        EXPECT_NEAR(h.memory_bytes, sheet.memory, 1e-3 * sheet.memory) << sheet.name;
        EXPECT_DOUBLE_EQ(h.memory_bandwidth_bytes_per_s, sheet.bandwidth) << sheet.name;
        EXPECT_DOUBLE_EQ(h.link_bandwidth_bytes_per_s.value_or(0), sheet.link) << sheet.name;
    }
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

TEST(HardwareFile, InTheWrongUnitsIsDoubtedWithTheRightOne) {
    const std::string full = with(kGood, "\"name\"",
                                  "\"link_bandwidth_bytes_per_s\": 450e9, \"link_latency_s\": 2e-6, \"on_chip_bytes\": 50e6, "
                                  "\"price_per_hour\": 2.5, \"name\"");
    ASSERT_TRUE(parse_hardware(full, "hw.json")->doubts.empty());
    struct Wrong {
        const char *right, *wrong;
        std::vector<const char*> said;
    };
    const Wrong cases[] = {
        {"1e14", "989", {"hw.json: flop_per_s.bf16 is 989 FLOP/s", "expected FLOP/s", "989e12 for 989 TFLOP/s"}},
        {"1e14", "989400", {"flop_per_s.bf16 is 989400 FLOP/s", "989400e9 for 989400 GFLOP/s"}},
        {"1e14", "0.15", {"flop_per_s.bf16 is 0.15 FLOP/s", "0.15e12"}},
        {"1e14", "1e19", {"flop_per_s.bf16 is 10,000,000,000,000,000,000", "more than any known device"}},
        {"1e14", "1e17", {"flop_per_s", "memory_bandwidth_bytes_per_s", "wrong unit"}},
        {"1e14", "1e11", {"flop_per_s", "memory_bandwidth_bytes_per_s", "wrong unit"}},
        {"16e9", "80", {"memory_bytes is 80 bytes", "80e9 for 80 GB"}},
        {"16e9", "81920", {"memory_bytes is 81920 bytes", "85899345920 for 81920 MiB"}},
        {"1e12", "3.35", {"memory_bandwidth_bytes_per_s is 3.35 bytes/s", "3.35e12 for 3.35 TB/s"}},
        {"1e12", "3350", {"memory_bandwidth_bytes_per_s is 3350 bytes/s", "3350e9 for 3350 GB/s"}},
        {"1e12", "3350000", {"memory_bandwidth_bytes_per_s", "MB/s"}},
        {"450e9", "450", {"link_bandwidth_bytes_per_s is 450 bytes/s", "450e9 for 450 GB/s"}},
        {"450e9", "0.45", {"link_bandwidth_bytes_per_s", "0.45e12 for 0.45 TB/s"}},
        {"2e-6", "1.9", {"link_latency_s is 1.9 seconds", "1.9e-6 for 1.9 us"}},
        {"2e-6", "1900", {"link_latency_s is 1900 seconds", "1900e-9 for 1900 ns"}},
        {"50e6", "50", {"on_chip_bytes is 50 bytes", "52428800 for 50 MiB"}},
        {"50e6", "50e9", {"on_chip_bytes is 50,000,000,000, more than the 16,000,000,000 of memory_bytes"}},
        {"2.5", "30000", {"price_per_hour is 30000 dollars an hour"}},
    };
    for (const Wrong& wrong : cases) {
        const auto file = parse_hardware(with(full, wrong.right, wrong.wrong), "hw.json");
        ASSERT_TRUE(file) << wrong.wrong << ": " << file.error().message;
        ASSERT_EQ(file->doubts.size(), 1U) << wrong.wrong;
        for (const char* said : wrong.said) EXPECT_NE(file->doubts[0].find(said), std::string::npos) << file->doubts[0];
    }
    // What no unit explains is refused.
    for (const auto& [right, wrong] : {std::pair{"1e14", "1e25"}, {"16e9", "1e20"}, {"1e12", "1e24"}, {"2e-6", "1e9"}, {"2.5", "1e9"}}) {
        EXPECT_FALSE(parse_hardware(with(full, right, wrong), "hw.json")) << wrong;
    }
}

TEST(HardwareFile, OfAnyDeviceOfTheCatalogIsNotDoubted) {
    for (const CatalogRow& row : catalog()) {
        const Hardware& h = row.hardware;
        std::string rates;
        for (const Precision p : all_precisions()) {
            if (h.peak(p)) rates += (rates.empty() ? "\"" : ", \"") + std::string(to_string(p)) + "\": " + std::to_string(*h.peak(p));
        }
        std::string text = "{\"name\": \"x\", \"flop_per_s\": {" + rates + "}, \"memory_bytes\": " + std::to_string(h.memory_bytes) +
                           ", \"memory_bandwidth_bytes_per_s\": " + std::to_string(h.memory_bandwidth_bytes_per_s);
        if (h.on_chip_bytes) text += ", \"on_chip_bytes\": " + std::to_string(*h.on_chip_bytes);
        if (h.link_bandwidth_bytes_per_s) text += ", \"link_bandwidth_bytes_per_s\": " + std::to_string(*h.link_bandwidth_bytes_per_s);
        if (h.link_latency_s) text += ", \"link_latency_s\": " + std::to_string(*h.link_latency_s);
        if (h.price_per_hour) text += ", \"price_per_hour\": " + std::to_string(*h.price_per_hour);
        const auto file = parse_hardware(text + "}", "hw.json");
        ASSERT_TRUE(file) << h.name << ": " << file.error().message;
        EXPECT_TRUE(file->doubts.empty()) << h.name << ": " << file->doubts.front();
    }
}

TEST(HardwareFile, DeepNestingIsRefusedOrReadButNeverFatal) {
    std::string deep(100'000, '[');
    EXPECT_FALSE(parse_hardware(deep, "hw.json"));
    EXPECT_FALSE(parse_hardware(deep + std::string(100'000, ']'), "hw.json"));
}

}  // namespace
}  // namespace rafter::hardware
