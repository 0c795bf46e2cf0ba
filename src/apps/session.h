// A model made ready by command-line options: what `run` and `eval` have in common.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apps/cli.h"
#include "apps/kv_disk.h"
#include "apps/speculation.h"
#include "base/os_append_file.h"
#include "engine/engine.h"
#include "engine/loading/loaded_model.h"
#include "engine/loading/runtime.h"
#include "engine/speculation/model_drafter.h"
#include "roofline/calibrated.h"

namespace rafter::apps {

struct SessionOptions {
    std::string model;
    std::optional<std::uint32_t> context;
    unsigned n_threads = 0;
    std::string isa;  // "": the best one
    std::string activations = "q8";
    std::string kv_type = "f16";  // or of keys and values: "q8,q4"
    std::uint32_t block_size = 16;
    std::vector<std::string> no_fuse;
    KvDiskFlags kv_disk;           // off, where the verb has no such flags
    SpeculationFlags speculation;  // off, where the verb has no such flags
};

struct KvTypes {
    backend::KvType key = backend::KvType::kF16;
    backend::KvType value = backend::KvType::kF16;
};
// "q8" or "q8,q4"; none where it is neither.
[[nodiscard]] std::optional<KvTypes> kv_types_of(const std::string& text);
[[nodiscard]] CLI::Validator kv_type_names();

// MODEL, --threads, --isa, --activations, --kv-type, --kv-block, --no-fuse. (--context says something else in each verb.)
void add_session_options(CLI::App& verb, SessionOptions& options);

// Folders in which models have names: RAFTER_MODELS_DIR and the cache's models/.
[[nodiscard]] std::vector<std::filesystem::path> models_folders(const Environment& environment);
// MODEL as it stands on a command line, as a path.
[[nodiscard]] Result<std::filesystem::path> find_model(const Environment& environment, const std::string& model);

// The runtime and the opened file; load() then brings the weights in, with a progress bar, and makes the engine.
class Session {
  public:
    // What the cache still holds goes to --kv-disk.
    ~Session();
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;
    [[nodiscard]] static Result<std::unique_ptr<Session>> open(const Environment& environment, const SessionOptions& options);
    struct Needs {
        std::uint64_t context = 0;                     // tokens, where the options say nothing
        std::uint32_t n_outputs = 1;                   // rows with logits a step
        std::uint32_t n_sequences = 1;                 // that the KV cache has room for at full context
        bool no_more_context = false;                  // than needed, whatever is usual
        std::optional<std::uint64_t> kv_memory_bytes;  // that the KV cache may take
        bool prefix_cache = true;
        std::string_view priced_for;  // a verb whose scheduler knows what steps take, by the machine's profile; "": it does not
        std::optional<double> target_itl_seconds;  // none: a small multiple of what a step of one token takes
        bool learns_texts = false;                 // draft tokens from ended answers too, not only from the sequence's own text
    };
    [[nodiscard]] Result<void> load(Needs needs);
    // The engine with this drafter from now on: "off", "ngram", or "draft" where --draft was given. The one before must be idle; what it
    // learned of this machine is there again when it is chosen again.
    void use_drafter(const std::string& drafter);

    [[nodiscard]] const engine::OpenedModel& opened() const { return opened_; }
    [[nodiscard]] const engine::LoadedModel& loaded() const { return loaded_; }
    [[nodiscard]] engine::Engine& engine() { return *engine_; }
    // --kv-disk, if it could be had. What the cache holds and nobody uses is in it after keep_on_disk(), and no longer in memory.
    [[nodiscard]] const engine::KvDisk* kv_disk() const { return kv_disk_.get(); }
    void keep_on_disk();
    [[nodiscard]] engine::Runtime& runtime() { return runtime_; }
    [[nodiscard]] engine::LoadedModel& loaded() { return loaded_; }
    [[nodiscard]] backend::KvType key_type() const { return kv_types_of(options_.kv_type)->key; }
    [[nodiscard]] backend::KvType value_type() const { return kv_types_of(options_.kv_type)->value; }
    [[nodiscard]] roofline::PriceOptions price_options() const;
    [[nodiscard]] double load_seconds() const { return load_seconds_; }

  private:
    Session(const Environment& environment, const SessionOptions& options, engine::Runtime runtime, engine::OpenedModel opened)
        : environment_(environment), options_(options), runtime_(std::move(runtime)), opened_(std::move(opened)) {}

    [[nodiscard]] Result<void> load_draft(const engine::LoadModelOptions& like, const std::optional<hardware::Profile>& machine);

    [[nodiscard]] Result<void> open_kv_disk();

    Environment environment_;
    SessionOptions options_;
    engine::Runtime runtime_;
    engine::OpenedModel opened_;
    engine::LoadedModel loaded_;
    std::unique_ptr<engine::KvDisk> kv_disk_;
    std::optional<engine::OpenedModel> draft_opened_;
    engine::LoadedModel draft_loaded_;
    std::unique_ptr<engine::ModelDrafter> model_drafter_;
    std::optional<AppendFile> log_;  // of draft tokens
    bool log_failed_ = false;
    struct Drafting {
        std::unique_ptr<engine::Drafter> ngram;
        std::unique_ptr<engine::Engine> engine;
    };
    std::map<std::string, Drafting> engines_;  // by drafter
    engine::Engine* engine_ = nullptr;
    bool learns_texts_ = false;
    double load_seconds_ = 0.0;
};

}  // namespace rafter::apps
