// Turns a stream of token bytes into a stream of whole characters: a code point that is split over tokens is held back until it is
// complete.
#pragma once

#include <string>
#include <string_view>

namespace rafter::text {

class Utf8Stream {
  public:
    // Returns what can be shown now: valid UTF-8 only; bytes that can never become a character are replaced by U+FFFD.
    [[nodiscard]] std::string push(std::string_view bytes);
    // The text is over: what is still held back becomes U+FFFD.
    [[nodiscard]] std::string finish();

  private:
    std::string held_;  // at most 3 bytes: a prefix of a character
};

// The whole text, with U+FFFD for what is no character.
[[nodiscard]] std::string valid_utf8(std::string_view text);

}  // namespace rafter::text
