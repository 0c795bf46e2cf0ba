// Fuzzes the file of KV cache blocks: whatever its bytes, it must be opened or refused, read and written without a crash, and its index
// must hold together. The input is laid over a file that a program wrote, as it is or as records whose checksums are right.
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "base/check.h"
#include "engine/offload/kv_disk.h"

namespace {

using namespace rafter;
using engine::KvFileIdentity;

constexpr std::uint32_t kBlockSize = 2;
constexpr std::size_t kBlockBytes = 64;
constexpr std::uint32_t kBlocks = 8;  // in memory
constexpr kv::SlotId kSlots = 6;

class Memory : public backend::DeviceModel {
  public:
    Memory() { program_.cache_groups.push_back({.window = 0, .layers = {}}); }
    [[nodiscard]] backend::StepOutput forward(const backend::Batch& /*batch*/) override { return {}; }
    [[nodiscard]] const model::Program& program() const override { return program_; }
    [[nodiscard]] backend::MemoryUse memory() const override { return {}; }
    [[nodiscard]] std::size_t block_bytes(std::size_t /*group*/) const override { return kBlockBytes; }
    void read_block(std::size_t /*group*/, backend::BlockId block, std::span<std::byte> to) const override {
        std::memcpy(to.data(), blocks_.at(block).data(), to.size());
    }
    void write_block(std::size_t /*group*/, backend::BlockId block, std::span<const std::byte> from) override {
        std::memcpy(blocks_.at(block).data(), from.data(), from.size());
    }
    void set_timing(bool /*on*/) override {}
    [[nodiscard]] std::span<const double> op_seconds() const override { return {}; }

  private:
    model::Program program_;
    std::array<std::array<std::byte, kBlockBytes>, kBlocks> blocks_{};
};

class Input {
  public:
    explicit Input(std::span<const std::uint8_t> bytes) : bytes_(bytes) {}
    [[nodiscard]] bool empty() const { return bytes_.empty(); }
    std::uint8_t byte() {
        if (bytes_.empty()) return 0;
        const std::uint8_t byte = bytes_.front();
        bytes_ = bytes_.subspan(1);
        return byte;
    }
    std::uint64_t word() {
        std::uint64_t word = byte();
        if (word < 250) return word;  // mostly small ones, that fit together
        for (int i = 0; i < 8; ++i) word = word << 8U | byte();
        return word;
    }

  private:
    std::span<const std::uint8_t> bytes_;
};

kv::DiskRecord record_of(Input& input) {
    kv::DiskRecord record{
        .slot = input.byte() % kSlots, .id = input.word(), .parent = input.word(), .depth = static_cast<std::uint32_t>(input.word())};
    if (input.byte() % 8 == 0) {
        const std::uint64_t bits = input.word();
        std::memcpy(&record.clock, &bits, sizeof(bits));
    }
    if (input.byte() % 4 == 0) record.salt.assign(input.byte() % (engine::kMaxDiskSaltBytes + 1), 's');
    for (std::uint32_t i = 0; i < kBlockSize; ++i) record.tokens.push_back(input.byte() % 3);
    record.hash = input.word();
    return record;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Input input({data, size});
    const KvFileIdentity identity{.hash = 5, .description = "fuzz", .block_size = kBlockSize, .block_bytes = kBlockBytes};
    const engine::KvFileLayout layout(identity);
    const std::filesystem::path path = std::filesystem::temp_directory_path() / ("rafter-kv-fuzz-" + std::to_string(getpid()));
    std::filesystem::remove(path);
    {
        auto file = BlockFile::open(path);
        RAFTER_CHECK(file.has_value());
        RAFTER_CHECK(file->write_at(0, engine::encode_header(identity)).has_value());
        for (std::uint8_t n = input.byte() % 16; n > 0 && !input.empty(); --n) {
            engine::KvFileRecord record{.node = record_of(input)};
            const std::vector<std::byte> block(kBlockBytes, static_cast<std::byte>(input.byte()));
            record.data_checksum = input.byte() % 4 == 0 ? input.word() : engine::data_checksum(identity, record.node.id, block);
            // A root's hash that is right; a child's that happens to be right is believed.
            if (input.byte() % 2 == 0 && record.node.parent == 0) {
                kv::DiskIndex index({.block_size = kBlockSize, .n_slots = 1});
                const kv::NodeId node = index.enter(kv::kNoNode, record.node.tokens, record.node.salt);
                RAFTER_CHECK(index.take_slot(node));
                record.node.hash = index.record(node).hash;
            }
            std::vector<std::byte> bytes(layout.record_bytes());
            engine::encode_record(identity, record, bytes);
            const auto decoded = engine::decode_record(identity, record.node.slot, bytes);
            RAFTER_CHECK(decoded && decoded->node.id == record.node.id && decoded->node.tokens == record.node.tokens &&
                         decoded->node.salt == record.node.salt && decoded->data_checksum == record.data_checksum);
            RAFTER_CHECK(file->write_at(layout.record_offset(record.node.slot), bytes).has_value());
            RAFTER_CHECK(file->write_at(layout.data_offset(record.node.slot), block).has_value());
        }
        while (!input.empty()) {  // what is left: bytes anywhere, or an end
            const std::uint64_t place = input.word() | std::uint64_t{input.byte()} << 8U | std::uint64_t{input.byte()} << 16U;
            const std::byte byte{input.byte()};
            if (input.byte() == 0) {
                RAFTER_CHECK(file->cut(place % layout.file_bytes(kSlots)).has_value());
            } else {
                RAFTER_CHECK(file->write_at(place % layout.file_bytes(kSlots), std::span(&byte, 1)).has_value());
            }
        }
    }
    Memory memory;
    auto disk =
        engine::KvDisk::open({.path = path, .size_bytes = layout.file_bytes(kSlots), .identity = identity, .cost = {}, .warn = {}}, memory);
    if (!disk) {
        RAFTER_CHECK(!disk.error().message.empty());
        return 0;
    }
    (*disk)->index().check();
    kv::BlockCache cache({.block_size = kBlockSize,
                          .n_blocks = {kBlocks},
                          .windows = {0},
                          .recompute_seconds = {},
                          .before_eviction = [&](const kv::EvictedBlock& chain) { (*disk)->save(chain); }});
    std::vector<kv::BlockCopy> copies;
    const engine::StepCost cost;
    for (int round = 0; round < 12; ++round) {
        std::vector<kv::Token> tokens;
        for (int i = 0; i < 9; ++i) tokens.push_back((round * 7 + i * (round + 1)) / 4 % 3);
        kv::SequenceBlocks blocks;
        kv::BlockHashes hashes;
        const kv::PrefixKey key = hashes.key(tokens, round % 5 == 4 ? "s" : "", kBlockSize);
        std::uint32_t n = cache.attach(blocks, key, copies).n_tokens;
        n = (*disk)->restore(cache, blocks, {.key = key, .n_computed = n, .n_tokens = 9, .cost = cost, .copies = copies}).n_computed;
        RAFTER_CHECK(n <= tokens.size());
        RAFTER_CHECK(cache.grow(blocks, 9));
        cache.release(blocks, key, 9);
        cache.check({});
        (*disk)->index().check();
    }
    cache.forget_unused();
    (*disk)->index().check();
    return 0;
}
