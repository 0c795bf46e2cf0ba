// The command line as data: its verbs and their options. Shell completion and the manual page
// are made from it, so that neither can lag behind what the program takes.
#pragma once

#include <string>
#include <vector>

#include "apps/cli.h"

namespace rafter::apps {

struct OptionShape {
    std::vector<std::string> names;  // "-n", "--tokens"; empty for a positional
    std::string value;               // what a help text calls its value: "N", "FILE"; empty for a flag
    std::vector<std::string> choices;
    std::string description;
    std::string variable;      // RAFTER_...; "" without one
    std::string key;           // in a configuration file; "" without one
    bool names_model = false;  // the positionals MODEL and, of "models get", NAME
    bool takes_file = false;
    bool repeatable = false;
    bool required = false;
};

struct VerbShape {
    std::string name;
    std::string description;
    std::vector<OptionShape> options;
    std::vector<OptionShape> positionals;  // by place
    std::vector<VerbShape> verbs;          // of its own: "models get"
};

[[nodiscard]] VerbShape shape_of(const Cli& cli);

}  // namespace rafter::apps
