// A text as a model is judged by it: tokens, cut into windows that do not overlap. The second half of each window is scored, given all
// before it in the window. Same windows and BOS as llama.cpp's perplexity tool, so that numbers compare.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/tokenizer.h"

namespace rafter::engine {

using text::TokenId;

class TextWindows {
  public:
    static constexpr std::uint32_t kMinContext = 4;

    // Fails where the text has no whole window. name: of the text, for the message. n_max: windows at most.
    [[nodiscard]] static Result<TextWindows> cut(const text::Tokenizer& tokenizer, std::string_view text, std::uint32_t context,
                                                 std::string_view name, std::optional<std::uint32_t> n_max = {});

    [[nodiscard]] std::size_t n_windows() const { return n_windows_; }
    [[nodiscard]] std::size_t n_tokens() const { return tokens_.size(); }  // of the whole text
    [[nodiscard]] std::uint32_t context() const { return context_; }
    // The logits of positions [first_row(), context - 1) are used: each scores the token after it.
    [[nodiscard]] std::uint32_t first_row() const { return context_ / 2; }
    // Its tokens, [context]. Where the model expects BOS, the first token is BOS in place of what the text has there.
    [[nodiscard]] std::vector<TokenId> window(std::size_t index) const;

  private:
    TextWindows() = default;
    std::vector<TokenId> tokens_;
    std::uint32_t context_ = 0;
    std::size_t n_windows_ = 0;
    std::optional<TokenId> bos_;
};

}  // namespace rafter::engine
