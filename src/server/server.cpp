// The parts put together; what every request passes before its route: host, origin, path, method, key.
#include "server/server.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <limits>
#include <random>
#include <utility>

#include "base/os_file.h"
#include "base/quote.h"
#include "protocols/openai_error.h"
#include "server/cors.h"
#include "server/routes.h"

namespace rafter::server {
namespace {

constexpr double kDrainPollSeconds = 0.05;
constexpr double kLastWordsSeconds = 0.2;  // for answers that are complete to reach their clients

std::int64_t unix_seconds() {
    return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

// The name of a request in headers and logs: the client's own where it is plain, or one made here.
class RequestIds {
  public:
    [[nodiscard]] std::string next(const HttpRequest& request) {
        constexpr std::size_t kMaxLength = 64;
        const auto is_plain = [](char c) {
            return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
        };
        const std::string* given = request.header("x-request-id");
        if (given != nullptr && !given->empty() && given->size() <= kMaxLength && std::ranges::all_of(*given, is_plain)) return *given;
        return fmt::format("{:016x}{:08x}", run_, n_++);
    }

  private:
    std::uint64_t run_ = std::uint64_t{std::random_device{}()} << 32U | std::random_device{}();
    std::uint32_t n_ = 0;
};

// The key of a request: "Authorization: Bearer KEY", or "x-api-key: KEY" as some clients send it.
std::string_view presented_key(const HttpRequest& request) {
    constexpr std::string_view kBearer = "bearer ";
    if (const std::string* authorization = request.header("authorization")) {
        const std::string_view value = *authorization;
        const auto same = [](char a, char b) { return (a >= 'A' && a <= 'Z' ? static_cast<char>(a + ('a' - 'A')) : a) == b; };
        if (value.size() > kBearer.size() && std::ranges::equal(value.substr(0, kBearer.size()), kBearer, same)) {
            return value.substr(kBearer.size());
        }
    }
    const std::string* key = request.header("x-api-key");
    return key == nullptr ? std::string_view() : std::string_view(*key);
}

Result<std::optional<KeyRing>> read_keys(const ServerOptions& options) {
    if (!options.api_key_file.empty()) {
        RAFTER_TRY(const std::string text, read_file(options.api_key_file));
        RAFTER_TRY(KeyRing keys, KeyRing::parse(text, options.api_key_file));
        return std::optional<KeyRing>(std::move(keys));
    }
    if (options.api_key.empty()) return std::optional<KeyRing>();
    if (options.api_key.find_first_of(" \t\r\n#") != std::string::npos) {
        return bad_input("RAFTER_API_KEY: expected a key without spaces, found one with some");
    }
    RAFTER_TRY(KeyRing keys, KeyRing::parse(options.api_key, "RAFTER_API_KEY"));
    return std::optional<KeyRing>(std::move(keys));
}

}  // namespace

class Server::Impl {
  public:
    Impl(engine::ServedModel& served, ServerOptions options, std::function<void(std::string_view)> tell)
        : options_(std::move(options)), tell_(std::move(tell)), served_(served) {}

    Result<void> start() {
        RAFTER_TRY(keys_, read_keys(options_));
        if (options_.http.port && !is_loopback_name(options_.http.host) && !keys_ && !options_.insecure) {
            return Error{
                fmt::format("--host {}: expected --api-key-file beside an address that other machines reach, or --insecure, found neither",
                            options_.http.host),
                ErrorKind::kUsage};
        }
        RAFTER_TRY(http_, HttpServer::bind(options_.http));
        RAFTER_TRY(workers_, Workers::start());
        watch_ = std::make_unique<StepWatch>(step_prices_of(served_));
        metrics_ = std::make_unique<Metrics>(MetricsOptions{.prefix = options_.metrics_prefix,
                                                            .model_name = options_.model_names.front(),
                                                            .context = served_.loaded().scheduler.context},
                                             *watch_);
        HttpServer& http = *http_;
        // The gate's limits hold, not the engine's.
        RAFTER_TRY_VOID(served_.start({.max_waiting = std::numeric_limits<std::uint32_t>::max(),
                                       .on_step = [watch = watch_.get()](const engine::StepReport& step) { watch->record(step); }}));
        gate_ = std::make_unique<Gate>(served_, GateOptions{.max_queue = options_.max_queue,
                                                            .max_queue_seconds = options_.max_queue_seconds,
                                                            .post = [&http](std::function<void()> work) { http.post(std::move(work)); }});
        services_.emplace(Services{.served = served_,
                                   .http = *http_,
                                   .gate = *gate_,
                                   .workers = *workers_,
                                   .metrics = *metrics_,
                                   .watch = *watch_,
                                   .model_names = options_.model_names,
                                   .file_name = options_.file_name,
                                   .started_unix_s = unix_seconds(),
                                   .request_timeout_seconds = options_.request_timeout_seconds,
                                   .max_queue = options_.max_queue});
        return {};
    }

    void run() {
        http_->run([this](std::shared_ptr<Exchange> exchange) { handle(std::move(exchange)); });
        gate_->cancel_all();
        served_.thread().stop(engine::StopMode::kCancel);
    }

