// A configuration file: values of options by key, in TOML or JSON.
//     threads = 4            RAFTER's sections are the table's subjects:
//     [sampling]             sampling.temperature is --temperature
//     temperature = 0.8
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/result.h"

namespace rafter::apps {

struct ConfigFile {
    std::string path;
    // The texts of each key's value, as a flag would give them: one, or those of an array.
    std::map<std::string, std::vector<std::string>, std::less<>> values;
};

// FILE.json is JSON, every other name TOML. Fails on a key that no option of the table has.
[[nodiscard]] Result<ConfigFile> read_config(const std::string& path);

}  // namespace rafter::apps
