// Recorded answers of each family, cut at every byte and at random places: the events are the same whatever the cuts, and nothing is lost.
#include "protocols/answers/answer_parser.h"

#include <gtest/gtest.h>

#include <fmt/format.h>

#include <random>

namespace rafter::protocols {
namespace {

using nlohmann::json;

const json kWeather = json::parse(R"({"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"},
    "units": {"anyOf": [{"type": "null"}, {"enum": [1, "x"]}]}, "wide": {"type": ["boolean", "null"]}, "list": {"type": "array"}}})");

struct Reading {
    CallFamily calls = CallFamily::kNone;
    std::string_view thought = "";  // of thought_notations(), or "harmony"
    ThoughtStart start = ThoughtStart::kMayBegin;
    bool has_tools = true;
    std::uint32_t max_calls = UINT32_MAX;
};

std::shared_ptr<const AnswerRules> rules_of(const Reading& reading) {
    AnswerRules rules;
    rules.format.calls = reading.calls;
    if (reading.thought == "harmony") rules.format.thought = ThoughtForm::kHarmony;
    for (const ThoughtNotation& notation : thought_notations()) {
        if (notation.name != reading.thought) continue;
        rules.format.thought = ThoughtForm::kTags;
        rules.format.tags = &notation;
    }
    if (reading.has_tools) rules.functions = {{"get_weather", kWeather}, {"now", json()}, {"function", json()}};
    rules.thought = reading.start;
    rules.max_calls = reading.max_calls;
    return std::make_shared<const AnswerRules>(std::move(rules));
}

void append(AnswerEvents& to, const AnswerEvents& from) {
    for (const AnswerEvent& event : from) {
        if (!to.empty() && to.back().kind == event.kind && event.kind != AnswerEvent::Kind::kCallBegin) {
            to.back().text += event.text;
        } else {
            to.push_back(event);
        }
    }
}

AnswerEvents read_in_pieces(const Reading& reading, const std::vector<std::string_view>& pieces) {
    AnswerParser parser(rules_of(reading));
    AnswerEvents events;
    for (const std::string_view piece : pieces) append(events, parser.push(piece));
    append(events, parser.finish());
    return events;
}

// "thought|text", calls as [0 name {arguments}].
std::string shown(const AnswerEvents& events) {
    std::string all;
    for (const AnswerEvent& event : events) {
        switch (event.kind) {
            case AnswerEvent::Kind::kReasoning:
                all += "(" + event.text + ")";
                break;
            case AnswerEvent::Kind::kContent:
                all += event.text;
                break;
            case AnswerEvent::Kind::kCallBegin:
                all += fmt::format("[{} {} ", event.call, event.text);
                break;
            case AnswerEvent::Kind::kArguments:
                all += event.text;
                break;
            case AnswerEvent::Kind::kCallEnd:
                all += "]";
                break;
        }
    }
    return all;
}

struct Recorded {
    const char* title;
    Reading reading;
    std::string_view text;
    std::string_view expected;
};

