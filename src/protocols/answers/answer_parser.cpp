// Byte by byte, so that the events do not depend on how the text was cut.
#include "protocols/answers/answer_parser.h"

#include <algorithm>

namespace rafter::protocols {
namespace {

using EventKind = AnswerEvent::Kind;

constexpr std::size_t kMaxLeadingSpace = 64;

bool is_white(char byte) { return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r'; }

bool has_channels(const AnswerRules& rules) {
    return rules.format.thought == ThoughtForm::kHarmony || (rules.format.calls == CallFamily::kHarmony && !rules.functions.empty());
}

}  // namespace

void add_text(AnswerEvents& events, EventKind kind, std::string_view text) {
    if (text.empty()) return;
    if (!events.empty() && events.back().kind == kind && kind != EventKind::kCallBegin) {
        events.back().text += text;
    } else {
        events.push_back({.kind = kind, .text = std::string(text)});
    }
}

void add_call(AnswerEvents& events, WrittenCall&& call, std::uint32_t index) {
    events.push_back({.kind = EventKind::kCallBegin, .text = std::move(call.name), .call = index});
    events.push_back({.kind = EventKind::kArguments, .text = std::move(call.arguments), .call = index});
    events.push_back({.kind = EventKind::kCallEnd, .call = index});
}

void add_call_byte(AnswerEvents& events, ArgumentsFinder::Found what, char byte, std::string_view name, std::uint32_t index) {
    if (what == ArgumentsFinder::Found::kBegin) events.push_back({.kind = EventKind::kCallBegin, .text = std::string(name), .call = index});
    if (events.empty() || events.back().kind != EventKind::kArguments) events.push_back({.kind = EventKind::kArguments, .call = index});
    events.back().text += byte;
    if (what == ArgumentsFinder::Found::kEnd) events.push_back({.kind = EventKind::kCallEnd, .call = index});
}

TaggedAnswer::TaggedAnswer(const AnswerRules& rules, CallDelivery delivery)
    : rules_(&rules),
      as_it_comes_(rules.calls_forced && delivery == CallDelivery::kAsItComes),
      state_(State::kContent),
      matcher_(call_notation(rules.format.calls), rules.functions) {
    if (rules.format.thought != ThoughtForm::kTags) return;
    if (rules.thought == ThoughtStart::kOpen) {
        state_ = State::kThought;
        after_mark_ = true;
    } else {
        state_ = State::kStart;
    }
}

// Line ends wait for what follows: they are text only if no mark does.
void TaggedAnswer::add(EventKind kind, std::string_view text, AnswerEvents& events) {
    for (const char byte : text) {
        if (byte == '\n') {
            if (!after_mark_) ++n_line_ends_;
            continue;
        }
        after_mark_ = false;
        if (n_line_ends_ > 0) add_text(events, kind, std::string(std::exchange(n_line_ends_, 0), '\n'));
        add_text(events, kind, {&byte, 1});
    }
}

void TaggedAnswer::push_again(const std::string& text, AnswerEvents& events) {
    for (const char byte : text) push(byte, events);
}

void TaggedAnswer::push(char byte, AnswerEvents& events) {
    switch (state_) {
        case State::kStart:
            return push_start(byte, events);
        case State::kThought:
            return push_thought(byte, events);
        case State::kContent:
            return push_content(byte, events);
        case State::kCall:
            return push_call(byte, events);
        case State::kAfterCall:
            return push_after_call(byte, events);
    }
}

void TaggedAnswer::push_start(char byte, AnswerEvents& events) {
    const std::string_view mark = rules_->format.tags->begin;
    const std::size_t begin = std::min(held_.find_first_not_of(" \t\r\n"), held_.size());
    const std::size_t n_mark = held_.size() - begin;
    held_ += byte;
    if (n_mark == 0 && is_white(byte) && held_.size() <= kMaxLeadingSpace) return;
    if (byte == mark[n_mark]) {
        if (n_mark + 1 < mark.size()) return;
        held_.clear();
        state_ = State::kThought;
        after_mark_ = true;
        return;
    }
    state_ = State::kContent;
    push_again(std::exchange(held_, {}), events);
}

void TaggedAnswer::push_thought(char byte, AnswerEvents& events) {
    const std::string_view mark = rules_->format.tags->end;
    // A mark's first byte is nowhere else in it.
    if (byte != mark[held_.size()] && !held_.empty()) add(EventKind::kReasoning, std::exchange(held_, {}), events);
    if (byte != mark[held_.size()]) return add(EventKind::kReasoning, {&byte, 1}, events);
    held_ += byte;
    if (held_.size() < mark.size()) return;
    held_.clear();
    n_line_ends_ = 0;
    after_mark_ = true;
    state_ = State::kContent;
}

void TaggedAnswer::push_content(char byte, AnswerEvents& events) {
    const bool may_call = !rules_->functions.empty() && n_calls_ < rules_->max_calls;
    if (may_call && matcher_.may_begin(byte, bare_)) {
        matcher_.begin({.bare = bare_, .n_early = as_it_comes_ ? rules_->max_calls - n_calls_ : 0});
        n_early_ = 0;
        n_early_bytes_ = 0;
        state_ = State::kCall;
        return push_call(byte, events);
    }
    if (!is_white(byte)) bare_ = false;
    if (may_call || after_mark_ || n_line_ends_ > 0) return add(EventKind::kContent, {&byte, 1}, events);
    add_text(events, EventKind::kContent, {&byte, 1});
}

void TaggedAnswer::tell_early(char byte, AnswerEvents& events) {
    const ArgumentsFinder::Found what = matcher_.early();
    if (what == ArgumentsFinder::Found::kNone) return;
    n_line_ends_ = 0;
    call_open_ = what != ArgumentsFinder::Found::kEnd;
    add_call_byte(events, what, byte, matcher_.early_name(), n_calls_);
    n_early_bytes_ = matcher_.raw().size();
    if (call_open_) return;
    ++n_early_;
    ++n_calls_;
}

void TaggedAnswer::push_call(char byte, AnswerEvents& events) {
    const CallMatcher::Found found = matcher_.push(byte);
    tell_early(byte, events);
    if (found == CallMatcher::Found::kMore) return;
    if (found == CallMatcher::Found::kCalls) {
        std::vector<WrittenCall> calls = matcher_.take_calls();
        if (calls.size() - n_early_ <= rules_->max_calls - n_calls_) {
            for (std::size_t i = n_early_; i < calls.size(); ++i) add_call(events, std::move(calls[i]), n_calls_++);
            n_line_ends_ = 0;
            state_ = State::kAfterCall;
            return;
        }
    }
    // What was told stays told.
    if (std::exchange(call_open_, false)) ++n_calls_;
    const std::string& raw = matcher_.raw();
    const std::size_t n_text = found == CallMatcher::Found::kNone ? std::max(matcher_.n_sure(), n_early_bytes_) : raw.size();
    add(EventKind::kContent, std::string_view(raw).substr(n_early_bytes_, n_text - n_early_bytes_), events);
    std::string rest = raw.substr(n_text);
    if (found == CallMatcher::Found::kNone) rest += byte;
    bare_ = false;
    state_ = State::kContent;
    push_again(rest, events);
}

void TaggedAnswer::push_after_call(char byte, AnswerEvents& events) {
    after_mark_ = true;
    if (held_.empty() && is_white(byte)) return;
    held_ += byte;
    bool goes_on = false;
    for (const std::string_view tail : call_notation(rules_->format.calls).tails) {
        if (tail == held_) return held_.clear();
        goes_on |= tail.starts_with(held_);
    }
    if (goes_on) return;
    bare_ = true;
    state_ = State::kContent;
    push_again(std::exchange(held_, {}), events);
}

void TaggedAnswer::finish(AnswerEvents& events) {
    const EventKind kind = state_ == State::kThought ? EventKind::kReasoning : EventKind::kContent;
    if (state_ == State::kCall) held_ = matcher_.raw().substr(n_early_bytes_);
    add(kind, std::exchange(held_, {}), events);
    if (n_line_ends_ > 0) add_text(events, kind, std::string(std::exchange(n_line_ends_, 0), '\n'));
    state_ = State::kContent;
}

AnswerParser::AnswerParser(std::shared_ptr<const AnswerRules> rules, CallDelivery delivery)
    : rules_(std::move(rules)), answer_(TaggedAnswer(*rules_, delivery)) {
    if (has_channels(*rules_)) answer_ = HarmonyAnswer(*rules_, delivery);
}

AnswerEvents AnswerParser::push(std::string_view text) {
    AnswerEvents events;
    std::visit(
        [&](auto& answer) {
            for (const char byte : text) {
                const bool was_thought = answer.in_thought();
                answer.push(byte, events);
                ++n_bytes_;
                if (was_thought || answer.in_thought()) n_thought_bytes_ = n_bytes_;
            }
        },
        answer_);
    return events;
}

AnswerEvents AnswerParser::finish() {
    AnswerEvents events;
    std::visit([&](auto& answer) { answer.finish(events); }, answer_);
    return events;
}

}  // namespace rafter::protocols
