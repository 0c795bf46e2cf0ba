// A machine as `rafter probe` measured it: plain data, kept as a JSON file. Seconds are those of the
// lowest tenth of repeated, interleaved samples: what to expect when nothing else uses the machine. Roofs (best_*) are the best samples.
// prices made of it are in backend/cpu/price/.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "tensor/dtype.h"

namespace rafter::hardware {

// What a profile is of. Numbers of one machine, thread count, instruction set or program say nothing of another's.
struct ProfileKey {
    std::string cpu;
    unsigned n_threads = 1;
    std::string isa;
    std::string version;  // of the program: its kernels change

    bool operator==(const ProfileKey&) const = default;
};

struct ProfileCache {
    unsigned level = 1;
    double size_bytes = 0.0;
    bool shared = false;
};

// Reading a working set again and again.
struct BandwidthReading {
    unsigned n_threads = 1;
    double working_set_bytes = 0.0;
    double bytes_per_s = 0.0;
    double best_bytes_per_s = 0.0;
    double spread = 0.0;  // between the quartiles, as a fraction of the median
};

// A matrix kernel on all threads at once. n_columns: tokens that share a weight.
struct MatrixReading {
    tensor::DType weights = tensor::DType::kF32;
    std::string activations;  // "f32", "q8", "q16"
    unsigned n_columns = 1;
    bool from_memory = false;  // or from the nearest caches
    double seconds_per_weight = 0.0;
    double spread = 0.0;
};

// For instruction sets with tiles of up to kMaxTileColumns columns: fewer columns than this are multiplied faster by vectors. 17: a whole
// tile too, where it is alone.
inline constexpr unsigned kMaxTileColumns = 16;
struct TileReading {
    tensor::DType weights = tensor::DType::kF32;
    unsigned min_columns = 16;
};

// One thread, on rows in its nearest cache: seconds = per_row + n * per_element.
struct RowReading {
    std::string kind;  // "rms_norm", "quantize_q8", "embed_Q4_0", ...
    double seconds_per_row = 0.0;
    double seconds_per_element = 0.0;
};

// One thread, one call: n_queries of one KV head against n_positions. kv_type "scores_f16" and "values_f16": that part of unfused
// attention.
struct AttentionReading {
    std::string kv_type;  // "f16", "scores_f16", ...
    unsigned n_queries = 1;
    unsigned head_dim = 64;
    unsigned n_positions = 256;
    bool from_memory = false;
    double seconds = 0.0;
    double spread = 0.0;
};

struct Profile {
    ProfileKey key;
    std::int64_t time = 0;  // seconds since 1970
    bool quick = false;     // fewer repeats
    std::vector<ProfileCache> caches;
    double memory_bytes = 0.0;

    std::vector<BandwidthReading> bandwidth;  // by threads, then working set
    // Peaks of arithmetic in registers, all threads together; the best samples.
    double float_flop_per_s = 0.0;
    double int8_flop_per_s = 0.0;
    std::string int8_unit = "int8";  // what reaches that peak: "VNNI int8", "AMX int8 (K = 32)"

    double barrier_seconds = 0.0;    // one barrier of all threads
    double fork_join_seconds = 0.0;  // an empty parallel region: a step's fixed cost
    // What a thread pays to read what another one just wrote, a barrier included: fixed + bytes * per_byte.
    double handover_seconds = 0.0;
    double handover_seconds_per_byte = 0.0;
    double stream_bytes_per_s = 0.0;  // plain reading of memory, in the samples that stand beside those from_memory

    std::vector<MatrixReading> matrices;  // of the kernels that `tiles` chooses
    std::vector<TileReading> tiles;
    std::vector<RowReading> rows;
    std::vector<AttentionReading> attention;

    double noise = 0.0;  // the typical spread of all readings
    // False when the machine was too busy for its numbers to be trusted; `doubt` says in what way.
    bool trusted = true;
    std::string doubt;
};

// Above this spread a reading tells of the machine's other users.
inline constexpr double kNoisySpread = 0.25;

// Bytes a second for a working set, by its logarithm between the two nearest readings of this many threads (or of the nearest number of
// threads that was measured). The first and last readings go on for ever. 0 without readings.
[[nodiscard]] double bandwidth_at(const Profile& profile, double working_set_bytes, unsigned n_threads);
[[nodiscard]] double best_bandwidth_at(const Profile& profile, double working_set_bytes, unsigned n_threads);
// Where a working set lies: "L1 cache" .. "memory". Caches of each thread's own count once a thread.
[[nodiscard]] std::string level_at(const Profile& profile, double working_set_bytes);

// Seconds a weight for this many columns, linear between readings and in proportion beyond the last; none where this pair of types has no
// reading. Where the weights have a TileReading, quantised activations are multiplied as it says: whole tiles, then one more or vectors.
[[nodiscard]] std::optional<double> matrix_seconds(const Profile& profile, tensor::DType weights, const std::string& activations,
                                                   double n_columns, bool from_memory);
inline constexpr const char* kFloatUnit = "float32";  // what has the float peak
// The arithmetic roof of work that takes these seconds at its peaks: int8_unit, kFloatUnit, or both where neither has nine tenths of it.
// "41% of the {} roof" is how all reports say it.
[[nodiscard]] std::string arithmetic_name(const Profile& profile, double int8_seconds, double float_seconds);
[[nodiscard]] const RowReading* find_row(const Profile& profile, const std::string& kind);

[[nodiscard]] std::string to_json(const Profile& profile);
// Refuses what is no profile, or one of another format, in one line; unknown keys are passed over.
[[nodiscard]] Result<Profile> profile_from_json(const std::string& text);

// The file of a key below the cache folder, and reading and writing one. A profile of another key is an error of kind kBadInput.
[[nodiscard]] std::filesystem::path profile_path(const std::filesystem::path& cache_folder, const ProfileKey& key);
[[nodiscard]] Result<Profile> read_profile(const std::filesystem::path& path);
[[nodiscard]] Result<void> write_profile(const std::filesystem::path& path, const Profile& profile);

}  // namespace rafter::hardware
