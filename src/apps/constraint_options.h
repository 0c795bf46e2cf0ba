// What an answer must keep to, by the options of `run`.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "apps/options/verb.h"
#include "protocols/structured_output.h"

namespace rafter::apps {

struct ConstraintOptions {
    std::string schema_file;
    std::string regex;
    std::string grammar_file;
    std::vector<std::string> choices;
};

void add_constraint_options(OptionSet& options, ConstraintOptions& constraint);

// At most one of them is given.
[[nodiscard]] Result<void> check_usage(const ConstraintOptions& options);

// None where the options say nothing. Its key is the file or the flag. Fails on files that cannot be read and on what no answer could keep
// to, as far as that can be said without a vocabulary.
[[nodiscard]] Result<std::optional<protocols::OutputForm>> output_form(const ConstraintOptions& options);

}  // namespace rafter::apps
