// The facts about a backend's options that need no backend.
#include "backend/backend.h"

#include <array>

namespace rafter::backend {
namespace {

constexpr std::array kTypes = {KvType::kF32, KvType::kF16, KvType::kBF16, KvType::kQ8, KvType::kQ4};

}  // namespace

std::span<const KvType> kv_types() { return kTypes; }

std::string_view to_string(KvType type) {
    switch (type) {
        case KvType::kF32:
            return "f32";
        case KvType::kF16:
            return "f16";
        case KvType::kBF16:
            return "bf16";
        case KvType::kQ8:
            return "q8";
        case KvType::kQ4:
            return "q4";
    }
    return "";
}

std::optional<KvType> kv_type_from_name(std::string_view name) {
    for (const KvType type : kTypes) {
        if (to_string(type) == name) return type;
    }
    return std::nullopt;
}

void DeviceModel::run_rows(std::size_t n_rows, const std::function<void(std::size_t row, unsigned thread)>& work) {
    for (std::size_t row = 0; row < n_rows; ++row) work(row, 0);
}

std::size_t kv_row_bytes(KvType type, std::size_t n_elements) {
    const std::size_t n_groups = (n_elements + kKvGroup - 1) / kKvGroup;
    switch (type) {
        case KvType::kF32:
            return n_elements * 4;
        case KvType::kF16:
        case KvType::kBF16:
            return n_elements * 2;
        case KvType::kQ8:
            return n_elements + n_groups * 2;
        case KvType::kQ4:
            return (n_elements + 1) / 2 + n_groups * 4;
    }
    return 0;
}

}  // namespace rafter::backend
