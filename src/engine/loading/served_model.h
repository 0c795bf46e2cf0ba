// The one assembly: from a model's file and plain options to a running engine, for the command line, the library and a server alike.
//
//   open    find the file, read its metadata: tokenizer, template and config are there, so that a prompt can be counted
//   load    program, weights, KV cache; prices by the machine profile; the cache on disk; a draft model; the engine
//   run     step the engine oneself (engine().step()), or give it a thread (start())
//
// Nothing here reads the environment or prints: folders are options, progress and warnings are callbacks.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/engine.h"
#include "engine/engine_thread.h"
#include "engine/loading/loaded_model.h"
#include "engine/loading/runtime.h"
#include "engine/offload/kv_disk.h"
#include "engine/speculation/model_drafter.h"
#include "hardware/profile.h"
#include "probe/machine_profile.h"

namespace rafter::engine {

enum class DrafterKind {
    kOff,
    kNgram,       // what followed the same words before
    kDraftModel,  // a smaller model of the same vocabulary
};
[[nodiscard]] std::string_view to_string(DrafterKind kind);                   // "off", "ngram", "draft"
[[nodiscard]] std::string_view activations_name(model::ActivationMode mode);  // "q8", "q16", "f32"
// Of LoadModelOptions::weights: "Q4_K", any case. None for unknown types and those without an encoder.
[[nodiscard]] std::optional<tensor::DType> weights_type_from_name(std::string_view name);
[[nodiscard]] std::vector<std::string_view> weights_type_names();

inline constexpr std::uint32_t kUsualDrafts = 8;
inline constexpr std::uint32_t kDraftsWithTiles = 32;

// Draft tokens change no token of any answer, only how long the answer takes. Without prices (ServeOptions::prices) the governor drafts
// nothing, unless fixed_drafts is set.
struct DraftingOptions {
    DrafterKind drafter = DrafterKind::kOff;  // of the first engine; ServedModel::use_drafter() changes it
    std::string draft_model;                  // named as the model is; loaded whenever it is named; empty: none
    // Draft tokens a sequence and step, 1 to 64. None: kUsualDrafts, or kDraftsWithTiles where the machine's profile says that tiles win:
    // they multiply up to 16 columns in the time of a few.
    std::optional<std::uint32_t> max_drafts;
    std::optional<std::uint32_t> fixed_drafts;  // always so many, whether they pay or not
    bool shares_texts = true;                   // the n-gram drafter also looks into ended answers of the same salt
    std::optional<double> forced_acceptance;    // to measure: of a draft model's tokens where the answer is forced
    std::function<void(const SpeculationLogLine&)>
        log;  // called for each step with decoding sequences, on the engine's thread; may be empty

    bool keeps_room = false;  // for draft tokens, though the first drafter is kOff: use_drafter() may choose another

    // True where a step must have room for draft tokens.
    [[nodiscard]] bool on() const { return drafter != DrafterKind::kOff || keeps_room; }
};

// Where the cache's evicted blocks go. Only for models whose layers all see everything; others warn and go on without.
struct KvDiskFile {
    std::filesystem::path path;  // empty: none
    std::uint64_t size_bytes = 4'000'000'000;
};

// Which machine profile prices the steps. Prices decide the size of steps, draft tokens and restoring from disk; no token depends on them.
enum class PriceSource {
    kNone,
    kSaved,     // the profile in the store; without one, as kNone
    kMeasured,  // the profile in the store, or one measured now, in 3 seconds, and saved there
};

struct ServeOptions {
    LoadModelOptions load;  // n_outputs: sequences that run together; room for draft tokens is added here
    bool prefix_cache = true;
    PriceSource prices = PriceSource::kNone;
    probe::ProfileStore profile_store;
    // Between two tokens of a decoding sequence; 0: steps are as large as they may be; none: a small multiple of what a step of one token
    // takes. Kept only where steps have prices.
    std::optional<double> target_itl_seconds;
    DraftingOptions drafting;
    KvDiskFile kv_disk;
    // Called while kMeasured measures, on the thread of load(). Empty: nothing is reported.
    std::function<void(double fraction, std::string_view what)> measuring_progress;
    // What a person should know though nothing fails: the option that it is about ("kv_disk", "target_itl_seconds") and a sentence. Called
    // on the thread of load() or on the engine's. Empty: nobody is told.
    std::function<void(std::string_view option, std::string_view message)> warn;
};
// Fails, with kBadInput and the option's name, on values that no model can be served with.
[[nodiscard]] Result<void> check_options(const ServeOptions& options);

// For one thread at a time; after start(), thread() takes requests from any thread. The runtime must outlive it. Its parts end in this
// order: the thread, the engines, the drafters, the cache on disk, the models.
class ServedModel {
  public:
    // model: a file's path, a folder of Hugging Face's cache, or a name in one of models_folders (files/model_store.h). Reads metadata
    // only.
    [[nodiscard]] static Result<std::unique_ptr<ServedModel>> open(Runtime& runtime, std::string_view model,
                                                                   std::vector<std::filesystem::path> models_folders = {},
                                                                   const OpenOptions& options = {});
    // Blocks that the cache still holds go to the file on disk.
    ~ServedModel();
    ServedModel(const ServedModel&) = delete;
    ServedModel& operator=(const ServedModel&) = delete;

