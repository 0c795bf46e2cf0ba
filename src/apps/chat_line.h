// What a line of a chat is: a question for the model, or a command for the program.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace rafter::apps {

enum class ChatCommand { kReset, kSystem, kRetry, kUndo, kSet, kSave, kLoad, kStats, kHelp, kExit, kUnknown };

struct CommandLine {
    ChatCommand command = ChatCommand::kUnknown;
    std::string name;      // as it was typed: "/quit"
    std::string argument;  // without the blanks around it
};

// None for a question. A slash begins a command, unless more slashes or dots follow in the same word, as in a path; or the word is no
// command, nor nearly one, and more words follow: "/tmp is full, why?" is a question.
[[nodiscard]] std::optional<CommandLine> parse_command(std::string_view line);

// The commands and what else can be typed, for a terminal of so many columns.
[[nodiscard]] std::string chat_help(std::size_t columns);
// "/system", for a word that is nearly one; "" for others.
[[nodiscard]] std::string nearest_command(std::string_view word);

}  // namespace rafter::apps
