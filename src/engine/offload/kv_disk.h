// The KV cache on disk: evicted blocks are written to a file, and restored when reading them is predicted to take less than computing them
// again. The file outlives the process, so that the next process finds the prompts of this one.
//
// A restored block equals the computed one bit for bit: kv_disk_format.h says what is checked, and a block that fails a check is computed.
// Nothing here fails a request: where the file or its disk fails, the engine continues without it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "backend/backend.h"
#include "base/os_block_file.h"
#include "engine/measure/step_cost.h"
#include "engine/offload/kv_disk_format.h"
#include "kv/block_cache.h"
#include "kv/disk_index.h"

namespace rafter::engine {

// Sums since it was opened.
struct KvDiskCounters {
    std::uint64_t blocks_at_open = 0;
    std::uint64_t blocks_written = 0;
    std::uint64_t bytes_written = 0;
    double write_seconds = 0.0;
    std::uint64_t blocks_restored = 0;
    std::uint64_t tokens_restored = 0;
    std::uint64_t bytes_read = 0;
    double read_seconds = 0.0;
    double recompute_seconds = 0.0;  // predicted for what was restored; 0 where nothing is known of this machine
    std::uint64_t blocks_replaced = 0;
    // Blocks that were not restored, or not written, by reason.
    std::uint64_t damaged = 0;             // a checksum is wrong
    std::uint64_t orphaned = 0;            // when the file was opened: the blocks before them are missing
    std::uint64_t skipped_slow_read = 0;   // computing them again is predicted to be faster
    std::uint64_t skipped_slow_write = 0;  // writing takes too much of the time that it may save
    std::uint64_t skipped_no_memory = 0;   // memory has no block for them
};

// How long a transfer takes, by those before it: a mean that forgets.
class TransferRate {
  public:
    explicit TransferRate(double bytes_per_s) : prior_bytes_per_s_(bytes_per_s) {}
    [[nodiscard]] double seconds(double bytes) const { return bytes / bytes_per_s(); }
    [[nodiscard]] double bytes_per_s() const;
    void learn(double bytes, double seconds);
    // What was learned counts for less: whoever never tries again never learns that it has become faster.
    void doubt();

  private:
    double prior_bytes_per_s_;
    double bytes_ = 0.0;
    double seconds_ = 0.0;
};

struct KvDiskOptions {
    std::filesystem::path path;
    std::uint64_t size_bytes = 0;  // of the file at most
    KvFileIdentity identity;
    StepCost cost;                                         // knows nothing: everything is written, and read
    std::uint32_t step_tokens = 512;                       // of prompts being computed, together
    std::function<void(const std::string& message)> warn;  // something a person should know; may be empty
};

// One thread, the engine's. Several engines may use one after another, of the same model.
class KvDisk {
  public:
    // model: the one of the identity, with one cache group without a window; outlives this. A file of another identity starts over;
    // a file of another kind is left alone: an error, like a file that another process uses or that cannot be opened.
    [[nodiscard]] static Result<std::unique_ptr<KvDisk>> open(KvDiskOptions options, backend::DeviceModel& model);

    // A block goes, and is written unless it is there. So are a few of those before it, from the first on, though they stay: without them
    // it is lost with this process.
    void save(const kv::EvictedBlock& chain);

    struct Request {
        kv::PrefixKey key;             // tokens that may come from the file
        std::uint32_t n_computed = 0;  // of them, that the sequence has
        std::uint32_t n_tokens = 0;    // that it will compute, with those
        const StepCost& cost;
        double budget_seconds = std::numeric_limits<double>::infinity();  // one block is read in any case
        std::vector<kv::BlockCopy>& copies;                               // that the next step would do first: done before, if need be
    };
    struct Restored {
        std::uint32_t n_computed = 0;  // now
        bool more = false;             // the budget is spent, and there is more
        double seconds = 0.0;          // that it took
    };
    // Gives a sequence of the cache what the file has for it, as far as that is predicted to be faster.
    [[nodiscard]] Restored restore(kv::BlockCache& cache, kv::SequenceBlocks& blocks, const Request& request);

    [[nodiscard]] const KvDiskCounters& counters() const { return counters_; }
    [[nodiscard]] std::uint32_t n_blocks() const { return index_.n_used(); }
    [[nodiscard]] std::uint32_t n_slots() const { return index_.options().n_slots; }
    [[nodiscard]] const std::filesystem::path& path() const { return file_.path(); }
    [[nodiscard]] const kv::DiskIndex& index() const { return index_; }

  private:
    // Blocks to read for a request, in order; of the last, perhaps, the first tokens only.
    struct Route {
        std::vector<kv::NodeId> nodes;
        std::uint32_t n_tokens = 0;   // that the sequence then has
        std::uint64_t n_skipped = 0;  // blocks that are faster to compute
    };
    enum class Outcome { kDone, kDamaged, kFailed };

    KvDisk(KvDiskOptions options, BlockFile file, kv::DiskIndexOptions index, backend::DeviceModel& model);
    [[nodiscard]] Result<void> read_header();
    [[nodiscard]] Result<void> load_records();
    [[nodiscard]] double block_seconds(std::uint32_t position) const;
    [[nodiscard]] kv::NodeId find(std::span<const kv::Token> tokens, std::string_view salt, std::uint32_t n_blocks) const;
    void write(const kv::EvictedBlock& chain, std::size_t n_blocks);
    [[nodiscard]] Result<void> write_slot(kv::NodeId node, kv::BlockId block);
    [[nodiscard]] Route plan(const Request& request, std::uint32_t n_computed);
    [[nodiscard]] Outcome read(kv::NodeId node);
    void finish_copies(std::vector<kv::BlockCopy>& copies);
    void fail(const Error& error);

    KvDiskOptions options_;
    BlockFile file_;
    KvFileLayout layout_;
    kv::DiskIndex index_;
    backend::DeviceModel& model_;
    std::vector<std::byte> record_;      // [record_bytes]
    std::vector<std::byte> write_data_;  // [block_bytes]
    std::vector<std::byte> read_data_;   // [block_bytes]
    TransferRate reading_;
    TransferRate writing_;
    bool works_ = true;
    KvDiskCounters counters_;
};

}  // namespace rafter::engine
