// Answers that must call: whatever a model draws from the mask, its parser finds calls with valid arguments and nothing else. In every
// family's notation, with its marks as text and as control tokens.
#include "protocols/tool_grammar.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>

#include "grammar/grammar_compiler.h"
#include "tests/support/byte_tokenizer.h"
#include "tests/support/rounds.h"

namespace rafter::protocols {
namespace {

using nlohmann::ordered_json;
using text::TokenId;

ToolRequest two_functions(ToolChoice choice, bool parallel) {
    ToolRequest tools;
    tools.choice = choice;
    tools.named = "set";
    tools.parallel = parallel;
    for (
        const auto& [name, parameters] :
        {std::pair(
             "set",
             R"({"type": "object", "properties": {"n": {"type": "integer", "minimum": 0, "maximum": 99}, "how": {"enum": ["a b", "c"]}, "note": {"type": "string"}},
                               "required": ["n", "how"], "additionalProperties": false})"),
         std::pair("now", R"({"type": "object", "properties": {}, "additionalProperties": false})")}) {
        tools.tools.push_back({.name = name, .parameters = ordered_json::parse(parameters), .definition = {}});
    }
    return tools;
}

AnswerRules rules_of(CallFamily family, const ToolRequest& tools, ThoughtStart start) {
    AnswerRules rules;
    rules.format.calls = family;
    rules.thought = start;
    if (family == CallFamily::kHarmony) {
        rules.format.thought = ThoughtForm::kHarmony;
    } else if (start != ThoughtStart::kNone) {
        rules.format.thought = ThoughtForm::kTags;
        rules.format.tags = &thought_notations()[0];
    }
    for (const FunctionTool& tool : tools.tools) rules.functions.emplace(tool.name, tool.parameters);
    rules.calls_forced = true;
    return rules;
}

bool may_draw(std::span<const std::uint32_t> words, std::size_t token) { return (words[token / 32] >> token % 32 & 1) != 0; }

// Draws until the answer may end. A model of bytes would talk for long, so that all but letters is drawn more often where it may come.
// Empty where it does not end.
// thought_end: tried again and again, for no draw of bytes would write it.
std::string drawn_answer(engine::MaskMatcher& matcher, const testing::ByteTokenizer& tokenizer, std::string_view thought_end,
                         std::mt19937& random) {
    std::vector<TokenId> tokens;
    std::vector<std::uint32_t> words(engine::n_mask_words(tokenizer.n_tokens()));
    for (int step = 0; step < 3000; ++step) {
        matcher.fill(words);
        std::vector<TokenId> any, closing;
        for (std::size_t token = 0; token < tokenizer.n_tokens(); ++token) {
            if (!may_draw(words, token)) continue;
            any.push_back(static_cast<TokenId>(token));
            if (token >= 256 || std::string_view("\"}]<>\n/").find(static_cast<char>(token)) != std::string_view::npos) {
                closing.push_back(static_cast<TokenId>(token));
            }
        }
        if (matcher.may_end() && (any.empty() || random() % 3 == 0)) return tokenizer.decode(tokens, text::SpecialTokens::kParse);
        if (any.empty()) {
            ADD_FAILURE() << "nothing may come after " << tokenizer.decode(tokens, text::SpecialTokens::kParse);
            return {};
        }
        if (random() % 8 == 0) {
            const auto mark = tokenizer.find(thought_end);
            const std::vector<TokenId> end =
                mark ? std::vector<TokenId>{*mark} : tokenizer.encode(thought_end, text::SpecialTokens::kAsText);
            std::size_t n = 0;
            while (n < end.size() && matcher.accept(end[n])) ++n;
            if (n == end.size()) {
                tokens.insert(tokens.end(), end.begin(), end.end());
                continue;
            }
            if (n > 0) matcher.rollback(n);
        }
        const auto& from = !closing.empty() && random() % 4 != 0 ? closing : any;
        tokens.push_back(from[random() % from.size()]);
        EXPECT_TRUE(matcher.accept(tokens.back()));
    }
    return {};
}

// Reads an answer as the server does: its calls, what is content, and what is thought.
struct ReadAnswer {
    std::vector<std::pair<std::string, nlohmann::json>> calls;
    std::string content, thought;
};
struct Told {
    std::string thought, content;
    std::vector<std::pair<std::string, std::string>> calls;
    std::size_t n_ended = 0;  // calls
    bool operator==(const Told&) const = default;
};
Told told_of(const AnswerRules& rules, CallDelivery delivery, const std::string& text, std::size_t piece) {
    AnswerParser parser(std::make_shared<const AnswerRules>(rules), delivery);
    Told told;
    const auto add = [&](const AnswerEvents& events) {
        for (const AnswerEvent& event : events) {
            if (event.kind == AnswerEvent::Kind::kReasoning) told.thought += event.text;
            if (event.kind == AnswerEvent::Kind::kContent) told.content += event.text;
            if (event.kind == AnswerEvent::Kind::kCallBegin) told.calls.emplace_back(event.text, "");
            if (event.kind == AnswerEvent::Kind::kArguments) told.calls.at(event.call).second += event.text;
            if (event.kind == AnswerEvent::Kind::kCallEnd) ++told.n_ended;
        }
    };
    for (std::size_t at = 0; at < text.size(); at += piece) add(parser.push(std::string_view(text).substr(at, piece)));
    add(parser.finish());
    return told;
}

// What comes piece by piece is what the whole answer has, and what has come when it is cut off at any byte is its beginning.
void expect_streamed_as_whole(const AnswerRules& rules, const std::string& text, std::mt19937& random) {
    const Told whole = told_of(rules, CallDelivery::kWhole, text, text.size());
    EXPECT_EQ(whole.n_ended, whole.calls.size());
    EXPECT_EQ(told_of(rules, CallDelivery::kAsItComes, text, 1 + random() % 5), whole);
    const Told cut = told_of(rules, CallDelivery::kAsItComes, text.substr(0, random() % text.size()), 3);
    ASSERT_LE(cut.calls.size(), whole.calls.size());
    EXPECT_LE(cut.calls.size() - cut.n_ended, 1U);
    for (std::size_t i = 0; i < cut.calls.size(); ++i) {
        EXPECT_EQ(cut.calls[i].first, whole.calls[i].first);
        EXPECT_TRUE(whole.calls[i].second.starts_with(cut.calls[i].second)) << cut.calls[i].second;
        if (i < cut.n_ended) {
            EXPECT_EQ(cut.calls[i].second, whole.calls[i].second);
        }
    }
}

ReadAnswer read_answer(const AnswerRules& rules, const std::string& text) {
    const Told told = told_of(rules, CallDelivery::kWhole, text, text.size());
    ReadAnswer read{.content = told.content, .thought = told.thought};
    for (const auto& [name, arguments] : told.calls) read.calls.emplace_back(name, nlohmann::json::parse(arguments));
    return read;
}

void expect_valid(const std::string& name, const nlohmann::json& arguments) {
    if (name == "now") {
        EXPECT_EQ(arguments, nlohmann::json::object());
        return;
    }
    ASSERT_EQ(name, "set");
    EXPECT_EQ(arguments.size(), 2U + arguments.count("note"));
    EXPECT_TRUE(arguments.value("note", nlohmann::json("")).is_string());
    EXPECT_TRUE(arguments.at("n").is_number_integer() && arguments.at("n") >= 0 && arguments.at("n") <= 99) << arguments;
    EXPECT_TRUE(arguments.at("how") == "a b" || arguments.at("how") == "c") << arguments;
}

struct Case {
    CallFamily family;
    bool control;
};

void PrintTo(const Case& c, std::ostream* out) { *out << call_notation(c.family).name << (c.control ? " with control tokens" : ""); }

class MustCall : public ::testing::TestWithParam<Case> {};

TEST_P(MustCall, TheParserFindsValidCallsAndNothingElse) {
    std::mt19937 random(3);
    std::size_t n_ended = 0, n_several = 0, n_thoughts = 0;
    for (const ToolChoice choice : {ToolChoice::kRequired, ToolChoice::kNamed}) {
        for (const bool parallel : {true, false}) {
            for (const ThoughtStart start : {ThoughtStart::kNone, ThoughtStart::kMayBegin, ThoughtStart::kOpen}) {
                const ToolRequest tools = two_functions(choice, parallel);
                const AnswerRules rules = rules_of(GetParam().family, tools, start);
                std::vector<std::string> marks;
                if (GetParam().control) {
                    for (const std::string_view mark : rules.format.marks()) marks.emplace_back(mark);
                }
                marks.emplace_back("<|other|>");
                const testing::ByteTokenizer tokenizer({}, marks);
                const auto tag = tool_choice_grammar(rules, tools, tokenizer, "tool_choice");
                ASSERT_TRUE(tag) << tag.error().message;
                grammar::GrammarCompiler compiler(tokenizer);
                const auto mask = compiler.compile_now(*tag);
                ASSERT_TRUE(mask) << mask.error().message << "\n" << tag->text;
                for (int round = 0; round < (rafter::tests::kSanitized ? 5 : 8); ++round) {
                    const auto matcher = (*mask)->make_matcher();
                    const std::string text =
                        drawn_answer(*matcher, tokenizer, rules.format.tags != nullptr ? rules.format.tags->end : "<|end|>", random);
                    if (text.empty()) continue;
                    SCOPED_TRACE(text);
                    const ReadAnswer read = read_answer(rules, text);
                    expect_streamed_as_whole(rules, text, random);
                    ++n_ended;
                    n_several += read.calls.size() > 1;
                    n_thoughts += !read.thought.empty();
                    EXPECT_FALSE(read.calls.empty());
                    EXPECT_EQ(text.find("<|other|>"), std::string::npos);
                    EXPECT_EQ(read.content, "");
                    if (!parallel || choice == ToolChoice::kNamed) {
                        EXPECT_EQ(read.calls.size(), 1U);
                    }
                    for (const auto& [name, arguments] : read.calls) {
                        if (choice == ToolChoice::kNamed) {
                            EXPECT_EQ(name, "set");
                        }
                        expect_valid(name, arguments);
                    }
                }
            }
        }
    }
    EXPECT_GT(n_ended, 20U);
    EXPECT_GT(n_thoughts, 0U);
    if (GetParam().family != CallFamily::kHarmony && !rafter::tests::kSanitized) {  // which draw fewer
        EXPECT_GT(n_several, 0U);
    }
}

std::vector<Case> all_families() {
    std::vector<Case> cases;
    for (const CallNotation& notation : call_notations()) {
        if (notation.family == CallFamily::kNone) continue;
        if (notation.family != CallFamily::kHarmony)
            cases.push_back({notation.family, false});  // whose marks are control tokens everywhere
        cases.push_back({notation.family, true});
    }
    return cases;
}

INSTANTIATE_TEST_SUITE_P(Families, MustCall, ::testing::ValuesIn(all_families()));

}  // namespace
}  // namespace rafter::protocols
