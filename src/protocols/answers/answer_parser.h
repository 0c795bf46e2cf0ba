// An answer's text, as it comes, parted into thoughts, text for the reader, and calls of functions.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "protocols/answers/answer_format.h"
#include "protocols/answers/call_matcher.h"

namespace rafter::protocols {

struct AnswerEvent {
    enum class Kind {
        kReasoning,
        kContent,
        kCallBegin,  // text: the function's name
        kArguments,  // text: more of the JSON object
        kCallEnd,    // the arguments are whole
    };
    Kind kind = Kind::kContent;
    std::string text = {};
    std::uint32_t call = 0;  // which, from 0

    bool operator==(const AnswerEvent&) const = default;
};
using AnswerEvents = std::vector<AnswerEvent>;

enum class ThoughtStart {
    kMayBegin,  // the answer may begin with a thought
    kOpen,      // the prompt has begun one
    kNone,      // the prompt has ended it
};

// How the answers to one request are read.
struct AnswerRules {
    AnswerFormat format;
    FunctionSchemas functions = {};  // that may be called; none: calls are text
    ThoughtStart thought = ThoughtStart::kMayBegin;
    std::uint32_t max_calls = UINT32_MAX;          // a further one is text
    bool calls_forced = false;                     // a grammar allows no text in place of calls
    std::vector<text::TokenId> shown_tokens = {};  // engine::Request::shown_tokens

    // Nothing is parted: the text is the answer.
    [[nodiscard]] bool is_plain() const { return format.thought == ThoughtForm::kNone && functions.empty(); }
};

// How much of a call its events wait for.
enum class CallDelivery {
    kWhole,      // until it has ended: one that is cut off is text
    kAsItComes,  // where AnswerRules::calls_forced, not at all: one that is cut off has no kCallEnd
};

// Appends, joining texts of one kind.
void add_text(AnswerEvents& events, AnswerEvent::Kind kind, std::string_view text);
// A byte of a call that is told as it comes. Anything but kNone.
void add_call_byte(AnswerEvents& events, ArgumentsFinder::Found what, char byte, std::string_view name, std::uint32_t index);
// The whole of a call.
void add_call(AnswerEvents& events, WrittenCall&& call, std::uint32_t index);

// Thoughts between two marks, calls in any notation but Harmony's. White space beside marks and calls belongs to them.
class TaggedAnswer {
  public:
    TaggedAnswer(const AnswerRules& rules, CallDelivery delivery);
    void push(char byte, AnswerEvents& events);
    void finish(AnswerEvents& events);
    [[nodiscard]] bool in_thought() const { return state_ == State::kThought; }

  private:
    enum class State { kStart, kThought, kContent, kCall, kAfterCall };
    void push_start(char byte, AnswerEvents& events);
    void push_thought(char byte, AnswerEvents& events);
    void push_content(char byte, AnswerEvents& events);
    void push_call(char byte, AnswerEvents& events);
    void tell_early(char byte, AnswerEvents& events);
    void push_after_call(char byte, AnswerEvents& events);
    void push_again(const std::string& text, AnswerEvents& events);
    void add(AnswerEvent::Kind kind, std::string_view text, AnswerEvents& events);

    const AnswerRules* rules_;
    bool as_it_comes_;
    State state_;
    CallMatcher matcher_;
    std::string held_;               // may be a mark
    std::size_t n_line_ends_ = 0;    // that may belong to a mark that follows
    bool after_mark_ = false;        // line ends belong to the mark before
    bool bare_ = true;               // JSON alone may be a call here
    std::uint32_t n_calls_ = 0;      // told
    std::uint32_t n_early_ = 0;      // of them, of what the matcher follows
    std::size_t n_early_bytes_ = 0;  // of what the matcher follows, up to the last one of an early call's arguments
    bool call_open_ = false;         // whose arguments go on
};

// Harmony's messages: channels for thoughts, calls and the final text.
// https://cookbook.openai.com/articles/openai-harmony
class HarmonyAnswer {
  public:
    HarmonyAnswer(const AnswerRules& rules, CallDelivery delivery)
        : rules_(&rules), as_it_comes_(rules.calls_forced && delivery == CallDelivery::kAsItComes) {}
    void push(char byte, AnswerEvents& events);
    void finish(AnswerEvents& events);
    [[nodiscard]] bool in_thought() const { return state_ == State::kThought; }

  private:
    enum class State { kHeader, kThought, kContent, kCall, kAfterCall };
    void push_header(char byte, AnswerEvents& events);
    void push_body(char byte, AnswerEvents& events);
    void end_mark(std::string_view mark, AnswerEvents& events);
    void body_byte(char byte, AnswerEvents& events);
    void call_byte(char byte, AnswerEvents& events);
    void begin_body(AnswerEvents& events);
    void end_call_as_text(AnswerEvents& events);

    const AnswerRules* rules_;
    bool as_it_comes_;
    State state_ = State::kHeader;
    bool first_ = true;   // the prompt has begun this message
    std::string header_;  // as it came
    std::string held_;    // may be a mark
    std::string name_;    // of the function that is called
    std::string body_;    // of the call
    JsonScanner json_;
    std::uint32_t n_calls_ = 0;
};

// Time is linear in the text, whatever its pieces; what is held back is a call that has begun, at most 4 MiB, and otherwise less than a
// mark; of calls as they come, their notation alone. Joined, the texts of the events are the answer's but for marks, white space beside
// them, and the notation of calls: what is no call of a function that was given, with a JSON object as its arguments, is content where it
// stands.
class AnswerParser {
  public:
    // Keeps the rules.
    explicit AnswerParser(std::shared_ptr<const AnswerRules> rules, CallDelivery delivery = CallDelivery::kWhole);

    [[nodiscard]] AnswerEvents push(std::string_view text);
    [[nodiscard]] AnswerEvents finish();  // once, at the end
    // The first bytes of the text that thoughts take, with their marks; those of the last thought count up to where it has come.
    [[nodiscard]] std::size_t n_thought_bytes() const { return n_thought_bytes_; }

  private:
    std::shared_ptr<const AnswerRules> rules_;
    std::variant<TaggedAnswer, HarmonyAnswer> answer_;
    std::size_t n_bytes_ = 0;
    std::size_t n_thought_bytes_ = 0;
};

}  // namespace rafter::protocols
