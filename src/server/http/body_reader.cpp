// See body_reader.h.
#include "server/http/body_reader.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/hex_digit.h"

namespace rafter::server {
namespace {

constexpr std::size_t kMaxLineBytes = 4'096;  // and of all trailers
constexpr std::size_t kMaxSizeDigits = 16;    // 64 bits
// What stands around a body's chunks (sizes, extensions, trailers) may be as much as their bytes, and this beyond: a body in chunks of a
// byte would cost a hundred times the work of one in large chunks.
constexpr std::uint64_t kFreeLineBytes = 65'536;

std::string too_large(std::uint64_t max_bytes) {
    return fmt::format("body: more than {} bytes, which is the most that this server takes", max_bytes);
}

}  // namespace

void BodyReader::begin(const HeadFacts& facts) {
    n_left_ = facts.content_length;
    if (facts.chunked) {
        state_ = State::kChunkSize;
    } else {
        state_ = n_left_ > 0 ? State::kData : State::kDone;
    }
}

std::size_t BodyReader::feed(std::string_view bytes, std::string& body) {
    std::size_t n_used = 0;
    while (n_used < bytes.size() && !done() && !bad_) {
        const std::string_view rest = bytes.substr(n_used);
        n_used += state_ == State::kData || state_ == State::kChunkData ? feed_data(rest, body) : feed_line(rest, body);
    }
    return n_used;
}

std::size_t BodyReader::feed_data(std::string_view bytes, std::string& body) {
    const std::string_view taken = bytes.substr(0, n_left_);
    body.append(taken);
    n_left_ -= taken.size();
    if (n_left_ == 0) state_ = state_ == State::kData ? State::kDone : State::kChunkEnd;
    return taken.size();
}

std::size_t BodyReader::feed_line(std::string_view bytes, const std::string& body) {
    const std::size_t end = bytes.find('\n');
    const std::string_view taken = bytes.substr(0, end == std::string_view::npos ? bytes.size() : end + 1);
    n_line_bytes_ += taken.size();
    if (line_.size() + taken.size() > kMaxLineBytes || n_line_bytes_ > kFreeLineBytes + body.size()) {
        fail(400, "body: too much around its chunks");
        return taken.size();
    }
    line_.append(taken);
    if (end != std::string_view::npos) {
        if (!line_.ends_with("\r\n")) {
            fail(400, "body: expected lines around chunks that end with CR LF");
        } else {
            line_.resize(line_.size() - 2);
            line_arrived();
            line_.clear();
        }
    } else if (const std::string_view text = std::string_view(line_).substr(0, line_.size() - (line_.ends_with('\r') ? 1 : 0));
               !is_header_value(text)) {
        fail(400, "body: a control character around chunks");  // at once: a line end may never come
    }
    return taken.size();
}

void BodyReader::line_arrived() {
    if (!is_header_value(line_)) return fail(400, "body: a control character around chunks");
    if (state_ == State::kChunkSize) return chunk_begins();
    if (state_ == State::kChunkEnd) {
        if (!line_.empty()) return fail(400, "body: a chunk that is longer than it says");
        state_ = State::kChunkSize;
        return;
    }
    if (line_.empty()) {
        state_ = State::kDone;
        line_.shrink_to_fit();
        return;
    }
    n_trailer_bytes_ += line_.size();
    if (n_trailer_bytes_ > kMaxLineBytes) return fail(400, "body: too much around its chunks");
    // Trailers are checked and forgotten: one that became a header might be an authorization.
    if (!is_token(std::string_view(line_).substr(0, std::min(line_.find(':'), line_.size()))) || line_.find(':') == std::string::npos) {
        fail(400, "body: trailers: expected \"name: value\"");
    }
}

void BodyReader::chunk_begins() {
    std::size_t n_digits = 0;
    std::uint64_t size = 0;
    for (; n_digits < line_.size() && n_digits <= kMaxSizeDigits; ++n_digits) {
        const std::optional<unsigned> digit = hex_digit(line_[n_digits]);
        if (!digit) break;
        size = size << 4U | *digit;
    }
    const std::string_view extension = std::string_view(line_).substr(n_digits);
    const std::size_t mark = extension.find_first_not_of(" \t");
    if (n_digits == 0 || n_digits > kMaxSizeDigits || (!extension.empty() && (mark == std::string_view::npos || extension[mark] != ';'))) {
        return fail(400, fmt::format("body: expected the size of a chunk, of up to {} hexadecimal digits", kMaxSizeDigits));
    }
    if (size > max_bytes_ - n_body_bytes_) return fail(413, too_large(max_bytes_));
    n_body_bytes_ += size;
    n_left_ = size;
    state_ = size > 0 ? State::kChunkData : State::kTrailers;
}

}  // namespace rafter::server
