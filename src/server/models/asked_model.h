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

// These keys of a JSON object. Where `stop_at_model`, what stands behind the model is not read.
[[nodiscard]] AskedModel asked_model(std::string_view body, bool stop_at_model);

// The value of `model` in a URL's query; none: there is none. Percent signs and '+' are decoded.
[[nodiscard]] std::optional<std::string> model_in_query(std::string_view query);

}  // namespace rafter::server
