// Schemas, expressions, grammars, choices and tags as a client may send them: refused or written as EBNF that XGrammar reads, and never
// more.
#include <cstddef>
#include <cstdint>
#include <string>

#include "grammar/grammar_compiler.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using rafter::grammar::GrammarKind;
    constexpr GrammarKind kKinds[] = {GrammarKind::kJsonSchema, GrammarKind::kRegex, GrammarKind::kEbnf, GrammarKind::kChoice,
                                      GrammarKind::kStructuralTag};
    if (size == 0) return 0;
    const std::string text(reinterpret_cast<const char*>(data) + 1, size - 1);
    static_cast<void>(rafter::grammar::check({kKinds[data[0] % std::size(kKinds)], text}));
    return 0;
}