const Recorded kRecorded[] = {
    {"Qwen 3 thinks and calls",
     {.calls = CallFamily::kHermes, .thought = "think"},
     "<think>\nThe user wants <b>weather</b>.\n</think>\n\nI look.\n<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": "
     "\"Paris\"}}\n</tool_call>",
     "(The user wants <b>weather</b>.)I look.[0 get_weather {\"city\": \"Paris\"}]"},
    {"two calls in a row",
     {.calls = CallFamily::kHermes},
     "<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>\n<tool_call>\n{\"arguments\": {\"city\": \"a</tool_call>}\"}, "
     "\"name\": \"get_weather\"}\n</tool_call>\nDone.",
     "[0 now {}][1 get_weather {\"city\": \"a</tool_call>}\"}]Done."},
    {"a call whose end mark is missing", {.calls = CallFamily::kHermes}, "<tool_call>{\"name\":\"now\"}", "[0 now {}]"},
    {"arguments as a text",
     {.calls = CallFamily::kHermes},
     R"(<tool_call>{"name":"now","arguments":"{\"a\":1}"}</tool_call>)",
     "[0 now {\"a\":1}]"},
    {"an unknown function is text",
     {.calls = CallFamily::kHermes},
     "a\n<tool_call>\n{\"name\": \"rm\", \"arguments\": {}}\n</tool_call>\nb",
     "a\n<tool_call>\n{\"name\": \"rm\", \"arguments\": {}}\n</tool_call>\nb"},
    {"a broken call is text, and the next one is a call",
     {.calls = CallFamily::kHermes},
     "<tool_call>\n{\"name\": \"now\", \"arguments\": {\"a\": 1}\n<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>",
     "<tool_call>\n{\"name\": \"now\", \"arguments\": {\"a\": 1}[0 now {}]"},
    {"a mark twice", {.calls = CallFamily::kHermes}, "<<tool_call><tool_call>{\"name\":\"now\"}</tool_call>", "<<tool_call>[0 now {}]"},
    {"arguments that are no object are text",
     {.calls = CallFamily::kHermes},
     "<tool_call>{\"name\": \"now\", \"arguments\": [1]}</tool_call>",
     "<tool_call>{\"name\": \"now\", \"arguments\": [1]}</tool_call>"},
    {"numbers that are none",
     {.calls = CallFamily::kHermes},
     "<tool_call>{\"name\": \"now\", \"arguments\": {\"a\": 1-2}}",
     "<tool_call>{\"name\": \"now\", \"arguments\": {\"a\": 1-2}}"},
    {"a call that was cut off",
     {.calls = CallFamily::kHermes},
     "x<tool_call>{\"name\": \"now\", \"argum",
     "x<tool_call>{\"name\": \"now\", \"argum"},
    {"without tools a call is text",
     {.calls = CallFamily::kHermes, .has_tools = false},
     "<tool_call>{\"name\":\"now\"}\n\n",
     "<tool_call>{\"name\":\"now\"}\n\n"},
    {"no more calls than allowed",
     {.calls = CallFamily::kHermes, .max_calls = 1},
     "<tool_call>{\"name\":\"now\"}</tool_call><tool_call>{\"name\":\"now\"}</tool_call>",
     "[0 now {}]<tool_call>{\"name\":\"now\"}</tool_call>"},
    {"Qwen 3 Coder: values by the schema's types",
     {.calls = CallFamily::kQwenXml},
     "Sure.\n\n<tool_call>\n<function=get_weather>\n<parameter=city>\n12\n</parameter>\n<parameter=days>\n3\n</"
     "parameter>\n<parameter=units>\n1\n</parameter>\n<parameter=wide>\nTrue\n</parameter>\n<parameter=list>\n[1, "
     "\"</function>\"]\n</parameter>\n<parameter=other>\n5\n</parameter>\n</function>\n</tool_call>",
     "Sure.[0 get_weather {\"city\": \"12\", \"days\": 3, \"units\": 1, \"wide\": true, \"list\": [1, \"</function>\"], \"other\": "
     "\"5\"}]"},
    {"Qwen 3 Coder without the outer mark", {.calls = CallFamily::kQwenXml}, "<function=now>\n</function>\n</tool_call>ok", "[0 now {}]ok"},
    {"a parameter twice is text",
     {.calls = CallFamily::kQwenXml},
     "<function=now><parameter=a>1</parameter><parameter=a>2</parameter></function>",
     "<function=now><parameter=a>1</parameter><parameter=a>2</parameter></function>"},
    {"Llama 3",
     {.calls = CallFamily::kLlama},
     "{\"name\": \"get_weather\", \"parameters\": {\"city\": \"Oslo\"}}",
     "[0 get_weather {\"city\": \"Oslo\"}]"},
    {"Llama 3 with its tag and two calls",
     {.calls = CallFamily::kLlama},
     "<|python_tag|>{\"name\": \"now\", \"parameters\": {}}; {\"name\": \"now\", \"parameters\": {\"a\": 1}}",
     "[0 now {}][1 now {\"a\": 1}]"},
    {"JSON that is no call is the answer",
     {.calls = CallFamily::kJson},
     "{\"name\": \"now\", \"value\": 3}",
     "{\"name\": \"now\", \"value\": 3}"},
    {"JSON later in the text is text",
     {.calls = CallFamily::kJson},
     "So: {\"name\": \"now\", \"arguments\": {}}",
     "So: {\"name\": \"now\", \"arguments\": {}}"},
    {"a list of calls",
     {.calls = CallFamily::kJson},
     " [{\"name\": \"now\", \"arguments\": {}}, {\"name\": \"now\", \"arguments\": {}}]",
     " [0 now {}][1 now {}]"},
    {"Mistral's list",
     {.calls = CallFamily::kMistral},
     "[TOOL_CALLS][{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Nice\"}, \"id\": \"abcdefghi\"}, {\"name\": \"now\", "
     "\"arguments\": {}}]",
     "[0 get_weather {\"city\": \"Nice\"}][1 now {}]"},
    {"Mistral's names",
     {.calls = CallFamily::kMistralNamed, .thought = "mistral"},
     "[THINK]Hm [x].[/THINK][TOOL_CALLS]now[ARGS]{}[TOOL_CALLS]get_weather[CALL_ID]abc123def[ARGS]{\"city\": "
     "\"Rom\"}[TOOL_CALLS]now{\"a\": 2}",
     "(Hm [x].)[0 now {}][1 get_weather {\"city\": \"Rom\"}][2 now {\"a\": 2}]"},
    {"FunctionGemma",
     {.calls = CallFamily::kFunctionGemma},
     "<start_function_call>call:get_weather{city:<escape>New } "
     "York<escape>,days:3,wide:true,list:[<escape>a<escape>,{b:null}]}<end_function_call>",
     "[0 get_weather {\"city\":\"New } York\",\"days\":3,\"wide\":true,\"list\":[\"a\",{\"b\":null}]}]"},
    {"Gemma 4",
     {.calls = CallFamily::kGemma, .thought = "gemma"},
     "<|channel>thought\nLet me see.\n<channel|><|tool_call>call:get_weather{city:<|\"|>Köln<|\"|>}<tool_call|>",
     "(Let me see.)[0 get_weather {\"city\":\"Köln\"}]"},
    {"DeepSeek V3",
     {.calls = CallFamily::kDeepSeek, .thought = "think", .start = ThoughtStart::kOpen},
     "Think.\n</"
     "think>\n\n<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>now\n```json\n{}\n```<｜tool▁call▁end｜>\n<"
     "｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\n```json\n{\"city\": \"Bonn\"}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
     "(Think.)[0 now {}][1 get_weather {\"city\": \"Bonn\"}]"},
    {"DeepSeek V3.1",
     {.calls = CallFamily::kDeepSeek},
     "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>{\"a\": "
     "1}<｜tool▁call▁end｜><｜tool▁call▁begin｜>now<｜tool▁sep｜>{}<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
     "[0 function {\"a\": 1}][1 now {}]"},
    {"gpt-oss: thoughts, a preamble and a call",
     {.calls = CallFamily::kHarmony, .thought = "harmony"},
     "<|channel|>analysis<|message|>Need <|weather.<|end|><|start|>assistant<|channel|>commentary<|message|>I "
     "look.<|end|><|start|>assistant<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{\"city\": \"Rio\"}",
     "(Need <|weather.)I look.[0 get_weather {\"city\": \"Rio\"}]"},
    {"gpt-oss: the recipient first",
     {.calls = CallFamily::kHarmony, .thought = "harmony"},
     " to=functions.now<|channel|>commentary json<|message|>{} <|call|>",
     "[0 now {}]"},
    {"gpt-oss: a final text",
     {.calls = CallFamily::kHarmony, .thought = "harmony"},
     "<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>b < c",
     "(a)b < c"},
    {"gpt-oss: an unknown function is text",
     {.calls = CallFamily::kHarmony, .thought = "harmony"},
     "<|channel|>commentary to=functions.rm<|message|>{}<|call|>",
     "<|channel|>commentary to=functions.rm<|message|>{}"},
    {"gpt-oss: broken arguments are text",
     {.calls = CallFamily::kHarmony, .thought = "harmony"},
     "<|channel|>commentary to=functions.now<|message|>{\"a\" 1}",
     "<|channel|>commentary to=functions.now<|message|>{\"a\" 1}"},
    {"a thought that does not end", {.thought = "think", .start = ThoughtStart::kOpen}, "so\n\nand </thin", "(so\n\nand </thin)"},
    {"no thought: the text as it is", {.thought = "think"}, "\n\n<thing> a\n\nb\n", "\n\n<thing> a\n\nb\n"},
    {"marks of thoughts later in the text are text", {.thought = "think"}, "<think></think>a <think>b</think>\n", "a <think>b</think>\n"},
    {"only thoughts", {.thought = "think"}, " <think>\n a \n\n</think>", "( a )"},
    {"nothing", {.calls = CallFamily::kHermes, .thought = "think"}, "", ""},
};

