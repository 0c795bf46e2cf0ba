#include "server/http/request_reader.h"

#include <gtest/gtest.h>

#include <random>

#include "tests/support/rounds.h"

namespace rafter::server {
namespace {

using State = RequestReader::State;

HeadLimits small_limits() {
    HeadLimits limits;
    limits.max_header_bytes = 2'000;
    limits.max_target_bytes = 1'000;
    limits.max_request_bytes = 100'000;
    return limits;
}

// Everything that can be told of a reader's work: requests, and what is wrong in the end.
std::string read_in_parts(std::string_view bytes, const std::function<std::size_t()>& next_size) {
    RequestReader reader(small_limits());
    std::string told;
    while (!bytes.empty() && reader.state() != State::kBad) {
        std::string_view part = bytes.substr(0, next_size());
        bytes.remove_prefix(part.size());
        while (!part.empty() && reader.state() != State::kBad) {
            part.remove_prefix(reader.feed(part));
            if (reader.state() != State::kComplete) continue;
            const HttpRequest request = reader.take();
            told += request.method + " " + request.path + "?" + request.query + "\n";
            for (const Header& header : request.headers) told += header.name + ": " + header.value + "\n";
            told += request.body + "\n";
        }
    }
    if (reader.state() == State::kBad) told += fmt::format("{} {}", reader.bad().status, reader.bad().message);
    return told;
}

const std::string kHead = "POST /a?b HTTP/1.1\r\nHost: x\r\n";

TEST(RequestReader, ReadsTheSameHoweverBytesAreCut) {
    const std::vector<std::string> streams = {
        kHead + "\r\n" + kHead + "Content-Length: 10\r\n\r\n0123456789" + kHead + "\r\n",
        kHead + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n10;a=\"b\"\r\n0123456789abcdef\r\n0\r\nx-trailer: 1\r\n\r\n" + kHead +
            "\r\n",
        "\r\n\r\n" + kHead + "\r\n\r\n" + kHead + "\r\n",
        kHead + "x-folded: a\r\n b\r\n\r\n",
        kHead + "Transfer-Encoding: chunked\r\n\r\n5\r\nhelloX\r\n",
        kHead + "Transfer-Encoding: chunked\r\n\r\n5\nhello\n0\n\n",
        kHead + "Transfer-Encoding: chunked\r\n\r\n0\r\nbroken\r\n\r\n",
        kHead + "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
        "GET /" + std::string(1'500, 'a') + " HTTP/1.1\r\n\r\n",
    };
    std::mt19937 random(7);
    for (const std::string& stream : streams) {
        const std::string whole = read_in_parts(stream, [] { return std::size_t{1} << 20; });
        EXPECT_FALSE(whole.empty());
        EXPECT_EQ(read_in_parts(stream, [] { return std::size_t{1}; }), whole);
        for (int round = 0; round < rafter::tests::rounds(100); ++round) {
            EXPECT_EQ(read_in_parts(stream, [&] { return std::uniform_int_distribution<std::size_t>(1, 40)(random); }), whole);
        }
    }
}

TEST(RequestReader, HoldsNoMoreOfABodyThanHasArrived) {
    RequestReader reader(small_limits());
    const std::string head = kHead + "Content-Length: 100000\r\n\r\n";
    EXPECT_EQ(reader.feed(head + "abc"), head.size() + 3);
    EXPECT_EQ(reader.state(), State::kBody);
    EXPECT_EQ(reader.request().body.size(), 3U);
    EXPECT_LT(reader.request().body.capacity(), 1'000U);
}

TEST(RequestReader, TakesABodyUpToTheLimitAndNoByteMore) {
    for (const bool chunked : {false, true}) {
        for (const std::size_t n : {std::size_t{100'000}, std::size_t{100'001}}) {
            RequestReader reader(small_limits());
            const std::string body(n, 'x');
            const std::string sent = chunked ? fmt::format("Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{}\r\n0\r\n\r\n", n, body)
                                             : fmt::format("Content-Length: {}\r\n\r\n{}", n, body);
            reader.feed(kHead + sent);
            ASSERT_EQ(reader.state(), n == 100'000 ? State::kComplete : State::kBad);
            if (n > 100'000) {
                EXPECT_EQ(reader.bad().status, 413);
            } else {
                EXPECT_EQ(reader.take().body, body);
            }
        }
    }
}

TEST(RequestReader, IsAsNewAfterEachRequest) {
    RequestReader reader(small_limits());
    reader.feed(kHead + "Expect: 100-continue\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi");
    ASSERT_EQ(reader.state(), State::kComplete);
    EXPECT_TRUE(reader.facts().wants_continue);
    EXPECT_FALSE(reader.facts().keep_alive);
    EXPECT_EQ(reader.take().body, "hi");
    EXPECT_EQ(reader.state(), State::kNothing);
    reader.feed(kHead + "\r\n");
    ASSERT_EQ(reader.state(), State::kComplete);
    EXPECT_FALSE(reader.facts().wants_continue);
    EXPECT_TRUE(reader.facts().keep_alive);
    EXPECT_EQ(reader.take().body, "");
}

TEST(RequestReader, AnEmptyLineIsNoRequest) {
    RequestReader reader(small_limits());
    EXPECT_EQ(reader.feed("\r\n\r\n"), 4U);
    EXPECT_EQ(reader.state(), State::kNothing);
    reader.feed("G");
    EXPECT_EQ(reader.state(), State::kHead);
}

}  // namespace
}  // namespace rafter::server
