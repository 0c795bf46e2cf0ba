// The public header's Model: a runtime, and a served model with its thread.
#include <rafter/rafter.h>
#include <iterator>

#include "engine/conversation.h"
#include "engine/loading/served_model.h"
#include "grammar/grammar_compiler.h"
#include "library/convert.h"
#include "protocols/answer_rules.h"
#include "protocols/openai_prompts.h"

namespace rafter {

using library::value_or_throw;

struct Runtime::State {
    engine::Runtime runtime;
};

Runtime::Runtime(std::shared_ptr<State> state) : state_(std::move(state)) {}

Runtime Runtime::create(const RuntimeOptions& options) {
    return Runtime(std::make_shared<State>(State{value_or_throw(engine::Runtime::create(library::runtime_options(options)))}));
}

struct Model::State {
    Runtime runtime;
    std::unique_ptr<engine::ServedModel> served;  // ends first: it uses the runtime
    ModelInfo info;
    std::unique_ptr<grammar::GrammarCompiler> grammars = nullptr;

    [[nodiscard]] const engine::OpenedModel& opened() const { return served->opened(); }
    [[nodiscard]] const text::Tokenizer& tokenizer() const { return *opened().tokenizer; }
};

Model::Model(std::unique_ptr<State> state) : state_(std::move(state)) {}
Model::Model(Model&&) noexcept = default;
Model& Model::operator=(Model&&) noexcept = default;
Model::~Model() = default;

Model Model::open(const std::filesystem::path& model, const ModelOptions& options) {
    engine::ServeOptions serve = library::serve_options(options);
    if (options.runtime && (options.n_threads != 0 || !options.isa.empty())) {
        library::throw_error(bad_input("n_threads, isa: expected none beside a shared runtime, which has its own"));
    }
    Runtime runtime = options.runtime ? *options.runtime : Runtime::create({.n_threads = options.n_threads, .isa = options.isa});
    engine::Runtime& shared = runtime.state_->runtime;
    std::unique_ptr<State> state(new State{std::move(runtime), nullptr, {}, nullptr});
    state->served = value_or_throw(engine::ServedModel::open(shared, model.string(), options.models_folders));
    if (options.warn) {
        for (const std::string& warning : state->opened().warnings) options.warn(state->opened().source->name() + ": " + warning);
    }
    library::or_throw(state->served->load(std::move(serve)));
    const engine::OpenedModel& opened = state->opened();
    const engine::LoadedModel& loaded = state->served->loaded();
    const backend::MemoryUse memory = loaded.device->memory();
    state->info = {.name = opened.config.name,
                   .n_vocab = opened.config.n_vocab,
                   .context = loaded.scheduler.context,
                   .model_context = opened.config.n_context,
                   .has_chat_template = opened.has_own_template,
                   .end_tokens = opened.tokenizer->special().end_of_generation,
                   .weights_bytes = memory.weights_bytes,
                   .kv_bytes = memory.cache_bytes,
                   .workspace_bytes = memory.workspace_bytes,
                   .target_itl_seconds = loaded.scheduler.target_itl_seconds};
    state->grammars = std::make_unique<grammar::GrammarCompiler>(*opened.tokenizer);
    library::or_throw(state->served->start({.max_waiting = options.max_waiting}));
    return Model(std::move(state));
}

const ModelInfo& Model::info() const { return state_->info; }

std::vector<TokenId> Model::tokenize(std::string_view text) const { return state_->tokenizer().encode(text, text::SpecialTokens::kAsText); }

std::string Model::detokenize(std::span<const TokenId> tokens) const {
    const text::Tokenizer& tokenizer = state_->tokenizer();
    for (const TokenId token : tokens) {
        if (token < 0 || static_cast<std::size_t>(token) >= tokenizer.n_tokens()) {
            library::throw_error(bad_input("token {}: expected 0 to {}", token, tokenizer.n_tokens() - 1));
        }
    }
    return tokenizer.decode(tokens, text::SpecialTokens::kAsText);
}

std::vector<TokenId> Model::encode_prompt(std::string_view text) const {
    return value_or_throw(engine::encode_prompt(state_->opened(), text));
}

std::string Model::apply_chat_template(const std::vector<Message>& messages, const ChatOptions& options) const {
    return value_or_throw(protocols::render_chat(state_->opened(), library::chat_input(messages, options), "messages", {})).text;
}

std::vector<TokenId> Model::encode_chat(const std::vector<Message>& messages, const ChatOptions& options) const {
    return state_->tokenizer().encode(apply_chat_template(messages, options), text::SpecialTokens::kParse);
}

TokenStream Model::submit(Request request) const {
    if (!request.end_tokens) request.end_tokens = state_->info.end_tokens;
    protocols::AnswerWishes wishes;
    if (auto grammar = library::grammar_of(request.constraint)) {
        wishes.form = protocols::OutputForm{.key = "constraint", .grammar = *std::move(grammar)};
    }
    protocols::OpenAiDefaults defaults{.grammars = state_->grammars.get()};
    if (request.parting) {
        wishes.tools = library::tool_request(*request.parting);
        wishes.thought_tokens = request.parting->thinking_tokens;
        defaults.format = {.tools = request.parting->tool_parser, .reasoning = request.parting->reasoning_parser};
    }
    const bool is_parted = request.parting.has_value();
    engine::Request made = library::engine_request(std::move(request));
    auto terms = value_or_throw(protocols::set_answer_terms(made, "", std::move(wishes), state_->opened(), defaults, made.prompt));
    if (is_parted && terms.rules == nullptr) terms.rules = std::make_shared<const protocols::AnswerRules>();
    TokenStream::State state{.stream = value_or_throw(state_->served->thread().submit(std::move(made)))};
    if (terms.rules != nullptr) state.parser.emplace(std::move(terms.rules), protocols::CallDelivery::kAsItComes);
    return TokenStream(std::make_unique<TokenStream::State>(std::move(state)));
}

Counters Model::counters() const {
    const engine::EngineSnapshot snapshot = state_->served->thread().snapshot();
    return {.n_running = snapshot.n_running,
            .n_waiting = snapshot.n_waiting,
            .queued_seconds = snapshot.queued_seconds,
            .n_accepted = snapshot.n_submitted,
            .n_busy = snapshot.n_busy,
            .n_steps = snapshot.n_steps,
            .n_tokens = snapshot.n_tokens,
            .step_seconds = snapshot.step_seconds,
            .last_step_seconds = snapshot.last_step.step_seconds,
            .n_preemptions = snapshot.scheduler.preemptions,
            .n_kv_blocks = snapshot.cache.n_blocks,
            .n_kv_used = snapshot.cache.n_used,
            .n_kv_kept = snapshot.cache.n_kept,
            .n_draft_tokens = snapshot.n_draft_tokens,
            .n_accepted_drafts = snapshot.n_accepted_drafts};
}

void Model::stop(StopMode mode) const {
    state_->served->thread().stop(mode == StopMode::kDrain ? engine::StopMode::kDrain : engine::StopMode::kCancel);
}

}  // namespace rafter
