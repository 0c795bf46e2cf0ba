// What a model wrote as a call, from any family's notation to a name and a JSON object.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace rafter::protocols {

struct WrittenCall {
    std::string name;
    std::string arguments;  // a JSON object, as text
};

// A JSON object that an answer holds, as the model wrote it: none where it is no JSON object. Time is linear.
[[nodiscard]] std::optional<std::string> json_object_text(std::string_view text);

// text: {"name": ..., "arguments": {...}}, or a list of such. "parameters" counts as "arguments"; so does a text that holds the object.
// None where one of them is no call. needs_arguments: a name alone is no call.
struct CallJsonOptions {
    bool needs_arguments = false;
};
[[nodiscard]] std::optional<std::vector<WrittenCall>> read_json_calls(std::string_view text, const CallJsonOptions& options = {});

// <parameter=NAME>value</parameter>, any number of them, as Qwen3-Coder writes arguments. A value is a text, or what `schema` (a JSON
// schema of the object; null: none) says where it is JSON of such a type.
[[nodiscard]] std::optional<std::string> read_tagged_parameters(std::string_view text, const nlohmann::json& schema);

// {key:value,...} with keys that have no quotes and texts between `quote` marks, as Gemma writes arguments.
[[nodiscard]] std::optional<std::string> read_quoted_arguments(std::string_view text, std::string_view quote);

}  // namespace rafter::protocols
