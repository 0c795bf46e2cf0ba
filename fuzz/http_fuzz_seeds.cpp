// Requests for the fuzzer to start from: between them they use all that the reader knows.
//   http_fuzz_seeds FOLDER
#include <fmt/format.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <string_view>

namespace {

constexpr std::array<std::string_view, 10> kSeeds{
    "GET /v1/models?a=b HTTP/1.1\r\nHost: localhost:8080\r\nOrigin: http://localhost:3000\r\n\r\n",
    "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer k\r\ncontent-length: 5\r\n\r\nhelloGET / HTTP/1.1\r\nhost: "
    "x\r\n\r\n",
    "POST / HTTP/1.1\r\nhost: [::1]:80\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\nA;a=\"b\"\r\n0123456789\r\n0\r\nx-trailer: "
    "1\r\n\r\n",
    "POST / HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\nconnection: close, x\r\ncontent-length: 2\r\n\r\nhi",
    "GET http://models.example:81/a?b HTTP/1.1\r\nhost: evil\r\n\r\nOPTIONS * HTTP/1.1\r\nhost:\r\n\r\n",
    "HEAD / HTTP/1.0\r\n\r\n\r\nGET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n",
    "GET / HTTP/1.1\r\nhost: x\r\nx-folded: a\r\n b\r\n\r\n",
    "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nhost: x\r\ncontent-encoding: gzip\r\ncontent-length: 18446744073709551616\r\n\r\n",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
};

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) {
        fmt::print(stderr, "usage: http_fuzz_seeds FOLDER\n");
        return 2;
    }
    const std::filesystem::path folder = argv[1];
    std::filesystem::create_directories(folder);
    bool written = true;
    for (std::size_t i = 0; i < kSeeds.size(); ++i) {
        // The first byte says how the rest is cut.
        written &= static_cast<bool>(std::ofstream(folder / fmt::format("seed-{}", i), std::ios::binary)
                                     << static_cast<char>('0' + i) << kSeeds[i]);
    }
    return written ? 0 : 1;
}
