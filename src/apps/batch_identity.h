// What a result answers: a hash of its request and the identity of the model, so that a later run with the same results' file does not
// take an answer to something else for done. Both stand in the result's "id", where OpenAI's format leaves room for them.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "apps/batch_file.h"

namespace rafter::apps {

// What decides an answer besides the request's own words.
struct RequestSettings {
    std::uint32_t n_tokens = 0;            // of an answer, where the request says nothing
    std::optional<std::uint32_t> context;  // where it limits the answer
};

// Equal for two lines that ask the same, however their JSON is laid out. value: of the line, or null where it is not JSON.
[[nodiscard]] std::uint64_t request_hash(const BatchLine& line, const nlohmann::json* value, const RequestSettings& settings);

// "batch_req_UNIQUE-REQUEST-MODEL", the last two in 16 digits.
[[nodiscard]] std::string batch_result_id(std::string_view unique, const ResultIdentity& identity);
// None in an id without them: of an earlier version, or of another program.
[[nodiscard]] std::optional<ResultIdentity> identity_in(std::string_view id);

}  // namespace rafter::apps
