// A chat as the model sees it: messages become prompts through the chat template, and each prompt begins with the very tokens of the turns
// before, so that their keys and values are found in the cache.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/loading/loaded_model.h"

namespace rafter::engine {

class Conversation {
  public:
    // opened outlives this. system: "" for none.
    Conversation(const OpenedModel& opened, std::string_view system);

    // Adds what the user says and gives the prompt for the answer. Invalid UTF-8 becomes U+FFFD. When this fails, nothing was added.
    [[nodiscard]] Result<std::vector<TokenId>> ask(std::string_view text);
    // The prompt of the question that waits for its answer: again, after drop_oldest_turn().
    [[nodiscard]] Result<std::vector<TokenId>> prompt();
    // The answer to it: all its tokens, an end token included, and the text that they show.
    void answered(const std::vector<TokenId>& tokens, std::string_view text);
    // Takes the last question back, as if it had not been asked.
    void retract();

    // Forgets the last answer and its question, which is given. None where nothing was answered. No question may be waiting.
    std::optional<std::string> undo();
    // Leaves the oldest question and its answer out of prompts from now on; the system message stays. False where there is none to leave
    // out.
    bool drop_oldest_turn();
    // Takes the last n of those back into prompts.
    void restore_turns(std::size_t n) { n_dropped_ -= std::min(n, n_dropped_); }

    // Forgets all but the system message.
    void reset();
    void set_system(std::string_view system);  // and resets
    [[nodiscard]] const std::string& system() const { return system_; }
    // Further variables of the chat template: an object.
    void set_variables(nlohmann::ordered_json variables) { variables_ = std::move(variables); }

    // The whole conversation as a list of messages, dropped turns too.
    [[nodiscard]] nlohmann::ordered_json messages() const;
    // In place of the present one: a system message, if any, then questions (user) and answers (assistant) in turn. Fails on any other
    // list, and then nothing is changed.
    [[nodiscard]] Result<void> load(const nlohmann::ordered_json& messages);

    [[nodiscard]] std::size_t n_turns() const { return turns_.size(); }
    // That are part of the next prompt.
    [[nodiscard]] std::size_t n_messages() const;
    // Whether the last prompt has the system text before the first user message, as the template takes no system message.
    [[nodiscard]] bool system_moved() const { return system_moved_; }

  private:
    // What the template wrote up to some point, and its tokens.
    struct Known {
        std::string text;
        std::vector<TokenId> tokens;
    };
    struct Turn {
        std::string question, answer;
        Known known;  // up to and including the answer; empty where the answer came from a file
    };
    [[nodiscard]] nlohmann::ordered_json messages_from(std::size_t first_turn) const;

    const OpenedModel& opened_;
    nlohmann::ordered_json variables_ = nlohmann::ordered_json::object();
    std::string system_;
    std::vector<Turn> turns_;
    std::size_t n_dropped_ = 0;            // of turns_: the first of them, no part of prompts
    std::optional<std::string> question_;  // that waits for its answer
    Known asked_;                          // up to and including it
    bool system_moved_ = false;
};

// The tokens of a text that an answer is to continue: its special tokens are tokens, and BOS stands before it where the model wants that.
// Fails when nothing is left to start from.
[[nodiscard]] Result<std::vector<TokenId>> encode_prompt(const OpenedModel& opened, std::string_view text);

// The prompt of these messages as text. bos_token and eos_token are given to the template, so it writes BOS itself where the model wants
// it. variables: an object of more.
[[nodiscard]] Result<text::RenderedChat> render_chat(const OpenedModel& opened, const nlohmann::ordered_json& messages,
                                                     const nlohmann::ordered_json& variables = nlohmann::ordered_json::object());

// What a person should know of a prompt: that it begins with BOS twice, which models seldom saw. None where all is well.
[[nodiscard]] std::optional<std::string> prompt_warning(const OpenedModel& opened, std::span<const TokenId> prompt);

}  // namespace rafter::engine
