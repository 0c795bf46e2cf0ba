// /set NAME VALUE: options of answers, changed between two questions. Names and values are those of the command line.
#pragma once

#include <string>
#include <string_view>

#include "apps/answer_options.h"

namespace rafter::apps {

class ChatSettings {
  public:
    explicit ChatSettings(AnswerOptions answer);
    ChatSettings(const ChatSettings&) = delete;
    ChatSettings& operator=(const ChatSettings&) = delete;

    // name: with or without "--", with "-" or "_", or one of its other spellings. When this fails, nothing is changed. Gives the name.
    [[nodiscard]] Result<std::string> set(std::string_view name, const std::string& value);
    [[nodiscard]] const AnswerOptions& answer() const { return answer_; }

  private:
    AnswerOptions answer_;
    OptionSet options_;
};

}  // namespace rafter::apps
