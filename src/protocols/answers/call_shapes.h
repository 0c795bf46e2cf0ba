// How each family of models writes calls of functions: as a table of shapes, each a row of parts from a call's first byte to its last.
#pragma once

#include <optional>
#include <span>
#include <string_view>

namespace rafter::protocols {

enum class CallFamily {
    kNone,           // calls are text
    kJson,           // the answer is {"name": ..., "arguments": {...}}, or a list of such
    kLlama,          // the same with "parameters", or behind <|python_tag|>; several with ; between them
    kHermes,         // <tool_call>{"name": ..., "arguments": {...}}</tool_call>
    kQwenXml,        // <tool_call><function=NAME><parameter=KEY>value</parameter></function></tool_call>
    kMistral,        // [TOOL_CALLS][{"name": ..., "arguments": {...}}]
    kMistralNamed,   // [TOOL_CALLS]NAME[ARGS]{...}
    kFunctionGemma,  // <start_function_call>call:NAME{key:<escape>value<escape>}<end_function_call>
    kGemma,          // <|tool_call>call:NAME{key:<|"|>value<|"|>}<tool_call|>
    kDeepSeek,  // <｜tool▁calls▁begin｜><｜tool▁call▁begin｜>NAME<｜tool▁sep｜>{...}<｜tool▁call▁end｜><｜tool▁calls▁end｜>
    kDeepSeekFenced,  // the same with function<｜tool▁sep｜>NAME and the arguments within ```json and ```
    kHarmony,         // <|channel|>commentary to=functions.NAME<|message|>{...}<|call|>
};

struct ShapePart {
    enum class Kind {
        kText,        // this text
        kSpace,       // white space, or none
        kName,        // of a function that was given
        kId,          // letters and digits that count for nothing
        kCalls,       // JSON of one call or of a list of them
        kArguments,   // a JSON object
        kParameters,  // <parameter=...> up to and including </function>
        kQuoted,      // Gemma's object; its texts stand between marks of `text`
    };
    Kind kind;
    std::string_view text = {};
};

struct CallShape {
    std::span<const ShapePart> parts;
};

struct CallNotation {
    CallFamily family;
    std::string_view name;                    // "hermes": as --tool-parser says it
    std::span<const CallShape> shapes;        // each begins with a text, or with kCalls: such a call begins where the answer begins only
    std::span<const std::string_view> tails;  // what may follow a call and is no text of the answer
    std::span<const std::string_view> marks;  // texts that the vocabulary may have as control tokens, which are hidden elsewhere
};

[[nodiscard]] const CallNotation& call_notation(CallFamily family);
// By its name: "hermes". None for another.
[[nodiscard]] std::optional<CallFamily> find_call_family(std::string_view name);
// Each family once.
[[nodiscard]] std::span<const CallNotation> call_notations();

}  // namespace rafter::protocols
