// GPT-2's spelling of bytes: each of the 256 is one printable character, so that any text is made of characters that a vocabulary file can
// hold. (https://github.com/openai/gpt-2/blob/master/src/encoder.py, bytes_to_unicode)
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

namespace rafter::text {

class ByteAlphabet {
  public:
    ByteAlphabet();
    [[nodiscard]] const std::string& spell(unsigned char byte) const { return spelled_[byte]; }
    // The bytes that a spelled text stands for; nullopt if it has a character outside the alphabet.
    [[nodiscard]] std::optional<std::string> decode(std::string_view spelled) const;

  private:
    static constexpr char32_t kEnd = 324;  // one above the highest character in use
    std::array<std::string, 256> spelled_;
    std::array<std::optional<unsigned char>, kEnd> byte_of_;
};

}  // namespace rafter::text
