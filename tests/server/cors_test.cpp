#include "server/cors.h"

#include <gtest/gtest.h>

namespace rafter::server {
namespace {

HttpRequest browser_request(std::vector<Header> headers, bool secure = false) {
    HttpRequest request;
    request.method = "GET";
    request.path = "/v1/models";
    request.headers = std::move(headers);
    request.secure = secure;
    return request;
}

std::string allowed(const CorsPolicy& policy, const std::string& origin, const std::string& host = "models.example.com:8080",
                    bool secure = false) {
    const HttpRequest request = browser_request({{"host", host}, {"origin", origin}}, secure);
    const std::vector<Header> headers = cors_headers(policy, request);
    EXPECT_EQ(headers.front().name, "vary");
    EXPECT_EQ(headers.front().value, "origin");
    std::string found;
    for (const Header& header : headers) {
        if (header.name == "access-control-allow-origin") found = header.value;
        EXPECT_NE(header.name, "access-control-allow-credentials");
    }
    EXPECT_EQ(origin_allowed(policy, request), !found.empty());
    return found;
}

TEST(Cors, AllowsTheServersOwnOriginAndLoopback) {
    EXPECT_EQ(allowed({}, "http://models.example.com:8080"), "http://models.example.com:8080");
    EXPECT_EQ(allowed({}, "https://models.example.com:8080", "models.example.com:8080", true), "https://models.example.com:8080");
    for (const char* origin : {"http://localhost:3000", "http://localhost", "https://localhost:1", "http://127.0.0.1:5173",
                               "http://127.9.9.9", "http://[::1]:80", "http://app.localhost"}) {
        EXPECT_EQ(allowed({}, origin), origin);
    }
}

TEST(Cors, AProxyMayTakeTlsOffButNoneMayLeaveItOut) {
    EXPECT_EQ(allowed({}, "https://models.example.com", "models.example.com"), "https://models.example.com");
    EXPECT_EQ(allowed({}, "http://models.example.com", "models.example.com", true), "");
}

TEST(Cors, AllowsNothingElseUnlessTold) {
    for (const char* origin : {"https://evil.example",
                               "http://models.example.com",
                               "http://models.example.com:8080.evil.example",
                               "null",
                               "",
                               "http://",
                               "http://localhost.evil.example",
                               "http://localhost:3000@evil.example",
                               "http://evil.example/localhost",
                               "http://evil.example#localhost",
                               "http://127.0.0.1.evil.example",
                               "http://127.evil.example",
                               "http://127.1",
                               "http://[::1]evil",
                               "http://[::1].evil.example",
                               "http://[::2]",
                               "http://localhost:",
                               "http://localhost:x",
                               "http://localhost:123456",
                               "file://localhost",
                               "ftp://localhost",
                               "localhost",
                               "http://local\r\nhost",
                               "http://localhost http://evil.example",
                               "*"}) {
        EXPECT_EQ(allowed({}, origin), "") << origin;
    }
}

TEST(Cors, AllowsConfiguredOriginsWholly) {
    const CorsPolicy policy{{"https://chat.example.com", "http://intra:81"}};
    EXPECT_EQ(allowed(policy, "https://chat.example.com"), "https://chat.example.com");
    EXPECT_EQ(allowed(policy, "HTTPS://Chat.Example.com"), "https://chat.example.com");
    EXPECT_EQ(allowed(policy, "http://intra:81"), "http://intra:81");
    EXPECT_EQ(allowed(policy, "http://chat.example.com"), "");
    EXPECT_EQ(allowed(policy, "https://chat.example.com.evil.example"), "");
    EXPECT_EQ(allowed(policy, "https://xchat.example.com"), "");
}

TEST(Cors, AStarAllowsAnyoneWithoutRepeatingWho) {
    EXPECT_EQ(allowed({{"*"}}, "https://evil.example"), "*");
    EXPECT_EQ(allowed({{"*"}}, "null"), "*");
    EXPECT_EQ(allowed({{"*"}}, "a\r\nset-cookie: x"), "*");
}

TEST(Cors, RequestsThatComeFromNoPageAreAllowed) {
    const HttpRequest request = browser_request({{"host", "x"}});
    EXPECT_TRUE(origin_allowed({}, request));
    EXPECT_EQ(cors_headers({}, request).size(), 1U);
}

TEST(Cors, PreflightsAreAnsweredFromFixedLists) {
    HttpRequest request = browser_request({{"host", "x"},
                                           {"origin", "http://localhost:3000"},
                                           {"access-control-request-method", "POST"},
                                           {"access-control-request-headers", "x-evil"}});
    EXPECT_FALSE(preflight({}, request).has_value());
    request.method = "OPTIONS";
    const std::optional<HttpResponse> answer = preflight({}, request);
    ASSERT_TRUE(answer.has_value());
    EXPECT_EQ(answer->status, 204);
    std::string all;
    for (const Header& header : answer->headers) all += header.name + ": " + header.value + "\n";
    EXPECT_NE(all.find("access-control-allow-origin: http://localhost:3000\n"), std::string::npos);
    EXPECT_NE(all.find("access-control-allow-headers: *, authorization\n"), std::string::npos);
    EXPECT_EQ(all.find("evil"), std::string::npos);

    request.headers[1].value = "https://evil.example";
    const std::optional<HttpResponse> refused = preflight({}, request);
    ASSERT_TRUE(refused.has_value());
    EXPECT_EQ(refused->headers.size(), 1U);
    EXPECT_EQ(refused->headers[0].name, "vary");
}

TEST(Cors, OptionsOfNoBrowserAreTheHandlers) {
    HttpRequest request = browser_request({{"host", "x"}});
    request.method = "OPTIONS";
    EXPECT_FALSE(preflight({}, request).has_value());
}

TEST(Host, LoopbackServersAnswerToLoopbackNamesOnly) {
    const auto ok = [](const std::string& host, const std::vector<std::string>& names = {}) {
        return host_allowed(names, browser_request({{"host", host}}));
    };
    for (const char* host :
         {"localhost", "localhost:8080", "LOCALHOST:8080", "127.0.0.1", "127.0.0.1:8080", "[::1]:8080", "[::1]", "a.localhost:1"})
        EXPECT_TRUE(ok(host)) << host;
    for (const char* host : {"evil.example", "evil.example:8080", "localhost.evil.example", "127.0.0.1.evil.example", "192.168.0.1",
                             "0.0.0.0", "", ":80", "[::1", "localhost:80:80", "[::1]x", "localhost@evil.example"}) {
        EXPECT_FALSE(ok(host)) << host;
    }
    EXPECT_TRUE(ok("rafter.lan:8080", {"rafter.lan"}));
    EXPECT_TRUE(ok("Rafter.LAN", {"rafter.lan"}));
    EXPECT_FALSE(ok("x.rafter.lan", {"rafter.lan"}));
    EXPECT_TRUE(ok("anything", {"*"}));
    EXPECT_TRUE(host_allowed({}, browser_request({})));
}

}  // namespace
}  // namespace rafter::server
