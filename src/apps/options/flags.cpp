// CLI11 only sorts the command line's words; what they may be is checked once the other sources of values are known.
#include "apps/options/flags.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <memory>

#include "apps/options/help_text.h"

namespace rafter::apps {
namespace {

struct AddedVerb {
    Verb* verb;
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
    if (bound.takes_list && !spec.has_flag) option->expected(-1);
    return option;
}

int run_verb(AddedVerb& added, const Cli& cli) {
    Verb& verb = *added.verb;
    for (std::size_t i = 0; i < added.flags.size(); ++i) verb.options.options()[i].from_flags = added.flags[i]->results();
    const Result<void> set = verb.options.resolve(cli.environment.variables);
    const Result<int> status = set ? verb.run(cli.environment) : Result<int>(set.error());
    if (status) return *status;
    const int failed = report_error(verb.name, status.error());
    if (failed == kExitUsage) fmt::print(stderr, "Try: rafter {} --help\n", verb.name);
    return failed;
}

void add_command(CLI::App& app, Cli& cli, Verb& verb) {
    const auto added = std::make_shared<AddedVerb>(AddedVerb{.verb = &verb, .config = {}, .flags = {}});
    if (!verb.options.options().empty()) verb.options.add("config", added->config);
    CLI::App* command = app.add_subcommand(verb.name.substr(verb.name.rfind(' ') + 1), verb.summary);
    command->group("Verbs");
    command->formatter(std::make_shared<VerbHelp>(verb));
    for (const BoundOption& option : verb.options.options()) added->flags.push_back(add_flag(*command, option));
    for (Verb& inner : verb.inner) add_command(*command, cli, inner);
    command->callback([added, &cli, command] {
        if (command->get_subcommands().empty()) cli.action = [added, &cli] { return run_verb(*added, cli); };
    });
}

}  // namespace

void add_verb(CLI::App& app, Cli& cli, Verb verb) {
    const auto kept = std::make_shared<Verb>(std::move(verb));
    cli.verbs.push_back(kept);
    add_command(app, cli, *kept);
}

}  // namespace rafter::apps
