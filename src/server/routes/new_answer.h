// What every generated answer starts from: its identity, a seed where the request gives none, and the length where it says none.
#pragma once

#include "protocols/openai_answer.h"
#include "protocols/openai_request.h"
#include "server/services.h"

namespace rafter::server {

// model: as the client calls it.
[[nodiscard]] protocols::OpenAiIdentity new_identity(const Services& services, const std::string& id,
                                                     const std::optional<std::string>& model);
// A random seed, and the rest of the context for an answer. body: of the request, which outlives them. On any thread.
[[nodiscard]] protocols::OpenAiDefaults new_defaults(const Services& services, std::string_view body);

}  // namespace rafter::server
