// One level is one bit, so that a copy costs nothing.
#include "protocols/answers/json_scanner.h"

#include <string_view>

namespace rafter::protocols {
namespace {

constexpr std::uint32_t kMaxLevels = 64;

bool is_json_space(char byte) { return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r'; }
bool is_one_of(char byte, std::string_view bytes) { return bytes.find(byte) != std::string_view::npos; }
// Of a number or a literal.
bool goes_on_scalar(char byte) { return is_one_of(byte, "0123456789+-.eEtrufalsn"); }

}  // namespace

JsonScanner::Found JsonScanner::open(bool is_object) {
    if (depth_ == kMaxLevels) return Found::kError;
    const std::uint64_t bit = std::uint64_t{1} << depth_++;
    objects_ = is_object ? objects_ | bit : objects_ & ~bit;
    state_ = is_object ? State::kFirstKey : State::kFirstValue;
    return Found::kMore;
}

JsonScanner::Found JsonScanner::close(bool is_object) {
    if (in_object() != is_object) return Found::kError;
    state_ = State::kAfter;
    return --depth_ == 0 ? Found::kEnd : Found::kMore;
}

JsonScanner::Found JsonScanner::begin_value(char byte) {
    if (byte == '{') return open(true);
    if (byte == '[') return open(false);
    if (depth_ == 0) return Found::kError;
    if (byte == '"') {
        state_ = State::kText;
        text_is_key_ = false;
        return Found::kMore;
    }
    if (!is_one_of(byte, "-0123456789tfn")) return Found::kError;
    state_ = State::kScalar;
    return Found::kMore;
}

JsonScanner::Found JsonScanner::after_value(char byte) {
    if (byte == ',') {
        state_ = in_object() ? State::kKey : State::kValue;
        return Found::kMore;
    }
    if (byte == '}') return close(true);
    return byte == ']' ? close(false) : Found::kError;
}

JsonScanner::Found JsonScanner::push(char byte) {
    if (state_ == State::kText) {
        if (static_cast<unsigned char>(byte) < 0x20U) return Found::kError;
        if (byte == '\\') state_ = State::kEscape;
        if (byte == '"') state_ = text_is_key_ ? State::kColon : State::kAfter;
        return Found::kMore;
    }
    if (state_ == State::kEscape) {
        state_ = State::kText;
        return is_one_of(byte, "\"\\/bfnrtu") ? Found::kMore : Found::kError;
    }
    if (state_ == State::kScalar) {
        if (goes_on_scalar(byte)) return Found::kMore;
        state_ = State::kAfter;
    }
    if (is_json_space(byte)) return depth_ == 0 ? Found::kError : Found::kMore;
    switch (state_) {
        case State::kFirstValue:
            return byte == ']' ? close(false) : begin_value(byte);
        case State::kFirstKey:
        case State::kKey:
            if (byte == '}' && state_ == State::kFirstKey) return close(true);
            if (byte != '"') return Found::kError;
            state_ = State::kText;
            text_is_key_ = true;
            return Found::kMore;
        case State::kColon:
            if (byte != ':') return Found::kError;
            state_ = State::kValue;
            return Found::kMore;
        case State::kAfter:
            return after_value(byte);
        default:
            return begin_value(byte);
    }
}

}  // namespace rafter::protocols
