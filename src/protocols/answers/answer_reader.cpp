// Positions are counted in characters, as the engine replaces bytes that are none.
#include "protocols/answers/answer_reader.h"

#include <algorithm>
#include <string_view>

namespace rafter::protocols {

AnswerReader::AnswerReader(std::shared_ptr<const AnswerRules> rules, const text::Tokenizer& tokenizer, CallDelivery delivery)
    : rules_(std::move(rules)), tokenizer_(&tokenizer) {
    if (rules_ != nullptr) parser_.emplace(rules_, delivery);
}

AnswerEvents AnswerReader::take(const engine::StreamUpdate& update) {
    AnswerEvents events;
    if (!parser_) {
        add_text(events, AnswerEvent::Kind::kContent, update.text);
        return events;
    }
    if (rules_->format.thought != ThoughtForm::kNone) {
        for (const engine::GeneratedToken& token : update.tokens) {
            begins_.push_back(offsets_.add(shown_piece(*tokenizer_, token.id, rules_->shown_tokens)));
        }
    }
    events = parser_->push(update.text);
    if (update.finish) {
        for (AnswerEvent& event : parser_->finish()) events.push_back(std::move(event));
    }
    if (parser_->n_thought_bytes() > n_bytes_) {
        n_thought_characters_ =
            n_characters_ + n_characters(std::string_view(update.text).substr(0, parser_->n_thought_bytes() - n_bytes_));
    }
    n_bytes_ += update.text.size();
    n_characters_ += n_characters(update.text);
    has_calls_ |= std::ranges::any_of(events, [](const AnswerEvent& event) { return event.kind == AnswerEvent::Kind::kCallEnd; });
    return events;
}

std::uint64_t AnswerReader::n_reasoning_tokens() const {
    return static_cast<std::uint64_t>(std::ranges::lower_bound(begins_, n_thought_characters_) - begins_.begin());
}

const char* AnswerReader::finish_reason(engine::FinishReason reason) const {
    return has_calls_ && reason == engine::FinishReason::kStop ? "tool_calls" : engine::to_string(reason);
}

void PartedAnswer::add(const AnswerEvents& events) {
    for (const AnswerEvent& event : events) {
        switch (event.kind) {
            case AnswerEvent::Kind::kReasoning:
                reasoning += event.text;
                break;
            case AnswerEvent::Kind::kContent:
                content += event.text;
                break;
            case AnswerEvent::Kind::kCallBegin:
                calls.push_back({.name = event.text, .arguments = {}});
                break;
            case AnswerEvent::Kind::kArguments:
                calls.back().arguments += event.text;
                break;
            case AnswerEvent::Kind::kCallEnd:
                break;
        }
    }
}

}  // namespace rafter::protocols
