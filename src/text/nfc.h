// Unicode's normalisation form C (https://www.unicode.org/reports/tr15/), which some tokenizers bring text into before they cut it.
#pragma once

#include <string>
#include <string_view>

namespace rafter::text {

// The text itself where it is in that form already, else `buffer` with it. The result is that of Hugging Face's tokenizers, whose tables
// are those of Unicode 9.0: a combining mark that came later is left where it is. Any bytes are accepted: one that is no part of valid
// UTF-8 stays. Time is linear in the text but for sorting the marks of one character.
[[nodiscard]] std::string_view to_nfc(std::string_view text, std::string& buffer);

}  // namespace rafter::text
