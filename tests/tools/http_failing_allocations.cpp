// Every allocation of the HTTP server's thread fails in turn, while clients ask for all that it does. A failure may cost the connection
// that it hit. The server must go on, must forget nothing (no connection and no exchange is left in its counts), and must serve the next
// client. Prints how many allocations were tried; exit status 1 and a line when one of them did harm.
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <future>
#include <new>
#include <string>
#include <string_view>
#include <thread>

#include "server/http/http_server.h"

namespace {

using namespace rafter::server;

constexpr long kNever = -1;
std::atomic<long> n_until_failure{kNever};
std::atomic<bool> has_failed{false};
thread_local bool is_server = false;

bool next_fails() {
    if (!is_server || n_until_failure.load() == kNever) return false;
    if (n_until_failure.fetch_sub(1) != 0) return false;
    n_until_failure = kNever;
    has_failed = true;
    return true;
}

void* allocate(std::size_t size) {
    if (next_fails()) throw std::bad_alloc();
    void* const memory = std::malloc(size == 0 ? 1 : size);
    if (memory == nullptr) throw std::bad_alloc();
    return memory;
}

}  // namespace

void* operator new(std::size_t size) { return allocate(size); }
void* operator new[](std::size_t size) { return allocate(size); }
void* operator new(std::size_t size, const std::nothrow_t& /*tag*/) noexcept { return next_fails() ? nullptr : std::malloc(size); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t /*size*/) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t /*size*/) noexcept { std::free(memory); }
void operator delete(void* memory, const std::nothrow_t& /*tag*/) noexcept { std::free(memory); }

namespace {

// Sends a text and reads until the other side closes, the end has come, or the server has failed to answer: what was read.
std::string talk(std::uint16_t port, std::string_view text, std::string_view end) {
    const int sock = socket(AF_INET, SOCK_STREAM, 0);
    const timeval patience{20, 0};
    setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    std::string read;
    if (connect(sock, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) read = "not connected";
    while (read.empty() && !text.empty()) {
        const ssize_t n = send(sock, text.data(), text.size(), MSG_NOSIGNAL);
        if (n <= 0) break;
        text.remove_prefix(static_cast<std::size_t>(n));
    }
    char buffer[4096];
    while (read.find(end) == std::string::npos && read.find("500 Internal") == std::string::npos) {
        const ssize_t n = recv(sock, buffer, sizeof(buffer), 0);
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) read += "TIMED OUT";
        if (n <= 0) break;
        read.append(buffer, static_cast<std::size_t>(n));
    }
    close(sock);
    return read;
}

void handle(HttpServer& server, const std::shared_ptr<Exchange>& exchange) {
    const std::string path = exchange->request().path;
    exchange->on_gone([exchange](Gone) {});  // a cycle, as any handler may make
    if (path == "/hello") return exchange->respond({200, "text/plain", "hello", {{"x-header", std::string(100, 'h')}}});
    if (path == "/wait") return;
    exchange->begin_events({{"x-header", std::string(100, 'h')}});
    for (int i = 0; i < 3; ++i) exchange->send_event("name", std::string(1000, 'e'));
    server.after(0.001, [exchange] {
        exchange->send_event("late", "event");
        exchange->end_events();
    });
}

const std::string kHost = " HTTP/1.1\r\nhost: x\r\n";

// Everything that a server does, with clients that may be cut off. False: one had to wait for nothing.
bool use_all(std::uint16_t port) {
    std::string all = talk(port, "GET /hello" + kHost + "\r\n", "hello");
    const std::string body(20'000, 'b');
    all += talk(port, "POST /hello" + kHost + "transfer-encoding: chunked\r\n\r\n4e20\r\n" + body + "\r\n0\r\n\r\n", "hello");
    all += talk(port, "GET /events" + kHost + "\r\n", "0\r\n\r\n");
    all += talk(port, "GET /hello" + kHost + "\r\nGET /hello" + kHost + "\r\nGET /events" + kHost + "\r\n", "0\r\n\r\n");
    all += talk(port, "GET /broken\r\n\r\n", "}}");
    all += talk(port, "GET /wait" + kHost + "\r\n" + std::string(40'000, 'x'), "never");
    return all.find("TIMED OUT") == std::string::npos;
}

HttpCounters counters_of(HttpServer& server, std::size_t& n_exchanges) {
    std::promise<HttpCounters> counters;
    server.post([&] {
        n_exchanges = server.n_exchanges();
        counters.set_value(server.counters());
    });
    return counters.get_future().get();
}

// Waits until nothing is open; false: something is left.
bool comes_to_rest(HttpServer& server) {
    for (int i = 0; i < 3000; ++i) {
        std::size_t n_exchanges = 0;
        if (counters_of(server, n_exchanges).n_connections == 0 && n_exchanges == 0) return true;
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return false;
}

int sweep(HttpServer& server, std::uint16_t port, long first) {
    for (long n = first; n < 10'000; ++n) {
        has_failed = false;
        n_until_failure = n;
        const bool in_time = use_all(port);
        n_until_failure = kNever;
        const bool served = talk(port, "GET /hello" + kHost + "\r\n", "hello").find("200 OK") != std::string::npos;
        const bool at_rest = comes_to_rest(server);
        if (!in_time || !served || !at_rest) {
            std::printf("allocation %ld: %s\n", n,
                        !in_time  ? "a client waited for nothing"
                        : !served ? "the next client was not served"
                                  : "something was left open");
            return 1;
        }
        if (!has_failed) {
            std::printf("%ld allocations failed in turn\n", n);
            return n > 50 ? 0 : 1;
        }
    }
    std::printf("no end of allocations\n");
    return 1;
}

}  // namespace

int main(int argc, char** argv) {
    HttpOptions options;
    options.port = 0;
    auto server = HttpServer::bind(options);
    if (!server) {
        std::printf("%s\n", server.error().message.c_str());
        return 1;
    }
    const std::string address = (*server)->addresses().front();
    const auto port = static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1)));
    int status = 1;
    std::thread clients([&] {
        status = sweep(**server, port, argc > 1 ? std::atol(argv[1]) : 0);
        (*server)->post([&] { (*server)->stop(); });
    });
    is_server = true;
    (*server)->run([&](const std::shared_ptr<Exchange>& exchange) { handle(**server, exchange); });
    is_server = false;
    clients.join();
    return status;
}
