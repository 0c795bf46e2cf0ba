// Each stage uses what the stages before it made: a price needs the program, the cache on disk needs prices, an engine needs all of them.
#include "engine/loading/served_model.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <cmath>

#include "engine/offload/model_identity.h"
#include "engine/speculation/ngram_drafter.h"
#include "files/model_store.h"
#include "tensor/formats/formats.h"

namespace rafter::engine {
namespace {

constexpr std::uint32_t kMaxDrafts = 64;        // a sequence and step: more never pay
constexpr std::uint32_t kMaxDraftOutputs = 64;  // rows with logits, for draft tokens: more of them never pay together

std::uint32_t usual_drafts(const std::optional<hardware::Profile>& machine) {
    const auto wins = [](const hardware::TileReading& tile) { return tile.min_columns <= hardware::kMaxTileColumns; };
    return machine && std::ranges::any_of(machine->tiles, wins) ? kDraftsWithTiles : kUsualDrafts;
}

// Rows with logits a step: one for each sequence, and room for draft tokens.
std::uint32_t outputs_with_drafts(std::uint32_t n_sequences, const DraftingOptions& drafting) {
    if (!drafting.on()) return n_sequences;
    return std::max(n_sequences, std::min(kMaxDraftOutputs, n_sequences * (1 + drafting.max_drafts.value_or(kUsualDrafts))));
}

std::string kv_types_text(const LoadModelOptions& load) {
    const std::string_view key = backend::to_string(load.key_type);
    const std::string_view value = backend::to_string(load.value_type);
    return key == value ? std::string(key) : fmt::format("{},{}", key, value);
}

}  // namespace

std::string_view to_string(DrafterKind kind) {
    switch (kind) {
        case DrafterKind::kOff:
            return "off";
        case DrafterKind::kNgram:
            return "ngram";
        case DrafterKind::kDraftModel:
            return "draft";
    }
    return "off";
}

std::string_view activations_name(model::ActivationMode mode) {
    switch (mode) {
        case model::ActivationMode::kQ8:
            return "q8";
        case model::ActivationMode::kQ16:
            return "q16";
        case model::ActivationMode::kF32:
            return "f32";
    }
    return "f32";
}

std::optional<tensor::DType> weights_type_from_name(std::string_view name) {
    const auto dtype = tensor::dtype_from_name(name);
    return dtype && tensor::format_of(*dtype).encode != nullptr && dtype != tensor::DType::kI32 ? dtype : std::nullopt;
}

std::vector<std::string_view> weights_type_names() {
    std::vector<std::string_view> names;
    for (const tensor::FormatInfo& format : tensor::formats()) {
        if (weights_type_from_name(format.name)) names.push_back(format.name);
    }
    return names;
}

Result<void> check_options(const ServeOptions& options) {
    const LoadModelOptions& load = options.load;
    if (load.weights && !weights_type_from_name(tensor::format_of(*load.weights).name)) {
        return bad_input("weights: expected one of {}, found {}", fmt::join(weights_type_names(), ", "),
                         tensor::format_of(*load.weights).name);
    }
    if (load.n_outputs == 0) return bad_input("n_outputs: expected at least 1, found 0");
    if (load.n_sequences == 0) return bad_input("n_sequences: expected at least 1, found 0");
    if (!std::has_single_bit(load.block_size) || load.block_size < 16 || load.block_size > 256) {
        return bad_input("block_size: expected 16, 32, 64, 128 or 256, found {}", load.block_size);
    }
    for (const std::string& fusion : load.without_fusions) {
        if (std::find(model::kFusions.begin(), model::kFusions.end(), fusion) != model::kFusions.end()) continue;
        return bad_input("without_fusions: expected some of {}, found {}", fmt::join(model::kFusions, ", "), fusion);
    }
    const std::optional<double> target = options.target_itl_seconds;
    if (target && !(std::isfinite(*target) && *target >= 0.0)) {
        return bad_input("target_itl_seconds: expected 0 or a positive number, found {}", *target);
    }
    const DraftingOptions& drafting = options.drafting;
    const std::uint32_t max_drafts = drafting.max_drafts.value_or(kUsualDrafts);
    if (max_drafts == 0 || max_drafts > kMaxDrafts) {
        return bad_input("max_drafts: expected 1 to {}, found {}", kMaxDrafts, max_drafts);
    }
    if (drafting.fixed_drafts && *drafting.fixed_drafts > max_drafts) {
        return bad_input("fixed_drafts: expected at most the {} of max_drafts, found {}", max_drafts, *drafting.fixed_drafts);
    }
    if (drafting.drafter == DrafterKind::kDraftModel && drafting.draft_model.empty()) {
        return bad_input("draft_model: expected a smaller model for the drafter \"draft\", found none");
    }
    if (!drafting.draft_model.empty() && drafting.drafter != DrafterKind::kDraftModel && !drafting.keeps_room) {
        return bad_input("draft_model: expected none with the drafter \"{}\", found {}", to_string(drafting.drafter), drafting.draft_model);
    }
    return {};
}

Result<std::unique_ptr<ServedModel>> ServedModel::open(Runtime& runtime, std::string_view model,
                                                       std::vector<std::filesystem::path> models_folders, const OpenOptions& options) {
    RAFTER_TRY(const std::filesystem::path path, files::find_model(model, models_folders));
    RAFTER_TRY(OpenedModel opened, open_model(path, options));
    return std::unique_ptr<ServedModel>(new ServedModel(runtime, std::move(opened), std::move(models_folders)));
}

ServedModel::~ServedModel() {
    if (thread_) thread_->stop(StopMode::kCancel);
    keep_on_disk();
}

void ServedModel::warn(std::string_view option, std::string_view message) const {
    if (options_.warn) options_.warn(option, message);
}

void ServedModel::warn_of_substitutes() const {
    for (const auto& [type, n_tensors] : loaded_.n_substituted) {
        warn("weights",
             fmt::format("blocks of {} do not divide the rows of {}, which {} held as {}", tensor::format_of(*options_.load.weights).name,
                         n_tensors == 1 ? "1 tensor" : fmt::format("{} tensors", n_tensors), n_tensors == 1 ? "is" : "are",
                         tensor::format_of(type).name));
    }
}

Result<void> ServedModel::load(ServeOptions options) {
    RAFTER_CHECK(engines_.empty() && !loaded_.device, "a model is loaded once");
    RAFTER_TRY_VOID(check_options(options));
    options_ = std::move(options);
    RAFTER_TRY_VOID(find_machine());
    if (!options_.drafting.max_drafts) options_.drafting.max_drafts = usual_drafts(machine_);
    const std::uint32_t n_sequences = options_.load.n_outputs;
    options_.load.n_outputs = outputs_with_drafts(n_sequences, options_.drafting);
    RAFTER_TRY(loaded_, load_model(runtime_, opened_, options_.load));
    warn_of_substitutes();
    loaded_.scheduler.prefix_cache = options_.prefix_cache;
    loaded_.scheduler.n_sequences = n_sequences;
    price();
    if (!options_.kv_disk.path.empty() && options_.prefix_cache) RAFTER_TRY_VOID(open_kv_disk());
    if (!options_.drafting.draft_model.empty()) RAFTER_TRY_VOID(load_draft_model());
    use_drafter(options_.drafting.drafter);
    return {};
}

Result<void> ServedModel::find_machine() {
    switch (options_.prices) {
        case PriceSource::kNone:
            break;
        case PriceSource::kSaved:
            machine_ = probe::saved_profile(options_.profile_store, runtime_.pool(), runtime_.isa());
            break;
        case PriceSource::kMeasured: {
            const ComputeLease::Turn turn = runtime_.lease().take();
            RAFTER_TRY(machine_, probe::find_or_measure_profile(options_.profile_store, runtime_.pool(), runtime_.isa(),
                                                                options_.measuring_progress));
            break;
        }
    }
    return {};
}

void ServedModel::price() {
    SchedulerOptions& scheduler = loaded_.scheduler;
    const std::optional<double> target = options_.target_itl_seconds;
    if (!machine_) {
        if (target.value_or(0.0) > 0.0) {
            warn("target_itl_seconds",
                 "there is no machine profile to predict steps from; going on without a target for the time between tokens");
        }
        return;
    }
    loaded_.device->tune(*machine_);
    scheduler.cost = step_cost(loaded_);
    scheduler.target_itl_seconds = target ? *target : scheduler.cost.usual_itl_seconds(scheduler.context, scheduler.n_sequences);
}

StepCost ServedModel::step_cost(const LoadedModel& loaded) const {
    if (!machine_) return {};
    return {runtime_.backend(),    loaded.device->program(),         *machine_,
            price_options(loaded), loaded.scheduler.limits.n_tokens, loaded.scheduler.context};
}

roofline::PriceOptions ServedModel::price_options(const LoadedModel& loaded) const {
    roofline::PriceOptions options;
    options.cost.kv = loaded.kv_element_bytes;
    options.key_type = backend::to_string(options_.load.key_type);
    options.value_type = backend::to_string(options_.load.value_type);
    return options;
}

// Without the file everything works as before, so only an option that can never work is an error.
Result<void> ServedModel::open_kv_disk() {
    const auto warn_of_disk = [this](std::string_view message) { warn("kv_disk", message); };
    const model::Program& program = loaded_.device->program();
    if (program.cache_groups.size() != 1 || program.cache_groups[0].window != 0) {
        // Blocks of a window are evicted one by one, and a prefix needs the last blocks of each window.
        warn_of_disk(
            fmt::format("{} has layers with a sliding window, which the cache on disk does not support; going on without the cache on disk",
                        opened_.config.name));
        return {};
    }
    const std::string kv_types = kv_types_text(options_.load);
    const std::string_view activations = activations_name(options_.load.activations);
    const std::string_view isa = runtime_.isa();
    const std::string weights =
        options_.load.weights ? fmt::format("weights as {}, ", tensor::format_of(*options_.load.weights).name) : std::string();
    const auto machine =
        machine_identity(fmt::format("{} {} {} {}", isa, kv_types, activations, fmt::join(options_.load.without_fusions, ",")));
    auto disk = machine ? Result<std::unique_ptr<KvDisk>>(nullptr) : machine.error();
    if (machine) {
        const ComputeLease::Turn turn = runtime_.lease().take();  // hashing the weights uses the compute threads
        KvDiskOptions disk_options{
            .path = options_.kv_disk.path,
            .size_bytes = options_.kv_disk.size_bytes,
            .identity = {.hash =
                             combined_identity({*machine, program_identity(program), weights_identity(*opened_.source, runtime_.pool())}),
                         .description = fmt::format("{} ({}{}, {} cache, {})", opened_.config.name, weights, activations, kv_types, isa),
                         .block_size = loaded_.scheduler.block_size,
                         .block_bytes = loaded_.device->block_bytes(0)},
            .cost = loaded_.scheduler.cost,
            .step_tokens = loaded_.scheduler.limits.n_tokens,
            .warn = warn_of_disk};
        disk = KvDisk::open(std::move(disk_options), *loaded_.device);
    }
    if (!disk) {
        const Error& error = disk.error();
        if (error.kind == ErrorKind::kUsage || error.kind == ErrorKind::kBadInput) return error;
        warn_of_disk(error.message + "; going on without the cache on disk");
        return {};
    }
    kv_disk_ = *std::move(disk);
    loaded_.scheduler.kv_disk = kv_disk_.get();
    return {};
}

Result<void> ServedModel::load_draft_model() {
    RAFTER_TRY(const std::filesystem::path path, files::find_model(options_.drafting.draft_model, models_folders_));
    RAFTER_TRY(draft_opened_, open_model(path));
    for (const std::string& warning : draft_opened_->warnings) warn("draft_model", warning);
    auto map = VocabularyMap::match(*opened_.tokenizer, opened_.config.n_vocab, *draft_opened_->tokenizer, draft_opened_->config.n_vocab);
    if (!map) return map.error().within(draft_opened_->source->name());
    LoadModelOptions load = options_.load;
    load.context = std::min(loaded_.scheduler.context, draft_opened_->config.n_context);
    load.n_outputs = loaded_.scheduler.n_sequences;
    load.progress = {};
    load.weights.reset();
    RAFTER_TRY(draft_loaded_, load_model(runtime_, *draft_opened_, load));
    if (machine_) draft_loaded_.device->tune(*machine_);
    const SchedulerOptions& scheduler = draft_loaded_.scheduler;
    model_drafter_ = std::make_unique<ModelDrafter>(*draft_loaded_.device, *std::move(map),
                                                    ModelDrafterOptions{.limits = scheduler.limits,
                                                                        .context = scheduler.context,
                                                                        .block_size = scheduler.block_size,
                                                                        .n_blocks = scheduler.n_blocks,
                                                                        .windows = scheduler.windows,
                                                                        .cost = step_cost(draft_loaded_),
                                                                        .forced_acceptance = options_.drafting.forced_acceptance});
    return {};
}

void ServedModel::use_drafter(DrafterKind kind) {
    RAFTER_CHECK(loaded_.device && !thread_, "a drafter is chosen after load() and before start()");
    RAFTER_CHECK(kind != DrafterKind::kDraftModel || model_drafter_, "no draft model was loaded");
    if (engine_ != nullptr) engine_->forget_unused();
    if (model_drafter_) model_drafter_->forget_unused();
    Drafting& drafting = engines_[kind];
    if (!drafting.engine) {
        const DraftingOptions& wanted = options_.drafting;
        if (kind == DrafterKind::kNgram) {
            drafting.ngram = std::make_unique<NgramDrafter>(wanted.shares_texts ? NgramOptions{} : NgramOptions{.shared_bytes = 0});
        }
        SchedulerOptions scheduler = loaded_.scheduler;
        scheduler.speculation = {.drafter = kind == DrafterKind::kDraftModel ? model_drafter_.get() : drafting.ngram.get(),
                                 .most_drafts = wanted.max_drafts.value_or(kUsualDrafts),
                                 .fixed = wanted.fixed_drafts,
                                 .log = wanted.log};
        drafting.engine = std::make_unique<Engine>(*loaded_.device, *opened_.tokenizer, scheduler);
    }
    engine_ = drafting.engine.get();
}

Result<void> ServedModel::start(const EngineThreadOptions& options) {
    RAFTER_CHECK(engine_ != nullptr, "a thread is started once, after load()");
    const auto chosen =
        std::find_if(engines_.begin(), engines_.end(), [&](const auto& entry) { return entry.second.engine.get() == engine_; });
    engine_ = nullptr;
    EngineThreadOptions shared = options;
    shared.lease = &runtime_.lease();
    RAFTER_TRY(thread_, EngineThread::start(std::move(chosen->second.engine), shared));
    return {};
}

Engine& ServedModel::engine() {
    RAFTER_CHECK(engine_ != nullptr, "the engine is there after load(), and its thread's after start()");
    return *engine_;
}

EngineThread& ServedModel::thread() {
    RAFTER_CHECK(thread_ != nullptr, "the thread is there after start()");
    return *thread_;
}

void ServedModel::keep_on_disk() {
    if (kv_disk_ && engine_ != nullptr) engine_->forget_unused();
}

}  // namespace rafter::engine
