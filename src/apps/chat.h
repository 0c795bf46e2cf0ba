// A chat in the terminal: history is kept, and of each turn only what is new is computed.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "apps/answer_options.h"
#include "apps/session.h"
#include "protocols/answers/answer_format.h"
#include "protocols/structured_output.h"

namespace rafter::apps {

struct ChatOptions {
    std::string system;
    nlohmann::ordered_json template_variables = nlohmann::ordered_json::object();
    AnswerOptions answer;
    std::optional<protocols::OutputForm> form = {};  // that each answer must keep to; none: anything may come
    protocols::AnswerFormatNames format = {};        // how the model writes thoughts
    SamplingDefaults defaults;
    std::uint64_t seed = 0;                     // where the options give none
    std::optional<std::string> first_question;  // asked before any is read
    std::optional<std::filesystem::path> history_file;
    bool drops_oldest = true;  // turns, when the context is full
    bool quiet = false;        // no greeting and no notes
};

// Reads questions until Ctrl-D or /exit. The exit status. Where standard input is no terminal each line is a question.
[[nodiscard]] Result<int> chat_in_terminal(const Environment& environment, Session& session, const ChatOptions& options);

}  // namespace rafter::apps
