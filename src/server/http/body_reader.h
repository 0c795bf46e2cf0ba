// The bytes after a request's head: as many as it says, or chunks (RFC 9112, section 7.1). Strict, since a body whose end two readers see
// in different places is two requests for one of them. Nothing is ever decompressed, and no room is made for what is only promised.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "server/http/head_check.h"

namespace rafter::server {

class BodyReader {
  public:
    explicit BodyReader(std::uint64_t max_bytes) : max_bytes_(max_bytes) {}

    // For a request with this head: done() at once when there is no body.
    void begin(const HeadFacts& facts);
    [[nodiscard]] bool done() const { return state_ == State::kDone; }
    // Takes bytes until the body is done or bad, and appends what they carry to body: how many.
    std::size_t feed(std::string_view bytes, std::string& body);
    [[nodiscard]] const std::optional<BadRequest>& bad() const { return bad_; }

  private:
    enum class State { kDone, kData, kChunkSize, kChunkData, kChunkEnd, kTrailers };
    std::size_t feed_data(std::string_view bytes, std::string& body);
    std::size_t feed_line(std::string_view bytes, const std::string& body);
    void line_arrived();
    void chunk_begins();
    void fail(int status, std::string message) { bad_ = BadRequest{status, std::move(message)}; }

    std::uint64_t max_bytes_;
    State state_ = State::kDone;
    std::uint64_t n_left_ = 0;        // of the body or of the chunk
    std::uint64_t n_body_bytes_ = 0;  // announced so far
    std::uint64_t n_line_bytes_ = 0;  // of all that is not body
    std::size_t n_trailer_bytes_ = 0;
    std::string line_;  // around chunks, as far as it has arrived
    std::optional<BadRequest> bad_;
};

}  // namespace rafter::server
