// Field by field: the public header is fixed, the engine's structs may change.
#include "library/convert.h"

#include <fmt/ranges.h>

#include "base/quote.h"

namespace rafter::library {
namespace {

ErrorCode code_of(ErrorKind kind) {
    switch (kind) {
        case ErrorKind::kBadInput:
        case ErrorKind::kUsage:
            return ErrorCode::kBadInput;
        case ErrorKind::kOutOfMemory:
            return ErrorCode::kOutOfMemory;
        case ErrorKind::kIo:
            return ErrorCode::kIo;
        case ErrorKind::kBusy:
            return ErrorCode::kBusy;
        case ErrorKind::kCancelled:
            return ErrorCode::kStopped;
        case ErrorKind::kInternal:
            return ErrorCode::kInternal;
    }
    return ErrorCode::kInternal;
}

backend::KvType kv_type(KvType type) {
    switch (type) {
        case KvType::kF32:
            return backend::KvType::kF32;
        case KvType::kF16:
            return backend::KvType::kF16;
        case KvType::kBF16:
            return backend::KvType::kBF16;
        case KvType::kQ8:
            return backend::KvType::kQ8;
        case KvType::kQ4:
            return backend::KvType::kQ4;
    }
    throw_error(bad_input("key_type, value_type: expected a value of KvType, found {}", static_cast<int>(type)));
}

model::ActivationMode activation_mode(Activations activations) {
    switch (activations) {
        case Activations::kQ8:
            return model::ActivationMode::kQ8;
        case Activations::kQ16:
            return model::ActivationMode::kQ16;
        case Activations::kF32:
            return model::ActivationMode::kF32;
    }
    throw_error(bad_input("activations: expected a value of Activations, found {}", static_cast<int>(activations)));
}

std::optional<tensor::DType> weights_type(const std::string& name) {
    if (name.empty()) return std::nullopt;
    const auto type = engine::weights_type_from_name(name);
    if (!type) throw_error(bad_input("weights: expected one of {}, found {}", fmt::join(engine::weights_type_names(), ", "), quote(name)));
    return type;
}

engine::DrafterKind drafter_kind(Drafter drafter) {
    switch (drafter) {
        case Drafter::kOff:
            return engine::DrafterKind::kOff;
        case Drafter::kNgram:
            return engine::DrafterKind::kNgram;
        case Drafter::kDraftModel:
            return engine::DrafterKind::kDraftModel;
    }
    throw_error(bad_input("drafter: expected a value of Drafter, found {}", static_cast<int>(drafter)));
}

// One list under two names.
static_assert(static_cast<int>(FinishReason::kStop) == static_cast<int>(engine::FinishReason::kStop));
static_assert(static_cast<int>(FinishReason::kLength) == static_cast<int>(engine::FinishReason::kLength));
static_assert(static_cast<int>(FinishReason::kCancelled) == static_cast<int>(engine::FinishReason::kCancelled));
static_assert(static_cast<int>(FinishReason::kTimeout) == static_cast<int>(engine::FinishReason::kTimeout));
static_assert(static_cast<int>(FinishReason::kError) == static_cast<int>(engine::FinishReason::kError));

Logprobs public_logprobs(engine::TokenLogprobs logprobs) { return {.logprob = logprobs.logprob, .top = std::move(logprobs.top)}; }

Finish public_finish(engine::Finish finish) {
    const engine::RequestTimes& times = finish.times;
    Finish result{.reason = static_cast<FinishReason>(finish.reason),
                  .context_full = finish.context_full,
                  .n_prompt = times.n_prompt,
                  .n_reused = times.n_reused,
                  .n_generated = times.n_generated,
                  .n_preemptions = times.n_preemptions,
                  .queue_seconds = times.queue_seconds,
                  .prefill_seconds = times.prefill_seconds,
                  .decode_seconds = times.decode_seconds};
    if (finish.error) {
        result.error_code = code_of(finish.error->kind);
        result.error = std::move(finish.error->message);
    }
    return result;
}

}  // namespace

void throw_error(const Error& error) { throw Exception(code_of(error.kind), error.message); }

engine::RuntimeOptions runtime_options(const RuntimeOptions& options) {
    constexpr unsigned kMaxThreads = 4096;
    if (options.n_threads > kMaxThreads) throw_error(bad_input("n_threads: expected at most {}, found {}", kMaxThreads, options.n_threads));
    return {.n_threads = options.n_threads, .isa = options.isa};
}

engine::ServeOptions serve_options(const ModelOptions& options) {
    constexpr std::uint32_t kMaxSequences = 4096;
    if (options.n_sequences == 0 || options.n_sequences > kMaxSequences) {
        throw_error(bad_input("n_sequences: expected 1 to {}, found {}", kMaxSequences, options.n_sequences));
    }
    if (options.max_waiting == 0) throw_error(bad_input("max_waiting: expected at least 1, found 0"));
    const SpeculationOptions& speculation = options.speculation;
    engine::ServeOptions serve{.load = {.context = options.context,
                                        .n_sequences = options.n_sequences,
                                        .kv_memory_bytes = options.kv_memory_bytes,
                                        .n_outputs = options.n_sequences,
                                        .activations = activation_mode(options.activations),
                                        .block_size = options.block_size,
                                        .key_type = kv_type(options.key_type),
                                        .value_type = kv_type(options.value_type),
                                        .weights = weights_type(options.weights),
                                        .progress = options.progress},
                               .prefix_cache = options.prefix_cache,
                               .prices = options.measure_machine ? engine::PriceSource::kMeasured : engine::PriceSource::kSaved,
                               .profile_store = {.folder = options.cache_folder, .version = version()},
                               .target_itl_seconds = options.target_itl_seconds,
                               .drafting = {.drafter = drafter_kind(speculation.drafter),
                                            .draft_model = speculation.draft_model,
                                            .max_drafts = speculation.max_drafts,
                                            .fixed_drafts = speculation.fixed_drafts},
                               .kv_disk = {.path = options.kv_disk.path, .size_bytes = options.kv_disk.size_bytes}};
    if (options.warn) {
        serve.warn = [warn = options.warn](std::string_view option, std::string_view message) {
            warn(std::string(option) + ": " + std::string(message));
        };
    }
    or_throw(engine::check_options(serve));
    return serve;
}

engine::Request engine_request(Request request) {
    SamplingOptions& sampling = request.sampling;
    return {.prompt = std::move(request.prompt),
            .sampling = {.logit_bias = std::move(sampling.logit_bias),
                         .repeat_penalty = sampling.repeat_penalty,
                         .frequency_penalty = sampling.frequency_penalty,
                         .presence_penalty = sampling.presence_penalty,
                         .temperature = sampling.temperature,
                         .top_k = sampling.top_k,
                         .top_p = sampling.top_p,
                         .min_p = sampling.min_p,
                         .typical_p = sampling.typical_p,
                         .seed = sampling.seed},
            .max_tokens = request.max_tokens,
            .stop = std::move(request.stop),
            .end_tokens = *std::move(request.end_tokens),
            .min_tokens = request.min_tokens,
            .ignore_eos = request.ignore_eos,
            .n_logprobs = request.n_logprobs,
            .score_prompt_from = request.score_prompt_from,
            .priority = request.priority,
            .timeout_seconds = request.timeout_seconds,
            .cache_salt = std::move(request.cache_salt)};
}

std::optional<grammar::Grammar> grammar_of(const Constraint& constraint) {
    using grammar::GrammarKind;
    switch (constraint.kind) {
        case ConstraintKind::kNone:
            return std::nullopt;
        case ConstraintKind::kJsonObject:
            return grammar::Grammar{GrammarKind::kJson};
        case ConstraintKind::kJsonSchema:
            return grammar::Grammar{GrammarKind::kJsonSchema, constraint.text};
        case ConstraintKind::kRegex:
            return grammar::Grammar{GrammarKind::kRegex, constraint.text};
        case ConstraintKind::kGrammar:
            return grammar::Grammar{GrammarKind::kEbnf, constraint.text};
        case ConstraintKind::kChoice:
            return grammar::choice_grammar(constraint.choices);
    }
    throw_error(bad_input("constraint: expected a value of ConstraintKind, found {}", static_cast<int>(constraint.kind)));
}

Update public_update(engine::StreamUpdate update) {
    Update result;
    for (engine::GeneratedToken& token : update.tokens) {
        result.tokens.push_back({.id = token.id, .logprobs = std::nullopt});
        if (token.logprobs) result.tokens.back().logprobs = public_logprobs(*std::move(token.logprobs));
    }
    result.text = std::move(update.text);
    for (engine::TokenLogprobs& score : update.prompt_scores) result.prompt_scores.push_back(public_logprobs(std::move(score)));
    if (update.finish) result.finish = public_finish(*std::move(update.finish));
    return result;
}

}  // namespace rafter::library
