// Why prompts miss the prefix cache where the engine can only say "new": each prompt is compared with those that came shortly before. Three
// causes can be helped: a line of the system prompt that changes with each request, as coding agents write the date or a number there; a
// line elsewhere early in the prompt, behind which everything is alike; and a prompt that only another key's salt has in the cache.
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "server/observe/step_watch.h"
#include "text/tokenizer.h"

namespace rafter::server {

// Of the last minute's prompts.
struct PrefixFindings {
    std::uint64_t n_prompts = 0;
    std::uint64_t n_tokens = 0;
    // Prompts whose system prompt differs from an earlier one's and is alike behind that, and the tokens that would have been shared
    // without it.
    std::uint64_t n_changed_system = 0;
    std::uint64_t n_changed_system_tokens = 0;
    std::uint32_t changed_system_at = 0;  // the token at which half of them have begun to differ
    // The same of prompts that differ early, but not in a system prompt.
    std::uint64_t n_changed_early = 0;
    std::uint64_t n_changed_tokens = 0;
    std::uint32_t changed_at = 0;  // the token at which half of them have begun to differ
    // Prompts whose beginning only another salt has, and the tokens of that beginning.
    std::uint64_t n_other_salt = 0;
    std::uint64_t n_other_salt_tokens = 0;
};

struct WatchedPrompt {
    std::span<const text::TokenId> tokens;
    std::uint32_t n_system = 0;  // of them, before the conversation; 0: not known, or none
};

// For one thread. Keeps 16 prompts' first 4,096 tokens; a prompt of so many takes about 100 microseconds.
class PrefixWatch {
  public:
    // Each prompt, before the engine has it. Where there is no memory for it, it is not looked at.
    void arrived(std::string_view salt, const WatchedPrompt& prompt) noexcept { arrived(salt, prompt, watch_seconds()); }
    void arrived(std::string_view salt, const WatchedPrompt& prompt, double now_seconds) noexcept;
    [[nodiscard]] PrefixFindings last_minute(double now_seconds) const;
    // Of all prompts since the start, the tokens of n_changed_system_tokens.
    [[nodiscard]] std::uint64_t n_changed_system_tokens() const { return n_changed_system_tokens_; }

  private:
    struct Prompt {
        std::string salt;
        std::vector<text::TokenId> tokens;
        std::size_t n_system = 0;
        std::vector<std::uint64_t> marks;  // hashes of some runs of its tokens, ascending: alike runs are found wherever they stand
    };
    struct Finding {
        double seconds = 0.0;
        std::uint32_t n_tokens = 0;
        std::uint32_t n_changed_tokens = 0;
        std::uint32_t changed_at = 0;
        bool in_system = false;  // what changed
        std::uint32_t n_other_salt_tokens = 0;
    };
    void add(std::string_view salt, const WatchedPrompt& prompt, double now_seconds);
    [[nodiscard]] Finding compare(const Prompt& prompt) const;

    std::vector<Prompt> recent_;
    std::size_t next_ = 0;  // of recent_, to be replaced
    std::deque<Finding> findings_;
    std::uint64_t n_changed_system_tokens_ = 0;
};

}  // namespace rafter::server
