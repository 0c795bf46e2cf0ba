// A chat in the terminal: history is kept, and of each turn only what is new is computed.
#pragma once

#include <string>

#include "apps/session.h"

namespace rafter::apps {

// Reads questions until Ctrl-D or /exit. base: how each answer is generated. The exit status. On a pipe each line is a question.
[[nodiscard]] Result<int> chat_in_terminal(const Environment& environment, Session& session, const std::string& system,
                                           const engine::Request& base);

}  // namespace rafter::apps
