// How long grammars take: to sort the vocabulary, to compile each schema the first time and again, and to fill a mask at each place of a
// random answer.
//   grammar_times MODEL SCHEMAS.json     (an object of schemas by name, such as tests/golden/schemas/twenty.json)
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "base/os_file.h"
#include "engine/loading/loaded_model.h"
#include "grammar/grammar_compiler.h"

namespace rafter {
namespace {

using Clock = std::chrono::steady_clock;
double ms_since(Clock::time_point begin) { return std::chrono::duration<double, std::milli>(Clock::now() - begin).count(); }

double part(std::vector<double>& values, double fraction) {
    std::ranges::sort(values);
    return values[std::min(values.size() - 1, static_cast<std::size_t>(fraction * static_cast<double>(values.size())))];
}

int times(const char* model, const char* schemas) {
    const auto opened = engine::open_model(model);
    const auto text = read_file(schemas);
    if (!opened || !text) {
        std::fprintf(stderr, "%s\n", (opened ? text.error() : opened.error()).message.c_str());
        return 1;
    }
    const text::Tokenizer& tokenizer = *opened->tokenizer;
    grammar::GrammarCompiler compiler(tokenizer);
    const auto begin = Clock::now();
    if (!compiler.compile_now({grammar::GrammarKind::kChoice, R"(["a"])"})) return 1;
    fmt::print("{} tokens; vocabulary and first grammar {:.1f} ms\n", tokenizer.n_tokens(), ms_since(begin));
    std::vector<double> first, again, fills, accepts;
    std::mt19937_64 random(1);
    const auto listed = nlohmann::ordered_json::parse(*text);
    for (const auto& [name, schema] : listed.items()) {
        const grammar::Grammar grammar{grammar::GrammarKind::kJsonSchema, schema.dump()};
        const auto compile_begin = Clock::now();
        const auto mask = compiler.compile_now(grammar);
        first.push_back(ms_since(compile_begin));
        if (!mask) {
            std::fprintf(stderr, "%s: %s\n", name.c_str(), mask.error().message.c_str());
            return 1;
        }
        const auto cached_begin = Clock::now();
        if (!compiler.compile_now(grammar)) return 1;
        again.push_back(ms_since(cached_begin));
        std::vector<double> here;
        std::vector<std::uint32_t> words(engine::n_mask_words((*mask)->n_vocab()));
        for (int walk = 0; walk < 8; ++walk) {
            const auto matcher = (*mask)->make_matcher();
            for (int n = 0; n < 100; ++n) {
                const auto fill_begin = Clock::now();
                matcher->fill(words);
                here.push_back(ms_since(fill_begin));
                std::vector<text::TokenId> allowed;
                for (std::size_t t = 0; t < tokenizer.n_tokens(); ++t) {
                    if ((words[t / 32] >> t % 32 & 1) != 0) allowed.push_back(static_cast<text::TokenId>(t));
                }
                if (allowed.empty()) break;
                const auto accept_begin = Clock::now();
                if (!matcher->accept(allowed[random() % allowed.size()])) return 1;
                accepts.push_back(ms_since(accept_begin));
            }
        }
        fills.insert(fills.end(), here.begin(), here.end());
        const double first_fill = here.front();
        fmt::print("{:24} compile {:7.1f} ms, again {:.3f} ms, mask median {:.3f} ms, 99% {:.3f} ms, first {:.3f} ms\n", name, first.back(),
                   again.back(), part(here, 0.5), part(here, 0.99), first_fill);
    }
    fmt::print(
        "compile at most {:.1f} ms, again at most {:.3f} ms; mask mean {:.3f} ms, median {:.3f}, 99% {:.3f}, most {:.3f}; accept median "
        "{:.3f} ms\n",
        part(first, 1.0), part(again, 1.0),
        [&] {
            double sum = 0;
            for (const double f : fills) sum += f;
            return sum / static_cast<double>(fills.size());
        }(),
        part(fills, 0.5), part(fills, 0.99), part(fills, 1.0), part(accepts, 0.5));
    return 0;
}

}  // namespace
}  // namespace rafter

int main(int n_arguments, char** arguments) {
    if (n_arguments != 3) {
        std::fprintf(stderr, "usage: grammar_times MODEL SCHEMAS.json\n");
        return 2;
    }
    return rafter::times(arguments[1], arguments[2]);
}
