// Vocabularies are compared before any weights are read.
#include "apps/reference_model.h"

#include "apps/model_title.h"
#include "apps/output.h"
#include "engine/measure/divergence.h"
#include "report/progress.h"

namespace rafter::apps {

Result<std::unique_ptr<ReferenceModel>> load_reference(const ReferenceOptions& options, const Environment& environment,
                                                       engine::Runtime& runtime, const engine::OpenedModel& judged,
                                                       const SessionOptions& session) {
    RAFTER_TRY(const std::filesystem::path path, find_model(environment, options.model));
    RAFTER_TRY(engine::OpenedModel opened, engine::open_model(path));
    auto reference = std::make_unique<ReferenceModel>(ReferenceModel{.opened = std::move(opened), .loaded = {}});
    RAFTER_TRY_VOID(engine::check_same_vocabulary(reference->opened, judged));
    engine::LoadModelOptions load{.context = options.context, .n_outputs = options.n_outputs};
    if (options.mode == "exact") {
        load.activations = model::ActivationMode::kF32;
        load.key_type = load.value_type = backend::KvType::kF32;
    } else {
        load.activations = activation_mode_of(session.activations);
        load.key_type = kv_types_of(session.kv_type)->key;
        load.value_type = kv_types_of(session.kv_type)->value;
        load.block_size = session.block_size;
        load.without_fusions = {session.no_fuse.begin(), session.no_fuse.end()};
    }
    report::Progress loading(stderr_terminal(environment), "Loading " + model_title(*reference->opened.source));
    load.progress = [&](double fraction) { loading.update(fraction); };
    RAFTER_TRY(reference->loaded, engine::load_model(runtime, reference->opened, load));
    loading.clear();
    return reference;
}

std::string_view reference_mode_words(std::string_view mode) {
    return mode == "exact" ? "float32 activations and cache" : "computed as the model is";
}

}  // namespace rafter::apps
