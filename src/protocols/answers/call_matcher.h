// Follows what may be a call of a function from its first byte until it is one, or is none. All shapes of a family are followed at once.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocols/answers/arguments_finder.h"
#include "protocols/answers/call_arguments.h"
#include "protocols/answers/call_shapes.h"
#include "protocols/answers/json_scanner.h"

namespace rafter::protocols {

// The functions that an answer may call, with their parameters' JSON schemas (null: none).
using FunctionSchemas = std::map<std::string, nlohmann::json, std::less<>>;

// A call is known when its last byte has come, whatever the sizes of the pieces that it comes in; what it took until then is raw(). Of
// calls that cannot fail, early() tells the arguments byte by byte where the notation writes them as the JSON that they are.
class CallMatcher {
  public:
    enum class Found {
        kMore,
        kCalls,  // this byte ends it
        kText,   // this byte ends it, and it is no call
        kNone,   // this byte is no part of it, nor is it a call; what raw() has from n_sure() on may itself begin one
    };
    // Both outlive this.
    CallMatcher(const CallNotation& notation, const FunctionSchemas& functions) : notation_(&notation), functions_(&functions) {}

    // Whether a call may begin with this byte. bare: where JSON alone is a call.
    [[nodiscard]] bool may_begin(char byte, bool bare) const;
    struct BeginOptions {
        bool bare = false;
        std::uint32_t n_early = 0;  // calls at most that are told early
    };
    // Forgets what it had; the next push() is a call's first byte.
    void begin(const BeginOptions& options);
    [[nodiscard]] Found push(char byte);
    [[nodiscard]] const std::string& raw() const { return raw_; }
    [[nodiscard]] std::size_t n_sure() const { return n_sure_; }
    // Those that were told early are the first of them.
    [[nodiscard]] std::vector<WrittenCall> take_calls() { return std::move(calls_); }
    // What the last byte was to arguments, and the function that is called; kNone for all that is not told early.
    [[nodiscard]] ArgumentsFinder::Found early() const { return early_; }
    [[nodiscard]] const std::string& early_name() const { return early_name_; }

  private:
    struct Path {
        std::span<const ShapePart> parts;
        std::size_t part = 0;
        std::size_t begin = 0;  // of the part, in raw_
        JsonScanner json = {};
        std::string name = {};
        int depth = 0;        // of kQuoted
        bool inside = false;  // a text of kQuoted, or a value of kParameters
        std::size_t tag = 0;  // where the current tag or text begins
        bool whole = false;
    };
    enum class Step { kMore, kNext, kNextAgain, kEnd, kDead };
    [[nodiscard]] Step step(Path& path, char byte);
    [[nodiscard]] Step step_name(Path& path, char byte);
    [[nodiscard]] Step step_json(Path& path, char byte);
    [[nodiscard]] Step step_parameters(Path& path, char byte);
    [[nodiscard]] Step step_quoted(Path& path, char byte);
    [[nodiscard]] bool advance(Path& path, char byte);  // false: dead
    [[nodiscard]] bool finish(const Path& path);
    void follow_arguments(char byte);

    const CallNotation* notation_;
    const FunctionSchemas* functions_;
    std::vector<Path> paths_;
    std::string raw_;
    std::size_t n_sure_ = 0;
    std::vector<WrittenCall> calls_;
    std::uint32_t n_early_ = 0;              // calls that may still be told early
    std::optional<ArgumentsFinder> finder_;  // from the JSON's first byte on
    ArgumentsFinder::Found early_ = ArgumentsFinder::Found::kNone;
    std::string early_name_;
};

}  // namespace rafter::protocols
