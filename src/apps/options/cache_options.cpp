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
         .help = "Tokens that a sequence may have, prompt and answer together"},
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
         .help = "Positions a block of the KV cache: the smallest part that is shared or evicted"},
        {.name = "kv-disk",
         .subject = kCacheSubject,
         .kind = ValueKind::kFile,
         .value = "FILE",
         .help = "A file for blocks that the KV cache evicts; restored, in later runs too, where that beats computing"},
        {.name = "kv-disk-size",
         .subject = kCacheSubject,
         .kind = ValueKind::kBytes,
         .value = "SIZE",
         .default_value = "4GB",
         .needs = "kv-disk",
         .help = "Bytes that this file may take; blocks of least worth are evicted first"},
        {.name = "kv-memory",
         .subject = kCacheSubject,
         .kind = ValueKind::kBytes,
         .value = "SIZE",
         .otherwise = "what is available",
         .help = "Bytes that the KV cache may take: 512MB, 2GB"},
        {.name = "no-prefix-cache", .subject = kCacheSubject, .help = "Compute every prompt from its beginning"},
    };
}

}  // namespace rafter::apps
