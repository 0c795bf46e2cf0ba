// One regular expression, compiled by PCRE2 with its JIT: the only file pair that knows PCRE2.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "base/result.h"

struct pcre2_real_code_8;
struct pcre2_real_match_context_8;
struct pcre2_real_match_data_8;
struct pcre2_real_jit_stack_8;

namespace rafter::text {

// Immutable after compile: any number of threads may search, each with a Scratch of its own.
class Regex {
  public:
    struct Match {
        std::size_t begin;
        std::size_t end;
    };

    // Holds what a search writes to. Cheap to make; kept over many searches.
    class Scratch {
      public:
        Scratch();
        // A search that takes more steps than this finds nothing, and nor do all later ones. For patterns that are not ours.
        explicit Scratch(std::uint32_t max_steps);
        [[nodiscard]] bool exceeded() const { return exceeded_; }

      private:
        friend class Regex;
        struct Free {
            void operator()(pcre2_real_match_context_8* p) const;
            void operator()(pcre2_real_match_data_8* p) const;
            void operator()(pcre2_real_jit_stack_8* p) const;
        };
        std::unique_ptr<pcre2_real_jit_stack_8, Free> jit_stack_;  // made when the 32 KiB that need no allocation do not do
        std::unique_ptr<pcre2_real_match_context_8, Free> context_;
        std::unique_ptr<pcre2_real_match_data_8, Free> data_;
        bool is_limited_ = false;
        bool exceeded_ = false;
    };

    // The dialect is Perl's with \p{...} by Unicode. \s is Unicode's White_Space property, as in the Rust and Python engines that
    // tokenizers are trained with (PCRE2's own also takes U+180E).
    [[nodiscard]] static Result<Regex> compile(std::string_view pattern);

    // The first match at or after `start`. The subject must be valid UTF-8, start at a character; lookahead ends with the subject. There is
    // no limit on steps unless the Scratch has one: our own patterns are written so that a whole text takes linear time.
    [[nodiscard]] std::optional<Match> find(std::string_view subject, std::size_t start, Scratch& scratch) const;

  private:
    struct Free {
        void operator()(pcre2_real_code_8* p) const;
    };
    explicit Regex(pcre2_real_code_8* code) : code_(code) {}
    std::unique_ptr<pcre2_real_code_8, Free> code_;
};

}  // namespace rafter::text
