// Where the arguments stand in the JSON of calls, found byte by byte: a call that cannot fail is told while it is being written.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace rafter::protocols {

// For JSON that a JsonScanner accepts byte by byte. It finds the arguments of calls that say the name first: {"name": ..., "arguments":
// {...}}, or a list of such. After the first call that does not, it finds none. Constant memory.
class ArgumentsFinder {
  public:
    enum class Found {
        kNone,   // this byte is no part of arguments
        kBegin,  // it is their first, and name() is the function's
        kMore,
        kEnd,  // it is their last
    };
    enum class From {
        kCalls,      // the JSON of calls
        kArguments,  // the arguments alone
    };
    explicit ArgumentsFinder(From from = From::kCalls) : arguments_alone_(from == From::kArguments) {}

    [[nodiscard]] Found push(char byte);
    [[nodiscard]] const std::string& name() const { return *name_; }  // of calls, from kBegin to kEnd

  private:
    [[nodiscard]] Found open(char byte);
    [[nodiscard]] Found close();
    void end_text();
    [[nodiscard]] bool at_call() const { return depth_ == call_depth_; }

    bool arguments_alone_;
    bool given_up_ = false;
    std::uint32_t depth_ = 0;
    std::uint32_t call_depth_ = 0;       // within a call's braces
    std::uint32_t arguments_depth_ = 0;  // within the arguments' braces; 0: not in them
    bool in_text_ = false, escaped_ = false;
    bool is_value_ = false;  // what follows at the call's level, in place of a key
    bool has_arguments_ = false;
    std::string text_;  // the current one, where it is a key or a name
    std::string key_;
    std::optional<std::string> name_;
};

}  // namespace rafter::protocols
