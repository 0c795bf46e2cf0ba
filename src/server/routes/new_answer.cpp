// Identities carry the second of the request; seeds come from the system.
#include "server/routes/new_answer.h"

#include <chrono>
#include <random>

namespace rafter::server {
namespace {

// Of a whole context's text, on average, at most: more cannot fit, and would take seconds to be found too long.
constexpr std::uint64_t kMaxBytesPerToken = 64;

}  // namespace

protocols::OpenAiIdentity new_identity(const Services& services, const std::string& id, const std::optional<std::string>& model) {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    return {.id = id,
            .created_unix_s = std::chrono::duration_cast<std::chrono::seconds>(now).count(),
            .model = model.value_or(services.model_name())};
}

protocols::OpenAiDefaults new_defaults(const Services& services, std::string_view body) {
    thread_local std::random_device device;
    protocols::OpenAiDefaults defaults;
    defaults.max_tokens.reset();
    defaults.seed = std::uint64_t{device()} << 32U | device();
    defaults.context = services.served.loaded().scheduler.context;
    defaults.max_prompt_bytes = kMaxBytesPerToken * std::uint64_t{*defaults.context};
    defaults.body.text = body;
    defaults.format = services.answer_format;
    defaults.grammars = &services.grammars;
    return defaults;
}

}  // namespace rafter::server
