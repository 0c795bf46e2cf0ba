// Depth and texts are all that is followed: whether the bytes are JSON is the scanner's matter.
#include "protocols/answers/arguments_finder.h"

#include <nlohmann/json.hpp>
#include <utility>

namespace rafter::protocols {
namespace {

// Of a key or a name as it is written, with its quotes; a longer one is neither.
constexpr std::size_t kMaxKeyText = 1024;

bool says_arguments(const std::string& key) { return key == "arguments" || key == "parameters"; }

}  // namespace

ArgumentsFinder::Found ArgumentsFinder::push(char byte) {
    const Found within = arguments_depth_ > 0 ? Found::kMore : Found::kNone;
    if (in_text_) {
        if (text_.size() < kMaxKeyText && within == Found::kNone) text_ += byte;
        if (std::exchange(escaped_, false)) return within;
        escaped_ = byte == '\\';
        in_text_ = byte != '"';
        if (!in_text_ && within == Found::kNone) end_text();
        return within;
    }
    switch (byte) {
        case '"':
            in_text_ = true;
            text_ = "\"";
            return within;
        case '{':
        case '[':
            return open(byte);
        case '}':
        case ']':
            return close();
        case ':':
        case ',':
            if (at_call()) is_value_ = byte == ':';
            return within;
        default:
            return within;
    }
}

ArgumentsFinder::Found ArgumentsFinder::open(char byte) {
    if (depth_ == 0) call_depth_ = byte == '[' ? 2 : 1;
    const bool begins = arguments_alone_ ? depth_ == 0 : at_call() && is_value_ && says_arguments(key_) && arguments_depth_ == 0;
    ++depth_;
    if (!begins) return arguments_depth_ > 0 ? Found::kMore : Found::kNone;
    given_up_ = given_up_ || byte != '{' || has_arguments_ || (!name_ && !arguments_alone_);
    if (given_up_) return Found::kNone;
    has_arguments_ = true;
    arguments_depth_ = depth_;
    return Found::kBegin;
}

ArgumentsFinder::Found ArgumentsFinder::close() {
    const bool ends_call = at_call();
    --depth_;
    if (arguments_depth_ > 0) {
        if (depth_ >= arguments_depth_) return Found::kMore;
        arguments_depth_ = 0;
        return Found::kEnd;
    }
    if (ends_call) {
        given_up_ = given_up_ || !has_arguments_;
        has_arguments_ = is_value_ = false;
        name_.reset();
        key_.clear();
    }
    return Found::kNone;
}

void ArgumentsFinder::end_text() {
    if (!at_call()) return;
    const auto value = nlohmann::json::parse(text_, nullptr, false);
    const std::string text = value.is_string() ? value.get<std::string>() : "";
    if (!is_value_) {
        key_ = text;
        return;
    }
    if (key_ == "name") {
        given_up_ = given_up_ || name_.has_value();
        name_ = text;
    }
    if (says_arguments(key_)) given_up_ = true;  // as a text that holds them
}

}  // namespace rafter::protocols
