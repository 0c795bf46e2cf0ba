// A verb of the command line as data: its options, rows of the table tied to the fields that they set, and what it does. Flags, help,
// manual page and completion are made from this.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "apps/options/config_file.h"
#include "apps/options/option_spec.h"
#include "apps/options/option_value.h"
#include "base/result.h"

namespace rafter::apps {

struct Environment;

// What a verb may say of an option that the table cannot: its default, where verbs differ in that.
struct OptionUse {
    std::string_view default_value;  // "": the table's
    std::string_view otherwise;      // "": the table's
    bool required = false;
    std::string_view except;  // a choice that this verb does not have
};

// An option of one verb.
struct BoundOption {
    OptionSpec spec;  // the table's row, with this verb's default
    bool required = false;
    bool takes_list = false;  // its field is a list
    std::function<Result<void>(const std::vector<std::string>& texts)> set;
    std::vector<std::string> from_flags;  // what the command line gives
};

class OptionSet {
  public:
    // Ties the option of this name to a field, which must live as long as the set: bool, a whole number, a number, a text, any of these in
    // an optional, or a list.
    template <typename T>
    void add(std::string_view name, T& field, const OptionUse& use = {}) {
        BoundOption& option = add_row(name, use);
        option.takes_list = kIsList<T>;
        option.set = [&field, spec = option.spec](const std::vector<std::string>& texts) -> Result<void> {
            RAFTER_TRY(field, field_value<T>(spec, texts));
            return {};
        };
    }
    [[nodiscard]] std::vector<BoundOption>& options() { return options_; }
    [[nodiscard]] const std::vector<BoundOption>& options() const { return options_; }

    // Sets every field: from the flags; else from the RAFTER_... variables; else from --config; else to its default. Fails on a value
    // that the option does not take, and says where that stood; on a required option without a value; and on options that exclude each
    // other.
    using Variables = std::map<std::string, std::string, std::less<>>;
    [[nodiscard]] Result<void> resolve(const Variables& variables);

  private:
    BoundOption& add_row(std::string_view name, const OptionUse& use);

    std::vector<BoundOption> options_;
};

struct Verb {
    std::string name;  // of one in another, both: "models get"
    std::string summary;
    std::string footer;
    OptionSet options;
    std::function<Result<int>(const Environment&)> run;  // the exit status
    std::vector<Verb> inner;
};

}  // namespace rafter::apps
