// Numbers as people read them. Sizes and rates are decimal (GB = 10^9 bytes), as memory bandwidth is quoted.
#pragma once

#include <cstdint>
#include <string>

namespace rafter::report {

[[nodiscard]] std::string grouped(std::uint64_t n);       // "1,234,567"
[[nodiscard]] std::string whole(double n);                // not negative, rounded: "1,234,567", and from 10^15 on "1.23e+15"
[[nodiscard]] std::string bytes(double n);                // "98.4 MB", three digits that count
[[nodiscard]] std::string bytes_per_second(double rate);  // "12.3 GB/s"
[[nodiscard]] std::string count(double n);                // "134.5 M" parameters
[[nodiscard]] std::string seconds(double n);              // "1.24 s", "85 ms", "12 µs", "3 min 20 s"
[[nodiscard]] std::string duration(double n);             // as seconds(), finer below one: "418 ns", "12.3 µs", "3.46 ms"
[[nodiscard]] std::string percent(double fraction);       // "42%", and below ten "3.1%"
[[nodiscard]] std::string dollars(double n);              // "$0.012", "$1.20", "$1,234"
[[nodiscard]] std::string rate(double per_second);        // "74.2", "1,240": three digits that count, no exponent

}  // namespace rafter::report
