// One HTTP request by way of libcurl (https://curl.se/libcurl/c/). Redirects are followed here, one by one: a token goes to the host that
// it is for and to no other.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace rafter::apps {

struct HttpRequest {
    std::string url;                       // http or https
    std::string token;                     // "": none. Sent to the url's own scheme, host and port only, never behind a redirect from there
    std::uint64_t begin = 0;               // the first byte that is wanted
    std::string if_range;                  // a strong ETag: another one gives the whole body
    std::function<bool()> is_interrupted;  // empty: nothing interrupts
};

// Headers of a response. Of the first one, before redirects: what Hugging Face says of the file itself.
struct HttpHead {
    long status = 0;
    std::string etag;
    std::string linked_etag;
    std::uint64_t begin = 0;                  // of the body in the file: 0, or what a 206 says
    std::optional<std::uint64_t> size_bytes;  // of the whole file
};

enum class HttpEnd { kComplete, kInterrupted };

class HttpSink {
  public:
    virtual ~HttpSink() = default;
    // Called once, with the last response's headers, before its body. Only then is the body read.
    [[nodiscard]] virtual Result<void> begin(const HttpHead& head) = 0;
    [[nodiscard]] virtual Result<void> write(std::string_view bytes) = 0;
};

// The sink's error is returned as it is. A transfer that broke off is an error of kind kBusy: trying again may help. A status that is no
// success is left to the sink.
[[nodiscard]] Result<HttpEnd> http_get(const HttpRequest& request, HttpSink& sink);

// A body as a text, of at most max_bytes.
struct HttpText {
    long status = 0;
    std::string body;
};
[[nodiscard]] Result<HttpText> http_text(const HttpRequest& request, std::size_t max_bytes);

// "a b" as "a%20b", for one part of a path.
[[nodiscard]] std::string url_part(std::string_view text);

}  // namespace rafter::apps
