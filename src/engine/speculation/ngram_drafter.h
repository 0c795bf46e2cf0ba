// Drafts by n-gram look-up: where the latest tokens occurred before (in the sequence's own text, or in an ended answer), it proposes what
// followed them there. It needs no model and next to no time.
//
// The longest match wins; of several places of that length the latest. Latest and not most frequent: what is copied tends to have been
// changed on the way (a renamed variable, the next row of a table) and the latest copy has the changes; in periodic text the latest place
// is one period back, so that drafts continue for ever; and one number for each n-gram is enough, where counting would need each
// continuation's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "engine/speculation/drafter.h"

namespace rafter::engine {

struct NgramOptions {
    // Two tokens say little, but a governor learns how little, and at no cost: their trust is 0.
    std::uint32_t min_match = 2;
    // For ended texts that others of the same salt look into, the oldest half going when it is full: 60 bytes a token. Below
    // 30 KiB nothing is kept. 0: each sequence knows only itself.
    std::size_t shared_bytes = std::size_t{64} << 20U;
};

class SharedTexts;

// A sequence's own text costs 52 to 104 bytes a token while it decodes. Its first offer() reads all of it; after that, time does not depend
// on its length. States may outlive the drafter; a state that goes leaves its text to others.
class NgramDrafter : public Drafter {
  public:
    explicit NgramDrafter(const NgramOptions& options);
    ~NgramDrafter() override;

    [[nodiscard]] std::string_view name() const override { return "ngram"; }
    [[nodiscard]] DraftOffer offer(DraftSequence& sequence, std::uint32_t n_most) override;
    [[nodiscard]] double round_seconds(std::uint32_t /*n_sequences*/, std::uint32_t /*n_past*/) const override { return 0.0; }
    void draft(std::span<DraftRequest> requests) override;

    // Of ended texts.
    [[nodiscard]] std::size_t n_shared_tokens() const;

  private:
    class State;
    [[nodiscard]] State& follow(DraftSequence& sequence) const;

    NgramOptions options_;
    std::shared_ptr<SharedTexts> shared_;  // null: nothing is shared
};

}  // namespace rafter::engine
