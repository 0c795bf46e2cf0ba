// Names on the command line become the types of the layers below.
#include "apps/session.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>

#include "apps/machine_profile.h"
#include "apps/output.h"
#include "base/clock.h"
#include "base/quote.h"
#include "engine/offload/model_identity.h"
#include "engine/speculation/ngram_drafter.h"
#include "files/model_store.h"
#include "model/rewrites.h"
#include "report/progress.h"

namespace rafter::apps {
namespace {

const std::map<std::string, model::ActivationMode> kActivations{
    {"q8", model::ActivationMode::kQ8}, {"q16", model::ActivationMode::kQ16}, {"f32", model::ActivationMode::kF32}};
const std::map<std::string, backend::cpu::Isa> kIsas{
    {"scalar", backend::cpu::Isa::kScalar}, {"avx2", backend::cpu::Isa::kAvx2}, {"avx512", backend::cpu::Isa::kAvx512}};

template <typename T>
CLI::Validator one_of(const std::map<std::string, T>& names) {
    std::vector<std::string> list;
    for (const auto& [name, value] : names) list.push_back(name);
    return CLI::IsMember(list);
}

constexpr std::uint32_t kMaxOutputs = 64;  // rows with logits, for draft tokens: more of them never pay together

double seconds_since(std::int64_t start_ns) { return static_cast<double>(monotonic_ns() - start_ns) * 1e-9; }

}  // namespace

CLI::Validator kv_type_names() {
    std::vector<std::string_view> names;
    for (const backend::KvType type : backend::kv_types()) names.push_back(backend::to_string(type));
    const std::string expected = fmt::format("expected one of {}, or two as KEYS,VALUES", fmt::join(names, ", "));
    return {[expected](const std::string& text) { return kv_types_of(text) ? std::string() : expected + ", found " + quote(text); }, ""};
}

void add_session_options(CLI::App& verb, SessionOptions& options) {
    verb.add_option("MODEL", options.model, "A GGUF file, a Hugging Face cache folder, or a name that `rafter models` lists")->required();
    const auto group = "Machine";
    verb.add_option("--threads", options.n_threads, "Compute threads (default: all CPUs that this process may use)")
        ->check(CLI::Range(1U, 4096U))
        ->type_name("N")
        ->group(group);
    verb.add_option("--isa", options.isa, "Instruction set of the kernels (default: the machine's best)")
        ->check(one_of(kIsas))
        ->type_name("NAME")
        ->group(group);
    verb.add_option(
            "--activations", options.activations,
            "How activations enter quantised matrices: q8 (8 bits, fastest), q16 (more exact, as fast where memory is the limit), f32")
        ->check(one_of(kActivations))
        ->type_name("NAME")
        ->capture_default_str()
        ->group(group);
    verb.add_option("--kv-type", options.kv_type,
                    "Number type of the KV cache, or of keys and values: f32, f16, bf16, q8 (8.5 bits), q4 (5 bits), q8,q4")
        ->check(kv_type_names())
        ->type_name("TYPE[,TYPE]")
        ->capture_default_str()
        ->group(group);
    verb.add_option("--kv-block", options.block_size, "Positions a block of the KV cache: the smallest part that is shared or evicted")
        ->check(CLI::IsMember({16U, 32U, 64U, 128U, 256U}))
        ->type_name("N")
        ->capture_default_str()
        ->group(group);
    verb.add_option("--no-fuse", options.no_fuse,
                    "Leave fusions out, to see what they give: linears (matrices with one input), rows (small ops), or some of either")
        ->check(CLI::IsMember(std::vector<std::string>(model::kFusions.begin(), model::kFusions.end())))
        ->delimiter(',')
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
        ->type_name("NAME,..")
        ->group(group);
}

std::optional<KvTypes> kv_types_of(const std::string& text) {
    const std::size_t comma = std::min(text.find(','), text.size());
    const auto key = backend::kv_type_from_name(std::string_view(text).substr(0, comma));
    const auto value = comma < text.size() ? backend::kv_type_from_name(std::string_view(text).substr(comma + 1)) : key;
    if (!key || !value) return std::nullopt;
    return KvTypes{.key = *key, .value = *value};
}

std::vector<std::filesystem::path> models_folders(const Environment& environment) {
    std::vector<std::filesystem::path> folders;
    if (environment.models_folder) folders.push_back(*environment.models_folder);
    if (environment.cache_folder) folders.push_back(*environment.cache_folder / "models");
    return folders;
}

Result<std::filesystem::path> find_model(const Environment& environment, const std::string& model) {
    return files::find_model(model, models_folders(environment));
}

Result<std::unique_ptr<Session>> Session::open(const Environment& environment, const SessionOptions& options) {
    const std::int64_t start_ns = monotonic_ns();
    RAFTER_TRY(const std::filesystem::path path, find_model(environment, options.model));
    RAFTER_TRY(engine::OpenedModel opened, engine::open_model(path));
    engine::RuntimeOptions runtime_options{.n_threads = options.n_threads, .isa = std::nullopt};
    if (!options.isa.empty()) runtime_options.isa = kIsas.at(options.isa);
    RAFTER_TRY(engine::Runtime runtime, engine::Runtime::create(runtime_options));
    std::unique_ptr<Session> session(new Session(environment, options, std::move(runtime), std::move(opened)));
    session->load_seconds_ = seconds_since(start_ns);
    return session;
}

roofline::PriceOptions Session::price_options() const {
    roofline::PriceOptions options;
    options.cost.kv = loaded_.kv_element_bytes;
    options.key_type = backend::to_string(key_type());
    options.value_type = backend::to_string(value_type());
    return options;
}

Result<void> Session::load(Needs needs) {
    const std::int64_t start_ns = monotonic_ns();
    report::Progress bar(stderr_terminal(environment_), "Loading " + opened_.config.name);
    engine::LoadModelOptions load;
    load.context = options_.context;
    load.context_needed = needs.context;
    if (needs.no_more_context) load.context = static_cast<std::uint32_t>(needs.context);
    load.n_outputs = needs.n_outputs;
    const SpeculationFlags& speculation = options_.speculation;
    if (speculation.on()) {
        load.n_outputs = std::max(needs.n_outputs, std::min(kMaxOutputs, needs.n_outputs * (1 + speculation.most)));
    }
    load.n_sequences = needs.n_sequences;
    load.kv_memory_bytes = needs.kv_memory_bytes;
    load.activations = kActivations.at(options_.activations);
    load.block_size = options_.block_size;
    load.key_type = key_type();
    load.value_type = value_type();
    load.without_fusions = {options_.no_fuse.begin(), options_.no_fuse.end()};
    load.progress = [&](double fraction) { bar.update(fraction); };
    RAFTER_TRY(loaded_, engine::load_model(runtime_, opened_, load));
    loaded_.limits.prefix_cache = needs.prefix_cache;
    loaded_.limits.n_sequences = needs.n_outputs;
    std::optional<hardware::Profile> machine;
    if (!needs.priced_for.empty()) {
        bar.clear();
        RAFTER_TRY(machine, machine_profile(environment_, runtime_.pool(), runtime_.isa(), needs.priced_for));
    } else if (speculation.on() || options_.kv_disk.on()) {
        machine = probe::saved_profile(profile_store(environment_), runtime_.pool(), runtime_.isa());
    }
    if (machine) {
        engine::SchedulerOptions& limits = loaded_.limits;
        limits.cost = engine::StepCost(loaded_.device->program(), *machine, price_options(), limits.limits.n_tokens, limits.context);
        limits.target_itl_seconds = needs.target_itl_seconds.value_or(limits.cost.usual_itl_seconds(limits.context, limits.n_sequences));
    }
    bar.clear();
    if (options_.kv_disk.on() && needs.prefix_cache) RAFTER_TRY_VOID(open_kv_disk());
    if (!speculation.draft_model.empty()) RAFTER_TRY_VOID(load_draft(load, machine));
    learns_texts_ = needs.learns_texts;
    if (!speculation.log_file.empty()) {
        RAFTER_TRY(AppendFile log, AppendFile::open(speculation.log_file));
        if (log.is_regular()) RAFTER_TRY_VOID(log.cut(0));
        log_.emplace(std::move(log));
    }
    use_drafter(std::string(speculation.drafter()));
    load_seconds_ += seconds_since(start_ns);
    return {};
}

Session::~Session() { keep_on_disk(); }

void Session::keep_on_disk() {
    if (kv_disk_ && engine_ != nullptr) engine_->forget_unused();
}

// Without it all goes on as before, but for what is wrong with the command line.
Result<void> Session::open_kv_disk() {
    const auto warn = [](const std::string& message) { fmt::print(stderr, "rafter: --kv-disk: {}\n", message); };
    const model::Program& program = loaded_.device->program();
    if (program.cache_groups.size() != 1 || program.cache_groups[0].window != 0) {
        // Their blocks are evicted one by one, and a prefix needs the last of each window.
        warn(
            fmt::format("{} has layers with a sliding window, whose blocks do not go to a file; going on without it", opened_.config.name));
        return {};
    }
    engine::KvDiskOptions options{
        .path = options_.kv_disk.path,
        .size_bytes = options_.kv_disk.size_bytes,
        .identity = {.hash = 0,
                     .description = fmt::format("{} ({}, {} cache, {})", opened_.config.name, options_.activations, options_.kv_type,
                                                backend::cpu::to_string(runtime_.isa())),
                     .block_size = loaded_.limits.block_size,
                     .block_bytes = loaded_.device->block_bytes(0)},
        .cost = loaded_.limits.cost,
        .step_tokens = loaded_.limits.limits.n_tokens,
        .warn = warn};
    const auto machine = engine::machine_identity(fmt::format("{} {} {} {}", backend::cpu::to_string(runtime_.isa()), options_.kv_type,
                                                              options_.activations, fmt::join(options_.no_fuse, ",")));
    auto disk = machine ? Result<std::unique_ptr<engine::KvDisk>>(nullptr) : machine.error();
    if (machine) {
        options.identity.hash = engine::combined_identity(
            {*machine, engine::program_identity(program), engine::weights_identity(opened_.file, runtime_.pool())});
        disk = engine::KvDisk::open(std::move(options), *loaded_.device);
    }
    if (!disk) {
        const Error& error = disk.error();
        if (error.kind == ErrorKind::kUsage || error.kind == ErrorKind::kBadInput) return error.within("--kv-disk");
        warn(error.message + "; going on without it");
        return {};
    }
    kv_disk_ = *std::move(disk);
    loaded_.limits.kv_disk = kv_disk_.get();
    return {};
}

Result<void> Session::load_draft(const engine::LoadModelOptions& like, const std::optional<hardware::Profile>& machine) {
    RAFTER_TRY(const std::filesystem::path path, find_model(environment_, options_.speculation.draft_model));
    RAFTER_TRY(draft_opened_, engine::open_model(path));
    auto map =
        engine::VocabularyMap::match(*opened_.tokenizer, opened_.config.n_vocab, *draft_opened_->tokenizer, draft_opened_->config.n_vocab);
    if (!map) return map.error().within(draft_opened_->file.name());
    engine::LoadModelOptions load = like;
    load.context = std::min(loaded_.limits.context, draft_opened_->config.n_context);
    load.n_outputs = loaded_.limits.n_sequences;
    load.progress = {};
    RAFTER_TRY(draft_loaded_, engine::load_model(runtime_, *draft_opened_, load));
    const engine::SchedulerOptions& limits = draft_loaded_.limits;
    engine::ModelDrafterOptions drafter{.limits = limits.limits,
                                        .context = limits.context,
                                        .block_size = limits.block_size,
                                        .n_blocks = limits.n_blocks,
                                        .windows = limits.windows,
                                        .cost = {},
                                        .forced_acceptance = options_.speculation.forced_acceptance};
    if (machine) {
        roofline::PriceOptions price = price_options();
        price.cost.kv = draft_loaded_.kv_element_bytes;
        drafter.cost = engine::StepCost(draft_loaded_.device->program(), *machine, price, limits.limits.n_tokens, limits.context);
    }
    model_drafter_ = std::make_unique<engine::ModelDrafter>(*draft_loaded_.device, *std::move(map), std::move(drafter));
    return {};
}

void Session::use_drafter(const std::string& drafter) {
    if (engine_ != nullptr) engine_->forget_unused();
    if (model_drafter_) model_drafter_->forget_unused();
    Drafting& drafting = engines_[drafter];
    if (!drafting.engine) {
        if (drafter == "ngram")
            drafting.ngram =
                std::make_unique<engine::NgramDrafter>(learns_texts_ ? engine::NgramOptions{} : engine::NgramOptions{.shared_bytes = 0});
        engine::SchedulerOptions options = loaded_.limits;
        options.speculation = {.drafter = drafter == "draft" ? model_drafter_.get() : drafting.ngram.get(),
                               .most_drafts = options_.speculation.most,
                               .fixed = options_.speculation.fixed,
                               .log = {}};
        if (log_) {
            options.speculation.log = [this](const engine::SpeculationLogLine& line) {
                if (log_failed_) return;
                const auto written = log_->append(log_json(line).dump() + "\n");
                if (written) return;
                log_failed_ = true;
                fmt::print(stderr, "rafter: the log of draft tokens ends here: {}\n", written.error().message);
            };
        }
        drafting.engine = std::make_unique<engine::Engine>(*loaded_.device, *opened_.tokenizer, options);
    }
    engine_ = drafting.engine.get();
}

}  // namespace rafter::apps
