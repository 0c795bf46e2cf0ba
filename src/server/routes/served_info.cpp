// Counted anew for each call: a thousand tensors take microseconds.
#include "server/routes/served_info.h"

#include "base/version.h"

namespace rafter::server {

protocols::ModelInfo model_info(const Services& services) {
    const engine::OpenedModel& opened = services.served.opened();
    const engine::SchedulerOptions& scheduler = services.served.loaded().scheduler;
    protocols::ModelInfo info;
    info.name = services.model_name();
    info.path = services.file_name;
    info.created_unix_s = services.started_unix_s;
    info.context = scheduler.context;
    info.n_together = scheduler.n_sequences;
    if (const auto source = opened.source->metadata().find_string("tokenizer.chat_template"); source && *source)
        info.chat_template = **source;
    info.version = version();
    info.n_vocab = static_cast<std::uint32_t>(opened.config.n_vocab);
    info.d_model = static_cast<std::uint32_t>(opened.config.d_model);
    std::uint64_t n_parameters = 0;
    for (const files::NamedTensor& tensor : opened.source->tensors()) n_parameters += tensor.n_elements();
    info.n_parameters = n_parameters;
    info.size_bytes = opened.source->size_bytes();
    return info;
}

}  // namespace rafter::server
