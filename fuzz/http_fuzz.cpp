// The bytes of a connection, cut where the input says: the first byte seeds the cuts, the rest is what a client sends. Whatever comes, a
// reader's requests are well formed, within limits, and the same for every way of cutting.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "server/cors.h"
#include "server/http/request_reader.h"

namespace {

using rafter::server::BadRequest;
using rafter::server::Header;
using rafter::server::HeadLimits;
using rafter::server::HttpRequest;
using rafter::server::RequestReader;
using State = RequestReader::State;

void require(bool holds) {
    if (!holds) std::abort();
}

HeadLimits small_limits() {
    HeadLimits limits;
    limits.max_header_bytes = 600;
    limits.max_target_bytes = 200;
    limits.max_headers = 12;
    limits.max_request_bytes = 2'000;
    return limits;
}

void check(const HttpRequest& request, const HeadLimits& limits) {
    require(rafter::server::is_token(request.method));
    require(request.path == "*" || request.path.starts_with('/'));
    require(request.path.size() + request.query.size() <= limits.max_target_bytes);
    for (const unsigned char c : request.path + request.query) require(c > 0x20 && c < 0x7F && c != '#');
    require(request.headers.size() <= limits.max_headers + 1);
    int n_hosts = 0;
    int n_lengths = 0;
    for (const Header& header : request.headers) {
        require(rafter::server::is_token(header.name) && rafter::server::is_header_value(header.value));
        for (const char c : header.name) require(c < 'A' || c > 'Z');
        n_hosts += header.name == "host" ? 1 : 0;
        n_lengths += header.name == "content-length" || header.name == "transfer-encoding" ? 1 : 0;
    }
    require(n_hosts <= 1 && n_lengths <= 1);
    require(request.body.empty() || n_lengths == 1);
    require(request.body.size() <= limits.max_request_bytes);
    // What is sent because of the request must be fit to send.
    for (const Header& header : rafter::server::cors_headers({}, request)) require(rafter::server::is_header_value(header.value));
    (void)rafter::server::host_allowed({"models.example"}, request);
}

struct Outcome {
    std::vector<std::string> requests;
    int status = 0;

    bool operator==(const Outcome&) const = default;
};

template <typename NextSize>
Outcome read(std::string_view bytes, NextSize next_size) {
    const HeadLimits limits = small_limits();
    RequestReader reader(limits);
    Outcome outcome;
    while (!bytes.empty() && reader.state() != State::kBad) {
        std::string_view part = bytes.substr(0, next_size());
        bytes.remove_prefix(part.size());
        while (!part.empty() && reader.state() != State::kBad) {
            const std::size_t n_used = reader.feed(part);
            require(n_used <= part.size());
            part.remove_prefix(n_used);
            if (reader.state() == State::kComplete) {
                const HttpRequest request = reader.take();
                check(request, limits);
                outcome.requests.push_back(request.method + ' ' + request.path + '?' + request.query + '\n' + request.body);
            } else {
                require(part.empty() || reader.state() == State::kBad);
            }
        }
    }
    if (reader.state() == State::kBad) outcome.status = reader.bad().status;
    return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2) return 0;
    const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
    std::uint32_t random = data[0];
    const Outcome whole = read(bytes, [&] { return bytes.size(); });
    const Outcome in_parts = read(bytes, [&] {
        random = random * 1'664'525U + 1'013'904'223U;
        return std::size_t{1} + (random >> 24U) % (data[0] % 32U + 1U);
    });
    // Which of a bad stream's faults is found first may depend on the cuts; what was complete before it may not.
    require(whole.requests == in_parts.requests);
    require((whole.status == 0) == (in_parts.status == 0));
    return 0;
}
