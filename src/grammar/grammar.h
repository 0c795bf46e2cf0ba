// What an answer may consist of, as people say it: plain data that protocols fill in and GrammarCompiler makes a mask from.
#pragma once

#include <span>
#include <string>

namespace rafter::grammar {

enum class GrammarKind {
    kJson,           // any JSON object; `text` is not used
    kJsonSchema,     // a JSON schema
    kRegex,          // a regular expression that the whole answer matches
    kEbnf,           // an EBNF grammar whose first rule is root: XGrammar's form, which is that of llama.cpp's GBNF
    kChoice,         // a JSON array of strings: the answer is one of them
    kStructuralTag,  // XGrammar's structural tag: literal texts, schemas, choices and sequences of them, as JSON
};

struct Grammar {
    GrammarKind kind = GrammarKind::kJson;
    std::string text = {};

    bool operator==(const Grammar&) const = default;
};

// Of these texts, one.
[[nodiscard]] Grammar choice_grammar(std::span<const std::string> texts);

}  // namespace rafter::grammar
