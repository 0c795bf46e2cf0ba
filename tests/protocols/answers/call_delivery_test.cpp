// Calls that a grammar forces, told while they are written: joined they are those of the whole answer, wherever the text is cut.
#include <gtest/gtest.h>

#include <fmt/format.h>

#include <random>

#include "protocols/answers/answer_parser.h"
#include "protocols/answers/answer_reader.h"

namespace rafter::protocols {
namespace {

using nlohmann::json;

std::shared_ptr<const AnswerRules> forced_rules(CallFamily family, bool forced = true, std::uint32_t max_calls = UINT32_MAX) {
    AnswerRules rules;
    rules.format.calls = family;
    rules.functions = {{"set", json()}, {"now", json()}};
    rules.calls_forced = forced;
    rules.max_calls = max_calls;
    return std::make_shared<const AnswerRules>(std::move(rules));
}

void join(AnswerEvents& to, const AnswerEvents& from) {
    for (const AnswerEvent& event : from) {
        if (!to.empty() && to.back().kind == event.kind && to.back().call == event.call && event.kind != AnswerEvent::Kind::kCallBegin) {
            to.back().text += event.text;
        } else {
            to.push_back(event);
        }
    }
}

AnswerEvents events_of(const std::shared_ptr<const AnswerRules>& rules, CallDelivery delivery, std::string_view text,
                       std::size_t piece = SIZE_MAX) {
    AnswerParser parser(rules, delivery);
    AnswerEvents events;
    for (std::size_t at = 0; at < text.size(); at += std::min(piece, text.size())) join(events, parser.push(text.substr(at, piece)));
    join(events, parser.finish());
    return events;
}

std::string arguments_of(const AnswerEvents& events, std::uint32_t call) {
    std::string arguments;
    for (const AnswerEvent& event : events) {
        if (event.kind == AnswerEvent::Kind::kArguments && event.call == call) arguments += event.text;
    }
    return arguments;
}
std::size_t count_of(const AnswerEvents& events, AnswerEvent::Kind kind) {
    return static_cast<std::size_t>(std::ranges::count(events, kind, &AnswerEvent::kind));
}

constexpr std::string_view kArguments = R"({"a": "}\" <|end|> é</tool_call>", "arguments": {"name": [{"arguments": {}}]}, "n": -1.5e3 })";

struct Written {
    const char* title;
    CallFamily family;
    std::string_view before, behind;  // the first call's arguments; what comes behind them may have further calls
};
const Written kWritten[] = {
    {"Hermes", CallFamily::kHermes, "<tool_call>\n{\"name\": \"set\", \"arguments\": ", "}\n</tool_call>"},
    {"Hermes, twice", CallFamily::kHermes, "<tool_call>\n{\"name\": \"set\", \"arguments\": ",
     "}\n</tool_call>\n<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>"},
    {"Llama", CallFamily::kLlama, "{\"name\": \"set\", \"parameters\": ", "}; {\"name\": \"now\", \"parameters\": {\"x\": 1}}"},
    {"JSON", CallFamily::kJson, "{\"name\": \"set\", \"arguments\": ", "}\n{\"name\": \"now\", \"arguments\": {}}"},
    {"a list", CallFamily::kJson, "[{\"name\": \"set\", \"arguments\": ", "}, {\"name\": \"now\", \"arguments\": {}}]"},
    {"Mistral", CallFamily::kMistral, "[TOOL_CALLS][{\"name\": \"set\", \"arguments\": ", "}, {\"name\": \"now\", \"arguments\": {}}]"},
    {"Mistral's list, ids and names last", CallFamily::kMistral, "[TOOL_CALLS] [{\"id\": \"x\", \"name\": \"set\", \"arguments\": ",
     ", \"k\": {\"arguments\": {}}}, {\"arguments\": {}, \"name\": \"now\"}, {\"name\": \"now\", \"arguments\": {}}]"},
    {"a name in escapes", CallFamily::kHermes, "<tool_call>{\"n\\u0061me\": \"s\\u0065t\", \"arguments\": ", "}</tool_call>"},
    {"Mistral's names", CallFamily::kMistralNamed, "[TOOL_CALLS]set[ARGS]", "[TOOL_CALLS]now[ARGS]{}"},
    {"DeepSeek", CallFamily::kDeepSeek, "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>set<｜tool▁sep｜>",
     "<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>now<｜tool▁sep｜>{}<｜tool▁call▁end｜><｜tool▁calls▁end｜>"},
    {"DeepSeek, fenced", CallFamily::kDeepSeekFenced, "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>set\n```json\n",
     "\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>"},
    {"Harmony", CallFamily::kHarmony, "<|channel|>commentary to=functions.set <|constrain|>json<|message|>", ""},
};

