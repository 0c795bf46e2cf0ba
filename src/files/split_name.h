// Names of the parts of a split model, as gguf-split writes them: "model-00002-of-00003.gguf".
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace rafter::files {

struct SplitName {
    std::string model;  // "model"
    unsigned number = 1;
    unsigned n_parts = 1;
};
// Of a name or path with or without ".gguf"; nothing where it is no part's.
[[nodiscard]] std::optional<SplitName> parse_split_name(std::string_view name);
// "-00002-of-00003"
[[nodiscard]] std::string split_suffix(unsigned number, unsigned n_parts);

}  // namespace rafter::files
