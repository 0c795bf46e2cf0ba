// CLI11 only sorts the command line's words; what they may be is checked once the other sources of values are known.
#include "apps/options/flags.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <memory>

#include "apps/options/help_text.h"

namespace rafter::apps {
namespace {

struct AddedVerb {
    Verb verb;
    std::string config;  // --config
    std::vector<CLI::Option*> flags;
};

// The help text is made from the verb, not from what the parser knows.
class VerbHelp : public CLI::Formatter {
  public:
    explicit VerbHelp(const Verb& verb) : verb_(&verb) {}
    std::string make_help(const CLI::App* /*app*/, std::string /*name*/, CLI::AppFormatMode /*mode*/) const override {
        return help_text(*verb_);
    }

  private:
    const Verb* verb_;
};

CLI::Option* add_flag(CLI::App& app, const BoundOption& bound) {
    const OptionSpec& spec = bound.spec;
    std::vector<std::string> names = spec.flags();
    if (!spec.place.empty()) names.emplace_back(spec.place);
    const std::string joined = fmt::format("{}", fmt::join(names, ","));
    if (spec.kind == ValueKind::kFlag) return app.add_flag(joined);
    CLI::Option* option = app.add_option(joined, CLI::callback_t([](const CLI::results_t&) { return true; }));
    option->expected(spec.implied.empty() ? 1 : 0, 1)->default_str(std::string(spec.implied));
    if (bound.takes_list) option->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    return option;
}

int run_verb(const std::shared_ptr<AddedVerb>& added, const Cli& cli) {
    Verb& verb = added->verb;
    for (std::size_t i = 0; i < added->flags.size(); ++i) verb.options.options()[i].from_flags = added->flags[i]->results();
    if (const Result<void> set = verb.options.resolve(cli.environment.variables); !set) {
        const int status = report_error(verb.name, set.error());
        if (status == kExitUsage) fmt::print(stderr, "Try: rafter {} --help\n", verb.name);
        return status;
    }
    const Result<int> status = verb.run(cli.environment);
    return status ? *status : report_error(verb.name, status.error());
}

}  // namespace

void add_verb(CLI::App& app, Cli& cli, Verb verb) {
    const auto added = std::make_shared<AddedVerb>();
    added->verb = std::move(verb);
    added->verb.options.add("config", added->config);
    CLI::App* command = app.add_subcommand(added->verb.name, added->verb.summary);
    command->formatter(std::make_shared<VerbHelp>(added->verb));
    cli.verbs.emplace_back(added, &added->verb);
    for (const BoundOption& option : added->verb.options.options()) added->flags.push_back(add_flag(*command, option));
    command->callback([added, &cli] { cli.action = [added, &cli] { return run_verb(added, cli); }; });
}

}  // namespace rafter::apps