TEST(AnswerParser, ReadsTheAnswersOfEachFamily) {
    for (const Recorded& recorded : kRecorded) {
        EXPECT_EQ(shown(read_in_pieces(recorded.reading, {recorded.text})), recorded.expected) << recorded.title;
    }
}

TEST(AnswerParser, GivesTheSameEventsWhereverTheTextIsCut) {
    for (const Recorded& recorded : kRecorded) {
        const std::string_view text = recorded.text;
        const AnswerEvents whole = read_in_pieces(recorded.reading, {text});
        for (std::size_t cut = 0; cut <= text.size(); ++cut) {
            ASSERT_EQ(read_in_pieces(recorded.reading, {text.substr(0, cut), text.substr(cut)}), whole) << recorded.title << " at " << cut;
        }
        std::vector<std::string_view> bytes;
        for (std::size_t i = 0; i < text.size(); ++i) bytes.push_back(text.substr(i, 1));
        ASSERT_EQ(read_in_pieces(recorded.reading, bytes), whole) << recorded.title;
    }
}

// What the parser has given by then is never taken back: a prefix's events without its end begin the whole's.
TEST(AnswerParser, GivesTextAsSoonAsItIsSure) {
    AnswerParser parser(rules_of({.calls = CallFamily::kHermes, .thought = "think"}));
    EXPECT_EQ(shown(parser.push("<think>\nab")), "(ab)");
    EXPECT_EQ(shown(parser.push(" c</th")), "( c)");
    EXPECT_EQ(shown(parser.push("ink>\n\nHello")), "Hello");
    EXPECT_EQ(shown(parser.push("\n")), "");
    EXPECT_EQ(shown(parser.push("<tool_call>{\"name\":\"now\"}")), "[0 now {}]");
    EXPECT_EQ(shown(parser.push("</tool_call>\n")), "");
    EXPECT_EQ(shown(parser.finish()), "");
    EXPECT_EQ(parser.n_thought_bytes(), std::string_view("<think>\nab c</think>").size());
}