TEST(CallDelivery, ArgumentsComeByteByByteAndAreThoseOfTheWholeCall) {
    for (const Written& written : kWritten) {
        SCOPED_TRACE(written.title);
        const auto rules = forced_rules(written.family);
        const std::string text = std::string(written.before) + std::string(kArguments) + std::string(written.behind);
        const AnswerEvents whole = events_of(rules, CallDelivery::kWhole, text);
        ASSERT_EQ(arguments_of(whole, 0), kArguments);
        EXPECT_EQ(count_of(whole, AnswerEvent::Kind::kContent), 0U);
        for (std::size_t piece = 1; piece <= text.size(); ++piece)
            ASSERT_EQ(events_of(rules, CallDelivery::kAsItComes, text, piece), whole);
        AnswerParser parser(rules, CallDelivery::kAsItComes);
        std::string told;
        for (std::size_t at = 0; at < text.size(); ++at) {
            const AnswerEvents events = parser.push(std::string_view(text).substr(at, 1));
            told += arguments_of(events, 0);
            const std::size_t n = at + 1 - std::min(at + 1, written.before.size());
            ASSERT_EQ(told, kArguments.substr(0, std::min(n, kArguments.size()))) << "at byte " << at;
            ASSERT_EQ(count_of(events, AnswerEvent::Kind::kCallBegin) == 1 && events[0].call == 0, n == 1) << "at byte " << at;
        }
    }
}

TEST(CallDelivery, ACallThatIsCutOffHasTheBeginningOfItsArgumentsAndNoEnd) {
    for (const Written& written : kWritten) {
        SCOPED_TRACE(written.title);
        const auto rules = forced_rules(written.family);
        const std::string text = std::string(written.before) + std::string(kArguments);
        for (std::size_t n = 1; n < kArguments.size(); ++n) {
            const std::string cut = text.substr(0, written.before.size() + n);
            const AnswerEvents events = events_of(rules, CallDelivery::kAsItComes, cut);
            ASSERT_EQ(events.size(), 2U) << cut;
            ASSERT_EQ(events[0], (AnswerEvent{.kind = AnswerEvent::Kind::kCallBegin, .text = "set"}));
            ASSERT_EQ(events[1], (AnswerEvent{.kind = AnswerEvent::Kind::kArguments, .text = std::string(kArguments.substr(0, n))}));
            const AnswerEvents whole = events_of(rules, CallDelivery::kWhole, cut);
            ASSERT_EQ(count_of(whole, AnswerEvent::Kind::kCallBegin), 0U) << "what is sent whole is a call or text";
        }
        // Before its arguments it is text.
        const AnswerEvents early = events_of(rules, CallDelivery::kAsItComes, written.before);
        EXPECT_EQ(early, events_of(rules, CallDelivery::kWhole, written.before));
        EXPECT_EQ(count_of(early, AnswerEvent::Kind::kCallBegin), 0U);
    }
}

