// Reads and writes go through the kernel's page cache, one block at a time, on the engine's thread: what they take is measured, and weighed
// against what they save.
#include "engine/offload/kv_disk.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/clock.h"
#include "base/os_memory.h"
#include "base/quote.h"

namespace rafter::engine {
namespace {

constexpr double kPriorBytesPerS = 500e6;  // a disk of some years ago: nothing is known of this one yet
constexpr double kPriorBytes = 8e6;        // transferred, that this assumption counts as
constexpr double kRememberedBytes = 256e6;
constexpr double kDoubt = 0.9;
constexpr double kMaxWriteShare = 0.1;  // of the seconds to compute a block again, for writing it
constexpr int kAncestors = 3;           // written beside a block

double seconds_since(std::int64_t start_ns) { return static_cast<double>(monotonic_ns() - start_ns) * 1e-9; }

kv::DiskIndexOptions index_options(const KvDiskOptions& options, kv::SlotId n_slots) {
    kv::DiskIndexOptions index{
        .block_size = options.identity.block_size, .n_slots = n_slots, .recompute_seconds = {}, .hash_mask = ~std::uint64_t{0}};
    if (options.cost.known()) {
        // Prompts are computed in large steps: a block's share of one, not a step of its own.
        const std::uint32_t n = std::max(options.step_tokens, index.block_size);
        index.recompute_seconds = [cost = options.cost, n, block_size = index.block_size](std::uint32_t position) {
            return cost.prefill_seconds(n, position) * block_size / n;
        };
    }
    return index;
}

}  // namespace

double TransferRate::bytes_per_s() const { return (kPriorBytes + bytes_) / (kPriorBytes / prior_bytes_per_s_ + seconds_); }

void TransferRate::learn(double bytes, double seconds) {
    const double kept = kRememberedBytes / (kRememberedBytes + bytes);
    bytes_ = kept * bytes_ + bytes;
    seconds_ = kept * seconds_ + seconds;
}

void TransferRate::doubt() {
    bytes_ *= kDoubt;
    seconds_ *= kDoubt;
}

KvDisk::KvDisk(KvDiskOptions options, BlockFile file, kv::DiskIndexOptions index, backend::DeviceModel& model)
    : options_(std::move(options)),
      file_(std::move(file)),
      layout_(options_.identity),
      index_(std::move(index)),
      model_(model),
      record_(layout_.record_bytes()),
      write_data_(options_.identity.block_bytes),
      read_data_(options_.identity.block_bytes),
      reading_(kPriorBytesPerS),
      writing_(kPriorBytesPerS) {}

Result<std::unique_ptr<KvDisk>> KvDisk::open(KvDiskOptions options, backend::DeviceModel& model) {
    RAFTER_CHECK(model.program().cache_groups.size() == 1 && model.program().cache_groups[0].window == 0, "one group without a window");
    RAFTER_CHECK(model.block_bytes(0) == options.identity.block_bytes, "blocks of {} bytes", model.block_bytes(0));
    const kv::SlotId n_slots = KvFileLayout(options.identity).n_slots(options.size_bytes);
    if (n_slots == 0) {
        return Error{fmt::format("{}: expected a size of at least {}, which is one block, found {}", options.path.string(),
                                 format_bytes(KvFileLayout(options.identity).file_bytes(1)), format_bytes(options.size_bytes)),
                     ErrorKind::kUsage};
    }
    RAFTER_TRY(BlockFile file, BlockFile::open(options.path));
    kv::DiskIndexOptions index = index_options(options, n_slots);
    std::unique_ptr<KvDisk> disk(new KvDisk(std::move(options), std::move(file), std::move(index), model));
    RAFTER_TRY_VOID(disk->read_header());
    return disk;
}

Result<void> KvDisk::read_header() {
    std::vector<std::byte> bytes(kKvFileHeaderBytes);
    RAFTER_TRY(const std::size_t n_read, file_.read_at(0, bytes));
    const KvFileHeader header = decode_header(std::span(bytes).first(n_read), options_.identity);
    const auto warn = [&](const std::string& words) {
        if (options_.warn) options_.warn(fmt::format("{}: {}", file_.path().string(), words));
    };
    switch (header.state) {
        case KvFileState::kForeign:
            return bad_input("{}: expected a file of KV cache blocks, or none, found something else", file_.path().string());
        case KvFileState::kOurs:
            return load_records();
        case KvFileState::kOther:
            // Its words come from a file.
            warn(fmt::format("the KV cache blocks in this file are of {}; starting over for {}", quote(header.description),
                             quote(options_.identity.description)));
            break;
        case KvFileState::kVersion:
            warn("the file was written by another version of rafter; starting over");
            break;
        case KvFileState::kDamaged:
            warn("the file's header is damaged; starting over");
            break;
        case KvFileState::kEmpty:
            break;
    }
    RAFTER_TRY_VOID(file_.cut(0));
    return file_.write_at(0, encode_header(options_.identity));
}

Result<void> KvDisk::load_records() {
    RAFTER_TRY(const std::uint64_t size, file_.size_bytes());
    const kv::SlotId n_slots = index_.options().n_slots;
    if (size > layout_.file_bytes(n_slots)) RAFTER_TRY_VOID(file_.cut(layout_.file_bytes(n_slots)));
    std::vector<kv::DiskRecord> records;
    std::vector<std::byte> bytes;
    for (kv::SlotId slot = 0; slot < n_slots && layout_.record_offset(slot) < size;) {
        const kv::SlotId n = std::min(n_slots - slot, KvFileLayout::n_to_extents_end(slot));
        bytes.assign(n * layout_.record_bytes(), std::byte{0});
        RAFTER_TRY(const std::size_t n_read, file_.read_at(layout_.record_offset(slot), bytes));
        (void)n_read;  // what is missing reads as no record
        for (kv::SlotId i = 0; i < n; ++i) {
            const auto record_bytes = std::span(bytes).subspan(i * layout_.record_bytes(), layout_.record_bytes());
            if (is_blank(record_bytes)) continue;
            auto record = decode_record(options_.identity, slot + i, record_bytes);
            if (record) {
                records.push_back(std::move(record->node));
            } else {
                ++counters_.damaged;
            }
        }
        slot += n;
    }
    counters_.orphaned = index_.load(std::move(records));
    counters_.blocks_at_open = index_.n_used();
    return {};
}

double KvDisk::block_seconds(std::uint32_t position) const {
    return index_.options().recompute_seconds ? index_.options().recompute_seconds(position) : std::numeric_limits<double>::infinity();
}

void KvDisk::fail(const Error& error) {
    works_ = false;
    if (options_.warn) options_.warn(fmt::format("{}; going on without the cache on disk", error.message));
}

// The node after these many blocks, if all those before it are known.
kv::NodeId KvDisk::find(std::span<const kv::Token> tokens, std::string_view salt, std::uint32_t n_blocks) const {
    const std::uint32_t block_size = options_.identity.block_size;
    kv::NodeId node = kv::kNoNode;
    for (std::uint32_t i = 0; i < n_blocks; ++i) {
        node = index_.find(node, tokens.subspan(std::size_t{i} * block_size, block_size), salt);
        if (node == kv::kNoNode) break;
    }
    return node;
}

void KvDisk::save(const kv::EvictedBlock& chain) {
    if (!works_ || chain.salt.size() > kMaxDiskSaltBytes) return;
    const std::size_t n = chain.blocks.size();
    write(chain, n);
    for (int i = 0; i < kAncestors && works_; ++i) {
        // Each time from the beginning: a write may have taken another's slot.
        std::size_t n_there = 0;
        kv::NodeId node = kv::kNoNode;
        for (; n_there < n; ++n_there) {
            node =
                index_.find(node, chain.tokens.subspan(n_there * options_.identity.block_size, options_.identity.block_size), chain.salt);
            if (node == kv::kNoNode || !index_.has_slot(node)) break;
        }
        if (n_there + 1 >= n) return;
        write(chain, n_there + 1);
    }
}

// The last of the chain's first n_blocks.
void KvDisk::write(const kv::EvictedBlock& chain, std::size_t n_blocks) {
    const std::uint32_t block_size = options_.identity.block_size;
    const kv::NodeId known = find(chain.tokens, chain.salt, static_cast<std::uint32_t>(n_blocks));
    if (known != kv::kNoNode && index_.has_slot(known)) {
        index_.use(known);
        return;
    }
    const auto bytes = static_cast<double>(options_.identity.block_bytes);
    const double seconds = block_seconds(static_cast<std::uint32_t>(n_blocks - 1) * block_size);
    if (reading_.seconds(bytes) > seconds || writing_.seconds(bytes) > kMaxWriteShare * seconds) {
        ++counters_.skipped_slow_write;
        writing_.doubt();
        return;
    }
    kv::NodeId node = kv::kNoNode;
    for (std::size_t i = 0; i < n_blocks; ++i) node = index_.enter(node, chain.tokens.subspan(i * block_size, block_size), chain.salt);
    const std::uint64_t n_evicted = index_.n_evicted();
    if (!index_.take_slot(node)) {
        index_.trim(node);
        return;
    }
    counters_.blocks_replaced += index_.n_evicted() - n_evicted;
    const std::int64_t start_ns = monotonic_ns();
    if (const auto written = write_slot(node, chain.blocks[n_blocks - 1]); !written) {
        index_.drop(node);
        fail(written.error());
        return;
    }
    const double took = seconds_since(start_ns);
    writing_.learn(bytes, took);
    ++counters_.blocks_written;
    counters_.bytes_written += options_.identity.block_bytes;
    counters_.write_seconds += took;
}

Result<void> KvDisk::write_slot(kv::NodeId node, kv::BlockId block) {
    KvFileRecord record{.node = index_.record(node), .data_checksum = 0};
    model_.read_block(0, block, write_data_);
    record.data_checksum = data_checksum(options_.identity, record.node.id, write_data_);
    encode_record(options_.identity, record, record_);
    RAFTER_TRY_VOID(file_.write_at(layout_.data_offset(record.node.slot), write_data_));
    return file_.write_at(layout_.record_offset(record.node.slot), record_);
}

KvDisk::Outcome KvDisk::read(kv::NodeId node) {
    const kv::DiskRecord expected = index_.record(node);
    const std::int64_t start_ns = monotonic_ns();
    const auto n_record = file_.read_at(layout_.record_offset(expected.slot), record_);
    const auto n_data = file_.read_at(layout_.data_offset(expected.slot), read_data_);
    if (!n_record || !n_data) {
        fail(n_record ? n_data.error() : n_record.error());
        return Outcome::kFailed;
    }
    // Held against what the index knows: it was right when it was read, which is a while ago.
    std::optional<KvFileRecord> found;
    if (*n_record == record_.size() && *n_data == read_data_.size()) found = decode_record(options_.identity, expected.slot, record_);
    if (!found || found->node.id != expected.id || found->node.tokens != expected.tokens ||
        found->data_checksum != data_checksum(options_.identity, expected.id, read_data_)) {
        ++counters_.damaged;
        index_.drop(node);
        return Outcome::kDamaged;
    }
    reading_.learn(static_cast<double>(read_data_.size()), seconds_since(start_ns));
    counters_.bytes_read += read_data_.size();
    index_.use(node);
    return Outcome::kDone;
}

// How many blocks: those after which reading and computing the rest take the least together.
KvDisk::Route KvDisk::plan(const Request& request, std::uint32_t n_computed) {
    const std::uint32_t block_size = options_.identity.block_size;
    Route route{.nodes = {}, .n_tokens = n_computed, .n_skipped = 0};
    std::uint32_t n_blocks = n_computed / block_size;
    kv::NodeId node = find(request.key.tokens, request.key.salt, n_blocks);
    if (n_blocks > 0 && node == kv::kNoNode) return route;
    std::vector<std::uint32_t> n_tokens;  // with so many of the nodes
    for (; (n_blocks + std::size_t{1}) * block_size <= request.key.tokens.size(); ++n_blocks) {
        const kv::NodeId next =
            index_.find(node, request.key.tokens.subspan(std::size_t{n_blocks} * block_size, block_size), request.key.salt);
        if (next == kv::kNoNode || !index_.has_slot(next)) break;
        node = next;
        route.nodes.push_back(node);
        n_tokens.push_back((n_blocks + 1) * block_size);
    }
    const auto tail = index_.find_tail(node, request.key.tokens.subspan(std::size_t{n_blocks} * block_size), request.key.salt);
    if (n_blocks * block_size + tail.n_tokens > std::max(n_computed, n_blocks * block_size)) {
        route.nodes.push_back(tail.node);
        n_tokens.push_back(n_blocks * block_size + tail.n_tokens);
    }
    std::size_t best = route.nodes.size();
    if (request.cost.known()) {
        const auto seconds = [&](std::size_t n) {
            const std::uint32_t n_there = n == 0 ? n_computed : n_tokens[n - 1];
            return reading_.seconds(static_cast<double>(n * options_.identity.block_bytes)) +
                   request.cost.prefill_seconds(request.n_tokens - n_there, n_there);
        };
        double least = seconds(best);
        for (std::size_t n = best; n-- > 0;) {
            if (seconds(n) >= least) continue;
            best = n;
            least = seconds(n);
        }
        route.n_skipped = route.nodes.size() - best;
        if (route.n_skipped > 0) reading_.doubt();
    }
    route.nodes.resize(best);
    if (best > 0) route.n_tokens = n_tokens[best - 1];
    return route;
}

KvDisk::Restored KvDisk::restore(kv::BlockCache& cache, kv::SequenceBlocks& blocks, const Request& request) {
    const std::uint32_t block_size = options_.identity.block_size;
    Restored done{.n_computed = request.n_computed, .more = false, .seconds = 0.0};
    if (!works_ || index_.n_used() == 0) return done;
    const std::int64_t start_ns = monotonic_ns();
    Route route = plan(request, done.n_computed);
    counters_.skipped_slow_read += route.n_skipped;
    for (const kv::NodeId node : route.nodes) {
        const kv::DiskRecord record = index_.record(node);
        file_.will_need(layout_.data_offset(record.slot), options_.identity.block_bytes);
    }
    for (std::size_t i = 0; i < route.nodes.size();) {
        if (i > 0 && seconds_since(start_ns) > request.budget_seconds) {
            done.more = true;
            break;
        }
        const std::uint32_t n_after = i + 1 < route.nodes.size() ? (done.n_computed / block_size + 1) * block_size : route.n_tokens;
        const std::uint64_t n_evicted = index_.n_evicted();
        if (!cache.grow(blocks, n_after)) {
            ++counters_.skipped_no_memory;
            break;
        }
        if (index_.n_evicted() != n_evicted) {  // the cache evicted a block for this one, and the file a block for that: perhaps ours
            route = plan(request, done.n_computed);
            i = 0;
            continue;
        }
        if (!works_ || read(route.nodes[i]) != Outcome::kDone) break;
        finish_copies(request.copies);
        model_.write_block(0, blocks.tables()[0][(n_after - 1) / block_size], read_data_);
        ++counters_.blocks_restored;
        counters_.tokens_restored += n_after - done.n_computed;
        if (request.cost.known()) {
            counters_.recompute_seconds += request.cost.prefill_seconds(request.n_tokens - done.n_computed, done.n_computed) -
                                           request.cost.prefill_seconds(request.n_tokens - n_after, n_after);
        }
        done.n_computed = n_after;
        cache.publish(blocks, request.key, done.n_computed);
        ++i;
    }
    done.seconds = seconds_since(start_ns);
    if (done.n_computed > request.n_computed) counters_.read_seconds += done.seconds;
    return done;
}

// A block that was evicted may be the source of one of them, and the place of what is read next.
void KvDisk::finish_copies(std::vector<kv::BlockCopy>& copies) {
    if (copies.empty()) return;
    backend::Batch batch;
    batch.copies = std::exchange(copies, {});
    (void)model_.forward(batch);
}

}  // namespace rafter::engine
