// A server for tests of the HTTP core: http_echo KEY=VALUE..., where keys are fields of HttpOptions. Prints where it listens, then "ready".
//
//   /hello /echo           answer at once: a word; method, path, query, headers and body as JSON
//   /events?n=&bytes=&ms=  n events of so many bytes, ms apart (0: all in one turn)
//   /wait                  no answer until POST /release answers all that wait
//   /throw /throw-late /drop /drop-late   handlers that fail, before and within their answer
//   /big?bytes=            a whole answer of so many bytes
//   /headers               tries to send headers that HTTP does not allow
//   /counters              what is open, what happened: clients that went away, by how
//   /screened              refused before its body is read
//   /reload /drain /stop   reload_tls(), stop_accepting(), stop()
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <map>
#include <new>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "server/http/http_server.h"

namespace {

using namespace rafter::server;
using Json = nlohmann::json;

std::size_t number(const std::string& query, const std::string& name, std::size_t otherwise) {
    const std::size_t at = ("&" + query).find("&" + name + "=");
    return at == std::string::npos ? otherwise : std::strtoull(query.c_str() + at + name.size() + 1, nullptr, 10);
}

bool set_option(HttpOptions& options, const std::string& name, const std::string& value) {
    std::map<std::string, std::string*> texts = {{"host", &options.host},
                                                 {"unix_socket", &options.unix_socket},
                                                 {"tls_cert_file", &options.tls_cert_file},
                                                 {"tls_key_file", &options.tls_key_file}};
    std::map<std::string, double*> seconds = {{"header_seconds", &options.header_seconds},
                                              {"body_seconds", &options.body_seconds},
                                              {"idle_seconds", &options.idle_seconds},
                                              {"heartbeat_seconds", &options.heartbeat_seconds},
                                              {"max_stalled_seconds", &options.max_stalled_seconds}};
    std::map<std::string, std::size_t*> counts = {{"max_header_bytes", &options.max_header_bytes},
                                                  {"max_connections", &options.max_connections},
                                                  {"max_unread_bytes", &options.max_unread_bytes}};
    if (name == "port") {
        options.port = value.empty() ? std::nullopt : std::optional(static_cast<std::uint16_t>(std::stoul(value)));
    } else if (name == "max_request_bytes") {
        options.max_request_bytes = std::stoull(value);
    } else if (name == "max_held_bytes") {
        options.max_held_bytes = std::stoull(value);
    } else if (texts.contains(name)) {
        *texts[name] = value;
    } else if (seconds.contains(name)) {
        *seconds[name] = std::stod(value);
    } else if (counts.contains(name)) {
        *counts[name] = std::stoull(value);
    } else {
        return false;
    }
    return true;
}

class Echo {
  public:
    explicit Echo(HttpServer& server) : server_(server) {}

    void handle(const std::shared_ptr<Exchange>& exchange) {
        const HttpRequest& request = exchange->request();
        exchange->on_gone([this](Gone why) { ++(why == Gone::kClosed ? n_closed_ : why == Gone::kStalled ? n_stalled_ : n_stopped_); });
        const std::string& path = request.path;
        if (path == "/hello") exchange->respond({200, "text/plain", "hello"});
        if (path == "/echo") echo(*exchange);
        if (path == "/events") events(exchange, number(request.query, "n", 3));
        if (path == "/wait") waiting_.push_back(exchange);
        if (path == "/release") release(*exchange);
        if (path == "/throw") throw std::runtime_error("a fault");
        if (path == "/throw-memory") throw std::bad_alloc();
        if (path == "/throw-late" || path == "/drop-late") {
            exchange->begin_events({});
            exchange->send_event("", "only");
            if (path == "/throw-late") throw std::runtime_error("a fault");
        }
        if (path == "/big") exchange->respond({200, "text/plain", std::string(number(request.query, "bytes", 1'000'000), 'x')});
        if (path == "/headers") {
            exchange->respond(
                {200,
                 "text/plain",
                 "x",
                 {{"x-good", "1"}, {"x-bad", "a\r\nx-evil: 1"}, {"x bad", "1"}, {"x-nul", std::string(1, '\0')}, {"content-length", "9"}}});
        }
        if (path == "/twice") {
            exchange->respond({200, "text/plain", "first"});
            exchange->respond({200, "text/plain", "second"});
            exchange->send_event("", "third");
            exchange->end_events();
        }
        if (path == "/counters") counters(*exchange);
        if (path == "/reload") {
            const rafter::Result<void> done = server_.reload_tls();
            exchange->respond({done ? 200 : 500, "text/plain", done ? "ok" : done.error().message});
        }
        if (path == "/drain") {
            server_.stop_accepting();
            exchange->respond({200, "text/plain", "draining"});
        }
        if (path == "/stop") {
            exchange->respond({200, "text/plain", "stopping"});
            server_.stop();
        }
    }

