// Tokenizers from vocabularies and on texts that a fuzzer makes. The input is lines: a kind, then tokens (with a type before each), merges,
// and the rest is text. What loads must encode and decode without harm, and bytes must come back where the vocabulary has them all.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "files/gguf.h"
#include "text/byte_alphabet.h"
#include "text/pre_tokenizer_families.h"
#include "text/tokenizer.h"
#include "text/utf8_stream.h"

namespace {

using rafter::files::MetadataArray;
using rafter::text::SpecialTokens;
using rafter::text::TokenId;

// Takes what comes before the first separator off the input.
std::string_view take(std::string_view& input, char separator) {
    const std::size_t end = std::min(input.find(separator), input.size());
    const std::string_view taken = input.substr(0, end);
    input.remove_prefix(std::min(end + 1, input.size()));
    return taken;
}

struct Vocabulary {
    std::vector<std::string> tokens;
    std::vector<std::int64_t> types;
    std::vector<double> scores;
    std::vector<std::string> merges;
};

// A complete vocabulary for the kind, so that little input is needed to get past the checks.
Vocabulary complete(bool bytes_in_alphabet) {
    Vocabulary made;
    const rafter::text::ByteAlphabet alphabet;
    constexpr std::string_view kHex = "0123456789ABCDEF";
    for (unsigned byte = 0; byte < 256; ++byte) {
        const std::string as_hex = {'<', '0', 'x', kHex[byte / 16], kHex[byte % 16], '>'};
        made.tokens.push_back(bytes_in_alphabet ? alphabet.spell(static_cast<unsigned char>(byte)) : as_hex);
        made.types.push_back(bytes_in_alphabet ? 1 : 6);
    }
    return made;
}

void use(const rafter::text::Tokenizer& tokenizer, std::string_view text, bool bytes_come_back) {
    for (const SpecialTokens special : {SpecialTokens::kAsText, SpecialTokens::kParse}) {
        const std::vector<TokenId> ids = tokenizer.encode(text, special);
        rafter::text::Utf8Stream stream;
        std::string shown;
        for (const TokenId id : ids) {
            if (id < 0 || static_cast<std::size_t>(id) >= tokenizer.n_tokens()) std::abort();
            shown += stream.push(tokenizer.piece(id, special));
        }
        shown += stream.finish();
        const std::string decoded = tokenizer.decode(ids, special);
        if (bytes_come_back && special == SpecialTokens::kAsText && decoded != text) std::abort();
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::string_view input(reinterpret_cast<const char*>(data), size);
    if (size < 4) return 0;
    const auto choice = static_cast<unsigned char>(input[0]);
    const auto family = static_cast<unsigned char>(input[1]);
    const auto n_added = static_cast<unsigned char>(input[2]) % 16U;
    const auto n_merges = static_cast<unsigned char>(input[3]) % 16U;
    input.remove_prefix(4);
    constexpr std::string_view kModels[] = {"gpt2", "llama", "gemma4", "t5"};
    const std::string_view model = kModels[choice % 4];

    Vocabulary vocabulary = (choice & 4) != 0 ? Vocabulary() : complete(model == "gpt2");
    bool plain = true;  // no token is taken out of the text as it stands
    for (unsigned i = 0; i < n_added; ++i) {
        std::string_view token = take(input, '\n');
        const std::int64_t type = token.empty() ? 1 : token[0] % 8;
        plain = plain && type == 1;
        vocabulary.tokens.emplace_back(token.empty() ? token : token.substr(1));
        vocabulary.types.push_back(type);
    }
    for (unsigned i = 0; i < n_merges; ++i) vocabulary.merges.emplace_back(take(input, '\n'));
    for (std::size_t i = 0; i < vocabulary.tokens.size(); ++i) vocabulary.scores.push_back(-static_cast<double>(i * 7 % 5));

    rafter::files::Metadata metadata;
    const auto families = rafter::text::pre_tokenizer_families();
    const std::string_view names = families[family % families.size()].names;
    metadata.add("tokenizer.ggml.model", model);
    metadata.add("tokenizer.ggml.pre", names.substr(0, names.find(' ')));
    metadata.add("tokenizer.ggml.tokens", MetadataArray(std::vector<std::string_view>(vocabulary.tokens.begin(), vocabulary.tokens.end())));
    metadata.add("tokenizer.ggml.token_type", MetadataArray(vocabulary.types));
    metadata.add("tokenizer.ggml.scores", MetadataArray(vocabulary.scores));
    metadata.add("tokenizer.ggml.merges", MetadataArray(std::vector<std::string_view>(vocabulary.merges.begin(), vocabulary.merges.end())));
    metadata.add("tokenizer.ggml.add_space_prefix", (choice & 8) != 0);
    metadata.add("tokenizer.ggml.remove_extra_whitespaces", (choice & 16) != 0);
    if ((choice & 32) != 0) metadata.add("general.name", std::string_view("phi-3"));
    if ((choice & 64) != 0) {
        const std::string_view map = take(input, '\n');
        metadata.add("tokenizer.ggml.precompiled_charsmap", MetadataArray(std::vector<std::int64_t>(map.begin(), map.end())));
    }
    const auto tokenizer = rafter::text::Tokenizer::load(metadata);
    const bool byte_level = model == "gpt2" && !families[family % families.size()].space_mark;
    if (tokenizer) use(**tokenizer, input, byte_level && (choice & 4) == 0 && plain);
    return 0;
}
