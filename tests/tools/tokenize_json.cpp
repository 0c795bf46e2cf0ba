// Tokenises with a tokenizer.json: tokenize_json FILE [--special] [--decode] [--as-gguf]. Texts come on standard input, each ended by a
// NUL; a line of ids goes out for each. With --decode lines of ids come in, and texts ended by a NUL go out. With
// --as-gguf the tokenizer is the one of the GGUF file that the tokenizer.json converts to. For tests that compare with other programs.
#include <fstream>
#include <iostream>
#include <iterator>
#include <sstream>
#include <string>

#include "files/metadata.h"
#include "text/hf/gguf_vocabulary.h"
#include "text/hf/json_tokenizer.h"

using rafter::text::SpecialTokens;
using rafter::text::TokenId;

int main(int argc, char** argv) {
    if (argc < 2) return 2;
    SpecialTokens special = SpecialTokens::kAsText;
    bool decodes = false;
    bool as_gguf = false;
    for (int i = 2; i < argc; ++i) {
        if (std::string_view(argv[i]) == "--special") special = SpecialTokens::kParse;
        if (std::string_view(argv[i]) == "--decode") decodes = true;
        if (std::string_view(argv[i]) == "--as-gguf") as_gguf = true;
    }
    std::ifstream file(argv[1], std::ios::binary);
    const std::string json((std::istreambuf_iterator<char>(file)), {});
    rafter::files::Metadata metadata;
    metadata.add(std::string(rafter::text::hf::kTokenizerKey), std::string_view(json));
    rafter::text::GgufVocabulary vocabulary;
    if (as_gguf) {
        auto made = rafter::text::gguf_vocabulary(metadata);
        if (!made) {
            std::cerr << made.error().message << '\n';
            return 1;
        }
        vocabulary = *std::move(made);
        metadata = rafter::text::metadata_with_vocabulary(metadata, vocabulary);
    }
    const auto tokenizer = rafter::text::Tokenizer::load(metadata);
    if (!tokenizer) {
        std::cerr << tokenizer.error().message << '\n';
        return 1;
    }
    std::string text;
    if (!decodes) {
        while (std::getline(std::cin, text, '\0')) {
            for (const TokenId id : (*tokenizer)->encode(text, special)) std::cout << id << ' ';
            std::cout << '\n';
        }
        return 0;
    }
    while (std::getline(std::cin, text)) {
        std::istringstream numbers(text);
        const std::vector<TokenId> ids((std::istream_iterator<TokenId>(numbers)), {});
        std::cout << (*tokenizer)->decode(ids, special) << '\0';
    }
    return 0;
}
