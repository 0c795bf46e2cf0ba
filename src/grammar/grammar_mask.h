// XGrammar's side of engine/sampling/mask.h: the vocabulary, a compiled grammar and its matchers. Only grammar/ includes this.
#pragma once

#include <xgrammar/xgrammar.h>

#include <memory>

#include "base/result.h"
#include "engine/sampling/mask.h"
#include "grammar/grammar.h"
#include "text/tokenizer.h"

namespace rafter::grammar {

// Sorts the vocabulary: 0.1 to 0.3 s. Tokens without a text, such as control tokens, come where a structural tag names them and nowhere
// else.
[[nodiscard]] xgrammar::TokenizerInfo vocabulary_of(const text::Tokenizer& tokenizer);

// What can be said of a grammar without compiling it, and the grammar as XGrammar gets it: kEbnf or kStructuralTag.
[[nodiscard]] Result<Grammar> checked_grammar(const Grammar& grammar);

struct CompiledGrammarMask {
    std::shared_ptr<const engine::CompiledMask> mask;
    std::size_t size_bytes = 0;
};
// In the calling thread. grammar: checked. Fails with kBadInput on what XGrammar cannot follow, its warnings included.
[[nodiscard]] Result<CompiledGrammarMask> compile_mask(xgrammar::GrammarCompiler& compiler, const Grammar& grammar);

}  // namespace rafter::grammar
