// The public header's Model: a runtime, a loaded model, and an engine with its thread.
#include <rafter/rafter.h>
#include <iterator>

#include "engine/conversation.h"
#include "engine/engine_thread.h"
#include "engine/loading/loaded_model.h"
#include "files/model_store.h"
#include "library/convert.h"
#include "text/utf8_stream.h"

namespace rafter {

using library::value_or_throw;

struct Model::State {
    engine::Runtime runtime;
    engine::OpenedModel opened;
    engine::LoadedModel loaded;
    ModelInfo info;
    std::unique_ptr<engine::EngineThread> engine;  // goes first: it uses the others
};

Model::Model(std::unique_ptr<State> state) : state_(std::move(state)) {}
Model::Model(Model&&) noexcept = default;
Model& Model::operator=(Model&&) noexcept = default;
Model::~Model() = default;

Model Model::open(const std::filesystem::path& path, const ModelOptions& options) {
    const engine::LoadModelOptions load = library::load_options(options);
    const std::filesystem::path file = value_or_throw(files::find_model(path.string(), {}));
    engine::OpenedModel opened = value_or_throw(engine::open_model(file));
    engine::Runtime runtime = value_or_throw(engine::Runtime::create({.n_threads = options.n_threads}));
    engine::LoadedModel loaded = value_or_throw(engine::load_model(runtime, opened, load));
    loaded.limits.prefix_cache = options.prefix_cache;
    const backend::MemoryUse memory = loaded.device->memory();
    ModelInfo info{.name = opened.config.name,
                   .n_vocab = opened.config.n_vocab,
                   .context = loaded.limits.context,
                   .model_context = opened.config.n_context,
                   .has_chat_template = opened.has_own_template,
                   .end_tokens = opened.tokenizer->special().end_of_generation,
                   .weights_bytes = memory.weights_bytes,
                   .kv_bytes = memory.cache_bytes,
                   .workspace_bytes = memory.workspace_bytes};
    // The engine refers to what the state holds.
    auto state = std::make_unique<State>(State{std::move(runtime), std::move(opened), std::move(loaded), std::move(info), nullptr});
    auto stepped = std::make_unique<engine::Engine>(*state->loaded.device, *state->opened.tokenizer, state->loaded.limits);
    state->engine = value_or_throw(
        engine::EngineThread::start(std::move(stepped), {.max_waiting = options.max_waiting, .lease = &state->runtime.lease()}));
    return Model(std::move(state));
}

const ModelInfo& Model::info() const { return state_->info; }

std::vector<TokenId> Model::tokenize(std::string_view text) const {
    return state_->opened.tokenizer->encode(text, text::SpecialTokens::kAsText);
}

std::string Model::detokenize(std::span<const TokenId> tokens) const {
    const text::Tokenizer& tokenizer = *state_->opened.tokenizer;
    for (const TokenId token : tokens) {
        if (token < 0 || static_cast<std::size_t>(token) >= tokenizer.n_tokens()) {
            library::throw_error(bad_input("token {}: expected 0 to {}", token, tokenizer.n_tokens() - 1));
        }
    }
    return tokenizer.decode(tokens, text::SpecialTokens::kAsText);
}

std::vector<TokenId> Model::encode_prompt(std::string_view text) const {
    return value_or_throw(engine::encode_prompt(state_->opened, text));
}

std::string Model::apply_chat_template(const std::vector<Message>& messages) const {
    auto list = nlohmann::ordered_json::array();
    for (const Message& message : messages) {
        list.push_back({{"role", text::valid_utf8(message.role)}, {"content", text::valid_utf8(message.content)}});
    }
    return value_or_throw(engine::render_chat(state_->opened, list));
}

std::vector<TokenId> Model::encode_chat(const std::vector<Message>& messages) const {
    return state_->opened.tokenizer->encode(apply_chat_template(messages), text::SpecialTokens::kParse);
}

TokenStream Model::submit(Request request) const {
    if (!request.end_tokens) request.end_tokens = state_->info.end_tokens;
    auto stream = value_or_throw(state_->engine->submit(library::engine_request(std::move(request))));
    return TokenStream(std::make_unique<TokenStream::State>(TokenStream::State{std::move(stream)}));
}

Counters Model::counters() const {
    const engine::EngineSnapshot snapshot = state_->engine->snapshot();
    return {.n_running = snapshot.n_running,
            .n_waiting = snapshot.n_waiting,
            .n_accepted = snapshot.n_submitted,
            .n_busy = snapshot.n_busy,
            .n_steps = snapshot.n_steps,
            .n_tokens = snapshot.n_tokens,
            .step_seconds = snapshot.step_seconds,
            .last_step_seconds = snapshot.last_step.step_seconds,
            .n_preemptions = snapshot.scheduler.preemptions,
            .n_kv_blocks = snapshot.cache.n_blocks,
            .n_kv_used = snapshot.cache.n_used,
            .n_kv_kept = snapshot.cache.n_kept};
}

void Model::stop(StopMode mode) const {
    state_->engine->stop(mode == StopMode::kDrain ? engine::StopMode::kDrain : engine::StopMode::kCancel);
}

}  // namespace rafter
