// The command line's parser, CLI11, told of a verb: its flags and places become CLI11's options, and its help text is CLI11's.
#pragma once

#include <CLI/CLI.hpp>

#include "apps/cli.h"
#include "apps/options/verb.h"

namespace rafter::apps {

// Adds the verb, and to its options --config. When the verb is chosen, its options get their values and it runs: Cli::action.
void add_verb(CLI::App& app, Cli& cli, Verb verb);

}  // namespace rafter::apps
