// An engine on a tiny real model, on a Runtime that it may share.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/engine.h"
#include "engine/loading/runtime.h"
#include "files/gguf.h"
#include "model/model_file.h"
#include "model/rewrites.h"
#include "tests/support/tiny_model.h"

namespace rafter::engine::tests {

struct TinyEngineOptions {
    std::string model = "llama";
    std::uint64_t seed = 1;
    backend::StepLimits limits{.n_tokens = 32, .n_outputs = 8};
    std::uint32_t n_blocks = 16;  // of 16 positions
    std::uint32_t context = 128;
    model::RewriteOptions rewrites = {};
    backend::KvType kv_type = backend::KvType::kF16;
    bool prefix_cache = true;
    SpeculationOptions speculation;
    std::function<void()> let_others;  // while it is loaded
};

struct TinyEngine {
    TinyEngine(Runtime& runtime, const TinyEngineOptions& options)
        : bytes(model::tiny_gguf({.name = options.model, .seed = options.seed})),
          file(files::GgufFile::parse(bytes, options.model).value()),
          tokenizer(text::Tokenizer::load(file.metadata()).value()),
          canonical(model::bind(model::build(model::read_config(file, {}).value()), file).value()) {
        SchedulerOptions scheduler{.limits = options.limits,
                                   .context = options.context,
                                   .n_blocks = std::vector<std::uint32_t>(canonical.cache_groups.size(), options.n_blocks),
                                   .windows = {},
                                   .prefix_cache = options.prefix_cache,
                                   .cost = {},
                                   .speculation = options.speculation,
                                   .clock = {}};
        for (const model::CacheGroup& group : canonical.cache_groups) scheduler.windows.push_back(group.window);
        backend::LoadOptions load;
        load.limits = options.limits;
        load.cache = {.key_type = options.kv_type, .value_type = options.kv_type, .n_blocks = scheduler.n_blocks};
        load.let_others = options.let_others;
        device = runtime.backend().load(model::rewrite(canonical, options.rewrites), file, load).value();
        engine = std::make_unique<Engine>(*device, *tokenizer, scheduler);
    }
    // Runs them all together to their ends; [requests.size()].
    std::vector<StreamUpdate> run(const std::vector<Request>& requests) const {
        std::vector<std::shared_ptr<TokenStream>> streams;
        for (const Request& request : requests) streams.push_back(engine->submit(request).value());
        while (engine->step()) {}
        std::vector<StreamUpdate> updates;
        for (const auto& stream : streams) updates.push_back(stream->take());
        return updates;
    }

    std::vector<std::byte> bytes;
    files::GgufFile file;
    std::unique_ptr<text::Tokenizer> tokenizer;
    model::Program canonical;
    std::unique_ptr<backend::DeviceModel> device;
    std::unique_ptr<Engine> engine;  // null once a thread has it
};

}  // namespace rafter::engine::tests
