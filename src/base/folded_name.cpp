// ASCII only: what the names of models and devices consist of.
#include "base/folded_name.h"

#include <cctype>

namespace rafter {

std::string folded_name(std::string_view name) {
    std::string text;
    for (const char c : name) {
        const auto u = static_cast<unsigned char>(c);
        if (std::isalnum(u) != 0) text += static_cast<char>(std::tolower(u));
    }
    return text;
}

std::string lower_case(std::string_view text) {
    std::string lower(text);
    for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    return lower;
}

}  // namespace rafter
