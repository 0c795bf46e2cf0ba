// A sequence is known by an index of its own text; texts that have ended share one for each salt.
#include "engine/speculation/ngram_drafter.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "base/check.h"
#include "engine/speculation/ngram_index.h"

namespace rafter::engine {
namespace {

static_assert(NgramIndex::kLengths == kTrustLevels);

// A match, and what came after it.
struct Found {
    std::uint32_t length = 0;
    std::span<const TokenId> continuation;
};

std::uint32_t trust_of(std::uint32_t min_match, std::uint32_t length) {
    const auto lengths = NgramIndex::lengths(min_match);
    return static_cast<std::uint32_t>(std::upper_bound(lengths.begin(), lengths.end(), length) - lengths.begin() - 1);
}

}  // namespace

// What ended sequences leave, in two generations. When the newer one is full, the older one goes.
class SharedTexts {
  public:
    SharedTexts(std::uint32_t min_match, std::size_t n_bytes) : min_match_(min_match), most_tokens_(most_tokens(n_bytes)) {
        start_generation();
    }

    void add(std::string_view salt, std::span<const TokenId> tokens) {
        tokens = tokens.last(std::min(tokens.size(), most_tokens_));
        if (tokens.size() <= min_match_ || salt.size() > most_tokens_) return;
        const std::size_t side_bytes = NgramIndex::kBytesPerText + kSaltBytes + salt.size();
        if (newer_->index.tokens().size() + tokens.size() > most_tokens_ ||
            newer_->side_bytes + side_bytes > kSideBytesPerToken * most_tokens_) {
            older_ = std::move(newer_);
            start_generation();
        }
        newer_->add(salt, tokens);
    }

    // The longest match in a text of this salt, the newer of equals.
    [[nodiscard]] Found find(std::string_view salt, std::span<const TokenId> tokens) const {
        Found best;
        for (const auto* generation : {newer_.get(), older_.get()}) {
            if (generation == nullptr) continue;
            const auto owner = generation->salts.find(salt);
            if (owner == generation->salts.end()) continue;
            const auto match = generation->index.find(owner->second, tokens);
            if (match && match->length > best.length) best = {match->length, generation->index.continuation(*match)};
        }
        return best;
    }

    [[nodiscard]] std::size_t n_tokens() const { return newer_->index.tokens().size() + (older_ ? older_->index.tokens().size() : 0); }

  private:
    static constexpr std::size_t kSideBytesPerToken = 8;  // room for texts' and salts' own bytes
    static constexpr std::size_t kSaltBytes = 128;        // a node of the map and what the heap adds

    struct Generation {
        explicit Generation(std::uint32_t min_match) : index(min_match) {}
        void add(std::string_view salt, std::span<const TokenId> tokens) {
            side_bytes += NgramIndex::kBytesPerText;
            auto owner = salts.find(salt);
            if (owner == salts.end()) {
                owner = salts.emplace(salt, static_cast<std::uint32_t>(salts.size())).first;
                side_bytes += kSaltBytes + salt.size();
            }
            index.begin_text(owner->second);
            for (const TokenId token : tokens) index.append(token);
        }
        NgramIndex index;
        std::map<std::string, std::uint32_t, std::less<>> salts;
        std::size_t side_bytes = 0;
    };

    static std::size_t most_tokens(std::size_t n_bytes) {
        const std::size_t n = std::bit_floor(n_bytes / 2 / (NgramIndex::kBytesPerToken + kSideBytesPerToken));
        return n < NgramIndex::kMinTokens ? 0 : std::min(n, std::size_t{1} << 31U);
    }
    void start_generation() { newer_ = std::make_unique<Generation>(min_match_); }

    std::uint32_t min_match_;
    std::size_t most_tokens_;  // of a generation
    std::unique_ptr<Generation> newer_, older_;
};

class NgramDrafter::State : public DraftState {
  public:
    State(std::uint32_t min_match, std::string_view salt, std::shared_ptr<SharedTexts> shared)
        : own_(min_match), salt_(salt), shared_(std::move(shared)) {
        own_.begin_text(0);
    }
    void end() override {
        if (shared_) shared_->add(salt_, own_.tokens());
    }

    void follow(std::span<const TokenId> tokens) {
        RAFTER_CHECK(tokens.size() >= own_.tokens().size(), "a sequence went back from {} tokens to {}", own_.tokens().size(),
                     tokens.size());
        for (const TokenId token : tokens.subspan(own_.tokens().size())) own_.append(token);
    }

    // Where draft tokens are taken from. In the sequence's own text they may continue past its end.
    struct Source {
        Found found;
        bool own = true;
    };
    [[nodiscard]] Source source() const {
        Source source;
        if (const auto match = own_.find(0, own_.tokens())) source.found = {match->length, own_.continuation(*match)};
        if (!shared_) return source;
        const Found found = shared_->find(salt_, own_.tokens());
        if (found.length > source.found.length) source = {found, false};
        return source;
    }

  private:
    NgramIndex own_;
    std::string salt_;
    std::shared_ptr<SharedTexts> shared_;
};

NgramDrafter::NgramDrafter(const NgramOptions& options) : options_(options) {
    if (options.shared_bytes > 0) shared_ = std::make_shared<SharedTexts>(options.min_match, options.shared_bytes);
}

NgramDrafter::~NgramDrafter() = default;

DraftOffer NgramDrafter::offer(DraftSequence& sequence, std::uint32_t n_most) {
    const State::Source source = follow(sequence).source();
    if (source.found.length == 0) return {};
    const std::size_t n_tokens = source.own ? n_most : std::min<std::size_t>(n_most, source.found.continuation.size());
    return {static_cast<std::uint32_t>(n_tokens), trust_of(options_.min_match, source.found.length)};
}

void NgramDrafter::draft(std::span<DraftRequest> requests) {
    for (DraftRequest& request : requests) {
        const State::Source source = follow(request.sequence).source();
        const std::span<const TokenId> known = source.found.continuation;
        request.drafts.clear();
        if (known.empty()) continue;
        for (std::size_t i = 0; i < request.n_wanted && (i < known.size() || source.own); ++i) {
            request.drafts.push_back(i < known.size() ? known[i]
                                                      : request.drafts[i - known.size()]);  // past the text's end: the draft tokens so far
        }
    }
}

std::size_t NgramDrafter::n_shared_tokens() const { return shared_ ? shared_->n_tokens() : 0; }

NgramDrafter::State& NgramDrafter::follow(DraftSequence& sequence) const {
    if (!*sequence.state) *sequence.state = std::make_unique<State>(options_.min_match, sequence.cache_salt, shared_);
    auto& state = static_cast<State&>(**sequence.state);
    state.follow(sequence.tokens);
    return state;
}

}  // namespace rafter::engine
