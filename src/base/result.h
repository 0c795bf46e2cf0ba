// Result<T>: a value or an Error, for everything that input can make fail (files, requests, memory). It has std::expected's member names,
// because g++ 12 in C++20 mode has no std::expected. Our own bugs are RAFTER_CHECK's matter (base/check.h), never a Result's.
#pragma once

#include <fmt/format.h>

#include <exception>
#include <new>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>

#include "base/check.h"

namespace rafter {

enum class ErrorKind {
    kBadInput,     // a file, prompt or request that cannot be used: exit status 1
    kUsage,        // a command line that makes no sense: exit status 2
    kOutOfMemory,  // a budget or the machine has no more
    kIo,           // the operating system said no: the message carries its words
    kBusy,         // a queue is full: the same again later may do
    kCancelled,
    kInternal,  // a fault of this program, not of its input: exit status 1, and the message says so
};

// What, where, expected, found: "blk.3.attn_q.weight: expected [4096, 4096], found [4096, 1024]".
struct Error {
    std::string message;
    ErrorKind kind = ErrorKind::kBadInput;

    // The same error seen from further out: "model.gguf: " + message.
    [[nodiscard]] Error within(std::string_view place) const { return {fmt::format("{}: {}", place, message), kind}; }
};

template <typename... Args>
[[nodiscard]] Error bad_input(fmt::format_string<Args...> format, Args&&... args) {
    return {fmt::format(format, std::forward<Args>(args)...), ErrorKind::kBadInput};
}

// The error for an exception where nothing but want of memory should throw: everything else is our own fault. A wrapper of a library that
// throws on bad input makes a kBadInput itself. Never throws: where the exception's text finds no memory, the error is out of memory.
[[nodiscard]] inline Error error_of(const std::exception& thrown) noexcept {
    const bool no_memory = dynamic_cast<const std::bad_alloc*>(&thrown) != nullptr;
    try {
        return {thrown.what(), no_memory ? ErrorKind::kOutOfMemory : ErrorKind::kInternal};
    } catch (const std::bad_alloc&) {
        return {"out of memory", ErrorKind::kOutOfMemory};  // short enough for the string's own buffer
    }
}

template <typename T>
class [[nodiscard]] Result {
  public:
    using value_type = T;

    Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}      // NOLINT(google-explicit-constructor)
    Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT(google-explicit-constructor)

    [[nodiscard]] bool has_value() const { return state_.index() == 0; }
    explicit operator bool() const { return has_value(); }

    T& value() & { return checked(); }
    const T& value() const& { return const_cast<Result*>(this)->checked(); }
    T&& value() && { return std::move(checked()); }
    T& operator*() & { return checked(); }
    const T& operator*() const& { return value(); }
    T&& operator*() && { return std::move(checked()); }
    T* operator->() { return &checked(); }
    const T* operator->() const { return &value(); }

    [[nodiscard]] const Error& error() const {
        RAFTER_CHECK(!has_value(), "error() of a Result that holds a value");
        return *std::get_if<1>(&state_);
    }
    template <typename U>
    [[nodiscard]] T value_or(U&& fallback) const& {
        return has_value() ? value() : static_cast<T>(std::forward<U>(fallback));
    }

  private:
    T& checked() {
        RAFTER_CHECK(has_value(), "value() of a Result that holds an error: {}", std::get_if<1>(&state_)->message);
        return *std::get_if<0>(&state_);
    }
    std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
  public:
    using value_type = void;

    Result() = default;
    Result(Error error) : error_(std::move(error)), failed_(true) {}  // NOLINT(google-explicit-constructor)

    [[nodiscard]] bool has_value() const { return !failed_; }
    explicit operator bool() const { return has_value(); }
    void value() const { RAFTER_CHECK(has_value(), "value() of a Result that holds an error: {}", error_.message); }
    [[nodiscard]] const Error& error() const {
        RAFTER_CHECK(failed_, "error() of a Result that holds a value");
        return error_;
    }

  private:
    Error error_;
    bool failed_ = false;
};

}  // namespace rafter

#define RAFTER_CONCAT_INNER(a, b) a##b
#define RAFTER_CONCAT(a, b) RAFTER_CONCAT_INNER(a, b)

// RAFTER_TRY(auto file, GgufFile::open(path));  declares file, or returns the error from the enclosing function.
#define RAFTER_TRY(declaration, ...)                       \
    auto RAFTER_CONCAT(result_, __LINE__) = (__VA_ARGS__); \
    if (!RAFTER_CONCAT(result_, __LINE__).has_value()) {   \
        return RAFTER_CONCAT(result_, __LINE__).error();   \
    }                                                      \
    declaration = std::move(RAFTER_CONCAT(result_, __LINE__)).value() /* ; */

// RAFTER_TRY_VOID(write_all(file));  returns the error of a Result<void>, or goes on.
#define RAFTER_TRY_VOID(...)                                              \
    if (auto result_of_try = (__VA_ARGS__); !result_of_try.has_value()) { \
        return result_of_try.error();                                     \
    }                                                                     \
    static_assert(true)
