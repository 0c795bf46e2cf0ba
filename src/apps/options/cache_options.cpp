// The context and the KV cache that holds it.
#include "apps/options/option_spec.h"
#include "backend/backend.h"

namespace rafter::apps {
namespace {

std::vector<std::string> kv_type_names() {
    std::vector<std::string> names;
    for (const backend::KvType type : backend::kv_types()) names.emplace_back(backend::to_string(type));
    return names;
}

}  // namespace

std::vector<OptionSpec> cache_options() {
    return {
        {.name = "context",
         .also = "-c",
         .subject = kCacheSubject,
         .kind = ValueKind::kWhole,
         .value = "N",
         .whole = {.least = 1},
         .help = "At most N tokens per sequence, prompt and answer together"},
        {.name = "kv-type",
         .subject = kCacheSubject,
         .kind = ValueKind::kText,
         .list = ListKind::kPair,
         .value = "TYPE[,TYPE]",
         .choices = kv_type_names(),
         .default_value = "f16",
         .help = "Number type of the KV cache, or of keys and values: f32, f16, bf16, q8 (8.5 bits), q4 (5 bits), q8,q4"},
        {.name = "kv-block",
         .subject = kCacheSubject,
         .kind = ValueKind::kWhole,
         .value = "N",
         .choices = {"16", "32", "64", "128", "256"},
         .default_value = "16",
         .help = "Positions per block of the KV cache; a block is the smallest part that is shared or evicted"},
        {.name = "kv-disk",
         .subject = kCacheSubject,
         .kind = ValueKind::kFile,
         .value = "FILE",
         .help = "Keep evicted blocks of the KV cache in this file; restore them, in later runs too, when that is faster than computing "
                 "them again. With several models (rafter serve): in a folder, with a file for each"},
        {.name = "kv-disk-size",
         .subject = kCacheSubject,
         .kind = ValueKind::kBytes,
         .value = "SIZE",
         .default_value = "4GB",
         .needs = "kv-disk",
         .help = "Size limit of the --kv-disk file, or of all files in its folder together; the blocks that are cheapest to compute again "
                 "are evicted first"},
        {.name = "kv-memory",
         .subject = kCacheSubject,
         .kind = ValueKind::kBytes,
         .value = "SIZE",
         .otherwise = "what is available",
         .help = "Memory limit of the KV cache, such as 512MB or 2GB"},
        {.name = "no-prefix-cache", .subject = kCacheSubject, .help = "Turn the prefix cache off: compute every prompt in full"},
    };
}

}  // namespace rafter::apps
