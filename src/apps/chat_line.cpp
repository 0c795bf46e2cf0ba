// The commands are one table: parsing, help and suggestions follow.
#include "apps/chat_line.h"

#include <fmt/format.h>

#include <array>
#include <string>
#include <vector>

#include "base/suggest.h"
#include "report/table.h"

namespace rafter::apps {
namespace {

struct CommandRow {
    ChatCommand command;
    std::string_view name;
    std::string_view argument;
    std::string_view help;  // "": another name of the row above
};
constexpr std::array kCommands{
    CommandRow{ChatCommand::kReset, "/reset", "", "start a new conversation"},
    CommandRow{ChatCommand::kReset, "/clear", "", ""},
    CommandRow{ChatCommand::kSystem, "/system", "TEXT", "set the system message (none without TEXT) and start a new conversation"},
    CommandRow{ChatCommand::kRetry, "/retry", "", "another answer to the last question"},
    CommandRow{ChatCommand::kUndo, "/undo", "", "forget the last question and its answer"},
    CommandRow{ChatCommand::kSet, "/set", "NAME VALUE", "set an option: temperature, top-p, tokens, ...; alone, show them"},
    CommandRow{ChatCommand::kSave, "/save", "FILE", "write the conversation to a file (JSON)"},
    CommandRow{ChatCommand::kLoad, "/load", "FILE", "continue a conversation from a file"},
    CommandRow{ChatCommand::kStats, "/stats", "", "tokens, speed, bandwidth, context and seed so far"},
    CommandRow{ChatCommand::kHelp, "/help", "", "this list"},
    CommandRow{ChatCommand::kHelp, "/?", "", ""},
    CommandRow{ChatCommand::kExit, "/exit", "", "end (so do /bye, /quit and Ctrl-D)"},
    CommandRow{ChatCommand::kExit, "/bye", "", ""},
    CommandRow{ChatCommand::kExit, "/quit", "", ""},
};

constexpr std::array<std::string_view, 3> kMoreHelp{
    "Ctrl-C stops an answer.", "A line that ends with \\ continues on the next line; text between \"\"\" and \"\"\" is one question.",
    "Pasted text is one question."};

constexpr std::string_view kBlanks = " \t\r\n";

std::string_view trimmed(std::string_view text) {
    const std::size_t begin = text.find_first_not_of(kBlanks);
    if (begin == text.npos) return {};
    return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

}  // namespace

std::optional<CommandLine> parse_command(std::string_view line) {
    line = trimmed(line);
    if (!line.starts_with('/')) return std::nullopt;
    const std::string_view word = line.substr(0, line.find_first_of(kBlanks));
    CommandLine parsed{
        .command = ChatCommand::kUnknown, .name = std::string(word), .argument = std::string(trimmed(line.substr(word.size())))};
    for (const CommandRow& row : kCommands) {
        if (row.name != word) continue;
        parsed.command = row.command;
        return parsed;
    }
    const bool is_path = word.find_first_of("/.", 1) != word.npos;
    if (is_path || (!parsed.argument.empty() && nearest_command(word).empty())) return std::nullopt;
    return parsed;
}

std::string nearest_command(std::string_view word) {
    std::vector<std::string> names;
    for (const CommandRow& row : kCommands) names.emplace_back(row.name.substr(1));
    const auto nearest = closest(word.substr(word.starts_with('/') ? 1 : 0), names);
    return nearest ? "/" + *nearest : std::string();
}

std::string chat_help(std::size_t columns) {
    // In a narrow terminal what a command does stands below its name.
    const bool is_narrow = columns < 60;
    const std::string indent(is_narrow ? 6 : 21, ' ');
    std::string text;
    for (const CommandRow& row : kCommands) {
        if (row.help.empty()) continue;
        const std::string head = fmt::format("  {} {}", row.name, row.argument);
        text += is_narrow ? fmt::format("{}\n{}", head, indent) : fmt::format("{:{}}", head, indent.size());
        text += report::wrapped(row.help, columns, indent, indent.size()) + "\n";
    }
    for (const std::string_view more : kMoreHelp) text += report::wrapped(more, columns, "") + "\n";
    return text;
}

}  // namespace rafter::apps
