// Walks at random through what grammars accept, for tests with other validators as their oracle. One JSON object a line on standard input:
//   {"kind": "schema", "text": "...", "walks": 20, "seed": 1, "texts": ["..."]}
// and one a line on standard output, with what is accepted of `texts` and whether each walk ended by itself:
//   {"walks": [{"hex": "7b7d", "ended": true}], "accepted": [true]}   or   {"error": "..."}
#include <fmt/format.h>

#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <string>

#include "grammar/grammar_compiler.h"
#include "tests/support/byte_tokenizer.h"

namespace rafter {
namespace {

using grammar::GrammarKind;
using nlohmann::json;

const std::map<std::string, GrammarKind> kKinds = {{"json", GrammarKind::kJson},     {"schema", GrammarKind::kJsonSchema},
                                                   {"regex", GrammarKind::kRegex},   {"ebnf", GrammarKind::kEbnf},
                                                   {"choice", GrammarKind::kChoice}, {"tag", GrammarKind::kStructuralTag}};
constexpr std::size_t kMaxTokens = 600;
// Taken more often than others, so that strings, arrays and numbers end.
constexpr std::string_view kClosing = "\"}],:0";

class Walker {
  public:
    explicit Walker(const testing::ByteTokenizer& tokenizer) : tokenizer_(tokenizer) {}

    // Texts are in hexadecimal: they may be no UTF-8.
    json walk(const engine::CompiledMask& mask, std::mt19937_64& random) const {
        const auto matcher = mask.make_matcher();
        std::vector<std::uint32_t> words(engine::n_mask_words(mask.n_vocab()));
        std::string text;
        for (std::size_t n = 0; n < kMaxTokens; ++n) {
            if (matcher->may_end() && (matcher->is_finished() || random() % 3 == 0)) return {{"hex", hex(text)}, {"ended", true}};
            matcher->fill(words);
            const auto token = choose(words, random);
            if (!token) return {{"hex", hex(text)}, {"stuck", true}, {"ended", false}};
            if (!matcher->accept(*token)) return {{"hex", hex(text)}, {"refused", *token}, {"ended", false}};
            text += tokenizer_.piece(*token, text::SpecialTokens::kAsText);
        }
        return {{"hex", hex(text)}, {"ended", false}};
    }

    bool accepts(const engine::CompiledMask& mask, const std::string& text) const {
        const auto matcher = mask.make_matcher();
        for (const auto token : tokenizer_.encode(text, text::SpecialTokens::kAsText)) {
            if (!matcher->accept(token)) return false;
        }
        return matcher->may_end();
    }

  private:
    static std::string hex(const std::string& text) {
        std::string digits;
        for (const char c : text) digits += fmt::format("{:02x}", static_cast<unsigned char>(c));
        return digits;
    }

    std::optional<text::TokenId> choose(const std::vector<std::uint32_t>& words, std::mt19937_64& random) const {
        std::vector<text::TokenId> allowed, closing;
        for (std::size_t i = 0; i < tokenizer_.n_tokens(); ++i) {
            if ((words[i / 32] >> i % 32 & 1) == 0) continue;
            allowed.push_back(static_cast<text::TokenId>(i));
            if (i < 256 && kClosing.find(static_cast<char>(i)) != std::string_view::npos) closing.push_back(static_cast<text::TokenId>(i));
        }
        if (allowed.empty()) return std::nullopt;
        const auto& from = !closing.empty() && random() % 2 == 0 ? closing : allowed;
        return from[random() % from.size()];
    }

    const testing::ByteTokenizer& tokenizer_;
};

json answer(grammar::GrammarCompiler& compiler, const Walker& walker, const json& asked) {
    const auto mask = compiler.compile_now({kKinds.at(asked.at("kind")), asked.value("text", "")});
    if (!mask) return {{"error", mask.error().message}};
    std::mt19937_64 random(asked.value("seed", 1U));
    json walks = json::array();
    for (int i = 0; i < asked.value("walks", 0); ++i) walks.push_back(walker.walk(**mask, random));
    json accepted = json::array();
    for (const json& text : asked.value("texts", json::array())) accepted.push_back(walker.accepts(**mask, text.get<std::string>()));
    return {{"walks", walks}, {"accepted", accepted}};
}

}  // namespace
}  // namespace rafter

int main() {
    const rafter::testing::ByteTokenizer tokenizer(
        {"{\"", "\": ", "\", \"", "true", "false", "null", "\"}", "}}", "]}", " [", "12", "-1", ".5", "é", "日本"});
    rafter::grammar::GrammarCompiler compiler(tokenizer);
    const rafter::Walker walker(tokenizer);
    std::string line;
    while (std::getline(std::cin, line)) {
        std::cout
            << rafter::answer(compiler, walker, nlohmann::json::parse(line)).dump(-1, ' ', true, nlohmann::json::error_handler_t::replace)
            << std::endl;
    }
}
