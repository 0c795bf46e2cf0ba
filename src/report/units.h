// Numbers as people read them: three digits that count, thousands parted by commas, never an exponent. Sizes and rates are decimal
// (GB = 10^9 bytes), as memory bandwidth is quoted.
#pragma once

#include <cstdint>
#include <string>

namespace rafter::report {

[[nodiscard]] std::string grouped(std::uint64_t n);       // "1,234,567"
[[nodiscard]] std::string whole(double n);                // not negative, rounded: "1,234,567"; from 10^15 on to three digits and zeros
[[nodiscard]] std::string bytes(double n);                // "98.4 MB", three digits that count
[[nodiscard]] std::string bytes_per_second(double rate);  // "12.3 GB/s"
[[nodiscard]] std::string count(double n);                // "134.5 M" parameters
[[nodiscard]] std::string seconds(double n);              // "1.24 s", "85 ms", "12 µs", "3 min 20 s", "12 days"
[[nodiscard]] std::string duration(double n);             // as seconds(), finer below one: "418 ns", "12.3 µs", "3.46 ms"
[[nodiscard]] std::string percent(double fraction);       // "42%", and below ten "3.1%"
[[nodiscard]] std::string dollars(double n);              // "$0.012", "$1.20", "$1,234"
[[nodiscard]] std::string rate(double per_second);        // "74.2", "1,240", "0.0123": three digits that count
[[nodiscard]] std::string factor(double times);           // "1.29x", "76,123x"
[[nodiscard]] std::string plain(double n);                // as few digits as give n back, no commas: "0.05", "4.5", "2525"; for options

}  // namespace rafter::report
