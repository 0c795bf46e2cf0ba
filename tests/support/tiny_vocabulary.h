// Vocabularies of a few tokens, for tests of the tokenizers.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "files/gguf.h"
#include "text/tokenizer.h"

namespace rafter::text {

// What a test fills in; metadata() says it in a model file's words. The metadata borrows the texts.
struct TinyVocabulary {
    std::string model = "gpt2";
    std::string pre = "gpt-2";
    std::vector<std::string> tokens;
    std::vector<std::int64_t> types;  // left out if empty, as are the next two
    std::vector<double> scores;
    std::vector<std::string> merges;
    std::map<std::string, files::MetadataValue> more;

    [[nodiscard]] files::Metadata metadata() const;
    // Aborts the test on an error.
    [[nodiscard]] std::unique_ptr<Tokenizer> load() const;
    // The error that loading gives, "" if it gives none.
    [[nodiscard]] std::string load_error() const;

    // The 256 bytes in GPT-2's spelling, ids 0 to 255, and the merges' results, in order. Each entry is two tokens parted by a space.
    static TinyVocabulary of_bytes(const std::vector<std::string>& merges);
    // <unk>, <s>, </s>, the bytes <0x00> to <0xFF> (ids 3 to 258) and these texts, the first with the highest score.
    static TinyVocabulary of_pieces(const std::vector<std::string>& pieces);
    // Appends a token and returns its id.
    TokenId add(std::string text, std::int64_t type);
};

}  // namespace rafter::text
