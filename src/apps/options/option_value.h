// Values of options from their texts, whether these stood on the command line, in a variable or in a configuration file. An error says what
// was expected and what was found; where that was is for the caller to say.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "apps/options/option_spec.h"
#include "base/check.h"
#include "base/result.h"

namespace rafter::apps {

// One value. The text must be a number in its range, or one of the choices.
[[nodiscard]] Result<bool> flag_value(const OptionSpec& spec, const std::string& text);
[[nodiscard]] Result<std::uint64_t> whole_value(const OptionSpec& spec, const std::string& text);  // of kWhole and kBytes
[[nodiscard]] Result<double> number_value(const OptionSpec& spec, const std::string& text);
[[nodiscard]] Result<std::string> text_value(const OptionSpec& spec, const std::string& text);

// "1,4,16" as three texts where the option is a list with commas; the texts as they are otherwise.
[[nodiscard]] std::vector<std::string> split_at_commas(const OptionSpec& spec, const std::vector<std::string>& texts);
// "expected a number from 0 to 1, found 2"
[[nodiscard]] Error unexpected_value(const OptionSpec& spec, const std::string& text);

template <typename T>
inline constexpr bool kIsOptional = false;
template <typename T>
inline constexpr bool kIsOptional<std::optional<T>> = true;
template <typename T>
inline constexpr bool kIsList = false;
template <typename T>
inline constexpr bool kIsList<std::vector<T>> = true;

// The last of the texts as a field of this type, or all of them where the field is a list. There is at least one text, but for a list.
template <typename T>
[[nodiscard]] Result<T> field_value(const OptionSpec& spec, const std::vector<std::string>& texts) {
    if constexpr (kIsList<T>) {
        T list;
        for (const std::string& text : split_at_commas(spec, texts)) {
            RAFTER_TRY(auto value, field_value<typename T::value_type>(spec, {text}));
            list.push_back(std::move(value));
        }
        return list;
    } else if constexpr (kIsOptional<T>) {
        if (!spec.unset.empty() && texts.back() == spec.unset) return T();
        RAFTER_TRY(auto value, field_value<typename T::value_type>(spec, texts));
        return T(std::move(value));
    } else if constexpr (std::is_same_v<T, bool>) {
        return flag_value(spec, texts.back());
    } else if constexpr (std::is_integral_v<T>) {
        RAFTER_CHECK(spec.kind == ValueKind::kBytes || spec.whole.most <= std::numeric_limits<T>::max(), "--{}: its field is too small",
                     spec.name);
        RAFTER_TRY(const std::uint64_t value, whole_value(spec, texts.back()));
        return static_cast<T>(value);
    } else if constexpr (std::is_floating_point_v<T>) {
        if (spec.kind == ValueKind::kWhole || spec.kind == ValueKind::kBytes) {
            RAFTER_TRY(const std::uint64_t value, whole_value(spec, texts.back()));
            return static_cast<T>(value);
        }
        RAFTER_TRY(const double value, number_value(spec, texts.back()));
        return static_cast<T>(value);
    } else {
        return text_value(spec, texts.back());
    }
}

}  // namespace rafter::apps
