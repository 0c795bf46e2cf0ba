// Structs as they lie in memory: the identity is one build's, on one machine.
#include "engine/offload/kv_disk_format.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstring>
#include <type_traits>

#include "base/check.h"
#include "base/xxh3.h"

namespace rafter::engine {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr std::uint64_t kMagic = 0x564B524554464152U;  // "RAFTERKV"
constexpr std::uint32_t kVersion = 2;                  // 2: hashes are XXH3
constexpr std::uint64_t kPage = 4096;
constexpr kv::SlotId kSlotsAnExtent = 1024;
constexpr std::size_t kChecksumBytes = sizeof(std::uint64_t);  // what comes first, and covers the rest

struct HeaderHead {
    std::uint64_t magic = kMagic;
    std::uint64_t checksum = 0;  // of all that follows in the header
    std::uint32_t version = kVersion;
    std::uint32_t block_size = 0;
    std::uint64_t block_bytes = 0;
    std::uint64_t identity = 0;
    char description[256] = {};  // ends with a zero
};
static_assert(std::is_trivially_copyable_v<HeaderHead> && sizeof(HeaderHead) <= kKvFileHeaderBytes);
constexpr std::size_t kHeaderCovered = offsetof(HeaderHead, version);

struct RecordHead {
    std::uint64_t checksum = 0;
    std::uint64_t id = 0;
    std::uint64_t parent = 0;
    std::uint64_t hash = 0;
    std::uint64_t data_checksum = 0;
    double clock = 0.0;
    std::uint32_t depth = 0;
    std::uint32_t n_salt = 0;
    char salt[kMaxDiskSaltBytes] = {};
};
static_assert(std::is_trivially_copyable_v<RecordHead> && sizeof(RecordHead) == 56 + kMaxDiskSaltBytes);

constexpr std::uint64_t round_up(std::uint64_t n, std::uint64_t unit) { return (n + unit - 1) / unit * unit; }

std::uint64_t record_checksum(const KvFileIdentity& identity, kv::SlotId slot, std::span<const std::byte> bytes) {
    return xxh3(bytes.subspan(kChecksumBytes), identity.hash ^ (std::uint64_t{slot} << 32U));
}

}  // namespace

std::vector<std::byte> encode_header(const KvFileIdentity& identity) {
    HeaderHead head{.block_size = identity.block_size, .block_bytes = identity.block_bytes, .identity = identity.hash};
    identity.description.copy(head.description, sizeof(head.description) - 1);
    std::vector<std::byte> bytes(kKvFileHeaderBytes);
    std::memcpy(bytes.data(), &head, sizeof(head));
    head.checksum = xxh3(std::span<const std::byte>(bytes).subspan(kHeaderCovered));
    std::memcpy(bytes.data(), &head, sizeof(head));
    return bytes;
}

KvFileHeader decode_header(std::span<const std::byte> bytes, const KvFileIdentity& identity) {
    HeaderHead head;
    if (bytes.empty()) return {.state = KvFileState::kEmpty, .description = {}};
    if (bytes.size() < sizeof(head.magic)) return {.state = KvFileState::kForeign, .description = {}};
    std::memcpy(&head, bytes.data(), std::min(bytes.size(), sizeof(head)));
    if (head.magic != kMagic) return {.state = KvFileState::kForeign, .description = {}};
    // Another version's checksum may be another one, too.
    if (bytes.size() >= kKvFileHeaderBytes && head.version != kVersion) return {.state = KvFileState::kVersion, .description = {}};
    if (bytes.size() < kKvFileHeaderBytes || head.checksum != xxh3(bytes.first(kKvFileHeaderBytes).subspan(kHeaderCovered))) {
        return {.state = KvFileState::kDamaged, .description = {}};
    }
    head.description[sizeof(head.description) - 1] = '\0';
    const bool ours = head.block_size == identity.block_size && head.block_bytes == identity.block_bytes && head.identity == identity.hash;
    return {.state = ours ? KvFileState::kOurs : KvFileState::kOther, .description = head.description};
}

