// How an answer is chosen and when it ends, as all endpoints of OpenAI's say it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/json_reader.h"
#include "engine/request.h"

namespace rafter::protocols {

[[nodiscard]] Result<engine::SamplingOptions> read_sampling(const JsonReader& body, std::size_t n_vocab, std::uint64_t default_seed);
// key: that says them.
[[nodiscard]] Result<std::vector<std::string>> read_stops(const JsonReader& body, const std::string& key = "stop");
[[nodiscard]] Result<int> read_priority(const JsonReader& body);

}  // namespace rafter::protocols
