// See http.h.
#include "apps/http.h"

#include <curl/curl.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <memory>

#include "base/folded_name.h"
#include "base/quote.h"
#include "base/version.h"

namespace rafter::apps {
namespace {

constexpr int kMaxRedirects = 10;
constexpr long kConnectSeconds = 30;
constexpr long kSilenceSeconds = 60;  // without a byte: the transfer has broken off
constexpr long kPartialContent = 206;

struct EndEasy {
    void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
};
struct EndList {
    void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
struct EndUrl {
    void operator()(CURLU* url) const { curl_url_cleanup(url); }
};

std::optional<std::uint64_t> uint_in(std::string_view text) {
    std::uint64_t number = 0;
    const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
    return read.ec == std::errc() && read.ptr == text.data() + text.size() ? std::optional(number) : std::nullopt;
}

std::string url_field(const std::string& url, CURLUPart part) {
    const std::unique_ptr<CURLU, EndUrl> parsed(curl_url());
    char* text = nullptr;
    if (curl_url_set(parsed.get(), CURLUPART_URL, url.c_str(), 0) != CURLUE_OK) return {};
    if (curl_url_get(parsed.get(), part, &text, CURLU_DEFAULT_PORT) != CURLUE_OK) return {};
    const std::string field = text;
    curl_free(text);
    return lower_case(field);
}

// Scheme, host and port.
std::string origin_of(const std::string& url) {
    return url_field(url, CURLUPART_SCHEME) + "://" + url_field(url, CURLUPART_HOST) + ":" + url_field(url, CURLUPART_PORT);
}

// One request and its response.
struct Exchange {
    const HttpRequest* request = nullptr;
    HttpSink* sink = nullptr;
    CURL* easy = nullptr;
    HttpHead head;
    std::string linked_etag;  // of an earlier redirect
    std::optional<Error> sink_error;
    bool has_begun = false;
    bool was_interrupted = false;
};

bool is_redirect(long status) { return status == 301 || status == 302 || status == 303 || status == 307 || status == 308; }

// "bytes 5-9/10"
void read_content_range(std::string_view value, HttpHead& head) {
    constexpr std::string_view kUnit = "bytes ";
    const std::size_t dash = value.find('-');
    const std::size_t slash = value.find('/');
    if (!value.starts_with(kUnit) || dash == value.npos || slash == value.npos || dash > slash) return;
    if (const auto begin = uint_in(value.substr(kUnit.size(), dash - kUnit.size()))) head.begin = *begin;
    head.size_bytes = uint_in(value.substr(slash + 1));
}

std::size_t take_header(char* data, std::size_t one, std::size_t n, void* to) {
    auto& exchange = *static_cast<Exchange*>(to);
    std::string_view line(data, one * n);
    while (!line.empty() && (line.back() == '\r' || line.back() == '\n')) line.remove_suffix(1);
    const std::size_t colon = line.find(':');
    if (line.starts_with("HTTP/")) exchange.head = {};  // an interim response's headers do not count
    if (colon == line.npos) return one * n;
    const std::string name = lower_case(line.substr(0, colon));
    std::string_view value = line.substr(colon + 1);
    value.remove_prefix(std::min(value.find_first_not_of(" \t"), value.size()));
    HttpHead& head = exchange.head;
    if (name == "etag") head.etag = value;
    if (name == "x-linked-etag") head.linked_etag = value;
    if (name == "content-range") read_content_range(value, head);
    if (name == "content-length" && !head.size_bytes) head.size_bytes = uint_in(value);
    return one * n;
}

bool begin_body(Exchange& exchange) {
    if (exchange.has_begun) return true;
    exchange.has_begun = true;
    curl_easy_getinfo(exchange.easy, CURLINFO_RESPONSE_CODE, &exchange.head.status);
    if (is_redirect(exchange.head.status)) return true;
    if (exchange.head.linked_etag.empty()) exchange.head.linked_etag = exchange.linked_etag;
    if (exchange.head.status != kPartialContent) exchange.head.begin = 0;
    if (Result<void> begun = exchange.sink->begin(exchange.head); !begun) {
        exchange.sink_error = begun.error();
        return false;
    }
    return true;
}

std::size_t take_body(char* data, std::size_t one, std::size_t n, void* to) {
    auto& exchange = *static_cast<Exchange*>(to);
    if (!begin_body(exchange)) return 0;
    if (is_redirect(exchange.head.status)) return one * n;
    if (Result<void> written = exchange.sink->write({data, one * n}); !written) {
        exchange.sink_error = written.error();
        return 0;
    }
    return one * n;
}

int look_up(void* to, curl_off_t /*total*/, curl_off_t /*now*/, curl_off_t /*up*/, curl_off_t /*up_now*/) {
    auto& exchange = *static_cast<Exchange*>(to);
    exchange.was_interrupted = exchange.request->is_interrupted && exchange.request->is_interrupted();
    return exchange.was_interrupted ? 1 : 0;
}

// Whether the same again may do.
bool is_passing(CURLcode code) {
    return code == CURLE_PARTIAL_FILE || code == CURLE_RECV_ERROR || code == CURLE_SEND_ERROR || code == CURLE_OPERATION_TIMEDOUT ||
           code == CURLE_GOT_NOTHING || code == CURLE_HTTP2 || code == CURLE_HTTP2_STREAM;
}

using Headers = std::unique_ptr<curl_slist, EndList>;
void add_header(Headers& headers, const std::string& text) { headers.reset(curl_slist_append(headers.release(), text.c_str())); }

}  // namespace

Result<HttpEnd> http_get(const HttpRequest& request, HttpSink& sink) {
    if (request.token.find_first_of("\r\n") != std::string::npos) return bad_input("the token has a line end in it");
    const std::string home = origin_of(request.url);
    std::string url = request.url;
    bool at_home = true;
    std::string linked_etag;
    for (int n = 0; n <= kMaxRedirects; ++n) {
        const std::unique_ptr<CURL, EndEasy> easy(curl_easy_init());
        if (easy == nullptr) return Error{"libcurl cannot start", ErrorKind::kOutOfMemory};
        Exchange exchange{.request = &request, .sink = &sink, .easy = easy.get(), .head = {}, .linked_etag = linked_etag, .sink_error = {}};
        Headers headers;
        // Behind a redirect to somewhere else nothing comes home with the token.
        at_home = at_home && origin_of(url) == home;
        if (!request.token.empty() && at_home) add_header(headers, "Authorization: Bearer " + request.token);
        if (request.begin > 0) add_header(headers, fmt::format("Range: bytes={}-", request.begin));
        if (request.begin > 0 && !request.if_range.empty()) add_header(headers, "If-Range: " + request.if_range);
        char why[CURL_ERROR_SIZE] = "";
        curl_easy_setopt(easy.get(), CURLOPT_URL, url.c_str());
        curl_easy_setopt(easy.get(), CURLOPT_PROTOCOLS_STR, "http,https");
        curl_easy_setopt(easy.get(), CURLOPT_HTTPHEADER, headers.get());
        curl_easy_setopt(easy.get(), CURLOPT_USERAGENT, fmt::format("rafter/{}", version()).c_str());
        curl_easy_setopt(easy.get(), CURLOPT_HEADERFUNCTION, take_header);
        curl_easy_setopt(easy.get(), CURLOPT_HEADERDATA, &exchange);
        curl_easy_setopt(easy.get(), CURLOPT_WRITEFUNCTION, take_body);
        curl_easy_setopt(easy.get(), CURLOPT_WRITEDATA, &exchange);
        curl_easy_setopt(easy.get(), CURLOPT_NOPROGRESS, 0L);
        curl_easy_setopt(easy.get(), CURLOPT_XFERINFOFUNCTION, look_up);
        curl_easy_setopt(easy.get(), CURLOPT_XFERINFODATA, &exchange);
        curl_easy_setopt(easy.get(), CURLOPT_CONNECTTIMEOUT, kConnectSeconds);
        curl_easy_setopt(easy.get(), CURLOPT_LOW_SPEED_LIMIT, 1L);
        curl_easy_setopt(easy.get(), CURLOPT_LOW_SPEED_TIME, kSilenceSeconds);
        curl_easy_setopt(easy.get(), CURLOPT_NOSIGNAL, 1L);
        curl_easy_setopt(easy.get(), CURLOPT_ERRORBUFFER, why);
        const CURLcode code = curl_easy_perform(easy.get());
        if (exchange.sink_error) return *exchange.sink_error;
        if (exchange.was_interrupted) return HttpEnd::kInterrupted;
        if (code != CURLE_OK) {
            return Error{fmt::format("{}: {}", url, *why != '\0' ? why : curl_easy_strerror(code)),
                         is_passing(code) ? ErrorKind::kBusy : ErrorKind::kIo};
        }
        char* next = nullptr;
        curl_easy_getinfo(easy.get(), CURLINFO_RESPONSE_CODE, &exchange.head.status);
        curl_easy_getinfo(easy.get(), CURLINFO_REDIRECT_URL, &next);
        if (!is_redirect(exchange.head.status) || next == nullptr) {
            if (!begin_body(exchange)) return *exchange.sink_error;  // an empty body
            return HttpEnd::kComplete;
        }
        if (url_field(url, CURLUPART_SCHEME) == "https" && url_field(next, CURLUPART_SCHEME) != "https") {
            return Error{fmt::format("{}: refused to follow a redirect from https to {}", url, quote(next)), ErrorKind::kIo};
        }
        if (linked_etag.empty()) linked_etag = exchange.head.linked_etag;
        url = next;
    }
    return Error{fmt::format("{}: more than {} redirects", request.url, kMaxRedirects), ErrorKind::kIo};
}

Result<HttpText> http_text(const HttpRequest& request, std::size_t max_bytes) {
    class Text : public HttpSink {
      public:
        Text(const std::string& url, std::size_t max_bytes) : url_(url), max_bytes_(max_bytes) {}
        Result<void> begin(const HttpHead& head) override {
            text.status = head.status;
            return {};
        }
        Result<void> write(std::string_view bytes) override {
            if (text.body.size() + bytes.size() > max_bytes_)
                return bad_input("{}: expected at most {} bytes, found more", url_, max_bytes_);
            text.body += bytes;
            return {};
        }
        HttpText text;

      private:
        const std::string& url_;
        std::size_t max_bytes_;
    };
    Text sink(request.url, max_bytes);
    RAFTER_TRY(const HttpEnd end, http_get(request, sink));
    if (end == HttpEnd::kInterrupted) return Error{fmt::format("{}: interrupted", request.url), ErrorKind::kIo};
    return std::move(sink.text);
}

std::string url_part(std::string_view text) {
    std::string encoded;
    for (const char c : text) {
        const bool plain = std::isalnum(static_cast<unsigned char>(c)) != 0 || std::string_view("-._~").find(c) != std::string_view::npos;
        encoded += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
    return encoded;
}

}  // namespace rafter::apps
