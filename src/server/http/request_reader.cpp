// Our own checks and then Beast's parser for the head: a head is served only when both take it. Bodies are body_reader.h's.
#include "server/http/request_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>

namespace rafter::server {
namespace {

namespace http = boost::beast::http;
using ErrorCode = boost::beast::error_code;
using View = boost::beast::string_view;

class HeadParser final : public http::basic_parser<true> {
  public:
    explicit HeadParser(HttpRequest& request) : request_(request) {}

  private:
    void on_request_impl(http::verb, View method, View target, int, ErrorCode&) override {
        request_.method.assign(method.data(), method.size());
        std::string_view rest(target.data(), target.size());
        if (rest.front() != '/' && rest != "*") {  // "http://authority/path"
            const std::size_t authority = rest.find("//") + 2;
            rest.remove_prefix(std::min(rest.find_first_of("/?", authority), rest.size()));
        }
        const std::size_t question = std::min(rest.find('?'), rest.size());
        request_.path = question == 0 ? "/" : rest.substr(0, question);
        request_.query = rest.substr(std::min(question + 1, rest.size()));
    }
    void on_field_impl(http::field, View name, View value, ErrorCode&) override {
        Header& header = request_.headers.emplace_back(Header{{name.data(), name.size()}, {value.data(), value.size()}});
        for (char& c : header.name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 'a' - 'A') : c;
    }
    // What follows is of answers and bodies, which this parser does not see.
    void on_response_impl(int, View, int, ErrorCode&) override {}
    void on_header_impl(ErrorCode&) override {}
    void on_body_init_impl(const boost::optional<std::uint64_t>&, ErrorCode&) override {}
    std::size_t on_body_impl(View body, ErrorCode&) override { return body.size(); }
    void on_chunk_header_impl(std::uint64_t, View, ErrorCode&) override {}
    std::size_t on_chunk_body_impl(std::uint64_t, View body, ErrorCode&) override { return body.size(); }
    void on_finish_impl(ErrorCode&) override {}

    HttpRequest& request_;
};

// What Beast says against a head that we would take.
std::optional<BadRequest> parse(std::string_view head, const HeadLimits& limits, HttpRequest& request) {
    HeadParser parser(request);
    parser.header_limit(static_cast<std::uint32_t>(limits.max_header_bytes));
    parser.body_limit(limits.max_request_bytes);
    parser.skip(true);
    parser.eager(true);
    ErrorCode error;
    const std::size_t n_used = parser.put(boost::asio::const_buffer(head.data(), head.size()), error);
    if (error) return BadRequest{400, fmt::format("headers: malformed: {}", error.message())};
    if (n_used != head.size() || !parser.is_done()) return BadRequest{400, "headers: malformed"};
    return std::nullopt;
}

// Of a head that is not parsed. For nothing but the form of the error.
std::string_view path_of_head(std::string_view head) {
    head = head.substr(0, head.find_first_of("\r\n"));
    const std::size_t begin = head.find(' ');
    if (begin == std::string_view::npos) return {};
    head.remove_prefix(begin + 1);
    return head.substr(0, head.find_first_of(" ?"));
}

}  // namespace

void RequestReader::fail(BadRequest bad) {
    bad_ = std::move(bad);
    state_ = State::kBad;
    bad_path_ = request_.path.empty() ? std::string(path_of_head(head_)) : std::move(request_.path);
    head_ = {};
    request_ = {};
}

std::size_t RequestReader::feed(std::string_view bytes) {
    std::size_t n_used = 0;
    if (state_ == State::kNothing) {
        // Some clients end a body with a line end too many.
        n_used = std::min(bytes.find_first_not_of("\r\n"), bytes.size());
        if (n_used < bytes.size()) state_ = State::kHead;
    }
    if (state_ == State::kHead) n_used += feed_head(bytes.substr(n_used));
    if (state_ == State::kBody) {
        n_used += body_.feed(bytes.substr(n_used), request_.body);
        if (body_.bad()) {
            fail(*body_.bad());
        } else if (body_.done()) {
            state_ = State::kComplete;
        }
    }
    return n_used;
}

std::size_t RequestReader::feed_head(std::string_view bytes) {
    constexpr std::string_view kEnd = "\r\n\r\n";
    const std::size_t n_before = head_.size();
    head_.append(bytes.substr(0, limits_.max_header_bytes - n_before));
    const std::size_t end = head_.find(kEnd, n_before - std::min<std::size_t>(n_before, kEnd.size() - 1));
    if (end == std::string::npos) {
        if (std::optional<BadRequest> bad = check_unfinished_head(head_, n_before, limits_)) fail(*std::move(bad));
        return bytes.size();
    }
    head_.resize(end + kEnd.size());
    const std::size_t n_used = head_.size() - n_before;
    head_arrived();
    return n_used;
}

void RequestReader::head_arrived() {
    std::variant<HeadFacts, BadRequest> checked = check_head(head_, limits_);
    if (auto* bad = std::get_if<BadRequest>(&checked)) return fail(std::move(*bad));
    facts_ = std::get<HeadFacts>(std::move(checked));
    if (std::optional<BadRequest> bad = parse(head_, limits_, request_)) return fail(*std::move(bad));
    head_ = {};
    if (!facts_.authority.empty()) {  // it counts, and the host header does not: RFC 9112, 3.2.2
        std::erase_if(request_.headers, [](const Header& header) { return header.name == "host"; });
        request_.headers.push_back({"host", facts_.authority});
    }
    body_.begin(facts_);
    state_ = State::kBody;
}

HttpRequest RequestReader::take() {
    HttpRequest request = std::move(request_);
    *this = RequestReader(limits_);
    return request;
}

}  // namespace rafter::server
