// What a model may say, in pieces of any size: the events are the same whatever the pieces, arguments are JSON objects of functions that
// were given, and where there is nothing to part the text is the answer.
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "protocols/answers/answer_parser.h"

namespace {

using namespace rafter::protocols;

void require(bool holds) {
    if (!holds) std::abort();
}

std::shared_ptr<const AnswerRules> rules_of(std::uint8_t choice) {
    AnswerRules rules;
    const auto notations = call_notations();
    rules.format.calls = notations[choice % notations.size()].family;
    const std::size_t thought = choice / notations.size() % (thought_notations().size() + 2);
    if (thought == 1) rules.format.thought = ThoughtForm::kHarmony;
    if (thought > 1) {
        rules.format.thought = ThoughtForm::kTags;
        rules.format.tags = &thought_notations()[thought - 2];
    }
    const nlohmann::json schema = {{"type", "object"}, {"properties", {{"a", {{"type", {"integer", "array", "null"}}}}}}};
    if (choice < 240) rules.functions = {{"f", schema}, {"get_weather", nlohmann::json()}};
    return std::make_shared<const AnswerRules>(std::move(rules));
}

AnswerEvents read(const std::shared_ptr<const AnswerRules>& rules, std::string_view text, std::size_t piece,
                  CallDelivery delivery = CallDelivery::kWhole) {
    AnswerParser parser(rules, delivery);
    AnswerEvents all;
    const auto join = [&](AnswerEvents events) {
        for (AnswerEvent& event : events) {
            if (!all.empty() && all.back().kind == event.kind && event.kind != AnswerEvent::Kind::kCallBegin) {
                all.back().text += event.text;
            } else {
                all.push_back(std::move(event));
            }
        }
    };
    for (std::size_t at = 0; at < text.size(); at += piece) join(parser.push(text.substr(at, piece)));
    join(parser.finish());
    require(parser.n_thought_bytes() <= text.size());
    return all;
}

}  // namespace

// The first byte chooses the notation, the second the pieces.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2) return 0;
    const auto rules = rules_of(data[0]);
    const std::string_view text(reinterpret_cast<const char*>(data) + 2, size - 2);
    const AnswerEvents events = read(rules, text, text.size() + 1);
    const std::size_t piece = 1 + data[1] % 16U;
    require(read(rules, text, piece) == events);
    AnswerRules forced = *rules;
    forced.calls_forced = true;
    const auto forced_rules = std::make_shared<const AnswerRules>(std::move(forced));
    require(read(forced_rules, text, piece, CallDelivery::kAsItComes) ==
            read(forced_rules, text, text.size() + 1, CallDelivery::kAsItComes));
    std::size_t n_bytes = 0;
    bool has_calls = false;
    for (const AnswerEvent& event : events) {
        has_calls |= event.kind == AnswerEvent::Kind::kCallBegin;
        if (event.kind == AnswerEvent::Kind::kCallBegin) require(rules->functions.contains(event.text));
        if (event.kind == AnswerEvent::Kind::kArguments) require(nlohmann::json::accept(event.text) && event.text.starts_with('{'));
        if (!has_calls) n_bytes += event.text.size();
    }
    const bool parts = rules->format.thought != ThoughtForm::kNone || rules->format.calls == CallFamily::kHarmony;
    if (!has_calls) require(parts ? n_bytes <= text.size() : n_bytes == text.size());
    return 0;
}
