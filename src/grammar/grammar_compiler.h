// Grammars become masks beside the engine: in threads of its own, a few at a time, each remembered by its content. A request waits for its
// own grammar and for no other. XGrammar (https://github.com/mlc-ai/xgrammar) does the work; nothing of it shows here.
#pragma once

#include <cstddef>
#include <memory>

#include "base/result.h"
#include "engine/sampling/mask.h"
#include "grammar/grammar.h"
#include "text/tokenizer.h"

namespace rafter::grammar {

// What can be said of a grammar without a vocabulary: syntax, size, and keywords of schemas that could not be followed. Fails with
// kBadInput.
[[nodiscard]] Result<void> check(const Grammar& grammar);

struct CompilerLimits {
    std::size_t n_threads = 2;  // that compile at once
    double max_seconds = 10.0;  // a grammar that takes longer is refused; its thread ends when XGrammar lets go of it
    std::size_t max_kept = 64;  // compiled grammars that are remembered, the most recently used
    std::size_t max_kept_bytes = std::size_t{256} << 20;
};

// Any number of threads.
class GrammarCompiler {
  public:
    // Of answers in the tokens of this tokenizer, which must outlive the compiler. The vocabulary is sorted when the first grammar comes.
    explicit GrammarCompiler(const text::Tokenizer& tokenizer, const CompilerLimits& limits = {});
    // What is still being compiled fails. Waits for a grammar that is being compiled, a second at most.
    ~GrammarCompiler();
    GrammarCompiler(const GrammarCompiler&) = delete;
    GrammarCompiler& operator=(const GrammarCompiler&) = delete;

    // Never waits. A grammar that cannot be compiled, or is too large, fails with kBadInput; what can be said without compiling fails here,
    // the rest in the mask.
    [[nodiscard]] Result<std::shared_ptr<engine::PendingMask>> compile(const Grammar& grammar);
    // The same, and waits.
    [[nodiscard]] Result<std::shared_ptr<const engine::CompiledMask>> compile_now(const Grammar& grammar);

  private:
    struct State;
    std::shared_ptr<State> state_;  // a thread that takes too long keeps it
};

}  // namespace rafter::grammar
