// Beast's parser behind our own checks. The parser hands over fields and body as it finds them, so that trailers never become headers and a
// body takes no memory before it has arrived, whatever its length says.
#include "server/http/request_reader.h"

#include <fmt/format.h>

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>

namespace rafter::server {
namespace {

namespace http = boost::beast::http;
using ErrorCode = boost::beast::error_code;

// What stands around a body's chunks (sizes, extensions) may be as much as their bytes, and this beyond: a body in chunks of a byte would
// cost a hundred times the work of one in large chunks.
constexpr std::uint64_t kMaxWireBytesPerByte = 2;
constexpr std::uint64_t kFreeWireBytes = 65'536;
constexpr std::size_t kMaxChunkLineBytes = 4'096;  // and the trailers

}  // namespace

namespace {

// What is left over of a body is the beginning of a chunk's line or of trailers: no LF without CR before it, no control characters.
bool may_be_lines(std::string_view text) {
    for (std::size_t i = 0; i < text.size(); ++i) {
        const auto c = static_cast<unsigned char>(text[i]);
        const bool line_end = (c == '\n' && i > 0 && text[i - 1] == '\r') || c == '\r';
        if ((c < 0x20 && c != '\t' && !line_end) || c == 0x7F) return false;
    }
    return true;
}

}  // namespace

class RequestReader::Parser final : public http::basic_parser<true> {
  public:
    HttpRequest request;

  private:
    void on_request_impl(http::verb, boost::beast::string_view method, boost::beast::string_view target, int, ErrorCode&) override {
        request.method.assign(method.data(), method.size());
        std::string_view rest(target.data(), target.size());
        if (rest.front() != '/' && rest != "*") {  // "http://authority/path"
            const std::size_t authority = rest.find("//") + 2;
            rest.remove_prefix(std::min(rest.find_first_of("/?", authority), rest.size()));
        }
        const std::size_t question = std::min(rest.find('?'), rest.size());
        request.path = question == 0 ? "/" : rest.substr(0, question);
        request.query = rest.substr(std::min(question + 1, rest.size()));
    }
    void on_response_impl(int, boost::beast::string_view, int, ErrorCode&) override {}
    void on_field_impl(http::field, boost::beast::string_view name, boost::beast::string_view value, ErrorCode&) override {
        if (headers_are_done_) return;  // a trailer
        Header& header = request.headers.emplace_back(Header{{name.data(), name.size()}, {value.data(), value.size()}});
        for (char& c : header.name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 'a' - 'A') : c;
    }
    void on_header_impl(ErrorCode&) override { headers_are_done_ = true; }
    void on_body_init_impl(const boost::optional<std::uint64_t>&, ErrorCode&) override {}
    std::size_t on_body_impl(boost::beast::string_view body, ErrorCode&) override {
        request.body.append(body.data(), body.size());
        return body.size();
    }
    void on_chunk_header_impl(std::uint64_t, boost::beast::string_view, ErrorCode&) override {}
    std::size_t on_chunk_body_impl(std::uint64_t, boost::beast::string_view body, ErrorCode& error) override {
        return on_body_impl(body, error);
    }
    void on_finish_impl(ErrorCode&) override {}

