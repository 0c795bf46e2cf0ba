// Opening reads metadata only; loading builds the program for the chosen context, binds it, rewrites it, and hands it to the backend.
#include "engine/loading/loaded_model.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <set>

#include "base/check.h"
#include "base/os_memory.h"
#include "base/quote.h"
#include "engine/loading/cache_size.h"
#include "engine/loading/model_source.h"
#include "model/model_file.h"
#include "model/workspace.h"
#include "report/units.h"

namespace rafter::engine {
namespace {

constexpr std::uint32_t kDefaultContext = 4096;
// Of unfused attention: beyond it a step has fewer tokens, to the least that a prompt is still read with.
constexpr std::size_t kMaxScoresBytes = std::size_t{256} << 20U;
constexpr std::size_t kMinScoreTokens = 16;

// Tensors that are read with the config instead of being weights of the program.
constexpr std::string_view kConfigTensors[] = {"rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight"};
constexpr std::size_t kNamesShown = 3;

// N of "blk.N.attn_q.weight"; none for other names.
std::optional<std::uint64_t> block_of(std::string_view tensor) {
    if (!tensor.starts_with("blk.")) return std::nullopt;
    std::uint64_t block = 0;
    const auto [end, error] = std::from_chars(tensor.data() + 4, tensor.data() + tensor.size(), block);
    if (error != std::errc() || end == tensor.data() + tensor.size() || *end != '.') return std::nullopt;
    return block;
}

void warn_of_unused_tensors(const files::TensorSource& source, const model::ModelConfig& config, text::Warnings& warnings) {
    std::set<std::string_view> used(std::begin(kConfigTensors), std::end(kConfigTensors));
    const model::Program program = model::build(config);
    for (const model::Weight& weight : program.weights) used.insert(weight.tensor);
    std::uint64_t n_blocks = config.n_layers;
    std::size_t n_unused = 0;
    std::vector<std::string> names;
    for (const files::NamedTensor& tensor : source.tensors()) {
        const auto block = block_of(tensor.name);
        if (block && *block >= config.n_layers) {
            n_blocks = std::max(n_blocks, *block + 1);
        } else if (!used.contains(tensor.name) && ++n_unused <= kNamesShown) {
            names.push_back(quote(tensor.name));
        }
    }
    if (n_blocks > config.n_layers) {
        warnings.push_back(fmt::format("{}.block_count is {}, but there are tensors of {} blocks: those of block {} and above are not used",
                                       config.architecture, config.n_layers, n_blocks, config.n_layers));
    }
    if (n_unused == 0) return;
    warnings.push_back(fmt::format("{} not used: {}{}", n_unused == 1 ? "1 tensor is" : fmt::format("{} tensors are", n_unused),
                                   fmt::join(names, ", "), n_unused > kNamesShown ? ", ..." : ""));
}

Result<OpenedModel> open_parts(std::unique_ptr<files::TensorSource> source, const OpenOptions& options) {
    const files::Metadata& metadata = source->metadata();
    RAFTER_TRY(auto tokenizer, text::Tokenizer::load(metadata));
    RAFTER_TRY(auto config, model::read_config(*source, {}));
    RAFTER_TRY(auto chat_template,
               options.chat_template ? text::ChatTemplate::load(metadata, *options.chat_template) : text::ChatTemplate::load(metadata));
    const bool is_own = options.chat_template || metadata.has("tokenizer.chat_template");
    text::Warnings warnings(tokenizer->warnings().begin(), tokenizer->warnings().end());
    warn_of_unused_tensors(*source, config, warnings);
    return OpenedModel{.source = std::move(source),
                       .tokenizer = std::move(tokenizer),
                       .config = std::move(config),
                       .chat_template = std::move(chat_template),
                       .has_own_template = is_own,
                       .warnings = std::move(warnings)};
}

}  // namespace

Result<OpenedModel> open_model(const std::filesystem::path& path, const OpenOptions& options) {
    RAFTER_TRY(auto source, open_source(path));
    const std::string name = source->name();
    auto opened = open_parts(std::move(source), options);
    if (!opened) return opened.error().within(name);
    if (opened->tokenizer->n_tokens() > opened->config.n_vocab) {
        return bad_input("{}: expected a tokenizer of at most the model's {} tokens, found {}", name, opened->config.n_vocab,
                         opened->tokenizer->n_tokens());
    }
    return opened;
}

Result<std::uint32_t> choose_context(const model::ModelConfig& config, const LoadModelOptions& options) {
    const std::uint32_t most = config.n_context;
    if (!options.context) {
        return static_cast<std::uint32_t>(std::min<std::uint64_t>(most, std::max<std::uint64_t>(kDefaultContext, options.context_needed)));
    }
    if (*options.context == 0) return bad_input("context: expected at least 1 token, found 0");
    if (*options.context > most)
        return bad_input("context: expected at most {}, which the model was trained for, found {}", report::grouped(most),
                         report::grouped(*options.context));
    return *options.context;
}

namespace {

// What a cache may take: nineteen twentieths of the memory that is left when the rest is loaded, where that is known.
double memory_for_cache(const backend::Backend& backend, const backend::MemoryUse& rest) {
    const auto available = backend.memory_available();
    if (!available) return std::numeric_limits<double>::infinity();
    return std::max(0.0, 0.95 * (static_cast<double>(*available) - static_cast<double>(rest.weights_bytes + rest.workspace_bytes)));
}

// Room for n_sequences at full context, or for as much of that as the memory has, one sequence at least.
Result<std::vector<std::uint32_t>> cache_blocks(const model::Program& program, const CacheDemand& demand, double free,
                                                std::uint64_t allowed) {
    const double available = std::min(free, static_cast<double>(allowed));
    CacheSize size = size_cache(program.cache_groups, demand, available);
    if (size.sequence_bytes > available) {
        return Error{
            fmt::format("a KV cache for {} tokens takes {}, but only {} of memory is {}; use a smaller context",
                        report::grouped(demand.context), format_bytes(static_cast<std::uint64_t>(size.sequence_bytes)),
                        format_bytes(static_cast<std::uint64_t>(available)), available < free ? "allowed" : "available beside the weights"),
            ErrorKind::kOutOfMemory};
    }
    return std::move(size.n_blocks);
}

// A step of unfused attention has so many tokens that their scores take kMaxScoresBytes, or kMinScoreTokens.
Result<void> limit_scores(const backend::Backend& backend, const model::Program& program, backend::StepLimits& limits) {
    std::size_t token_bytes = 0;
    for (const model::Value& value : program.values) {
        if (value.width == 0) token_bytes = model::row_bytes(program, value, {.n_positions = limits.n_positions});
    }
    RAFTER_CHECK(token_bytes > 0, "no value has scores");
    const std::size_t fitting = std::max<std::size_t>(kMinScoreTokens, kMaxScoresBytes / token_bytes);
    limits.n_tokens = static_cast<std::uint32_t>(std::min<std::size_t>(limits.n_tokens, fitting));
    const std::uint64_t bytes = std::uint64_t{limits.n_tokens} * token_bytes;
    const auto available = backend.memory_available();
    if (!available || bytes <= *available) return {};
    return Error{fmt::format("unfused attention's scores of {} tokens that see {} positions take {}, but only {} of memory is available; "
                             "use a smaller context, or fuse attention",
                             limits.n_tokens, report::grouped(limits.n_positions), format_bytes(bytes), format_bytes(*available)),
                 ErrorKind::kOutOfMemory};
}

// memory: that the cache may take beside the rest; none: what is available. planned: what all of it takes.
Result<PreparedModel> prepare_within(const backend::Backend& backend, const OpenedModel& opened, const LoadModelOptions& options,
                                     std::optional<double> memory, std::uint64_t& planned) {
    RAFTER_TRY(const std::uint32_t context, choose_context(opened.config, options));
    RAFTER_TRY(const model::ModelConfig config, model::read_config(*opened.source, {.context = context}));
    auto bound = model::bind(model::build(config), *opened.source);
    if (!bound) return bound.error().within(opened.source->name());
    model::HeldWeights held{.program = *std::move(bound), .n_substituted = {}};
    if (options.weights) held = model::hold_weights_as(std::move(held.program), *options.weights);
    if (options.observe_inputs) held.program = model::observe_inputs(std::move(held.program));
    if (!options.observe_moments.empty()) held.program = model::observe_moments(std::move(held.program), options.observe_moments);
    PreparedModel prepared{
        .program = model::rewrite(std::move(held.program), {.activations = options.activations, .without = options.without_fusions}),
        .scheduler = {},
        .kv_element_bytes = {},
        .n_substituted = std::move(held.n_substituted)};
    if (const auto runs = backend.can_run(prepared.program); !runs) return runs.error().within(opened.source->name());
    const auto element_bytes = [&](backend::KvType type) {
        return static_cast<double>(backend::kv_row_bytes(type, config.head_dim)) / config.head_dim;
    };
    prepared.kv_element_bytes = {.key = element_bytes(options.key_type), .value = element_bytes(options.value_type)};
    SchedulerOptions& scheduler = prepared.scheduler;
    scheduler.limits = {
        .n_tokens = static_cast<std::uint32_t>(std::min<std::uint64_t>(kStepTokens, std::uint64_t{context} * options.n_sequences)),
        .n_outputs = options.n_outputs,
        .n_positions = context};
    if (model::has_scores(prepared.program)) RAFTER_TRY_VOID(limit_scores(backend, prepared.program, scheduler.limits));
    scheduler.context = context;
    scheduler.block_size = options.block_size;
    // One block of each group says what a block takes in all layers: a little more than its elements, for some types.
    const std::vector<std::uint32_t> one_block(prepared.program.cache_groups.size(), 1);
    backend::MemoryUse use = backend.memory_to_load(
        prepared.program, scheduler.limits,
        {.key_type = options.key_type, .value_type = options.value_type, .block_size = options.block_size, .n_blocks = one_block});
    if (options.weights_of != nullptr) use.weights_bytes = 0;
    const CacheDemand demand{.context = context,
                             .step_tokens = scheduler.limits.n_tokens,
                             .n_sequences = options.n_sequences,
                             .block_size = options.block_size,
                             .bytes_per_token = static_cast<double>(use.cache_bytes) / options.block_size};
    RAFTER_TRY(scheduler.n_blocks, cache_blocks(prepared.program, demand, memory ? *memory : memory_for_cache(backend, use),
                                                options.kv_memory_bytes.value_or(UINT64_MAX)));
    for (const model::CacheGroup& group : prepared.program.cache_groups) scheduler.windows.push_back(group.window);
    use.cache_bytes = backend
                          .memory_to_load(prepared.program, scheduler.limits,
                                          {.key_type = options.key_type,
                                           .value_type = options.value_type,
                                           .block_size = options.block_size,
                                           .n_blocks = scheduler.n_blocks})
                          .cache_bytes;
    planned = use.weights_bytes + use.workspace_bytes + use.cache_bytes;
    return prepared;
}

}  // namespace

Result<PreparedModel> prepare_model(const backend::Backend& backend, const OpenedModel& opened, const LoadModelOptions& options) {
    std::uint64_t planned = 0;
    return prepare_within(backend, opened, options, std::nullopt, planned);
}

Result<std::uint64_t> planned_memory(const backend::Backend& backend, const OpenedModel& opened, const LoadModelOptions& options) {
    std::uint64_t planned = 0;
    RAFTER_TRY_VOID(prepare_within(backend, opened, options, std::numeric_limits<double>::infinity(), planned));
    return planned;
}

Result<LoadedModel> load_model(Runtime& runtime, const OpenedModel& opened, const LoadModelOptions& options) {
    RAFTER_TRY(PreparedModel prepared, prepare_model(runtime.backend(), opened, options));
    LoadedModel loaded{.device = nullptr,
                       .scheduler = std::move(prepared.scheduler),
                       .kv_element_bytes = prepared.kv_element_bytes,
                       .n_substituted = std::move(prepared.n_substituted)};
    // Models that run meanwhile take their steps between two parts of the packing.
    ComputeLease::Turn turn = runtime.lease().take();
    const backend::LoadOptions load{.limits = loaded.scheduler.limits,
                                    .cache = {.key_type = options.key_type,
                                              .value_type = options.value_type,
                                              .block_size = options.block_size,
                                              .n_blocks = loaded.scheduler.n_blocks},
                                    .progress = options.progress,
                                    .let_others = [&turn] { turn.let_others(); },
                                    .weights_of = options.weights_of};
    auto device = runtime.backend().load(std::move(prepared.program), *opened.source, load);
    if (!device) return device.error();  // it names the file
    loaded.device = *std::move(device);
    return loaded;
}

}  // namespace rafter::engine
