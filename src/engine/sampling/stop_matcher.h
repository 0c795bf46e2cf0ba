// Ends an answer before any of its stop strings, wherever token borders fall: text that may be the start of one is held back until it is
// clear whether it is.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace rafter::engine {

// Time is linear in the text for each stop string, whatever both look like.
class StopMatcher {
  public:
    // Empty stop strings are left out.
    explicit StopMatcher(const std::vector<std::string>& stops);

    struct Pushed {
        std::string text;      // can be shown now
        bool stopped;          // a stop string is complete: it and all after it are dropped, and this was the last push
        std::size_t stop = 0;  // of stopped: which one, by its place in the list
    };
    enum class WhenComplete { kStop, kGoOn };  // kGoOn: a stop string that ends in this text is text like any other
    [[nodiscard]] Pushed push(std::string text, WhenComplete when = WhenComplete::kStop);
    // The answer is over without a stop string: what was held back.
    [[nodiscard]] std::string finish();

  private:
    struct Pattern {
        std::string text;
        std::size_t index = 0;              // among the stop strings
        std::vector<std::size_t> fallback;  // [i]: the longest proper prefix of text that ends its first i bytes
        std::size_t n_matched = 0;          // bytes of it that the answer ends with
    };
    std::vector<Pattern> patterns_;
    std::string held_;
};

}  // namespace rafter::engine