  private:
    static void echo(Exchange& exchange) {
        const HttpRequest& request = exchange.request();
        Json headers = Json::array();
        for (const Header& header : request.headers) headers.push_back({header.name, header.value});
        const Json answer = {{"method", request.method}, {"path", request.path},     {"query", request.query},  {"headers", headers},
                             {"body", request.body},     {"client", request.client}, {"secure", request.secure}};
        exchange.respond({200, "application/json", answer.dump(-1, ' ', false, Json::error_handler_t::replace)});
    }

    void events(const std::shared_ptr<Exchange>& exchange, std::size_t n) {
        if (number(exchange->request().query, "named", 0) != 0) exchange->set_heartbeat("ping", "{}");
        exchange->begin_events({{"x-stream", "1"}});
        const std::size_t ms = number(exchange->request().query, "ms", 0);
        for (; n > 0 && ms == 0; --n) send(*exchange);
        if (n == 0) return exchange->end_events();
        next_event(exchange, n, ms);
    }

    void next_event(const std::shared_ptr<Exchange>& exchange, std::size_t n, std::size_t ms) {
        server_.after(static_cast<double>(ms) / 1000.0, [this, exchange, n, ms] {
            if (exchange->gone()) return;
            send(*exchange);
            if (n == 1) return exchange->end_events();
            next_event(exchange, n - 1, ms);
        });
    }

    static void send(Exchange& exchange) { exchange.send_event("tick", std::string(number(exchange.request().query, "bytes", 10), 'e')); }

    void release(Exchange& exchange) {
        for (const auto& waiting : waiting_) waiting->respond({200, "text/plain", "released"});
        waiting_.clear();
        exchange.respond({200, "text/plain", "done"});
    }

    void counters(Exchange& exchange) {
        const HttpCounters counters = server_.counters();
        const Json answer = {{"connections", counters.n_connections},
                             {"accepted", counters.n_accepted},
                             {"refused", counters.n_refused},
                             {"bad_requests", counters.n_bad_requests},
                             {"exchanges", server_.n_exchanges()},
                             {"closed", n_closed_},
                             {"stalled", n_stalled_},
                             {"stopped", n_stopped_}};
        exchange.respond({200, "application/json", answer.dump()});
    }

    HttpServer& server_;
    std::vector<std::shared_ptr<Exchange>> waiting_;
    int n_closed_ = 0, n_stalled_ = 0, n_stopped_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
    HttpOptions options;
    options.port = 0;
    options.on_warning = [](const std::string& message) { std::cerr << message << "\n"; };
    for (int i = 1; i < argc; ++i) {
        const std::string argument = argv[i];
        const std::size_t equals = argument.find('=');
        if (equals == std::string::npos || !set_option(options, argument.substr(0, equals), argument.substr(equals + 1))) {
            std::cerr << "http_echo: " << argument << ": no such option\n";
            return 2;
        }
    }
    auto server = HttpServer::bind(options);
    if (!server) {
        std::cerr << server.error().message << "\n";
        return 1;
    }
    for (const std::string& address : (*server)->addresses()) std::cout << address << "\n";
    std::cout << "ready" << std::endl;
    Echo echo(**server);
    const Screen screen = [](const HttpRequest& head) -> std::optional<HttpResponse> {
        if (head.path != "/screened") return std::nullopt;
        return HttpResponse{401, "text/plain", "no"};
    };
    (*server)->run([&echo](const std::shared_ptr<Exchange>& exchange) { echo.handle(exchange); }, screen);
    std::cout << "stopped" << std::endl;
    return 0;
}
