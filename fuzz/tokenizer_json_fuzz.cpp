// Fuzzes tokenizer.json: whatever the file, loading it must end, and whatever it loads as must tokenise any text into ids of its own, and
// convert to GGUF's vocabulary or be refused. The input is the file, a NUL and a text.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "files/metadata.h"
#include "text/hf/gguf_vocabulary.h"
#include "text/tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace rafter;
    const std::string_view input(reinterpret_cast<const char*>(data), size);
    const std::size_t end = input.find('\0');
    const std::string_view text = end == std::string_view::npos ? std::string_view() : input.substr(end + 1);
    files::Metadata metadata;
    metadata.add("tokenizer.huggingface.json", input.substr(0, end));
    const auto tokenizer = text::Tokenizer::load(metadata);
    if (!tokenizer) {
        RAFTER_CHECK(!tokenizer.error().message.empty());
        return 0;
    }
    for (const text::SpecialTokens special : {text::SpecialTokens::kAsText, text::SpecialTokens::kParse}) {
        const auto ids = (*tokenizer)->encode(text, special);
        for (const text::TokenId id : ids) RAFTER_CHECK(id >= 0 && static_cast<std::size_t>(id) < (*tokenizer)->n_tokens());
        (void)(*tokenizer)->decode(ids, special);
    }
    (void)text::gguf_vocabulary(metadata);
    return 0;
}
