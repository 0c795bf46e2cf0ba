// Why prompts miss the prefix cache where the engine can only say "new": each prompt is compared with those that came shortly before. Two
// causes can be helped: a line early in the prompt that changes with each request, behind which everything is alike; and a prompt that
// only another key's salt has in the cache.
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
    // Prompts that differ early from an earlier one and are alike behind that, and the tokens that would have been shared without it.
    std::uint64_t n_changed_early = 0;
    std::uint64_t n_changed_tokens = 0;
    std::uint32_t changed_at = 0;  // the token at which half of them have begun to differ
    // Prompts whose beginning only another salt has, and the tokens of that beginning.
    std::uint64_t n_other_salt = 0;
    std::uint64_t n_other_salt_tokens = 0;
};

// For one thread. Keeps 16 prompts' first 4,096 tokens; a prompt of so many takes about 100 microseconds.
class PrefixWatch {
  public:
    // Each prompt, before the engine has it. Where there is no memory for it, it is not looked at.
    void arrived(std::string_view salt, std::span<const text::TokenId> prompt) noexcept { arrived(salt, prompt, watch_seconds()); }
    void arrived(std::string_view salt, std::span<const text::TokenId> prompt, double now_seconds) noexcept;
    [[nodiscard]] PrefixFindings last_minute(double now_seconds) const;

  private:
    struct Prompt {
        std::string salt;
        std::vector<text::TokenId> tokens;
        std::vector<std::uint64_t> marks;  // hashes of some runs of its tokens, ascending: alike runs are found wherever they stand
    };
    struct Finding {
        double seconds = 0.0;
        std::uint32_t n_tokens = 0;
        std::uint32_t n_changed_tokens = 0;
        std::uint32_t changed_at = 0;
        std::uint32_t n_other_salt_tokens = 0;
    };
    void add(std::string_view salt, std::span<const text::TokenId> prompt, double now_seconds);
    [[nodiscard]] Finding compare(const Prompt& prompt) const;

    std::vector<Prompt> recent_;
    std::size_t next_ = 0;  // of recent_, to be replaced
    std::deque<Finding> findings_;
};

}  // namespace rafter::server
