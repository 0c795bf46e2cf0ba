// The web page at "/": one document of ours, inside the program. It fetches nothing but this server's own API.
#pragma once

#include <string_view>

#include "server/http/message.h"

namespace rafter::server {

// The parts in this folder, joined when the program was built (cmake/EmbedPage.cmake).
[[nodiscard]] std::string_view page_html();
// Its Content-Security-Policy: the page's own style and script by their hashes, requests to its own server, nothing else.
[[nodiscard]] std::string_view page_policy();
// A quoted tag that changes with the page.
[[nodiscard]] std::string_view page_etag();

// The answer to a GET or HEAD of "/": the page with its policy and the headers that a browser should have with it, or 304 where the browser
// has this page already.
[[nodiscard]] HttpResponse page_response(const HttpRequest& request);

}  // namespace rafter::server