    // Once. Fails as check_options() and load_model() do; with kBadInput where the draft model has another vocabulary, and where the file
    // on disk belongs to something else; with kIo where the machine cannot be measured.
    [[nodiscard]] Result<void> load(ServeOptions options);

    // The engine with this drafter from now on; the engine before it must be idle. What an engine learned of this machine is kept for when
    // its drafter is chosen again. Not after start().
    void use_drafter(DrafterKind kind);
    // The engine gets a thread of its own, whose steps take turns with those of the runtime's other models: options.lease is set here.
    // Once, after load(); the engine is then the thread's.
    [[nodiscard]] Result<void> start(const EngineThreadOptions& options);

    [[nodiscard]] Runtime& runtime() { return runtime_; }
    [[nodiscard]] const OpenedModel& opened() const { return opened_; }
    // After load():
    [[nodiscard]] LoadedModel& loaded() { return loaded_; }
    [[nodiscard]] const LoadedModel& loaded() const { return loaded_; }
    [[nodiscard]] Engine& engine();                                                             // before start()
    [[nodiscard]] EngineThread& thread();                                                       // after start()
    [[nodiscard]] const std::optional<hardware::Profile>& machine() const { return machine_; }  // that prices the steps
    [[nodiscard]] roofline::PriceOptions price_options() const { return price_options(loaded_); }
    // Null where the options name no file, or where it could not be opened.
    [[nodiscard]] const KvDisk* kv_disk() const { return kv_disk_.get(); }
    // Blocks that no sequence uses go to the file on disk, and from memory. A thread does so when it stops. Not after start().
    void keep_on_disk();

  private:
    ServedModel(Runtime& runtime, OpenedModel opened, std::vector<std::filesystem::path> models_folders)
        : runtime_(runtime), models_folders_(std::move(models_folders)), opened_(std::move(opened)) {}

    [[nodiscard]] Result<void> find_machine();
    void price();
    [[nodiscard]] StepCost step_cost(const LoadedModel& loaded) const;
    [[nodiscard]] roofline::PriceOptions price_options(const LoadedModel& loaded) const;
    [[nodiscard]] Result<void> open_kv_disk();
    [[nodiscard]] Result<void> load_draft_model();
    void warn_of_substitutes() const;
    void warn(std::string_view option, std::string_view message) const;

    Runtime& runtime_;
    std::vector<std::filesystem::path> models_folders_;
    OpenedModel opened_;
    ServeOptions options_;
    LoadedModel loaded_;
    std::optional<hardware::Profile> machine_;
    std::unique_ptr<KvDisk> kv_disk_;
    std::optional<OpenedModel> draft_opened_;
    LoadedModel draft_loaded_;
    std::unique_ptr<ModelDrafter> model_drafter_;
    struct Drafting {
        std::unique_ptr<Drafter> ngram;
        std::unique_ptr<Engine> engine;
    };
    std::map<DrafterKind, Drafting> engines_;
    Engine* engine_ = nullptr;  // one of them; null before load() and after start()
    std::unique_ptr<EngineThread> thread_;
};

}  // namespace rafter::engine
