// Where a JSON object or array ends, found byte by byte: a model's call is followed while it is being written.
#pragma once

#include <cstdint>

namespace rafter::protocols {

// Constant memory. It refuses what no JSON can go on as; numbers and literals are for a parser to check once the end is known.
class JsonScanner {
  public:
    enum class Found { kMore, kEnd, kError };
    // The first byte must be { or [. kEnd: this byte closes the value. Nothing is pushed after kEnd or kError.
    [[nodiscard]] Found push(char byte);
    [[nodiscard]] bool begun() const { return depth_ > 0; }

  private:
    enum class State : std::uint8_t { kValue, kFirstValue, kKey, kFirstKey, kColon, kText, kEscape, kScalar, kAfter };
    [[nodiscard]] Found open(bool is_object);
    [[nodiscard]] Found close(bool is_object);
    [[nodiscard]] Found begin_value(char byte);
    [[nodiscard]] Found after_value(char byte);
    [[nodiscard]] bool in_object() const { return (objects_ >> (depth_ - 1U) & 1U) != 0; }

    State state_ = State::kValue;
    bool text_is_key_ = false;
    std::uint32_t depth_ = 0;
    std::uint64_t objects_ = 0;  // bit i: level i + 1 is an object
};

}  // namespace rafter::protocols
