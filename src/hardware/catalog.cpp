// Finds a row by what people, drivers and clouds call the device.
#include "hardware/catalog.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <iterator>
#include <string>
#include <utility>

#include "base/folded_name.h"
#include "hardware/catalog_rows.h"

namespace rafter::hardware {
namespace {

// What else people call them. A name without a form or a size is that of the device that is meant most often.
constexpr auto kAliases = std::to_array<std::pair<std::string_view, std::string_view>>({
    {"A100", "A100-80GB"},
    {"A100-40", "A100-40GB"},
    {"A100-80", "A100-80GB"},
    {"A100-SXM", "A100-80GB"},
    {"A100-SXM4", "A100-80GB"},
    {"A100-SXM-40GB", "A100-40GB"},
    {"A100-SXM4-40GB", "A100-40GB"},
    {"A100-40GB-PCIe", "A100-PCIe-40GB"},
    {"A100-80GB-PCIe", "A100-PCIe-80GB"},
    {"V100-SXM2-16GB", "V100-16GB"},
    {"V100-SXM2-32GB", "V100-32GB"},
    {"V100-SXM3-32GB", "V100-32GB"},
    {"V100-SXM-16GB", "V100-16GB"},
    {"V100-SXM-32GB", "V100-32GB"},
    {"H100-SXM5", "H100-SXM"},
    {"H100", "H100-SXM"},
    {"H200-SXM", "H200"},
    {"H200-SXM5", "H200"},
    {"GH200-480GB", "GH200"},  // nvidia-smi names the size of its processor's memory
    {"GH200-144G", "GH200-144GB"},
    {"B200-SXM", "B200"},
    {"B200-SXM6", "B200"},
    {"B300-SXM", "B300"},
    {"B300-SXM6", "B300"},
    {"B300-SXM6-AC", "B300"},
    {"RTX-A6000", "A6000"},
    {"6000-Ada", "RTX-6000-Ada"},
    {"RTX-PRO-6000-WS", "RTX-PRO-6000"},
    {"GB10", "DGX-Spark"},
    {"3090", "RTX-3090"},
    {"4090", "RTX-4090"},
    {"5090", "RTX-5090"},
    {"9070-XT", "RX-9070-XT"},
    {"Ryzen-AI-Max-395", "Strix-Halo"},
    {"Ryzen-AI-Max-Pro-395", "Strix-Halo"},
    {"Ryzen-AI-Max-395-w-Radeon-8060S", "Strix-Halo"},
    {"Ryzen-AI-Max-Pro-395-w-Radeon-8060S", "Strix-Halo"},
    {"AI-Max-395", "Strix-Halo"},
    {"8060S", "Strix-Halo"},
    {"v5e", "TPU-v5e"},
    {"v5p", "TPU-v5p"},
    {"v6e", "TPU-v6e"},
    {"Trillium", "TPU-v6e"},
    {"trn2", "Trainium2"},
    {"Genoa", "EPYC-9654"},
    {"Xeon-8480+", "Xeon-8480"},
    {"Sapphire Rapids", "Xeon-8480"},
    {"RPi5", "Raspberry-Pi-5"},
});

constexpr auto kVendors = std::to_array<std::string_view>(
    {"nvidia", "geforce", "tesla", "amd", "radeon", "instinct", "intel", "google", "apple", "aws", "amazon"});
// Words beside a name that tell no two rows apart.
constexpr auto kPlainWords = std::to_array<std::string_view>({"accelerator", "blackwell", "cloud", "edition", "generation", "gpu",
                                                              "graphics", "hbm2", "hbm2e", "hbm3", "hbm3e", "oam", "workstation"});

template <typename Words>
bool is_one_of(const Words& words, std::string_view word) {
    return std::ranges::find(words, word) != std::ranges::end(words);
}
bool is_number(std::string_view text) {
    return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

// In lower case, without vendors and plain words; "80 GB" is one word.
std::vector<std::string> words_of(std::string_view name) {
    std::vector<std::string> words;
    for (std::size_t at = 0; at < name.size();) {
        std::size_t end = at;
        while (end < name.size() && std::isalnum(static_cast<unsigned char>(name[end])) != 0) ++end;
        if (std::string word = folded_name(name.substr(at, end - at)); word == "gb" && !words.empty() && is_number(words.back())) {
            words.back() += word;
        } else if (!word.empty() && !is_one_of(kVendors, word) && !is_one_of(kPlainWords, word)) {
            words.push_back(std::move(word));
        }
        at = std::max(end, at + 1);
    }
    return words;
}

std::string joined(const std::vector<std::string>& words) {
    std::string text;
    for (const std::string& word : words) text += word;
    for (bool again = true; again;) {  // "nvidiah100" is one word
        again = false;
        for (const std::string_view vendor : kVendors) {
            if (!text.starts_with(vendor)) continue;
            text.erase(0, vendor.size());
            again = true;
        }
    }
    return text;
}

const CatalogRow* find_exact(const std::string& wanted) {
    std::string_view name;
    for (const auto& [alias, of] : kAliases) {
        if (joined(words_of(alias)) == wanted) name = of;
    }
    for (const CatalogRow& row : catalog()) {
        if (name.empty() ? joined(words_of(row.hardware.name)) == wanted : row.hardware.name == name) return &row;
    }
    return nullptr;
}

// Whether "16GB" is said of the row: as its chips hold, or as its description says.
bool has_size(const CatalogRow& row, std::string_view gigabytes) {
    if (std::to_string(std::llround(row.hardware.memory_bytes / kGiB)) == gigabytes) return true;
    return is_one_of(words_of(row.hardware.description), std::string(gigabytes) + "gb");
}

}  // namespace

std::array<std::optional<double>, kPrecisions> peaks(const Rates& tera) {
    constexpr double kTera = 1e12;
    std::array<std::optional<double>, kPrecisions> rates;
    const std::array all{tera.fp32, tera.fp16, tera.bf16, tera.fp8, tera.fp4, tera.int8, tera.int4};
    for (std::size_t i = 0; i < kPrecisions; ++i) {
        if (all[i]) rates[i] = *all[i] * kTera;
    }
    return rates;
}

std::array<std::string, kPrecisions> units(const Units& names) {
    std::array<std::string, kPrecisions> all;
    all[static_cast<std::size_t>(Precision::kFp32)] = names.fp32;
    all[static_cast<std::size_t>(Precision::kBf16)] = names.bf16;
    all[static_cast<std::size_t>(Precision::kInt8)] = names.int8;
    return all;
}

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
    const std::vector<std::string> words = words_of(name);
    const std::string wanted = joined(words);
    if (const CatalogRow* row = find_exact(wanted)) return row;
    // "H100 80GB HBM3": the size of its memory may stand in a name, if it is that.
    for (std::size_t i = 0; i < words.size(); ++i) {
        if (!words[i].ends_with("gb")) continue;
        std::vector<std::string> rest = words;
        rest.erase(rest.begin() + static_cast<std::ptrdiff_t>(i));
        const CatalogRow* row = find_exact(joined(rest));
        if (row != nullptr && has_size(*row, std::string_view(words[i]).substr(0, words[i].size() - 2))) return row;
    }
    if (!wanted.ends_with("gb")) return nullptr;  // "h100sxm80gb"
    const std::string_view name_and_size = std::string_view(wanted).substr(0, wanted.size() - 2);
    for (std::size_t at = name_and_size.size(); at > 1 && is_number(name_and_size.substr(at - 1, 1)); --at) {
        const CatalogRow* row = find_exact(std::string(name_and_size.substr(0, at - 1)));
        if (row != nullptr && has_size(*row, name_and_size.substr(at - 1))) return row;
    }
    return nullptr;
}

std::vector<const CatalogRow*> candidates_in_catalog(std::string_view name) {
    std::vector<const CatalogRow*> candidates;
    const std::vector<std::string> words = words_of(name);
    if (words.empty()) return candidates;
    for (const CatalogRow& row : catalog()) {
        const std::vector<std::string> of_row = words_of(row.hardware.name + " " + row.hardware.description);
        if (std::ranges::all_of(words, [&](const std::string& word) { return is_one_of(of_row, word); })) candidates.push_back(&row);
    }
    return candidates;
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
