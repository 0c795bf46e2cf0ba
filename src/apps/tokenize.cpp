// The tokenize verb; see the header.
#include "apps/tokenize.h"

#include <array>
#include <charconv>
#include <iostream>
#include <istream>
#include <memory>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "apps/cli.h"
#include "apps/options/flags.h"
#include "apps/output.h"
#include "apps/session.h"
#include "base/quote.h"
#include "engine/loading/model_source.h"
#include "text/tokenizer.h"

namespace rafter::apps {
namespace {

using text::SpecialTokens;
using text::TokenId;

constexpr std::size_t kBlockBytes = 1 << 16;  // what is read and written at once

std::string read_all(std::istream& in) {
    std::string all;
    std::array<char, kBlockBytes> block;
    while (const std::streamsize n_bytes = in.rdbuf()->sgetn(block.data(), block.size()))
        all.append(block.data(), static_cast<std::size_t>(n_bytes));
    return all;
}

// The parts of a text between separators: one more than there are separators.
std::vector<std::string_view> parts_of(std::string_view text, char separator) {
    std::vector<std::string_view> parts;
    for (;;) {
        const std::size_t end = text.find(separator);
        parts.push_back(text.substr(0, end));
        if (end == std::string_view::npos) return parts;
        text.remove_prefix(end + 1);
    }
}

void write_ids(const text::Tokenizer& tokenizer, const TokenizeOptions& options, std::string_view text, std::ostream& out) {
    const std::vector<TokenId> ids = tokenizer.encode(text, options.special ? SpecialTokens::kParse : SpecialTokens::kAsText);
    std::string block = options.bos ? std::to_string(*tokenizer.special().bos) : "";
    bool first = block.empty();
    for (const TokenId id : ids) {
        if (!first) block += ' ';
        first = false;
        block += std::to_string(id);
        if (block.size() < kBlockBytes) continue;
        out << block;
        block.clear();
    }
    out << block << '\n';
}

Result<std::vector<TokenId>> parse_ids(std::string_view text, std::size_t n_tokens) {
    constexpr std::string_view kBetween = " \t\r\n\v\f,[]";
    std::vector<TokenId> ids;
    for (std::size_t i = text.find_first_not_of(kBetween); i < text.size(); i = text.find_first_not_of(kBetween, i)) {
        const std::string_view word = text.substr(i, text.find_first_of(kBetween, i) - i);
        TokenId id = 0;
        const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), id);
        if (error != std::errc() || end != word.data() + word.size() || id < 0 || static_cast<std::size_t>(id) >= n_tokens) {
            return bad_input("token {} of the input: expected an id below {}, found {}", ids.size() + 1, n_tokens, quote(word));
        }
        ids.push_back(id);
        i += word.size();
    }
    return ids;
}

Result<void> write_text(const text::Tokenizer& tokenizer, const TokenizeOptions& options, std::string_view text, std::ostream& out) {
    RAFTER_TRY(const std::vector<TokenId> ids, parse_ids(text, tokenizer.n_tokens()));
    out << tokenizer.decode(ids, options.special ? SpecialTokens::kParse : SpecialTokens::kAsText);
    return {};
}

}  // namespace

Result<void> run_tokenize(const TokenizeOptions& options, std::istream& in, std::ostream& out) {
    RAFTER_TRY(const auto source, engine::open_source(options.model));
    auto tokenizer = text::Tokenizer::load(source->metadata());
    if (!tokenizer) return tokenizer.error().within(source->name());
    for (const std::string& warning : (*tokenizer)->warnings()) fmt::print(stderr, "rafter: warning: {}: {}\n", source->name(), warning);
    if (options.bos && !(*tokenizer)->special().bos) return bad_input("{}: --bos: the model has no BOS token", source->name());

    std::string input = read_all(in);
    if (!options.decode) {
        for (const std::string_view text : options.null ? parts_of(input, '\0') : std::vector<std::string_view>{input}) {
            write_ids(**tokenizer, options, text, out);
            if (!out) break;
        }
    } else if (!options.null) {
        RAFTER_TRY_VOID(write_text(**tokenizer, options, input, out));
    } else {
        if (input.ends_with('\n')) input.pop_back();
        bool first = true;
        for (const std::string_view line : parts_of(input, '\n')) {
            if (!first) out << '\0';
            first = false;
            RAFTER_TRY_VOID(write_text(**tokenizer, options, line, out));
        }
    }
    out.flush();
    if (!out) return stdout_error();
    return {};
}

void add_tokenize(CLI::App& app, Cli& cli) {
    struct Arguments {
        TokenizeOptions options;
        std::string model;
    };
    const auto arguments = std::make_shared<Arguments>();
    TokenizeOptions& o = arguments->options;
    Verb verb{.name = "tokenize", .summary = "Turn text on standard input into token ids, or ids into text"};
    verb.options.add("model", arguments->model, {.required = true});
    verb.options.add("special", o.special);
    verb.options.add("bos", o.bos);
    verb.options.add("null", o.null);
    verb.options.add("decode", o.decode);
    verb.footer = "Of the model only its vocabulary is read: a vocabulary-only file is enough.";
    verb.run = [arguments](const Environment& environment) -> Result<int> {
        RAFTER_TRY(arguments->options.model, find_model(environment, arguments->model));
        RAFTER_TRY_VOID(run_tokenize(arguments->options, std::cin, std::cout));
        return 0;
    };
    add_verb(app, cli, std::move(verb));
}

}  // namespace rafter::apps
