// Which model a request's body asks for, found without making values of it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace rafter::server {

struct AskedModel {
    std::optional<std::string> model;  // none: there is none, or it is no text
    std::optional<std::string> name;   // the older key of Ollama's /api/show
    std::optional<bool> stream;
    bool is_json = true;  // false: nothing can be said
};

// These keys of a JSON object, all of which is read and checked: 11 ms for 1 MB, nearly what parsing it takes.
[[nodiscard]] AskedModel asked_model(std::string_view body);

// The first "model" of a JSON object, where it is a text. Only looks for where texts, objects and lists end, so that it takes 0.4 ms for
// 1 MB, and says nothing of a body that is no JSON. None does not mean that there is none: asked_model() knows.
[[nodiscard]] std::optional<std::string> quick_model(std::string_view body);

// "%2F" as a URL's path writes '/'; what is no such thing stays.
[[nodiscard]] std::string percent_decoded(std::string_view text);
// The value of `model` in a URL's query; none: there is none. Decoded, with '+' for a space.
[[nodiscard]] std::optional<std::string> model_in_query(std::string_view query);

}  // namespace rafter::server