TEST(CallDelivery, WhatMayStillBeTextIsHeldBack) {
    const auto told_early = [](const std::shared_ptr<const AnswerRules>& rules, std::string_view text) {
        AnswerParser parser(rules, CallDelivery::kAsItComes);
        return parser.push(text);
    };
    constexpr std::string_view kOpenCall = "<tool_call>{\"name\": \"set\", \"arguments\": {\"a\": 1";
    EXPECT_EQ(told_early(forced_rules(CallFamily::kHermes), kOpenCall).size(), 2U);
    EXPECT_TRUE(told_early(forced_rules(CallFamily::kHermes, false), kOpenCall).empty()) << "no grammar forces it";
    EXPECT_TRUE(told_early(forced_rules(CallFamily::kHermes, true, 0), kOpenCall).size() == 1) << "no call may come: it is text";
    for (const std::string_view text :
         {"<tool_call>{\"name\": \"rm\", \"arguments\": {\"a\": 1", "<tool_call>{\"arguments\": {\"a\": 1",
          "<tool_call>{\"name\": \"set\", \"arguments\": [{\"a\": 1", "<tool_call>{\"name\": \"set\", \"arguments\": \"{",
          "<tool_call>{\"name\": \"set\", \"name\": \"now\", \"arguments\": {\"a\": 1",
          "<tool_call>{\"name\": \"set\", \"value\": {\"a\": 1", "<tool_call>{\"x\": {\"name\": \"set\", \"arguments\": {\"a\": 1",
          "<tool_call>[[{\"name\": \"set\", \"arguments\": {\"a\": 1"}) {
        EXPECT_TRUE(told_early(forced_rules(CallFamily::kHermes), text).empty()) << text;
    }
    // Those that must be turned into JSON.
    EXPECT_TRUE(told_early(forced_rules(CallFamily::kQwenXml), "<tool_call>\n<function=set>\n<parameter=a>\n1").empty());
    EXPECT_TRUE(told_early(forced_rules(CallFamily::kFunctionGemma), "<start_function_call>call:set{a:<escape>b").empty());
}

// No grammar lets it come, but what was told cannot be taken back: it stays, and the rest is text.
TEST(CallDelivery, NothingIsLostOfACallThatTurnsOutToBeNone) {
    const auto shown = [](const AnswerEvents& events) {
        std::string all;
        for (const AnswerEvent& event : events) {
            all += event.kind == AnswerEvent::Kind::kCallBegin ? fmt::format("[{} {} ", event.call, event.text)
                   : event.kind == AnswerEvent::Kind::kCallEnd ? "]"
                                                               : event.text;
        }
        return all;
    };
    const auto read = [&](CallFamily family, std::string_view text, std::uint32_t max_calls = UINT32_MAX) {
        const AnswerEvents events = events_of(forced_rules(family, true, max_calls), CallDelivery::kAsItComes, text);
        EXPECT_EQ(events_of(forced_rules(family, true, max_calls), CallDelivery::kAsItComes, text, 1), events) << text;
        return shown(events);
    };
    EXPECT_EQ(
        read(CallFamily::kHermes, "<tool_call>{\"name\": \"set\", \"arguments\": {\"a\" oh <tool_call>{\"name\": \"now\"}</tool_call>"),
        "[0 set {\"a\" oh [1 now {}]");
    EXPECT_EQ(read(CallFamily::kHermes, "<tool_call>{\"name\": \"set\", \"arguments\": {}, \"arguments\": {}}x"),
              "[0 set {}], \"arguments\": {}}x");
    EXPECT_EQ(read(CallFamily::kJson, "[{\"name\": \"set\", \"arguments\": {}}, {\"name\": \"now\", \"arguments\": {}}]", 1),
              "[0 set {}]}, {\"name\": \"now\", \"arguments\": {}}]");
    EXPECT_EQ(read(CallFamily::kHarmony, "<|channel|>commentary to=functions.set<|message|>{\"a\" 1}"), "[0 set {\"a\" 1}");
}

