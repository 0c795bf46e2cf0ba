// From the bytes of a connection to one whole request, or to what is wrong with it. No sockets and no clock: the connection has those.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

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

    explicit RequestReader(const HeadLimits& limits);
    ~RequestReader();
    RequestReader(RequestReader&&) noexcept;
    RequestReader& operator=(RequestReader&&) noexcept;

    // Takes bytes until the request is complete or bad: how many. What follows a complete request belongs to the next one.
    std::size_t feed(std::string_view bytes);
    [[nodiscard]] State state() const { return state_; }
    [[nodiscard]] const BadRequest& bad() const { return bad_; }
    // Of the request whose head has arrived.
    [[nodiscard]] const HeadFacts& facts() const { return facts_; }
    [[nodiscard]] const HttpRequest& request() const;
    [[nodiscard]] std::size_t body_bytes() const;  // so far
    // The complete request. The reader is as new after that, and holds no memory.
    [[nodiscard]] HttpRequest take();

  private:
    class Parser;
    std::size_t feed_head(std::string_view bytes);
    void head_arrived();
    std::size_t feed_body(std::string_view bytes);
    std::size_t put(std::string_view bytes);
    void fail(BadRequest bad);

    HeadLimits limits_;
    State state_ = State::kNothing;
    HeadFacts facts_;
    BadRequest bad_;
    std::string text_;  // of the head until it is parsed; then of a chunk's own lines until they are whole
    std::unique_ptr<Parser> parser_;
    std::uint64_t n_wire_bytes_ = 0;  // of the body, as it came
};

}  // namespace rafter::server