KvFileLayout::KvFileLayout(const KvFileIdentity& identity)
    : record_bytes_(round_up(sizeof(RecordHead) + identity.block_size * sizeof(kv::Token), 64)),
      slot_bytes_(round_up(identity.block_bytes, kPage)),
      records_bytes_(round_up(kSlotsAnExtent * record_bytes_, kPage)) {}

std::uint64_t KvFileLayout::record_offset(kv::SlotId slot) const {
    const std::uint64_t extent = slot / kSlotsAnExtent;
    return kKvFileHeaderBytes + extent * (records_bytes_ + kSlotsAnExtent * slot_bytes_) + slot % kSlotsAnExtent * record_bytes_;
}

std::uint64_t KvFileLayout::data_offset(kv::SlotId slot) const {
    const std::uint64_t extent = slot / kSlotsAnExtent;
    return kKvFileHeaderBytes + extent * (records_bytes_ + kSlotsAnExtent * slot_bytes_) + records_bytes_ +
           slot % kSlotsAnExtent * slot_bytes_;
}

kv::SlotId KvFileLayout::n_to_extents_end(kv::SlotId slot) { return kSlotsAnExtent - slot % kSlotsAnExtent; }

kv::SlotId KvFileLayout::n_slots(std::uint64_t file_bytes) const {
    constexpr std::uint64_t kMax = std::uint64_t{1} << 31U;
    std::uint64_t low = 0;
    std::uint64_t high = std::min(kMax, file_bytes / std::max<std::uint64_t>(1, slot_bytes_));
    while (low < high) {  // the largest that fits
        const std::uint64_t middle = low + (high - low + 1) / 2;
        if (end(static_cast<kv::SlotId>(middle - 1)) <= file_bytes) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    return static_cast<kv::SlotId>(low);
}

std::uint64_t data_checksum(const KvFileIdentity& identity, std::uint64_t node_id, std::span<const std::byte> data) {
    return xxh3(data, identity.hash + node_id);
}

void encode_record(const KvFileIdentity& identity, const KvFileRecord& record, std::span<std::byte> to) {
    const kv::DiskRecord& node = record.node;
    RAFTER_CHECK(node.tokens.size() == identity.block_size && node.salt.size() <= kMaxDiskSaltBytes &&
                     to.size() >= sizeof(RecordHead) + node.tokens.size() * sizeof(kv::Token),
                 "a record of {} tokens", node.tokens.size());
    RecordHead head{.id = node.id,
                    .parent = node.parent,
                    .hash = node.hash,
                    .data_checksum = record.data_checksum,
                    .clock = node.clock,
                    .depth = node.depth,
                    .n_salt = static_cast<std::uint32_t>(node.salt.size())};
    node.salt.copy(head.salt, node.salt.size());
    std::ranges::fill(to, std::byte{0});
    std::memcpy(to.data(), &head, sizeof(head));
    std::memcpy(to.data() + sizeof(head), node.tokens.data(), node.tokens.size() * sizeof(kv::Token));
    head.checksum = record_checksum(identity, node.slot, to);
    std::memcpy(to.data(), &head, sizeof(head));
}

std::optional<KvFileRecord> decode_record(const KvFileIdentity& identity, kv::SlotId slot, std::span<const std::byte> bytes) {
    RecordHead head;
    if (bytes.size() < sizeof(head) + identity.block_size * sizeof(kv::Token)) return std::nullopt;
    std::memcpy(&head, bytes.data(), sizeof(head));
    if (head.checksum != record_checksum(identity, slot, bytes) || head.n_salt > kMaxDiskSaltBytes) return std::nullopt;
    KvFileRecord record{.node = {.slot = slot,
                                 .id = head.id,
                                 .parent = head.parent,
                                 .hash = head.hash,
                                 .depth = head.depth,
                                 .clock = head.clock,
                                 .salt = std::string(head.salt, head.n_salt),
                                 .tokens = std::vector<kv::Token>(identity.block_size)},
                        .data_checksum = head.data_checksum};
    std::memcpy(record.node.tokens.data(), bytes.data() + sizeof(head), identity.block_size * sizeof(kv::Token));
    return record;
}

bool is_blank(std::span<const std::byte> bytes) {
    return std::ranges::all_of(bytes, [](std::byte byte) { return byte == std::byte{0}; });
}

}  // namespace rafter::engine
