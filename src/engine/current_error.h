// What code of others throws, such as a mask's matcher, may be anything, and ends its request alone all the same.
#pragma once

#include <exception>

#include "base/result.h"

namespace rafter::engine {

// The error for the exception that is being handled, within a `catch (...)`. Never throws.
[[nodiscard]] inline Error current_error() noexcept {
    try {
        throw;
    } catch (const std::exception& thrown) {
        return error_of(thrown);
    } catch (...) {
        struct Unknown : std::exception {
            [[nodiscard]] const char* what() const noexcept override { return "an exception of unknown type"; }
        };
        return error_of(Unknown());
    }
}

}  // namespace rafter::engine
