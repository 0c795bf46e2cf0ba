// What a tokenizer.json searches for: {"String": "..."} or {"Regex": "..."}.
#pragma once

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "text/regex.h"

namespace rafter::text::hf {

// Steps that one search may take: a pattern whose backtracking exceeds them finds nothing more in that text.
inline constexpr std::uint32_t kMaxRegexSteps = 10'000'000;

class Pattern {
  public:
    [[nodiscard]] static Result<Pattern> read(const nlohmann::json& json, std::string_view where);
    // Oniguruma's dialect, as far as PCRE2 reads it alike; what it reads otherwise is refused.
    [[nodiscard]] static Result<Pattern> of_regex(std::string_view regex, std::string_view where);
    [[nodiscard]] static Pattern of_text(std::string text);

    // Calls visit(begin, end, is_match) for every match and every non-empty stretch between matches, in order.
    void for_each(std::string_view subject, Regex::Scratch& scratch,
                  const std::function<void(std::size_t begin, std::size_t end, bool is_match)>& visit) const;
    // The text or the expression as the file has it.
    [[nodiscard]] const std::string& source() const { return source_; }
    [[nodiscard]] bool is_regex() const { return regex_.has_value(); }

  private:
    std::string source_;
    std::optional<Regex> regex_;
};

}  // namespace rafter::text::hf
