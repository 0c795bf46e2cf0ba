// How blocks of the KV cache lie in a file (engine/offload/kv_disk.h): a header that says whose they are, then extents of 1,024 slots each,
// first the slots' records, then their keys and values. All of it is untrusted when it is read.
//
// Nothing is ever half trusted, in whatever order a crash let writes come to the disk: a record's checksum covers all of it and is seeded
// with the file's identity and the slot; the record holds its data's checksum, seeded with identity and node. So old data beside a new
// record, new data beside an old one, or anything of another model's, is a damaged block, and its tokens are computed again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "kv/disk_index.h"

namespace rafter::engine {

inline constexpr std::size_t kKvFileHeaderBytes = 4096;
inline constexpr std::size_t kMaxDiskSaltBytes = 128;  // prompts of longer salts stay out

// Keys and values are only good for who would compute the same bits.
struct KvFileIdentity {
    std::uint64_t hash = 0;   // of all that they depend on: model_identity.h
    std::string description;  // of the same, for people: "SmolLM2, f16, avx2"
    std::uint32_t block_size = 16;
    std::uint64_t block_bytes = 0;
};

enum class KvFileState {
    kEmpty,    // no bytes at all
    kOurs,     // holds blocks of this identity
    kOther,    // of another one
    kVersion,  // another version of rafter wrote it
    kDamaged,  // begins as such a file does, and the header is not right
    kForeign,  // something else: somebody's file
};
struct KvFileHeader {
    KvFileState state = KvFileState::kForeign;
    std::string description;  // of whose blocks they are, where they are another's
};
[[nodiscard]] std::vector<std::byte> encode_header(const KvFileIdentity& identity);
// bytes: the file's first kKvFileHeaderBytes, or all of a shorter one.
[[nodiscard]] KvFileHeader decode_header(std::span<const std::byte> bytes, const KvFileIdentity& identity);

class KvFileLayout {
  public:
    explicit KvFileLayout(const KvFileIdentity& identity);

    [[nodiscard]] std::size_t record_bytes() const { return record_bytes_; }
    [[nodiscard]] std::uint64_t record_offset(kv::SlotId slot) const;
    [[nodiscard]] std::uint64_t data_offset(kv::SlotId slot) const;
    // Slots from this one to the end of its extent: their records are neighbours.
    [[nodiscard]] static kv::SlotId n_to_extents_end(kv::SlotId slot);
    // The most slots that a file of this size has.
    [[nodiscard]] kv::SlotId n_slots(std::uint64_t file_bytes) const;
    [[nodiscard]] std::uint64_t file_bytes(kv::SlotId n_slots) const { return n_slots == 0 ? kKvFileHeaderBytes : end(n_slots - 1); }

  private:
    [[nodiscard]] std::uint64_t end(kv::SlotId slot) const { return data_offset(slot) + slot_bytes_; }

    std::size_t record_bytes_;
    std::uint64_t slot_bytes_;
    std::uint64_t records_bytes_;  // of an extent
};

// What is written of a slot beside its data.
struct KvFileRecord {
    kv::DiskRecord node;
    std::uint64_t data_checksum = 0;
};
[[nodiscard]] std::uint64_t data_checksum(const KvFileIdentity& identity, std::uint64_t node_id, std::span<const std::byte> data);
// to: [record_bytes]. The salt must have kMaxDiskSaltBytes at most.
void encode_record(const KvFileIdentity& identity, const KvFileRecord& record, std::span<std::byte> to);
// None where it is damaged. bytes: [record_bytes].
[[nodiscard]] std::optional<KvFileRecord> decode_record(const KvFileIdentity& identity, kv::SlotId slot, std::span<const std::byte> bytes);
// Zeros: no record was ever written there.
[[nodiscard]] bool is_blank(std::span<const std::byte> bytes);

}  // namespace rafter::engine
