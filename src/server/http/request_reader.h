// From the bytes of a connection to one whole request, or to what is wrong with it. No sockets and no clock: the connection has those.
#pragma once

#include <string>
#include <string_view>

#include "server/http/body_reader.h"
#include "server/http/head_check.h"
#include "server/http/message.h"

namespace rafter::server {

class RequestReader {
  public:
    enum class State {
        kNothing,   // not a byte of it
        kHead,      // its head arrives
        kBody,      // its body arrives
        kComplete,  // take() it
        kBad,       // bad() says why; nothing more can be read from this connection
    };

    explicit RequestReader(const HeadLimits& limits) : limits_(limits), body_(limits.max_request_bytes) {}

    // Takes bytes until the request is complete or bad: how many. What follows a complete request belongs to the next one.
    std::size_t feed(std::string_view bytes);
    [[nodiscard]] State state() const { return state_; }
    [[nodiscard]] const BadRequest& bad() const { return bad_; }
    // Of the request whose head has arrived.
    [[nodiscard]] const HeadFacts& facts() const { return facts_; }
    // With as much of its body as has arrived.
    [[nodiscard]] const HttpRequest& request() const { return request_; }
    // Of the request, once its head has arrived, and of a bad one too, as far as it can be told; "" before.
    [[nodiscard]] std::string_view path() const { return state_ == State::kBad ? bad_path_ : request_.path; }
    // The complete request. The reader is as new after that, and holds no memory.
    [[nodiscard]] HttpRequest take();

  private:
    std::size_t feed_head(std::string_view bytes);
    void head_arrived();
    void fail(BadRequest bad);

    HeadLimits limits_;
    State state_ = State::kNothing;
    HeadFacts facts_;
    BadRequest bad_;
    std::string bad_path_;  // of a request that is bad
    std::string head_;      // as far as it has arrived
    HttpRequest request_;
    BodyReader body_;
};

}  // namespace rafter::server
