// The same rows of the table of options that the command line has, tied to the chat's own fields.
#include "apps/chat_settings.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/quote.h"
#include "base/suggest.h"

namespace rafter::apps {
namespace {

std::string plain_name(std::string_view name) {
    while (name.starts_with('-')) name.remove_prefix(1);
    std::string plain(name);
    std::replace(plain.begin(), plain.end(), '_', '-');
    return plain;
}

bool is_called(const OptionSpec& spec, const std::string& name) {
    const std::vector<std::string> flags = spec.flags();
    return std::any_of(flags.begin(), flags.end(), [&](const std::string& flag) { return plain_name(flag) == name; });
}

}  // namespace

ChatSettings::ChatSettings(AnswerOptions answer) : answer_(std::move(answer)) { add_answer_options(options_, answer_); }

Result<std::string> ChatSettings::set(std::string_view name, const std::string& value) {
    const std::string wanted = plain_name(name);
    std::vector<std::string> names;
    for (const BoundOption& option : options_.options()) {
        names.emplace_back(option.spec.name);
        if (!is_called(option.spec, wanted)) continue;
        const AnswerOptions before = answer_;
        const bool is_cleared = option.takes_list && value.empty();
        const auto done = option.set(is_cleared ? std::vector<std::string>() : std::vector{value});
        if (!done) return done.error().within(option.spec.name);
        if (const auto request = request_of(answer_, {}, 0, UINT32_MAX); !request) {
            answer_ = before;
            return request.error();
        }
        return std::string(option.spec.name);
    }
    const auto close = closest(wanted, names);
    return bad_input("no option {}{}", quote(wanted),
                     close ? fmt::format("; did you mean {}?", *close) : fmt::format(" (there are {})", fmt::join(names, ", ")));
}

}  // namespace rafter::apps
