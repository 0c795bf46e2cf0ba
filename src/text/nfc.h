// Unicode's normalisation forms (https://www.unicode.org/reports/tr15/), which some tokenizers bring text into before they cut it.
#pragma once

#include <string>
#include <string_view>

namespace rafter::text {

// The text itself where no character of it can change, else `buffer` with the text in that form. The result is that of Hugging Face's
// tokenizers, whose tables are those of Unicode 9.0: a combining mark that came later is left where it is. Any bytes are accepted: one that
// is no part of valid UTF-8 stays. Time is linear in the text but for sorting the marks of one character.
enum class UnicodeForm { kNfc, kNfd, kNfkc, kNfkd };
[[nodiscard]] std::string_view to_form(UnicodeForm form, std::string_view text, std::string& buffer);
[[nodiscard]] std::string_view to_nfc(std::string_view text, std::string& buffer);

}  // namespace rafter::text
