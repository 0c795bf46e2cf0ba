// RAFTER_CHECK(condition, "format", args...): aborts with file, line and message when our own code is wrong. Never for input: that is
// Result's.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <utility>

namespace rafter {

[[noreturn]] void check_failed(const char* file, int line, const char* condition, const std::string& message);

}  // namespace rafter

#define RAFTER_CHECK(condition, ...)                                                               \
    do {                                                                                           \
        if (!(condition)) [[unlikely]] {                                                           \
            ::rafter::check_failed(__FILE__, __LINE__, #condition, ::fmt::format("" __VA_ARGS__)); \
        }                                                                                          \
    } while (false)
