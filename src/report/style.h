// Restrained colour for people at a terminal, and nothing but the text for pipes.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>

namespace rafter::report {

struct Style {
    bool color = false;

    [[nodiscard]] std::string bold(std::string_view text) const { return wrapped("1", text); }
    [[nodiscard]] std::string dim(std::string_view text) const { return wrapped("2", text); }
    [[nodiscard]] std::string accent(std::string_view text) const { return wrapped("36", text); }  // cyan: legible on dark and light
    [[nodiscard]] std::string warning(std::string_view text) const { return wrapped("33", text); }

  private:
    [[nodiscard]] std::string wrapped(std::string_view code, std::string_view text) const {
        return color ? fmt::format("\x1b[{}m{}\x1b[0m", code, text) : std::string(text);
    }
};

// Columns that text takes in a terminal: characters, not bytes, and escape sequences take none. Double-width characters count once.
[[nodiscard]] std::size_t display_width(std::string_view text);

}  // namespace rafter::report
