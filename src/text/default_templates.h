// Built-in chat templates for model files that carry none, chosen by the marks that the vocabulary has for turns, or else by the
// architecture.
#pragma once

#include <functional>
#include <string_view>

namespace rafter::text {

struct DefaultTemplate {
    std::string_view name;  // for messages: "chatml"
    std::string_view source;
};

// has_token says whether the vocabulary has a token of that text. There is always one: ChatML when nothing else fits.
[[nodiscard]] const DefaultTemplate& default_chat_template(std::string_view architecture,
                                                           const std::function<bool(std::string_view)>& has_token);

}  // namespace rafter::text
