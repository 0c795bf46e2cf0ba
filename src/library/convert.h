// The public header's plain data to the engine's and back, and its errors: values become the one exception here.
#pragma once

#include <rafter/rafter.h>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/result.h"
#include "engine/loading/served_model.h"
#include "engine/request.h"
#include "engine/token_stream.h"
#include "grammar/grammar.h"
#include "protocols/answers/answer_parser.h"
#include "protocols/function_tools.h"
#include "text/chat_template.h"

namespace rafter {

struct TokenStream::State {
    std::shared_ptr<engine::TokenStream> stream;
    std::optional<protocols::AnswerParser> parser = std::nullopt;  // until the finish

    [[nodiscard]] Update parted(engine::StreamUpdate update);
};

}  // namespace rafter

namespace rafter::library {

[[noreturn]] void throw_error(const Error& error);

template <typename T>
T value_or_throw(Result<T> result) {
    if (!result) throw_error(result.error());
    return std::move(result).value();
}

inline void or_throw(const Result<void>& result) {
    if (!result) throw_error(result.error());
}

// Throws on what no machine has.
[[nodiscard]] engine::RuntimeOptions runtime_options(const RuntimeOptions& options);
// Throws on what no model can be opened with.
[[nodiscard]] engine::ServeOptions serve_options(const ModelOptions& options);
// request.end_tokens must be there; its constraint is left out.
[[nodiscard]] engine::Request engine_request(Request request);
// None: anything may come. Throws on a kind that is none.
[[nodiscard]] std::optional<grammar::Grammar> grammar_of(const Constraint& constraint);
[[nodiscard]] Update public_update(engine::StreamUpdate update);

// Throws on a list of tools that is none, and on a choice that they do not allow.
[[nodiscard]] protocols::ToolRequest tool_request(const Parting& parting);
// As the chat template takes them. Throws on tools and variables that are none.
[[nodiscard]] text::ChatTemplateInput chat_input(const std::vector<Message>& messages, const ChatOptions& options);
[[nodiscard]] std::vector<Part> public_parts(protocols::AnswerEvents events);

}  // namespace rafter::library
