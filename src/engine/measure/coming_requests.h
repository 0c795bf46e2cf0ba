// How often requests come, and of what size, by those that came lately: as from so many clients as were ever seen at once, each of whom
// asks again some time after its answer. That holds for a fixed number of clients, and approximately for many independent ones.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace rafter::engine {

// One thread.
class ComingRequests {
  public:
    // seconds: by any clock; n_cached: tokens of the prompt that the cache probably has.
    void came(double seconds, std::uint32_t n_prompt, std::uint32_t n_cached, std::uint32_t max_tokens) {
        pass(seconds);
        ++n_here_;
        Gap& gap = gaps_[n_came_ % kMaxKnown];
        gap = {.seconds = since_last_,
               .here = here_since_last_,
               .n_here = n_here_,
               .n_prompt = n_prompt,
               .n_cached = n_cached,
               .max_tokens = max_tokens};
        ++n_came_;
        since_last_ = here_since_last_ = 0.0;
        sum_up();
    }
    void ended(double seconds) {
        pass(seconds);
        n_here_ -= std::min<std::size_t>(n_here_, 1);
    }

    // What to expect; of sequences.
    struct Expected {
        double per_second_and_client = 0.0;  // of those who have no request here; 0: nothing is known
        std::size_t n_clients = 0;
        std::uint32_t n_prompt = 0, n_cached = 0, max_tokens = 0;  // of each, on average
    };
    // The time since the last one came counts too: clients that are gone are expected less and less.
    [[nodiscard]] Expected expected(double seconds) const {
        Expected expected = expected_;
        if (missing_ <= 0.0) return expected;
        const double gone = since_last_ + std::max(0.0, seconds - now_);
        const double here = here_since_last_ + std::max(0.0, seconds - now_) * static_cast<double>(n_here_);
        const double missing = std::max(0.0, gone * static_cast<double>(expected.n_clients) - here);
        expected.per_second_and_client *= missing_ / (missing_ + missing);
        return expected;
    }

  private:
    static constexpr std::size_t kMaxKnown = 64;
    static constexpr std::size_t kMinKnown = 8;
    // Before a request came.
    struct Gap {
        double seconds = 0.0;    // since the one before
        double here = 0.0;       // times the requests that were here
        std::size_t n_here = 0;  // with it
        std::uint32_t n_prompt = 0, n_cached = 0, max_tokens = 0;
    };
    void pass(double seconds) {
        const double gone = std::max(0.0, seconds - now_);
        if (n_came_ > 0) {
            since_last_ += gone;
            here_since_last_ += gone * static_cast<double>(n_here_);
        }
        now_ = std::max(now_, seconds);
    }
    void sum_up() {
        expected_ = {};
        missing_ = 0.0;
        const std::size_t n = std::min(n_came_, kMaxKnown);
        if (n < kMinKnown) return;
        double seconds = 0.0, here = 0.0, n_prompt = 0.0, n_cached = 0.0, max_tokens = 0.0;
        for (std::size_t i = 0; i < n; ++i) {
            const Gap& gap = gaps_[i];
            seconds += gap.seconds;
            here += gap.here;
            n_prompt += gap.n_prompt;
            n_cached += gap.n_cached;
            max_tokens += gap.max_tokens;
            expected_.n_clients = std::max(expected_.n_clients, gap.n_here);
        }
        missing_ = seconds * static_cast<double>(expected_.n_clients) - here;
        const auto count = static_cast<double>(n);
        if (missing_ > 0.0) expected_.per_second_and_client = count / missing_;
        expected_.n_prompt = static_cast<std::uint32_t>(n_prompt / count);
        expected_.n_cached = static_cast<std::uint32_t>(n_cached / count);
        expected_.max_tokens = static_cast<std::uint32_t>(max_tokens / count);
    }

    std::array<Gap, kMaxKnown> gaps_{};
    std::size_t n_came_ = 0, n_here_ = 0;
    double now_ = 0.0, since_last_ = 0.0, here_since_last_ = 0.0;
    double missing_ = 0.0;  // clients without a request here, times seconds, until the last one came
    Expected expected_;
};

}  // namespace rafter::engine
