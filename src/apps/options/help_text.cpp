// Options stand under the headings of their subjects, in the order in which the verb added them.
#include "apps/options/help_text.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace rafter::apps {
namespace {

constexpr std::size_t kWidth = 80;  // of the usual terminal; only examples are longer
constexpr std::size_t kTextColumn = 26;

// Lines of at most kWidth columns, of which each begins at this column.
std::string wrapped(std::string_view text, std::size_t column) {
    std::string out;
    while (text.size() > kWidth - column) {
        const std::size_t space = text.rfind(' ', kWidth - column);
        if (space == std::string_view::npos || space == 0) break;
        out += fmt::format("{}\n{:{}}", text.substr(0, space), "", column);
        text.remove_prefix(space + 1);
    }
    return out.append(text);
}

std::string row(const std::string& head, std::string_view text) {
    const std::string padding = head.size() + 3 > kTextColumn ? fmt::format("\n{:{}}", "", kTextColumn) : "";
    return fmt::format("  {:{}}{}{}\n", head, padding.empty() ? kTextColumn - 2 : 0, padding, wrapped(text, kTextColumn));
}

// Prose is wrapped again; indented lines, the examples, stay as they are: they are to be copied.
std::string footer_text(std::string_view footer) {
    std::string out;
    std::string paragraph;
    const auto end_paragraph = [&] {
        if (!paragraph.empty()) out += wrapped(paragraph, 0) + "\n";
        paragraph.clear();
    };
    while (!footer.empty()) {
        const std::size_t size = std::min(footer.find('\n'), footer.size());
        const std::string_view line = footer.substr(0, size);
        footer.remove_prefix(std::min(size + 1, footer.size()));
        if (line.empty() || line.starts_with(' ')) {
            end_paragraph();
            out.append(line).append("\n");
        } else {
            paragraph.append(paragraph.empty() ? "" : " ").append(line);
        }
    }
    end_paragraph();
    return out;
}

std::string described(const BoundOption& option) {
    std::string text(option.spec.help);
    if (const std::string notes = value_notes(option); !notes.empty()) text += fmt::format(" ({})", notes);
    return text;
}

std::string flag_row(const BoundOption& option) {
    std::string head = fmt::format("{}", fmt::join(option.spec.flags(), ","));
    if (!option.spec.implied.empty()) {
        head += fmt::format(" [{}]", value_name(option));
    } else if (option.spec.kind != ValueKind::kFlag) {
        head += " " + value_name(option);
    }
    return row(head, described(option));
}

}  // namespace

std::string value_name(const BoundOption& option) {
    const OptionSpec& spec = option.spec;
    const bool several = option.takes_list && spec.list == ListKind::kCommas && !spec.value.ends_with("..");
    return fmt::format("{}{}", spec.value, several ? ",.." : "");
}

std::string value_notes(const BoundOption& option) {
    const OptionSpec& spec = option.spec;
    std::vector<std::string> notes;
    const bool all_said = std::all_of(spec.choices.begin(), spec.choices.end(),
                                      [&](const std::string& choice) { return spec.help.find(choice) != spec.help.npos; });
    if (!all_said) notes.push_back(fmt::format("{}", fmt::join(spec.choices, ", ")));
    constexpr std::uint64_t kMaxSaid = 1'000'000;  // larger bounds tell a reader nothing
    if (spec.kind == ValueKind::kWhole && spec.choices.empty() && spec.whole.most <= kMaxSaid) {
        notes.push_back(fmt::format("{} to {}", spec.whole.least, spec.whole.most));
    }
    if (const std::string range = fmt::format("{:g} to {:g}", spec.number.least, spec.number.most);
        spec.kind == ValueKind::kNumber && range.find('e') == std::string::npos) {
        notes.push_back(range);
    }
    if (option.required && spec.has_flag) notes.emplace_back("required");
    if (!spec.otherwise.empty()) notes.push_back(fmt::format("default: {}", spec.otherwise));
    if (!spec.default_value.empty()) notes.push_back(fmt::format("default: {}", spec.default_value));
    return fmt::format("{}", fmt::join(notes, "; "));
}

std::string help_text(const Verb& verb) {
    std::string usage = fmt::format("{}\nUsage: rafter {} [OPTIONS]{}", verb.summary, verb.name, verb.inner.empty() ? "" : " [VERB]");
    std::string places;
    std::vector<std::string_view> headings;
    for (const BoundOption& option : verb.options.options()) {
        const OptionSpec& spec = option.spec;
        if (!spec.place.empty()) {
            usage += option.required ? fmt::format(" {}", spec.place) : fmt::format(" [{}]", spec.place);
            places += row(std::string(spec.place), described(option));
        }
        const bool is_last = spec.subject.heading == kModelSubject.heading;
        if (spec.has_flag && !is_last && std::find(headings.begin(), headings.end(), spec.subject.heading) == headings.end()) {
            headings.push_back(spec.subject.heading);
        }
    }
    headings.push_back(kModelSubject.heading);
    std::string text = usage + "\n";
    if (!verb.inner.empty()) text += "\nVerbs:\n";
    for (const Verb& inner : verb.inner) text += row(inner.name.substr(inner.name.rfind(' ') + 1), inner.summary);
    if (!places.empty()) text += "\nArguments:\n" + places;
    for (const std::string_view heading : headings) {
        text += fmt::format("\n{}:\n", heading);
        for (const BoundOption& option : verb.options.options()) {
            if (option.spec.has_flag && option.spec.subject.heading == heading) text += flag_row(option);
        }
    }
    text += row("-h,--help", "Print this help");
    if (!verb.footer.empty()) text += "\n" + footer_text(verb.footer);
    return text;
}

}  // namespace rafter::apps
