// The rows. Rates are of dense matrices (datasheets print sparse ones beside), sums in fp32 where the device slows down for them. Sizes of
// memory chips are powers of two, so a device's "80 GB" is 80 GiB, as are the 141, 180 and 186 GB of H200, B200 and GB200 (nvidia-smi
// counts 143771, 183359 and 189471 MiB, what the driver keeps left out); bandwidths are decimal. Links are one direction of all a device's
// links to its peers. Prices are list prices on demand, of one device, and change: --price overrides them.
#include "hardware/catalog.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <string>
#include <utility>

#include "base/folded_name.h"

namespace rafter::hardware {
namespace {

constexpr double kTera = 1e12;
constexpr double kGiB = 1024.0 * 1024 * 1024;
constexpr double kMiB = 1024.0 * 1024;

struct Rates {
    std::optional<double> fp32, fp16, bf16, fp8, fp4, int8, int4;  // in tera a second
};

std::array<std::optional<double>, kPrecisions> peaks(const Rates& t) {
    std::array<std::optional<double>, kPrecisions> rates;
    const std::array all{t.fp32, t.fp16, t.bf16, t.fp8, t.fp4, t.int8, t.int4};
    for (std::size_t i = 0; i < kPrecisions; ++i) {
        if (all[i]) rates[i] = *all[i] * kTera;
    }
    return rates;
}

constexpr std::string_view kNcclLatency = "NCCL src/graph/tuning.cc: 1.9 us a hop of a ring over NVLink (LL128)";
constexpr std::string_view kPcie = "PCI Express base specification: 16 lanes, 2 GB/s a lane in generation 4, 4 GB/s in 5";
constexpr std::string_view kNcclPcieLatency = "NCCL src/graph/tuning.cc: 2.5 us a hop of a ring over PCIe (LL128)";
constexpr std::string_view kLambdaPrice = "lambda.ai/pricing, on demand, one of 8 where they come so, 2026";
constexpr std::string_view kGooglePrice = "cloud.google.com/tpu/pricing, on demand, 2026";
constexpr std::string_view kScalingBook = "jax-ml.github.io/scaling-book/tpus, table of chips";
constexpr std::string_view kCloudTpu = "cloud.google.com/tpu/docs, v5e, v5p and v6e; half of the links' bandwidth in both directions";
constexpr std::string_view kApplePeaks = "github.com/philipturner/metal-benchmarks: cores x 128 FMA x clock; fp16 runs at the rate of fp32";
constexpr double kNvlinkHop = 1.9e-6;
constexpr double kPcieHop = 2.5e-6;

std::vector<CatalogRow> nvidia_data_center() {
    const auto a100 = Rates{.fp32 = 19.5, .fp16 = 312, .bf16 = 312, .int8 = 624, .int4 = 1248};
    const auto h100 = Rates{.fp32 = 66.9, .fp16 = 989.4, .bf16 = 989.4, .fp8 = 1978.9, .int8 = 1978.9};
    const std::string_view a100_sheet = "NVIDIA A100 datasheet and GA100 white paper (nvidia.com/en-us/data-center/a100)";
    const std::string_view h100_sheet = "NVIDIA H100 datasheet and GH100 white paper (nvidia.com/en-us/data-center/h100)";
    return {
        {{.name = "A100-40GB",
          .description = "NVIDIA A100 SXM4 40 GB",
          .flop_per_s = peaks(a100),
          .memory_bytes = 40 * kGiB,
          .memory_bandwidth_bytes_per_s = 1.555e12,
          .on_chip_bytes = 40 * kMiB,
          .link_bandwidth_bytes_per_s = 300e9,
          .link_latency_s = kNvlinkHop,
          .price_per_hour = 1.99},
         {{"peaks memory bandwidth on_chip link", a100_sheet}, {"latency", kNcclLatency}, {"price", kLambdaPrice}}},
        {{.name = "A100-80GB",
          .description = "NVIDIA A100 SXM4 80 GB",
          .flop_per_s = peaks(a100),
          .memory_bytes = 80 * kGiB,
          .memory_bandwidth_bytes_per_s = 2.039e12,
          .on_chip_bytes = 40 * kMiB,
          .link_bandwidth_bytes_per_s = 300e9,
          .link_latency_s = kNvlinkHop,
          .price_per_hour = 2.79},
         {{"peaks memory bandwidth on_chip link", a100_sheet}, {"latency", kNcclLatency}, {"price", kLambdaPrice}}},
        {{.name = "H100-PCIe",
          .description = "NVIDIA H100 PCIe 80 GB",
          .flop_per_s = peaks({.fp32 = 51.2, .fp16 = 756, .bf16 = 756, .fp8 = 1513, .int8 = 1513}),
          .memory_bytes = 80 * kGiB,
          .memory_bandwidth_bytes_per_s = 2.0e12,
          .on_chip_bytes = 50 * kMiB,
          .link_bandwidth_bytes_per_s = 64e9,
          .link_latency_s = kPcieHop,
          .price_per_hour = 3.29},
         {{"peaks memory bandwidth on_chip", h100_sheet}, {"link", kPcie}, {"latency", kNcclPcieLatency}, {"price", kLambdaPrice}}},
        {{.name = "H100-SXM",
          .description = "NVIDIA H100 SXM5 80 GB",
          .flop_per_s = peaks(h100),
          .memory_bytes = 80 * kGiB,
          .memory_bandwidth_bytes_per_s = 3.35e12,
          .on_chip_bytes = 50 * kMiB,
          .link_bandwidth_bytes_per_s = 450e9,
          .link_latency_s = kNvlinkHop,
          .price_per_hour = 3.99},
         {{"peaks memory bandwidth on_chip link", h100_sheet}, {"latency", kNcclLatency}, {"price", kLambdaPrice}}},
        {{.name = "H200",
          .description = "NVIDIA H200 SXM 141 GB",
          .flop_per_s = peaks(h100),
          .memory_bytes = 141 * kGiB,
          .memory_bandwidth_bytes_per_s = 4.8e12,
          .on_chip_bytes = 50 * kMiB,
          .link_bandwidth_bytes_per_s = 450e9,
          .link_latency_s = kNvlinkHop},
         {{"peaks memory bandwidth on_chip link", "NVIDIA H200 datasheet (nvidia.com/en-us/data-center/h200)"}, {"latency", kNcclLatency}}},
        {{.name = "B200",
          .description = "NVIDIA B200 SXM 180 GB",
          .flop_per_s = peaks({.fp32 = 75, .fp16 = 2250, .bf16 = 2250, .fp8 = 4500, .fp4 = 9000, .int8 = 4500}),
          .memory_bytes = 180 * kGiB,
          .memory_bandwidth_bytes_per_s = 7.7e12,
          .on_chip_bytes = 126 * kMiB,
          .link_bandwidth_bytes_per_s = 900e9,
          .link_latency_s = kNvlinkHop,
          .price_per_hour = 6.69},
         {{"peaks memory bandwidth on_chip link", "NVIDIA HGX B200 datasheet: an eighth of the board (nvidia.com/en-us/data-center/hgx)"},
          {"latency", kNcclLatency},
          {"price", kLambdaPrice}}},
        {{.name = "GB200",
          .description = "NVIDIA GB200 NVL72, one of its GPUs",
          .flop_per_s = peaks({.fp32 = 80, .fp16 = 2500, .bf16 = 2500, .fp8 = 5000, .fp4 = 10000, .int8 = 5000}),
          .memory_bytes = 186 * kGiB,
          .memory_bandwidth_bytes_per_s = 8.0e12,
          .on_chip_bytes = 126 * kMiB,
          .link_bandwidth_bytes_per_s = 900e9,
          .link_latency_s = kNvlinkHop},
         {{"peaks memory bandwidth on_chip link",
           "NVIDIA GB200 NVL72 datasheet: half a superchip (nvidia.com/en-us/data-center/gb200-nvl72)"},
          {"latency", kNcclLatency}}},
        {{.name = "A6000",
          .description = "NVIDIA RTX A6000 48 GB",
          .flop_per_s = peaks({.fp32 = 38.7, .fp16 = 154.84, .bf16 = 154.84, .int8 = 309.7, .int4 = 619.3}),
          .memory_bytes = 48 * kGiB,
          .memory_bandwidth_bytes_per_s = 768e9,
          .on_chip_bytes = 6 * kMiB,
          .link_bandwidth_bytes_per_s = 56.25e9,
          .link_latency_s = kNvlinkHop,
          .price_per_hour = 1.09},
         {{"peaks memory bandwidth on_chip link", "NVIDIA RTX A6000 datasheet and GA102 white paper; sparse rates halved"},
          {"latency", kNcclLatency},
          {"price", kLambdaPrice}}},
        {{.name = "L4",
          .description = "NVIDIA L4 24 GB",
          .flop_per_s = peaks({.fp32 = 30.3, .fp16 = 121, .bf16 = 121, .fp8 = 242.5, .int8 = 242.5, .int4 = 485}),
          .memory_bytes = 24 * kGiB,
          .memory_bandwidth_bytes_per_s = 300e9,
          .on_chip_bytes = 48 * kMiB,
          .link_bandwidth_bytes_per_s = 32e9,
          .link_latency_s = kPcieHop,
          .price_per_hour = 0.71},
         {{"peaks memory bandwidth", "NVIDIA L4 datasheet, sparse rates halved (nvidia.com/en-us/data-center/l4)"},
          {"on_chip", "NVIDIA Ada GPU architecture white paper"},
          {"link", kPcie},
          {"latency", kNcclPcieLatency},
          {"price", "cloud.google.com/compute/gpus-pricing: g2-standard-4, on demand, 2025"}}},
        {{.name = "L40S",
          .description = "NVIDIA L40S 48 GB",
          .flop_per_s = peaks({.fp32 = 91.6, .fp16 = 362.05, .bf16 = 362.05, .fp8 = 733, .int8 = 733, .int4 = 733}),
          .memory_bytes = 48 * kGiB,
          .memory_bandwidth_bytes_per_s = 864e9,
          .on_chip_bytes = 96 * kMiB,
          .link_bandwidth_bytes_per_s = 32e9,
          .link_latency_s = kPcieHop,
          .price_per_hour = 1.86},
         {{"peaks memory bandwidth", "NVIDIA L40S datasheet (nvidia.com/en-us/data-center/l40s)"},
          {"on_chip", "NVIDIA Ada GPU architecture white paper"},
          {"link", kPcie},
          {"latency", kNcclPcieLatency},
          {"price", "aws.amazon.com/ec2/pricing: g6e.xlarge, on demand, 2025"}}},
    };
}

std::vector<CatalogRow> nvidia_desktop() {
    return {
        {{.name = "RTX-3090",
          .description = "NVIDIA GeForce RTX 3090 24 GB",
          .flop_per_s = peaks({.fp32 = 35.6, .fp16 = 71, .bf16 = 71, .int8 = 284, .int4 = 568}),
          .memory_bytes = 24 * kGiB,
          .memory_bandwidth_bytes_per_s = 936.2e9,
          .on_chip_bytes = 6 * kMiB,
          .link_bandwidth_bytes_per_s = 32e9,
          .link_latency_s = kPcieHop},
         {{"peaks memory bandwidth on_chip", "NVIDIA GA102 white paper, appendix A: fp16 with sums in fp32"},
          {"link", kPcie},
          {"latency", kNcclPcieLatency}}},
        {{.name = "RTX-4090",
          .description = "NVIDIA GeForce RTX 4090 24 GB",
          .flop_per_s = peaks({.fp32 = 82.6, .fp16 = 165.2, .bf16 = 165.2, .fp8 = 330.3, .int8 = 660.6, .int4 = 1321.2}),
          .memory_bytes = 24 * kGiB,
          .memory_bandwidth_bytes_per_s = 1008e9,
          .on_chip_bytes = 72 * kMiB,
          .link_bandwidth_bytes_per_s = 32e9,
          .link_latency_s = kPcieHop},
         {{"peaks memory bandwidth on_chip", "NVIDIA Ada GPU architecture white paper, appendix A: fp16 and fp8 with sums in fp32"},
          {"link", kPcie},
          {"latency", kNcclPcieLatency}}},
        {{.name = "RTX-5090",
          .description = "NVIDIA GeForce RTX 5090 32 GB",
          .flop_per_s = peaks({.fp32 = 104.8, .fp16 = 209.5, .bf16 = 209.5, .fp8 = 419, .fp4 = 1676, .int8 = 838}),
          .memory_bytes = 32 * kGiB,
          .memory_bandwidth_bytes_per_s = 1792e9,
          .on_chip_bytes = 96 * kMiB,
          .link_bandwidth_bytes_per_s = 64e9,
          .link_latency_s = kPcieHop},
         {{"peaks memory bandwidth on_chip",
           "NVIDIA RTX Blackwell GPU architecture white paper, appendix A: fp16 and fp8 with sums in fp32"},
          {"link", kPcie},
          {"latency", kNcclPcieLatency}}},
    };
}

std::vector<CatalogRow> other_accelerators() {
    return {
        {{.name = "MI250X",
          .description = "AMD Instinct MI250X 128 GB, both dies",
          .flop_per_s = peaks({.fp32 = 95.7, .fp16 = 383, .bf16 = 383, .int8 = 383, .int4 = 383}),
          .memory_bytes = 128 * kGiB,
          .memory_bandwidth_bytes_per_s = 3.2768e12,
          .on_chip_bytes = 16 * kMiB,
          .link_bandwidth_bytes_per_s = 400e9},
         {{"peaks memory bandwidth on_chip link",
           "AMD Instinct MI250X datasheet and CDNA 2 white paper: matrix rates, 8 links of 50 GB/s"}}},
        {{.name = "MI300X",
          .description = "AMD Instinct MI300X 192 GB",
          .flop_per_s = peaks({.fp32 = 163.4, .fp16 = 1307.4, .bf16 = 1307.4, .fp8 = 2614.9, .int8 = 2614.9}),
          .memory_bytes = 192 * kGiB,
          .memory_bandwidth_bytes_per_s = 5.325e12,
          .on_chip_bytes = 256 * kMiB,
          .link_bandwidth_bytes_per_s = 448e9},
         {{"peaks memory bandwidth on_chip link", "AMD Instinct MI300X datasheet and CDNA 3 white paper: 7 links of 64 GB/s"}}},
        {{.name = "MI355X",
          .description = "AMD Instinct MI355X 288 GB",
          .flop_per_s = peaks({.fp32 = 157.3, .fp16 = 2516.6, .bf16 = 2516.6, .fp8 = 5033.2, .fp4 = 10066.3, .int8 = 5033.2}),
          .memory_bytes = 288 * kGiB,
          .memory_bandwidth_bytes_per_s = 8.0e12,
          .on_chip_bytes = 256 * kMiB,
          .link_bandwidth_bytes_per_s = 537.6e9},
         {{"peaks memory bandwidth on_chip link", "AMD Instinct MI355X datasheet and CDNA 4 white paper: 7 links of 76.8 GB/s"}}},
        {{.name = "TPU-v5e",
          .description = "Google TPU v5e, one chip",
          .flop_per_s = peaks({.bf16 = 197, .int8 = 393}),
          .memory_bytes = 16 * kGiB,
          .memory_bandwidth_bytes_per_s = 8.19e11,
          .on_chip_bytes = 128 * kMiB,
          .link_bandwidth_bytes_per_s = 2.0e11,
          .link_latency_s = 1e-6,
          .price_per_hour = 1.20},
         {{"peaks memory bandwidth link", kCloudTpu}, {"on_chip latency", kScalingBook}, {"price", kGooglePrice}}},
        {{.name = "TPU-v5p",
          .description = "Google TPU v5p, one chip",
          .flop_per_s = peaks({.bf16 = 459, .int8 = 918}),
          .memory_bytes = 95 * kGiB,
          .memory_bandwidth_bytes_per_s = 2.765e12,
          .on_chip_bytes = 128 * kMiB,
          .link_bandwidth_bytes_per_s = 6.0e11,
          .link_latency_s = 1e-6,
          .price_per_hour = 4.20},
         {{"memory bandwidth link", kCloudTpu}, {"peaks on_chip latency", kScalingBook}, {"price", kGooglePrice}}},
        {{.name = "TPU-v6e",
          .description = "Google TPU v6e (Trillium), one chip",
          .flop_per_s = peaks({.bf16 = 918, .int8 = 1836}),
          .memory_bytes = 32 * kGiB,
          .memory_bandwidth_bytes_per_s = 1.64e12,
          .on_chip_bytes = 128 * kMiB,
          .link_bandwidth_bytes_per_s = 4.0e11,
          .link_latency_s = 1e-6,
          .price_per_hour = 2.70},
         {{"peaks memory bandwidth link", kCloudTpu}, {"on_chip latency", kScalingBook}, {"price", kGooglePrice}}},
        {{.name = "Gaudi-3",
          .description = "Intel Gaudi 3 128 GB",
          .flop_per_s = peaks({.fp32 = 229, .bf16 = 1835, .fp8 = 1835}),
          .memory_bytes = 128 * kGiB,
          .memory_bandwidth_bytes_per_s = 3.67e12,
          .on_chip_bytes = 96 * kMiB,
          .link_bandwidth_bytes_per_s = 525e9},
         {{"peaks memory bandwidth on_chip link",
           "Intel Gaudi 3 AI accelerator white paper and Hot Chips 2024 talk: matrix engines, 21 ports of 200 Gb/s to its peers"}}},
    };
}

std::vector<CatalogRow> apple() {
    const auto row = [](const char* name, const char* description, double tera, double gib, double bandwidth, double cache_mib) {
        return CatalogRow{{.name = name,
                           .description = description,
                           .flop_per_s = peaks({.fp32 = tera, .fp16 = tera}),
                           .memory_bytes = gib * kGiB,
                           .memory_bandwidth_bytes_per_s = bandwidth,
                           .on_chip_bytes = cache_mib * kMiB},
                          {{"peaks on_chip", kApplePeaks},
                           {"memory bandwidth", "Apple technical specifications (support.apple.com), largest configuration"}}};
    };
    return {row("M2-Max", "Apple M2 Max, 38 GPU cores", 13.6, 96, 400e9, 48),
            row("M2-Ultra", "Apple M2 Ultra, 76 GPU cores", 27.2, 192, 800e9, 96),
            row("M3-Max", "Apple M3 Max, 40 GPU cores", 14.1, 128, 400e9, 48),
            row("M3-Ultra", "Apple M3 Ultra, 80 GPU cores", 28.2, 512, 819e9, 96),
            row("M4-Max", "Apple M4 Max, 40 GPU cores", 16.2, 128, 546e9, 48)};
}

std::vector<CatalogRow> processors() {
    return {
        {{.name = "Xeon-8480",
          .description = "Intel Xeon Platinum 8480+ (Sapphire Rapids), 56 cores, one socket",
          .flop_per_s = peaks({.fp32 = 7.2, .bf16 = 114.7, .int8 = 229.4}),
          .memory_bytes = 512 * kGiB,
          .memory_bandwidth_bytes_per_s = 307.2e9,
          .on_chip_bytes = 105 * kMiB},
         {{"peaks", "Intel optimization manual: AMX 1024 bf16 and 2048 int8, AVX-512 64 fp32 operations a cycle; 56 cores at 2.0 GHz"},
          {"bandwidth on_chip", "ark.intel.com 231746: 8 channels of DDR5-4800, 105 MB"},
          {"memory", "8 modules of 64 GiB"}}},
        {{.name = "EPYC-9654",
          .description = "AMD EPYC 9654 (Genoa), 96 cores, one socket",
          .flop_per_s = peaks({.fp32 = 7.4, .bf16 = 14.7, .int8 = 29.5}),
          .memory_bytes = 768 * kGiB,
          .memory_bandwidth_bytes_per_s = 460.8e9,
          .on_chip_bytes = 384 * kMiB},
         {{"peaks", "AMD Zen 4 optimization guide: two 256-bit FMA a cycle, bf16 twice and VNNI four times that; 96 cores at 2.4 GHz"},
          {"bandwidth on_chip", "amd.com EPYC 9654: 12 channels of DDR5-4800, 384 MB"},
          {"memory", "12 modules of 64 GiB"}}},
        {{.name = "Graviton4",
          .description = "AWS Graviton4, 96 cores, one socket",
          .flop_per_s = peaks({.fp32 = 8.6, .fp16 = 17.2, .bf16 = 34.4, .int8 = 68.8}),
          .memory_bytes = 768 * kGiB,
          .memory_bandwidth_bytes_per_s = 537.6e9,
          .on_chip_bytes = 36 * kMiB,
          .price_per_hour = 5.66},
         {{"peaks", "Arm Neoverse V2 optimization guide: four 128-bit pipes, BFMMLA and SMMLA; 96 cores at 2.8 GHz"},
          {"bandwidth on_chip", "aws.amazon.com/ec2/graviton: 12 channels of DDR5-5600, 36 MB"},
          {"memory price", "aws.amazon.com/ec2/pricing: r8g.24xlarge, on demand, 2025"}}},
        {{.name = "Raspberry-Pi-5",
          .description = "Raspberry Pi 5 8 GB, four Cortex-A76 at 2.4 GHz",
          .flop_per_s = peaks({.fp32 = 0.1536, .fp16 = 0.3072, .int8 = 0.6144}),
          .memory_bytes = 8 * kGiB,
          .memory_bandwidth_bytes_per_s = 17.07e9,
          .on_chip_bytes = 2 * kMiB},
         {{"peaks", "Arm Cortex-A76 optimization guide: two 128-bit pipes, SDOT; 4 cores at 2.4 GHz"},
          {"memory bandwidth on_chip", "Raspberry Pi 5 product brief: 32 bits of LPDDR4X-4267, 2 MB"}}},
    };
}

// What else people call them.
constexpr std::array<std::pair<std::string_view, std::string_view>, 21> kAliases{{
    {"A100", "A100-80GB"},
    {"A100-40", "A100-40GB"},
    {"A100-80", "A100-80GB"},
    {"A100-SXM", "A100-80GB"},
    {"A100-SXM4", "A100-80GB"},
    {"A100-SXM-40GB", "A100-40GB"},
    {"A100-SXM4-40GB", "A100-40GB"},
    {"H100-SXM5", "H100-SXM"},
    {"H100", "H100-SXM"},
    {"RTX-A6000", "A6000"},
    {"3090", "RTX-3090"},
    {"4090", "RTX-4090"},
    {"5090", "RTX-5090"},
    {"v5e", "TPU-v5e"},
    {"v5p", "TPU-v5p"},
    {"v6e", "TPU-v6e"},
    {"Trillium", "TPU-v6e"},
    {"Genoa", "EPYC-9654"},
    {"Xeon-8480+", "Xeon-8480"},
    {"Sapphire Rapids", "Xeon-8480"},
    {"RPi5", "Raspberry-Pi-5"},
}};

}  // namespace

std::span<const CatalogRow> catalog() {
    static const std::vector<CatalogRow> rows = [] {
        std::vector<CatalogRow> all;
        for (auto part : {nvidia_data_center(), nvidia_desktop(), other_accelerators(), apple(), processors()}) {
            std::move(part.begin(), part.end(), std::back_inserter(all));
        }
        return all;
    }();
    return rows;
}

const CatalogRow* find_in_catalog(std::string_view name) {
    std::string wanted = folded_name(name);
    for (const auto& [alias, of] : kAliases) {
        if (folded_name(alias) == wanted) wanted = folded_name(of);
    }
    for (const std::string_view vendor : {"nvidia", "geforce", "amd", "instinct", "intel", "google", "apple", "aws"}) {
        if (wanted.starts_with(vendor)) wanted.erase(0, vendor.size());
    }
    for (const CatalogRow& row : catalog()) {
        if (folded_name(row.hardware.name) == wanted) return &row;
    }
    // "H100-SXM-80GB": the size of its memory may stand behind a name, if it is that.
    if (!wanted.ends_with("gb")) return nullptr;
    const std::string_view name_and_size = std::string_view(wanted).substr(0, wanted.size() - 2);
    for (std::size_t at = name_and_size.size(); at > 1 && name_and_size[at - 1] >= '0' && name_and_size[at - 1] <= '9'; --at) {
        const std::string_view size = name_and_size.substr(at - 1);
        const CatalogRow* row = find_in_catalog(name_and_size.substr(0, at - 1));
        if (row != nullptr && std::to_string(std::llround(row->hardware.memory_bytes / kGiB)) == size) return row;
    }
    return nullptr;
}

std::vector<std::string_view> numbers_without_source(const CatalogRow& row) {
    const Hardware& h = row.hardware;
    const auto has_source = [&](std::string_view number) {
        return std::ranges::any_of(row.sources,
                                   [&](const Source& s) { return s.numbers.find(number) != std::string_view::npos && !s.text.empty(); });
    };
    std::vector<std::string_view> missing;
    const auto need = [&](std::string_view number, bool present) {
        if (present && !has_source(number)) missing.push_back(number);
    };
    need("peaks", true);
    need("memory", true);
    need("bandwidth", true);
    need("on_chip", h.on_chip_bytes.has_value());
    need("link", h.link_bandwidth_bytes_per_s.has_value());
    need("latency", h.link_latency_s.has_value());
    need("price", h.price_per_hour.has_value());
    return missing;
}

}  // namespace rafter::hardware
