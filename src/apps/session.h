// A model served by command-line options: what run, batch, eval, bench and explain have in common.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apps/cli.h"
#include "apps/kv_disk.h"
#include "apps/options/verb.h"
#include "apps/speculation.h"
#include "base/os_append_file.h"
#include "engine/loading/runtime.h"
#include "engine/loading/served_model.h"

namespace rafter::apps {

struct SessionOptions {
    std::string model;
    std::optional<std::uint32_t> context;
    unsigned n_threads = 0;
    std::string isa;  // "": the best one
    std::string activations = "q8";
    std::string weights;          // a type's name; "": the file's types
    std::string kv_type = "f16";  // or of keys and values: "q8,q4"
    std::uint32_t block_size = 16;
    std::vector<std::string> no_fuse;
    std::string chat_template_file;  // "": the model's own template
    bool quiet = false;              // no progress, notes or warnings
    bool shows_progress = true;      // false: warnings only
    KvDiskOptions kv_disk;           // off, where the verb has no such options
    SpeculationOptions speculation;  // off, where the verb has no such options
};

struct KvTypes {
    backend::KvType key = backend::KvType::kF16;
    backend::KvType value = backend::KvType::kF16;
};
// "q8" or "q8,q4"; none where it is neither.
[[nodiscard]] std::optional<KvTypes> kv_types_of(const std::string& text);

// "q8", "q16" or "f32", as --activations takes them.
[[nodiscard]] model::ActivationMode activation_mode_of(const std::string& name);

// --threads, --isa, --activations, --weights, --kv-type, --kv-block, --no-fuse.
void add_session_options(OptionSet& options, SessionOptions& session);

// Folders in which models have names: RAFTER_MODELS_DIR and the cache's models/.
[[nodiscard]] std::vector<std::filesystem::path> models_folders(const Environment& environment);
// MODEL as it stands on a command line, as a path.
[[nodiscard]] Result<std::filesystem::path> find_model(const Environment& environment, const std::string& model);

// The compute threads that the options ask for.
[[nodiscard]] Result<std::shared_ptr<engine::Runtime>> make_runtime(const SessionOptions& options);

// A served model as the command line asks for it: load() shows a progress bar, and warnings go to standard error.
class Session {
  public:
    // runtime: shared with other sessions; null: one of its own.
    [[nodiscard]] static Result<std::unique_ptr<Session>> open(const Environment& environment, const SessionOptions& options,
                                                               std::shared_ptr<engine::Runtime> runtime = nullptr);
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;
    struct Needs {
        std::uint64_t context = 0;                     // tokens, where the options say nothing
        std::uint32_t n_outputs = 1;                   // sequences that run together
        std::uint32_t n_sequences = 1;                 // that the KV cache has room for at full context
        bool no_more_context = false;                  // than needed, whatever is usual
        std::optional<std::uint64_t> kv_memory_bytes;  // that the KV cache may take
        bool prefix_cache = true;
        std::string_view
            priced_for;  // a verb whose scheduler must know what steps take: the machine is measured if need be; "": it need not
        std::optional<double> target_itl_seconds;  // none: a small multiple of what a step of one token takes
        bool learns_texts = false;                 // draft tokens from ended answers too, not only from the sequence's own text
    };
    // In place of the options' --kv-disk: before load().
    void use_kv_disk(KvDiskOptions kv_disk) { options_.kv_disk = std::move(kv_disk); }
    [[nodiscard]] Result<void> load(const Needs& needs);
    // What load() would load the model with: for a verb that runs it without an engine.
    [[nodiscard]] engine::LoadModelOptions load_options(const Needs& needs) const;
    // The memory that load() would take if there were enough, a draft model apart.
    [[nodiscard]] Result<std::uint64_t> planned_bytes(const Needs& needs) const {
        return engine::planned_memory(runtime_->backend(), opened(), load_options(needs));
    }
    // The engine with this drafter from now on: "off", "ngram", or "draft" where --draft was given. The engine before it must be idle.
    void use_drafter(const std::string& drafter);

    [[nodiscard]] engine::Runtime& runtime() { return *runtime_; }
    [[nodiscard]] const engine::OpenedModel& opened() const { return served_->opened(); }
    [[nodiscard]] engine::LoadedModel& loaded() { return served_->loaded(); }
    [[nodiscard]] engine::ServedModel& served() { return *served_; }
    [[nodiscard]] engine::Engine& engine() { return served_->engine(); }
    [[nodiscard]] roofline::PriceOptions price_options() const { return served_->price_options(); }
    // --kv-disk, if it could be had. After keep_on_disk() the blocks that nobody uses are in the file, and no longer in memory.
    [[nodiscard]] const engine::KvDisk* kv_disk() const { return served_->kv_disk(); }
    void keep_on_disk() { served_->keep_on_disk(); }
    // The type of --weights, where some weight of the loaded model is held in another type than its file's; else "".
    [[nodiscard]] std::string_view held_weights();
    // "SmolLM2 135M Instruct", or "SmolLM2 135M Instruct, weights as Q8_0" of a model with held_weights().
    [[nodiscard]] std::string title();
    [[nodiscard]] double load_seconds() const { return load_seconds_; }

  private:
    Session(const Environment& environment, const SessionOptions& options, std::shared_ptr<engine::Runtime> runtime)
        : environment_(environment), options_(options), runtime_(std::move(runtime)) {}
    [[nodiscard]] Result<engine::ServeOptions> serve_options(const Needs& needs);
    void write_log(const engine::SpeculationLogLine& line);

    Environment environment_;
    SessionOptions options_;
    std::shared_ptr<engine::Runtime> runtime_;
    std::optional<AppendFile> log_;  // of draft tokens
    bool log_failed_ = false;
    double load_seconds_ = 0.0;
    std::unique_ptr<engine::ServedModel> served_;  // ends first: it uses the runtime and the log
};

}  // namespace rafter::apps
