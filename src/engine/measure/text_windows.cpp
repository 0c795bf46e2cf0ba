// The text's own tokens, with BOS before them and in place of each window's first.
#include "engine/measure/text_windows.h"

#include <algorithm>

#include "base/check.h"

namespace rafter::engine {

Result<TextWindows> TextWindows::cut(const text::Tokenizer& tokenizer, std::string_view text, std::uint32_t context, std::string_view name,
                                     std::optional<std::uint32_t> n_max) {
    RAFTER_CHECK(context >= kMinContext, "a window has something to score");
    TextWindows windows;
    windows.context_ = context;
    windows.tokens_ = tokenizer.encode(text, text::SpecialTokens::kAsText);
    if (tokenizer.special().add_bos) windows.bos_ = tokenizer.special().bos;
    if (windows.bos_) windows.tokens_.insert(windows.tokens_.begin(), *windows.bos_);
    const std::size_t n_whole = windows.tokens_.size() / context;
    if (n_whole == 0) {
        return bad_input("{}: expected at least {} tokens (one window), found {}", name, context, windows.tokens_.size());
    }
    windows.n_windows_ = std::min<std::size_t>(n_whole, n_max.value_or(~0U));
    return windows;
}

std::vector<TokenId> TextWindows::window(std::size_t index) const {
    const auto start = tokens_.begin() + static_cast<std::ptrdiff_t>(index * context_);
    std::vector<TokenId> window(start, start + context_);
    if (bos_) window[0] = *bos_;
    return window;
}

}  // namespace rafter::engine
