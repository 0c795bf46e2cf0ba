// What an answer must keep to, by the options of `run`.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "apps/options/verb.h"
#include "engine/sampling/mask.h"
#include "text/tokenizer.h"

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

// Compiled, in the calling thread. Null where the options say nothing. Fails on files that cannot be read and on what no answer could keep
// to.
[[nodiscard]] Result<std::shared_ptr<engine::PendingMask>> constraint_mask(const ConstraintOptions& options,
                                                                           const text::Tokenizer& tokenizer);

}  // namespace rafter::apps
