// The server's description of itself, made from the table of routes and the schemas of protocols/.
#pragma once

#include <nlohmann/json.hpp>
#include <string_view>

namespace rafter::server {

// https://spec.openapis.org/oas/v3.1.0. version: of the program.
[[nodiscard]] nlohmann::ordered_json openapi_json(std::string_view version);

}  // namespace rafter::server
