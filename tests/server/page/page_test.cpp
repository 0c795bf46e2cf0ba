// The page in the program: its policy allows exactly the style and the script in it, and a browser that has the page is told so.
#include "server/page/page.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/sha.h>

#include <array>
#include <string>

namespace rafter::server {
namespace {

std::string base64_of_sha256(std::string_view text) {
    std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
    SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
    std::array<unsigned char, 48> encoded{};
    const int size = EVP_EncodeBlock(encoded.data(), digest.data(), static_cast<int>(digest.size()));
    return {reinterpret_cast<const char*>(encoded.data()), static_cast<std::size_t>(size)};
}

// What stands between <tag> and </tag>, which must be in the page once.
std::string_view content(std::string_view tag) {
    const std::string opening = fmt::format("<{}>", tag), closing = fmt::format("</{}>", tag);
    const std::string_view page = page_html();
    const std::size_t begin = page.find(opening), end = page.find(closing);
    EXPECT_EQ(begin, page.rfind(opening));
    EXPECT_EQ(end, page.rfind(closing));
    if (begin == std::string_view::npos || end == std::string_view::npos) return {};
    return page.substr(begin + opening.size(), end - begin - opening.size());
}

std::string header_of(const HttpResponse& response, std::string_view name) {
    const auto found = std::ranges::find(response.headers, name, &Header::name);
    return found == response.headers.end() ? "" : found->value;
}

TEST(Page, ItsPolicyHasTheHashesOfItsStyleAndItsScript) {
    ASSERT_FALSE(content("style").empty());
    ASSERT_FALSE(content("script").empty());
    const std::string policy(page_policy());
    EXPECT_NE(policy.find("style-src 'sha256-" + base64_of_sha256(content("style")) + "';"), std::string::npos) << policy;
    EXPECT_NE(policy.find("script-src 'sha256-" + base64_of_sha256(content("script")) + "';"), std::string::npos) << policy;
}

TEST(Page, ItsPolicyAllowsNothingFromElsewhere) {
    const std::string policy(page_policy());
    EXPECT_EQ(policy.find("default-src 'none';"), 0u);
    for (const char* word : {"unsafe-", "http", "*", "blob:"}) EXPECT_EQ(policy.find(word), std::string::npos) << word;
}

TEST(Page, IsWholeAndFetchesNothingFromElsewhere) {
    const std::string_view page = page_html();
    EXPECT_TRUE(page.starts_with("<!doctype html>"));
    EXPECT_TRUE(page.ends_with("</html>\n"));
    for (const char* word :
         {"/*STYLE*/", "/*SCRIPT*/", " src=", "@import", "url(", "innerHTML", "insertAdjacentHTML", "document.write", "eval("}) {
        EXPECT_EQ(page.find(word), std::string_view::npos) << word;
    }
}

TEST(Page, IsSentWithItsPolicyAndAsksToBeCheckedEachTime) {
    const HttpResponse response = page_response({.method = "GET", .path = "/"});
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(response.content_type, "text/html; charset=utf-8");
    EXPECT_EQ(response.body, page_html());
    EXPECT_EQ(header_of(response, "content-security-policy"), page_policy());
    EXPECT_EQ(header_of(response, "cache-control"), "no-cache");
}

TEST(Page, IsNotSentAgainToABrowserThatHasIt) {
    HttpRequest request{.method = "GET", .path = "/", .headers = {{"if-none-match", "\"other\", W/" + std::string(page_etag())}}};
    const HttpResponse response = page_response(request);
    EXPECT_EQ(response.status, 304);
    EXPECT_EQ(response.body, "");
    EXPECT_EQ(header_of(response, "etag"), page_etag());
    request.headers[0].value = "\"other\"";
    EXPECT_EQ(page_response(request).status, 200);
}

TEST(Page, HeadHasNoBody) {
    const HttpResponse response = page_response({.method = "HEAD", .path = "/"});
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(response.body, "");
}

}  // namespace
}  // namespace rafter::server
