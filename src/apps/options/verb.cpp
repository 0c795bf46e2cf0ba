// Which of four sources gives an option its value: flag, variable, configuration file, default.
#include "apps/options/verb.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace rafter::apps {
namespace {

enum class Level { kDefault, kFile, kVariable, kFlag };

// A value, and where it stood.
struct Given {
    Level level = Level::kDefault;
    std::vector<std::string> texts;
    std::string where;  // "--top-p", "RAFTER_TOP_P", "rafter.toml: sampling.top_p"
};

Error usage(std::string message) { return {std::move(message), ErrorKind::kUsage}; }

const std::string* find_variable(const OptionSet::Variables& variables, const OptionSpec& spec) {
    const auto found = variables.find(spec.variable());
    return found == variables.end() ? nullptr : &found->second;
}

Given given_to(const BoundOption& option, const OptionSet::Variables& variables, const ConfigFile& config) {
    const OptionSpec& spec = option.spec;
    if (!option.from_flags.empty()) return {.level = Level::kFlag, .texts = option.from_flags, .where = spec.flag()};
    if (const std::string* text = find_variable(variables, spec))
        return {.level = Level::kVariable, .texts = {*text}, .where = spec.variable()};
    if (const auto found = config.values.find(spec.key()); found != config.values.end()) {
        return {.level = Level::kFile, .texts = found->second, .where = fmt::format("{}: {}", config.path, spec.key())};
    }
    return {.texts = spec.default_value.empty() ? std::vector<std::string>() : std::vector<std::string>{std::string(spec.default_value)},
            .where = spec.flag()};
}

Result<void> set_from(const BoundOption& option, Given given) {
    if (given.texts.empty() && given.level == Level::kDefault) return {};
    if (!option.takes_list) {
        if (option.spec.list == ListKind::kPair && given.level == Level::kFile) {
            given.texts = {fmt::format("{}", fmt::join(given.texts, ","))};
        }
        if (given.level != Level::kFlag && given.texts.size() != 1) {
            return usage(
                fmt::format("{}: expected {}, found a list of {} values", given.where, option.spec.expected(), given.texts.size()));
        }
    }
    const Result<void> done = option.set(given.texts);
    return done ? done : done.error().within(given.where);
}

}  // namespace

BoundOption& OptionSet::add_row(std::string_view name, const OptionUse& use) {
    options_.push_back({.spec = option_named(name), .required = use.required, .takes_list = false, .set = {}, .from_flags = {}});
    OptionSpec& spec = options_.back().spec;
    if (!use.default_value.empty()) {
        spec.default_value = use.default_value;
        spec.otherwise = "";
    }
    if (!use.otherwise.empty()) {
        spec.otherwise = use.otherwise;
        spec.default_value = "";
    }
    std::erase(spec.choices, use.except);
    return options_.back();
}

Result<void> OptionSet::resolve(const Variables& variables) {
    ConfigFile config;
    std::vector<Given> given;
    for (const BoundOption& option : options_) {
        if (option.spec.name != "config") continue;
        const Given file = given_to(option, variables, config);
        if (file.texts.empty()) continue;
        auto read = read_config(file.texts.back());
        if (!read) return read.error();
        config = *std::move(read);
    }
    for (const BoundOption& option : options_) given.push_back(given_to(option, variables, config));
    const auto find = [&](std::string_view name) -> const Given* {
        for (std::size_t i = 0; i < options_.size(); ++i) {
            if (options_[i].spec.name == name) return &given[i];
        }
        return nullptr;
    };
    for (std::size_t i = 0; i < options_.size(); ++i) {
        const OptionSpec& spec = options_[i].spec;
        const Given* const other = find(spec.excludes);
        if (given[i].level != Level::kDefault && other != nullptr && other->level >= given[i].level) {
            // What stands nearer to the user decides; side by side they contradict each other.
            if (other->level == given[i].level) return usage(fmt::format("{}: cannot be combined with {}", given[i].where, other->where));
            continue;
        }
        RAFTER_TRY_VOID(set_from(options_[i], given[i]));
        const Given* const needed = find(spec.needs);
        if (given[i].level == Level::kFlag && needed != nullptr && needed->level == Level::kDefault) {
            return usage(fmt::format("{}: needs --{}", given[i].where, spec.needs));
        }
        if (options_[i].required && given[i].texts.empty()) {
            return usage(fmt::format("{}: expected {}, found nothing", spec.flag(), spec.expected()));
        }
    }
    return {};
}

}  // namespace rafter::apps
