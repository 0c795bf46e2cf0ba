// The size has an option of its own: a path may hold a colon, and other sizes on the command line are written as this one.
#include "apps/kv_disk.h"

#include <fmt/format.h>

#include "base/os_memory.h"
#include "report/units.h"

namespace rafter::apps {

void add_kv_disk_options(OptionSet& options, KvDiskOptions& kv_disk) {
    options.add("kv-disk", kv_disk.path);
    options.add("kv-disk-size", kv_disk.size_bytes);
}

nlohmann::ordered_json kv_disk_json(const engine::KvDisk& disk) {
    const engine::KvDiskCounters& n = disk.counters();
    return {{"slots", disk.n_slots()},
            {"blocks", disk.n_blocks()},
            {"blocks_at_open", n.blocks_at_open},
            {"blocks_written", n.blocks_written},
            {"bytes_written", n.bytes_written},
            {"write_seconds", n.write_seconds},
            {"blocks_replaced", n.blocks_replaced},
            {"blocks_restored", n.blocks_restored},
            {"tokens_restored", n.tokens_restored},
            {"bytes_read", n.bytes_read},
            {"read_seconds", n.read_seconds},
            {"recompute_seconds", n.recompute_seconds},
            {"rejected",
             {{"damaged", n.damaged},
              {"orphaned", n.orphaned},
              {"skipped_slow_read", n.skipped_slow_read},
              {"skipped_slow_write", n.skipped_slow_write},
              {"skipped_no_memory", n.skipped_no_memory}}}};
}

namespace {

std::string counted_blocks(std::uint64_t n) { return fmt::format("{} block{}", report::grouped(n), n == 1 ? "" : "s"); }

}  // namespace

std::string kv_disk_text(const engine::KvDisk& disk) {
    using report::grouped;
    const engine::KvDiskCounters& n = disk.counters();
    std::string text;
    if (n.blocks_restored > 0) {
        text += fmt::format("restored {} ({} tokens, {}) in {}", counted_blocks(n.blocks_restored), grouped(n.tokens_restored),
                            format_bytes(n.bytes_read), report::duration(n.read_seconds));
        if (n.recompute_seconds > 0.0) text += fmt::format(" instead of {}", report::duration(n.recompute_seconds));
        text += " · ";
    }
    if (n.blocks_written > 0) {
        text += fmt::format("wrote {} ({}) in {} · ", counted_blocks(n.blocks_written), format_bytes(n.bytes_written),
                            report::duration(n.write_seconds));
    }
    text += fmt::format("holds {} of at most {} blocks", grouped(disk.n_blocks()), grouped(disk.n_slots()));
    if (n.damaged > 0) text += fmt::format(" · {} damaged", grouped(n.damaged));
    if (n.orphaned > 0) text += fmt::format(" · {} unusable because a block before them is missing", grouped(n.orphaned));
    if (n.skipped_slow_read > 0) text += fmt::format(" · {} computed, which was faster than restoring them", grouped(n.skipped_slow_read));
    if (n.skipped_slow_write > 0)
        text += fmt::format(" · {} not written, because computing them again is cheap", grouped(n.skipped_slow_write));
    return text;
}

}  // namespace rafter::apps