// Texts made of marks and pieces of calls: the same events in any pieces, arguments that the text has, in its order, and calls that are
// numbered in theirs.
TEST(CallDelivery, StandsTextsThatNoGrammarLetsCome) {
    std::mt19937 random(11);
    const auto pick = [&](std::size_t n) { return std::uniform_int_distribution<std::size_t>(0, n - 1)(random); };
    const std::vector<std::string> words = {"{",
                                            "}",
                                            "[",
                                            "]",
                                            "\"",
                                            "\\",
                                            ":",
                                            ", ",
                                            "\n",
                                            "now",
                                            "\"set\"",
                                            "1",
                                            "{\"name\":\"now\",\"arguments\":{",
                                            "}}",
                                            "\"name\":",
                                            "\"arguments\":",
                                            "{\"name\": \"set\", ",
                                            "<|message|>",
                                            " to=functions.now",
                                            "<|end|>",
                                            "<tool_call>",
                                            "</tool_call>"};
    std::size_t n_told = 0;
    for (const CallNotation& notation : call_notations()) {
        for (int round = 0; round < 200; ++round) {
            std::string text = notation.marks.empty() || round % 2 == 0 ? "" : std::string(notation.marks[0]);
            for (std::size_t n = pick(24); n > 0; --n) {
                const std::size_t at = pick(words.size() + notation.marks.size());
                text += at < words.size() ? words[at] : std::string(notation.marks[at - words.size()]);
            }
            const auto rules = forced_rules(notation.family, true, round % 3 == 0 ? 1 : UINT32_MAX);
            const AnswerEvents events = events_of(rules, CallDelivery::kAsItComes, text);
            ASSERT_EQ(events_of(rules, CallDelivery::kAsItComes, text, 1 + pick(4)), events) << text;
            std::uint32_t n_calls = 0;
            std::size_t at = 0;
            for (const AnswerEvent& event : events) {
                if (event.kind == AnswerEvent::Kind::kCallBegin) {
                    ASSERT_EQ(event.call, n_calls++) << text;
                    ASSERT_TRUE(rules->functions.contains(event.text)) << text;
                } else if (event.kind == AnswerEvent::Kind::kArguments || event.kind == AnswerEvent::Kind::kCallEnd) {
                    ASSERT_EQ(event.call + 1, n_calls) << text;
                }
                if (event.kind != AnswerEvent::Kind::kContent && event.kind != AnswerEvent::Kind::kArguments) continue;
                n_told += event.kind == AnswerEvent::Kind::kArguments ? 1 : 0;
                if (event.text == "{}") continue;  // of a name alone
                // Harmony's marks are no text wherever they stand.
                if (notation.family == CallFamily::kHarmony && event.kind == AnswerEvent::Kind::kContent) continue;
                const std::size_t found = text.find(event.text, at);
                ASSERT_NE(found, std::string::npos) << text << "\nhas not, or not behind byte " << at << ": " << event.text;
                at = found + event.text.size();
            }
        }
    }
    EXPECT_GT(n_told, 50U);
}

TEST(CallDelivery, TakesTimeInProportionToTheArguments) {
    std::string text = "<tool_call>{\"name\": \"set\", \"arguments\": {\"a\": \"";
    const std::size_t begin = text.size();
    text.append(200'000, '<');
    text += "\"}}</tool_call>";
    AnswerParser parser(forced_rules(CallFamily::kHermes), CallDelivery::kAsItComes);
    std::size_t n_bytes = 0;
    for (std::size_t at = 0; at < text.size(); at += 10)
        n_bytes += arguments_of(parser.push(std::string_view(text).substr(at, 10)), 0).size();
    EXPECT_EQ(n_bytes, text.size() - begin + std::string_view("{\"a\": \"").size() - std::string_view("}</tool_call>").size());
}

}  // namespace
}  // namespace rafter::protocols
