// Knuth-Morris-Pratt, one automaton a stop string: n_matched is exactly how much of the text must be held back for it.
#include "engine/sampling/stop_matcher.h"

#include <algorithm>
#include <utility>

namespace rafter::engine {

StopMatcher::StopMatcher(const std::vector<std::string>& stops) {
    for (std::size_t index = 0; index < stops.size(); ++index) {
        const std::string& stop = stops[index];
        if (stop.empty()) continue;
        Pattern pattern{.text = stop, .index = index, .fallback = std::vector<std::size_t>(stop.size() + 1, 0)};
        std::size_t k = 0;
        for (std::size_t i = 1; i < stop.size(); ++i) {
            while (k > 0 && stop[i] != stop[k]) k = pattern.fallback[k];
            if (stop[i] == stop[k]) ++k;
            pattern.fallback[i + 1] = k;
        }
        patterns_.push_back(std::move(pattern));
    }
}

StopMatcher::Pushed StopMatcher::push(std::string text, WhenComplete when) {
    if (patterns_.empty()) return {std::move(text), false};
    for (std::size_t i = 0; i < text.size(); ++i) {
        std::size_t longest_stop = 0;  // of those that end here
        std::size_t index = 0;
        for (Pattern& pattern : patterns_) {
            std::size_t& k = pattern.n_matched;
            while (k > 0 && pattern.text[k] != text[i]) k = pattern.fallback[k];
            if (pattern.text[k] == text[i]) ++k;
            if (k < pattern.text.size()) continue;
            if (k > longest_stop) index = pattern.index;
            longest_stop = std::max(longest_stop, k);
            k = pattern.fallback[k];
        }
        if (longest_stop == 0 || when == WhenComplete::kGoOn) continue;
        held_.append(text, 0, i + 1);
        held_.resize(held_.size() - longest_stop);
        return {std::exchange(held_, {}), true, index};
    }
    held_.append(text);
    std::size_t n_held = 0;
    for (const Pattern& pattern : patterns_) n_held = std::max(n_held, pattern.n_matched);
    const std::size_t n_shown = held_.size() - n_held;
    std::string shown = held_.substr(0, n_shown);
    held_.erase(0, n_shown);
    return {std::move(shown), false};
}

std::string StopMatcher::finish() { return std::exchange(held_, {}); }

}  // namespace rafter::engine
