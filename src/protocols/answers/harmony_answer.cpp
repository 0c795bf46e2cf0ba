// A message: <|start|>assistant<|channel|>NAME<|message|>text<|end|>. The prompt ends with the first <|start|>assistant. A call names its
// recipient in the header, "to=functions.NAME", and the engine's end token <|call|> ends it unseen.
#include <algorithm>
#include <array>

#include "protocols/answers/answer_parser.h"

namespace rafter::protocols {
namespace {

using HarmonyKind = AnswerEvent::Kind;

constexpr std::size_t kMaxHeader = 512;
constexpr std::size_t kMaxHarmonyCall = 4U << 20U;
constexpr std::string_view kMessageMark = "<|message|>";
constexpr std::array<std::string_view, 5> kBodyMarks = {"<|end|>", "<|start|>", "<|channel|>", "<|call|>", "<|return|>"};

bool is_blank(char byte) { return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r'; }

// The word behind `mark`, up to a space or another mark.
std::string_view word_after(std::string_view header, std::string_view mark) {
    const std::size_t at = header.find(mark);
    if (at == std::string_view::npos) return {};
    header.remove_prefix(at + mark.size());
    return header.substr(0, header.find_first_of(" <"));
}

// Whether this may become a header: of a message that the prompt has begun, or of one that began with <|start|>.
bool may_be_header(std::string_view header, bool first) {
    const auto fits = [&](std::string_view begin) { return header.starts_with(begin) || begin.starts_with(header); };
    const bool begun = first && (fits("<|channel|>") || fits(" to=") || fits("<|message|>"));
    return (begun || fits("<|start|>") || is_blank(header.front())) && header.size() <= kMaxHeader;
}

}  // namespace

void HarmonyAnswer::push(char byte, AnswerEvents& events) {
    if (state_ == State::kHeader) return push_header(byte, events);
    // A grammar lets no mark into the arguments: what looks like one is a text's.
    if (state_ == State::kCall && rules_->calls_forced && json_.begun()) return body_byte(byte, events);
    push_body(byte, events);
}

void HarmonyAnswer::push_header(char byte, AnswerEvents& events) {
    header_ += byte;
    if (!may_be_header(header_, first_)) {
        state_ = State::kContent;
        first_ = false;
        const std::string text = std::exchange(header_, {});
        for (const char one : text) push_body(one, events);
        return;
    }
    if (byte == '>' && header_.ends_with(kMessageMark)) begin_body(events);
}

void HarmonyAnswer::begin_body(AnswerEvents& events) {
    first_ = false;
    const std::string_view channel = word_after(header_, "<|channel|>");
    const std::string_view recipient = word_after(header_, " to=");
    if (recipient.starts_with("functions.") && n_calls_ < rules_->max_calls) {
        name_ = recipient.substr(std::string_view("functions.").size());
        if (rules_->functions.contains(name_)) {
            state_ = State::kCall;
            json_ = {};
            body_.clear();
            return;
        }
    }
    const bool is_known = recipient.empty() && (channel.empty() || channel == "final" || channel == "commentary");
    const bool is_thought = channel == "analysis" && recipient.empty();
    state_ = is_thought && rules_->format.thought == ThoughtForm::kHarmony ? State::kThought : State::kContent;
    if (!is_known && !is_thought) add_text(events, HarmonyKind::kContent, header_);
    header_.clear();
}

void HarmonyAnswer::push_body(char byte, AnswerEvents& events) {
    held_ += byte;
    const auto fits = [&](std::string_view mark) { return mark.starts_with(held_); };
    const auto* mark = std::ranges::find_if(kBodyMarks, fits);
    if (mark != kBodyMarks.end()) {
        if (*mark == held_) end_mark(*mark, events);
        return;
    }
    // A mark's first byte is nowhere else in it.
    const bool begins_again = byte == '<' && held_.size() > 1;
    if (begins_again) held_.pop_back();
    const std::string text = std::exchange(held_, {});
    if (begins_again) held_.assign(1, '<');
    for (const char one : text) body_byte(one, events);
}

void HarmonyAnswer::end_mark(std::string_view mark, AnswerEvents& events) {
    if (state_ == State::kCall) end_call_as_text(events);
    const bool begins = mark == "<|start|>" || mark == "<|channel|>";
    header_ = begins ? std::string(mark) : std::string();
    first_ = mark == "<|channel|>";
    held_.clear();
    state_ = State::kHeader;
}

void HarmonyAnswer::body_byte(char byte, AnswerEvents& events) {
    switch (state_) {
        case State::kThought:
            return add_text(events, HarmonyKind::kReasoning, {&byte, 1});
        case State::kAfterCall:
            if (is_blank(byte)) return;
            state_ = State::kContent;
            break;
        case State::kCall:
            return call_byte(byte, events);
        default:
            break;
    }
    add_text(events, HarmonyKind::kContent, {&byte, 1});
}

void HarmonyAnswer::call_byte(char byte, AnswerEvents& events) {
    const bool begins = !json_.begun();
    body_ += byte;
    if (begins && is_blank(byte)) return;
    const JsonScanner::Found found = begins && byte != '{' ? JsonScanner::Found::kError : json_.push(byte);
    const bool is_whole = found == JsonScanner::Found::kEnd;
    const bool too_long = body_.size() >= kMaxHarmonyCall;
    if (as_it_comes_ && found != JsonScanner::Found::kError) {
        const auto more = is_whole ? ArgumentsFinder::Found::kEnd : ArgumentsFinder::Found::kMore;
        add_call_byte(events, begins ? ArgumentsFinder::Found::kBegin : more, byte, name_, n_calls_);
        header_.clear();
        body_.clear();
        if (!is_whole) return;
        ++n_calls_;
    } else {
        if (found == JsonScanner::Found::kMore && !too_long) return;
        auto arguments = is_whole ? json_object_text(body_) : std::nullopt;
        if (!arguments) return end_call_as_text(events);
        add_call(events, {.name = name_, .arguments = *std::move(arguments)}, n_calls_++);
    }
    header_.clear();
    state_ = State::kAfterCall;
}

void HarmonyAnswer::end_call_as_text(AnswerEvents& events) {
    if (as_it_comes_ && json_.begun()) ++n_calls_;  // what was told stays told
    add_text(events, HarmonyKind::kContent, std::exchange(header_, {}));
    add_text(events, HarmonyKind::kContent, std::exchange(body_, {}));
    state_ = State::kContent;
}

void HarmonyAnswer::finish(AnswerEvents& events) {
    const std::string held = std::exchange(held_, {});
    for (const char one : held) body_byte(one, events);
    if (state_ == State::kCall) end_call_as_text(events);
    // A header that was cut off is a mark.
    if (state_ == State::kHeader && !header_.starts_with("<|")) add_text(events, HarmonyKind::kContent, header_);
    header_.clear();
    state_ = State::kContent;
}

}  // namespace rafter::protocols