    void shut_down() {
        http_->post([this] {
            if (services_->stopping) {
                stop_now();
                return;
            }
            services_->stopping = true;
            gate_->stop_taking();
            http_->stop_accepting();
            const std::size_t n = http_->n_exchanges();
            tell_(n == 0
                      ? std::string("stopping")
                      : fmt::format("stopping: {} request{} under way, {:g} s to complete", n, n == 1 ? "" : "s", options_.drain_seconds));
            http_->after(options_.drain_seconds, [this] { stop_now(); });
            wait_until_drained();
        });
    }

    void reload() {
        http_->post([this] {
            const auto say = [this](std::string_view what, const Result<void>& done) {
                tell_(done ? fmt::format("{}: read again", what)
                           : fmt::format("{}; going on with what was read before", done.error().message));
            };
            if (keys_) {
                auto keys = read_keys(options_);
                say("API keys", keys ? Result<void>() : keys.error());
                if (keys) keys_ = *std::move(keys);
            }
            if (!options_.http.tls_cert_file.empty()) say("certificate", http_->reload_tls());
        });
    }

    [[nodiscard]] std::vector<std::string> addresses() const { return http_->addresses(); }

  private:
    void wait_until_drained() {
        if (http_->n_exchanges() == 0) {
            http_->after(kLastWordsSeconds, [this] { http_->stop(); });
        } else {
            http_->after(kDrainPollSeconds, [this] { wait_until_drained(); });
        }
    }

    // Answers end with what they have, and have a moment to reach their clients.
    void stop_now() {
        gate_->cancel_all();
        http_->after(kLastWordsSeconds, [this] { http_->stop(); });
    }

    void handle(std::shared_ptr<Exchange> exchange) {
        const HttpRequest& request = exchange->request();
        std::string id = ids_.next(request);
        std::optional<HttpResponse> to_browser = preflight(cors_, request);
        std::vector<Header> headers;
        if (!to_browser) headers = cors_headers(cors_, request);
        headers.push_back({"x-request-id", id});
        auto call = std::make_shared<Call>(std::move(exchange), std::move(id), std::move(headers),
                                           [this](const RequestRecord& record, const HttpRequest&) { metrics_->add_request(record); });
        if (const auto refused = refuse(call->request())) {
            call->refuse(*refused);
            return;
        }
        if (to_browser) {
            call->respond(*std::move(to_browser));
            return;
        }
        route(std::move(call));
    }

    [[nodiscard]] std::optional<Refused> refuse(const HttpRequest& request) const {
        const bool only_here = !options_.http.port || is_loopback_name(options_.http.host);
        if (only_here && request.client != "unix" && !host_allowed(options_.allowed_hosts, request)) {
            return Refused{.status = 403,
                           .message = fmt::format("host: expected a name of this machine, or one of --allowed-host, found {}",
                                                  quote(*request.header("host"))),
                           .code = "host_not_allowed"};
        }
        if (!origin_allowed(cors_, request)) {
            return Refused{.status = 403,
                           .message = "origin: expected the server's own, a loopback one, or one of --cors, found another",
                           .code = "origin_not_allowed"};
        }
        return std::nullopt;
    }

    void route(std::shared_ptr<Call> call) {
        const HttpRequest& request = call->request();
        const FoundRoute found = find_route(request.method, request.path);
        if (found.allowed.empty()) {
            call->refuse(
                {.status = 404, .message = fmt::format("no such path: {}; /openapi.json lists those there are", quote(request.path))});
            return;
        }
        if (request.method == "OPTIONS") {
            call->add_header("allow", found.allowed);
            call->empty(204);
            return;
        }
        if (found.route == nullptr) {
            call->add_header("allow", found.allowed);
            call->refuse(
                {.status = 405,
                 .message = fmt::format("{}: expected the method {}, found {}", request.path, found.allowed, quote(request.method)),
                 .code = "method_not_allowed"});
            return;
        }
        if (keys_) {
            call->key = keys_->find(presented_key(request));
            if (call->key != nullptr) call->record.key = call->key->name;
            if (call->key == nullptr && found.route->access == Access::kKey) {
                metrics_->refused("unauthorized");
                call->add_header("www-authenticate", "Bearer");
                call->refuse({.status = 401,
                              .message = "expected an API key (Authorization: Bearer KEY), found none that is valid",
                              .code = "invalid_api_key"});
                return;
            }
        }
        found.route->answer(*services_, std::move(call));
    }

    const ServerOptions options_;
    const std::function<void(std::string_view)> tell_;
    engine::ServedModel& served_;
    const CorsPolicy cors_{options_.cors_origins};
    RequestIds ids_;
    std::optional<KeyRing> keys_;
    std::unique_ptr<Metrics> metrics_;
    std::unique_ptr<StepWatch> watch_;
    std::unique_ptr<HttpServer> http_;
    std::unique_ptr<Gate> gate_;
    std::unique_ptr<Workers> workers_;  // ends first: its jobs hold calls
    std::optional<Services> services_;
};

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Server::~Server() = default;

Result<std::unique_ptr<Server>> Server::start(engine::ServedModel& served, const ServerOptions& options,
                                              std::function<void(std::string_view)> tell) {
    auto impl = std::make_unique<Impl>(served, options, std::move(tell));
    RAFTER_TRY_VOID(impl->start());
    return std::unique_ptr<Server>(new Server(std::move(impl)));
}

std::vector<std::string> Server::addresses() const { return impl_->addresses(); }
void Server::run() { impl_->run(); }
void Server::shut_down() { impl_->shut_down(); }
void Server::reload() { impl_->reload(); }

}  // namespace rafter::server