    bool headers_are_done_ = false;
};

RequestReader::RequestReader(const HeadLimits& limits) : limits_(limits) {}
RequestReader::~RequestReader() = default;
RequestReader::RequestReader(RequestReader&&) noexcept = default;
RequestReader& RequestReader::operator=(RequestReader&&) noexcept = default;

void RequestReader::fail(BadRequest bad) {
    bad_ = std::move(bad);
    state_ = State::kBad;
    text_ = {};
    parser_.reset();
}

std::size_t RequestReader::feed(std::string_view bytes) {
    std::size_t n_used = 0;
    if (state_ == State::kNothing) {
        // Some clients end a body with a line end too many.
        n_used = std::min(bytes.find_first_not_of("\r\n"), bytes.size());
        if (n_used < bytes.size()) state_ = State::kHead;
    }
    if (state_ == State::kHead) n_used += feed_head(bytes.substr(n_used));
    if (state_ == State::kBody && n_used < bytes.size()) n_used += feed_body(bytes.substr(n_used));
    return n_used;
}

std::size_t RequestReader::feed_head(std::string_view bytes) {
    constexpr std::string_view kEnd = "\r\n\r\n";
    const std::size_t n_before = text_.size();
    text_.append(bytes.substr(0, limits_.max_header_bytes - n_before));
    const std::size_t end = text_.find(kEnd, n_before - std::min<std::size_t>(n_before, kEnd.size() - 1));
    if (end == std::string::npos) {
        if (std::optional<BadRequest> bad = check_unfinished_head(text_, n_before, limits_)) fail(*std::move(bad));
        return bytes.size();
    }
    text_.resize(end + kEnd.size());
    const std::size_t n_used = text_.size() - n_before;
    head_arrived();
    return n_used;
}

void RequestReader::head_arrived() {
    std::variant<HeadFacts, BadRequest> checked = check_head(text_, limits_);
    if (auto* bad = std::get_if<BadRequest>(&checked)) {
        fail(std::move(*bad));
        return;
    }
    facts_ = std::get<HeadFacts>(std::move(checked));
    parser_ = std::make_unique<Parser>();
    parser_->header_limit(static_cast<std::uint32_t>(limits_.max_header_bytes));
    parser_->body_limit(limits_.max_request_bytes);
    parser_->eager(true);
    state_ = State::kBody;
    const std::string head = std::exchange(text_, {});
    if (put(head) != head.size() && state_ != State::kBad) fail({400, "headers: malformed"});
    if (state_ == State::kBad) return;
    if (!facts_.authority.empty()) {  // it counts, and the host header does not: RFC 9112, 3.2.2
        std::erase_if(parser_->request.headers, [](const Header& header) { return header.name == "host"; });
        parser_->request.headers.push_back({"host", facts_.authority});
    }
}

// As many bytes as the parser takes now.
std::size_t RequestReader::put(std::string_view bytes) {
    std::size_t n_used = 0;
    while (n_used < bytes.size() && !parser_->is_done()) {
        ErrorCode error;
        const std::size_t n = parser_->put(boost::asio::const_buffer(bytes.data() + n_used, bytes.size() - n_used), error);
        n_used += n;
        if (error == http::error::need_more) break;
        if (error == http::error::body_limit) {
            fail({413, fmt::format("body: more than {} bytes, which is the most that this server takes", limits_.max_request_bytes)});
            return n_used;
        }
        if (error) {
            fail({error == http::error::header_limit ? 431 : 400, fmt::format("malformed request: {}", error.message())});
            return n_used;
        }
        if (n == 0) break;
    }
    if (parser_->is_done()) state_ = State::kComplete;
    return n_used;
}

std::size_t RequestReader::feed_body(std::string_view bytes) {
    if (text_.empty()) {
        const std::size_t n_used = put(bytes);
        n_wire_bytes_ += n_used;
        if (state_ != State::kBody) return n_used;
        text_ = bytes.substr(n_used);
    } else {
        const std::size_t n_before = text_.size();
        text_ += bytes;
        const std::size_t n_used = put(text_);
        n_wire_bytes_ += n_used;
        if (state_ == State::kComplete) {
            text_ = {};
            return n_used - n_before;
        }
        if (state_ == State::kBad) return bytes.size();
        text_.erase(0, n_used);
    }
    if (!may_be_lines(text_)) {
        fail({400, "body: malformed lines around chunks"});
    } else if (text_.size() > kMaxChunkLineBytes) {
        fail({400, "body: a chunk's line, or trailers, without end"});
    }
    if (state_ == State::kBody && n_wire_bytes_ > kFreeWireBytes + kMaxWireBytesPerByte * body_bytes()) {
        fail({400, "body: more lines around chunks than chunks"});
    }
    return bytes.size();
}

const HttpRequest& RequestReader::request() const { return parser_->request; }
std::size_t RequestReader::body_bytes() const { return parser_ ? parser_->request.body.size() : 0; }

HttpRequest RequestReader::take() {
    HttpRequest request = std::move(parser_->request);
    *this = RequestReader(limits_);
    return request;
}

}  // namespace rafter::server