// Texts made of marks, brackets and pieces of calls in any order: the same events in any pieces, arguments that are JSON objects, and
// all of the text where nothing is a call or a mark of a thought.
TEST(AnswerParser, StandsTextsMadeOfItsOwnMarks) {
    std::mt19937 random(7);
    const auto pick = [&](std::size_t n) { return std::uniform_int_distribution<std::size_t>(0, n - 1)(random); };
    for (const CallNotation& notation : call_notations()) {
        std::vector<std::string> words = {"{",
                                          "}",
                                          "[",
                                          "]",
                                          "\"",
                                          "\\",
                                          ":",
                                          ",",
                                          "<",
                                          "\n",
                                          " ",
                                          "now",
                                          "get_weather",
                                          "call:",
                                          "1",
                                          "é",
                                          "{\"name\":\"now\",\"arguments\":{}}",
                                          "\"name\"",
                                          "<parameter=a>",
                                          "</parameter>",
                                          "</function>",
                                          "<function=",
                                          "```json",
                                          "<|message|>",
                                          " to=functions.now",
                                          "<|end|>",
                                          "<think>",
                                          "</think>"};
        for (const std::string_view mark : notation.marks) words.emplace_back(mark);
        for (const std::string_view tail : notation.tails) words.emplace_back(tail);
        for (int round = 0; round < 300; ++round) {
            std::string text;
            for (std::size_t n = pick(24); n > 0; --n) text += words[pick(words.size())];
            const Reading reading{.calls = notation.family,
                                  .thought = round % 2 == 0                            ? ""
                                             : notation.family == CallFamily::kHarmony ? "harmony"
                                                                                       : "think",
                                  .has_tools = round % 5 != 0};
            std::vector<std::string_view> pieces;
            for (std::size_t at = 0; at < text.size();) {
                const std::size_t size = std::min(text.size() - at, 1 + pick(5));
                pieces.push_back(std::string_view(text).substr(at, size));
                at += size;
            }
            const AnswerEvents events = read_in_pieces(reading, {text});
            ASSERT_EQ(read_in_pieces(reading, pieces), events) << text;
            bool has_calls = false;
            for (const AnswerEvent& event : events) {
                has_calls |= event.kind == AnswerEvent::Kind::kCallBegin;
                if (event.kind == AnswerEvent::Kind::kArguments) ASSERT_TRUE(json::parse(event.text).is_object()) << text;
            }
            const bool parts_text = reading.thought != "" || notation.family == CallFamily::kHarmony;
            if (!has_calls && !parts_text) ASSERT_EQ(shown(events), text);
        }
    }
}

TEST(AnswerParser, TakesTimeInProportionToTheText) {
    // A thousand times as long as what any one mark holds; a parser that looked again at what it has would take hours.
    const std::string marks[] = {"<tool_call>", "<", "<tool_call>{", "{\"a\":", "\n", "<function=now><parameter=a>", "<think>"};
    for (const std::string& mark : marks) {
        std::string text;
        while (text.size() < 100'000) text += mark;
        const AnswerEvents events = read_in_pieces({.calls = CallFamily::kHermes}, {text});
        EXPECT_EQ(shown(events), text);
    }
}

}  // namespace
}  // namespace rafter::protocols
