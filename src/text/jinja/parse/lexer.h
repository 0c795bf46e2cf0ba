// Cuts a template into text and the tokens of its tags. White space around tags goes as transformers sets jinja2 up: a line end after a
// block tag is dropped (trim_blocks), so is indentation before one (lstrip_blocks); - and + at a tag's edge override both.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/jinja/parse/ast.h"

namespace rafter::text::jinja {

enum class TokenType : std::uint8_t {
    kData,           // text between tags
    kVariableBegin,  // {{
    kVariableEnd,    // }}
    kBlockBegin,     // {%
    kBlockEnd,       // %}
    kName,
    kString,
    kInteger,
    kFloat,
    kOperator,
    kEnd,
};

struct Token {
    TokenType type = TokenType::kEnd;
    Position at;
    std::string text;  // data, name or operator; a string's value
    Int integer = 0;
    double real = 0;
};

// `source` must be valid UTF-8. The last token is kEnd.
[[nodiscard]] Result<std::vector<Token>> tokenize(std::string_view source, std::string_view template_name);

}  // namespace rafter::text::jinja
