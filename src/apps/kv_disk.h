// The KV cache's file on the command line: its options, and what it did.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "apps/options/verb.h"
#include "engine/offload/kv_disk.h"

namespace rafter::apps {

struct KvDiskOptions {
    std::string path;  // "": none
    std::uint64_t size_bytes = 4'000'000'000;

    [[nodiscard]] bool on() const { return !path.empty(); }
};
// --kv-disk, --kv-disk-size.
void add_kv_disk_options(OptionSet& options, KvDiskOptions& kv_disk);

[[nodiscard]] nlohmann::ordered_json kv_disk_json(const engine::KvDisk& disk);
// "read 62 blocks (992 tokens, 22.9 MB) in 14 ms instead of 1.3 s · wrote 5 blocks (1.8 MB) in 2 ms · holds 67 of 11,397"
[[nodiscard]] std::string kv_disk_text(const engine::KvDisk& disk);

}  // namespace rafter::apps
