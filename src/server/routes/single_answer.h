// Writers of an answer that has one sequence, whatever the API: whole, or in events that have names.
#pragma once

#include <utility>
#include <vector>

#include "protocols/named_event.h"
#include "server/generation.h"

namespace rafter::server {

// Answer: made of the sequence's updates by take(), then answer().
template <typename Answer>
class SingleAnswer : public AnswerWriter {
  public:
    SingleAnswer(Answer answer, bool timings) : answer_(std::move(answer)), timings_(timings) {}
    void begin(Call&) override {}
    void update(Call&, std::size_t, engine::StreamUpdate&& update) override { answer_.take(std::move(update)); }
    void end(Call& call, const protocols::AnswerTimings& timings) override { call.json(answer_.answer(timings_ ? &timings : nullptr)); }
    bool fail(Call&, const Refused&) override { return false; }

  private:
    Answer answer_;
    bool timings_;  // are wanted
};

// Answer: begin(), update() and end() give the events. What a failure's are differs.
template <typename Answer>
class SingleAnswerEvents : public AnswerWriter {
  public:
    SingleAnswerEvents(Answer answer, bool timings) : answer_(std::move(answer)), timings_(timings) {}
    void begin(Call& call) override {
        call.begin_events();
        send(call, answer_.begin());
    }
    void update(Call& call, std::size_t, engine::StreamUpdate&& update) override { send(call, answer_.update(std::move(update))); }
    void end(Call& call, const protocols::AnswerTimings& timings) override {
        send(call, answer_.end(timings_ ? &timings : nullptr));
        call.end_events();
    }
    bool fail(Call& call, const Refused& refused) override {
        send(call, failure(answer_, call, refused));
        call.end_events();
        return true;
    }

  protected:
    [[nodiscard]] virtual std::vector<protocols::NamedEvent> failure(Answer& answer, Call& call, const Refused& refused) = 0;

  private:
    static void send(Call& call, const std::vector<protocols::NamedEvent>& events) {
        for (const protocols::NamedEvent& event : events) call.send_event(event.event, event.data);
    }

    Answer answer_;
    bool timings_;  // are wanted
};

}  // namespace rafter::server
