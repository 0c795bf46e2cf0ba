// Maps tokens between two models whose vocabularies hold the same texts under different ids.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/request.h"
#include "text/tokenizer.h"

namespace rafter::engine {

class VocabularyMap {
  public:
    // The draft model's tokens for the target's. n_target, n_draft: the models' vocabularies, which may be longer than their tokenizers'.
    // A special token of a name that the draft model lacks is taken for another of its special tokens, where it has any. Fails when more
    // than one in twenty of the target's tokens has no counterpart: the two would hardly ever agree.
    [[nodiscard]] static Result<VocabularyMap> match(const text::Tokenizer& target, std::size_t n_target, const text::Tokenizer& draft,
                                                     std::size_t n_draft);

    // kNone: the draft model does not have it.
    static constexpr TokenId kNone = -1;
    [[nodiscard]] TokenId to_draft(TokenId target) const { return to_draft_[static_cast<std::size_t>(target)]; }
    [[nodiscard]] bool is_identity() const { return identity_; }
    // The draft model's logits [n_draft] as the target's [n_target]; -inf where there is no counterpart.
    void to_target_logits(std::span<const float> draft, std::vector<float>& target) const;

  private:
    std::vector<TokenId> to_draft_;  // [n_target]
    bool identity_ = false;
};

}  // namespace rafter::engine
