// The page's headers. A browser keeps the page and asks each time whether it is still the same: a new version of the program shows at once.
#include "server/page/page.h"

namespace rafter::server {
namespace {

// If-None-Match is a list of tags, weak ones with W/ before them, or "*". A tag cannot contain a comma of ours, so finding it is enough.
bool has_this_page(const HttpRequest& request) {
    const std::string* tags = request.header("if-none-match");
    return tags && (*tags == "*" || tags->find(page_etag()) != std::string::npos);
}

}  // namespace

HttpResponse page_response(const HttpRequest& request) {
    HttpResponse response;
    response.content_type = "text/html; charset=utf-8";
    response.headers = {
        {"content-security-policy", std::string(page_policy())},
        {"cache-control", "no-cache"},
        {"etag", std::string(page_etag())},
        {"referrer-policy", "no-referrer"},
        {"permissions-policy", "camera=(), geolocation=(), microphone=()"},
    };
    if (has_this_page(request)) {
        response.status = 304;
    } else if (request.method != "HEAD") {
        response.body = page_html();
    }
    return response;
}

}  // namespace rafter::server
