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
    // The answer to it: all its tokens, an end token included, and the text that they show.
    void answered(const std::vector<TokenId>& tokens, std::string_view text);
    // Takes the last question back, as if it had not been asked.
    void retract();

    // Forgets all but the system message.
    void reset();
    void set_system(std::string_view system);  // and resets

    [[nodiscard]] std::size_t n_messages() const { return messages_.size(); }
    // Whether the last prompt has the system text before the first user message, as the template takes no system message.
    [[nodiscard]] bool system_moved() const { return system_moved_; }

  private:
    // What the template wrote up to some point, and its tokens.
    struct Known {
        std::string text;
        std::vector<TokenId> tokens;
    };
    const OpenedModel& opened_;
    nlohmann::ordered_json messages_;
    std::string system_;
    Known asked_;     // up to and including the last question
    Known answered_;  // up to and including the last answer
    bool system_moved_ = false;
};

// The tokens of a text that an answer is to continue: its special tokens are tokens, and BOS stands before it where the model wants that.
// Fails when nothing is left to start from.
[[nodiscard]] Result<std::vector<TokenId>> encode_prompt(const OpenedModel& opened, std::string_view text);

// The prompt of these messages as text. bos_token and eos_token are given to the template, so it writes BOS itself where the model wants
// it.
[[nodiscard]] Result<text::RenderedChat> render_chat(const OpenedModel& opened, const nlohmann::ordered_json& messages);

// What a person should know of a prompt: that it begins with BOS twice, which models seldom saw. None where all is well.
[[nodiscard]] std::optional<std::string> prompt_warning(const OpenedModel& opened, std::span<const TokenId> prompt);

}  // namespace rafter::engine
