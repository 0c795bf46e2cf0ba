// The parts put together, and how they start, reload and stop.
#include "server/server.h"

#include <algorithm>
#include <atomic>
#include <random>
#include <utility>

#include "server/front_door.h"
#include "server/observe/traceparent.h"
#include "server/routes.h"

namespace rafter::server {
namespace {

constexpr double kDrainPollSeconds = 0.05;
constexpr double kLastWordsSeconds = 0.2;  // for answers that are complete to reach their clients

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

}  // namespace

class Server::Impl {
  public:
    Impl(ServerOptions options, std::function<void(std::string_view)> tell) : options_(std::move(options)), tell_(std::move(tell)) {}
    ~Impl() {
        workers_.reset();  // its jobs use the models
        if (models_) models_->close();
    }
    Impl(const Impl&) = delete;
    Impl& operator=(const Impl&) = delete;

    Result<void> start(std::vector<ModelOffer> offers) {
        const bool only_here = !options_.http.port || is_loopback_name(options_.http.host);
        RAFTER_TRY(FrontDoor door, FrontDoor::open({.only_here = only_here,
                                                    .allowed_hosts = options_.allowed_hosts,
                                                    .cors = {options_.cors_origins},
                                                    .api_key_file = options_.api_key_file,
                                                    .api_key = options_.api_key}));
        door_.emplace(std::move(door));
        if (!only_here && !door_->has_keys() && !options_.insecure) {
            return Error{fmt::format("--host {}: other machines reach this address: expected --api-key-file, or --insecure, found neither",
                                     options_.http.host),
                         ErrorKind::kUsage};
        }
        options_.http.error_form = error_form_of;
        options_.http.on_warning = [this](const std::string& sentence) { tell_(sentence); };
        options_.log.notice = tell_;
        RAFTER_TRY(log_, RequestLog::open(options_.log));
        RAFTER_TRY(http_, HttpServer::bind(options_.http));
        HttpServer& http = *http_;
        RAFTER_TRY(workers_, Workers::start([&http](std::function<void()> work) { http.post(std::move(work)); }));
        RAFTER_TRY(models_, Models::create(ModelsHost::of(*http_), *workers_, std::move(offers),
                                           {.memory_bytes = options_.models_memory_bytes,
                                            .idle_unload_seconds = options_.idle_unload_seconds,
                                            .max_queue = options_.max_queue,
                                            .max_queue_seconds = options_.max_queue_seconds,
                                            .request_timeout_seconds = options_.request_timeout_seconds,
                                            .metrics_prefix = options_.metrics_prefix,
                                            .tell = tell_}));
        return {};
    }

    void run() {
        http_->run([this](std::shared_ptr<Exchange> exchange) { handle(std::move(exchange)); },
                   [this](const HttpRequest& head) { return screen(head); });
        models_->stop_engines();
    }

    void shut_down() {
        http_->post([this] {
            if (models_->stopping()) {
                stop_now();
                return;
            }
            models_->stop_taking();
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
            if (door_->has_keys()) say("API keys", door_->reload());
            if (!options_.http.tls_cert_file.empty()) say("certificate", http_->reload_tls());
            log_->reopen();
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
        models_->cancel_all();
        http_->after(kLastWordsSeconds, [this] { http_->stop(); });
    }

    void handle(std::shared_ptr<Exchange> exchange) {
        const HttpRequest& request = exchange->request();
        std::optional<HttpResponse> to_browser = preflight(door_->cors(), request);
        std::vector<Header> headers;
        if (!to_browser) headers = cors_headers(door_->cors(), request);
        std::string id = ids_.next(request);
        headers.push_back({"x-request-id", id});
        const ErrorForm error_form = error_form_of(request.path);
        if (error_form == ErrorForm::kAnthropic) headers.push_back({"request-id", id});  // where its clients look
        const std::string* parent = request.header("traceparent");
        const std::string span = parent == nullptr ? std::string() : spans_.answer_to(*parent);
        const bool traced = !span.empty();
        if (traced) headers.push_back({"traceparent", span});
        auto call = std::make_shared<Call>(std::move(exchange), std::move(id), std::move(headers),
                                           [this](const RequestRecord& record, const HttpRequest& asked) { ended(record, asked); });
        call->error_form = error_form;
        if (traced) {
            call->record.traceparent = *parent;
            call->record.span_id = parse_traceparent(span)->parent_id;
        }
        if (to_browser) {
            call->respond(*std::move(to_browser));
            return;
        }
        FrontDoor::Passed passed = door_->check(call->request());
        call->key = passed.key;
        if (passed.key) call->record.key = passed.key->name;
        if (passed.refused) {
            models_->first().metrics().refused(passed.reason);
            call->refuse(*passed.refused);
            return;
        }
        answer_route(*models_, *passed.route, std::move(call));
    }

    // A request that will be refused need not send its body.
    [[nodiscard]] std::optional<HttpResponse> screen(const HttpRequest& head) {
        if (preflight(door_->cors(), head)) return std::nullopt;
        FrontDoor::Passed passed = door_->check(head);
        if (!passed.refused) return std::nullopt;
        models_->first().metrics().refused(passed.reason);
        return response_of(*passed.refused, error_form_of(head.path), "");
    }

    void ended(const RequestRecord& record, const HttpRequest& request) {
        ModelEntry* entry = record.model.empty() ? nullptr : models_->find(record.model);
        Metrics& metrics = (entry != nullptr ? *entry : models_->first()).metrics();
        metrics.add_request(record);
        // A body that nobody let in may hold keys.
        const bool let_in = record.status != 401 && record.status != 403;
        log_->write(record, let_in ? std::string_view(request.body) : std::string_view());
        models_->first().metrics().lost_log_lines(log_->n_lost());
    }

    ServerOptions options_;
    const std::function<void(std::string_view)> tell_;
    RequestIds ids_;
    SpanIds spans_;
    std::optional<FrontDoor> door_;
    std::unique_ptr<RequestLog> log_;
    std::unique_ptr<Models> models_;
    std::unique_ptr<HttpServer> http_;
    std::unique_ptr<Workers> workers_;
};

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Server::~Server() = default;

Result<std::unique_ptr<Server>> Server::start(std::vector<ModelOffer> models, const ServerOptions& options,
                                              std::function<void(std::string_view)> tell) {
    auto impl = std::make_unique<Impl>(options, std::move(tell));
    RAFTER_TRY_VOID(impl->start(std::move(models)));
    return std::unique_ptr<Server>(new Server(std::move(impl)));
}

std::vector<std::string> Server::addresses() const { return impl_->addresses(); }
void Server::run() { impl_->run(); }
void Server::shut_down() { impl_->shut_down(); }
void Server::reload() { impl_->reload(); }

}  // namespace rafter::server
