// rafter serve: a model behind HTTP, for OpenAI's clients, dashboards and browsers.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <optional>

#include "apps/cli.h"
#include "apps/options/flags.h"
#include "apps/output.h"
#include "apps/served_models.h"
#include "base/os_signals.h"
#include "base/quote.h"
#include "server/cors.h"
#include "server/observe/metrics.h"
#include "server/server.h"

namespace rafter::apps {
namespace {

struct ServeVerbOptions {
    ServedModelsOptions models;
    std::optional<std::uint16_t> port;
    std::string log_format = "plain";
    std::string log_file;
    server::ServerOptions server;
};

// The server that signals are for. Without one the model is still being loaded, which nothing needs to complete.
class RunningServer {
  public:
    void set(server::Server* server) {
        const std::lock_guard lock(mutex_);
        server_ = server;
        was_set_ = true;
    }
    void receive(Signal signal) {
        const std::lock_guard lock(mutex_);
        if (server_ != nullptr && signal == Signal::kHangUp) server_->reload();
        if (server_ != nullptr && signal == Signal::kTerminate) server_->shut_down();
        if (was_set_ || signal != Signal::kTerminate) return;
        fmt::print(stderr, "rafter serve: stopped before the model was loaded\n");
        std::quick_exit(0);
    }

  private:
    std::mutex mutex_;
    server::Server* server_ = nullptr;
    bool was_set_ = false;
};

Result<void> check_usage(const ServeVerbOptions& options) {
    RAFTER_TRY_VOID(check_usage(options.models));
    for (const std::string& origin : options.server.cors_origins) {
        if (origin == "*" || server::is_origin(origin)) continue;
        return Error{fmt::format("--cors: expected origins such as https://chat.example.com, or *, found {}", quote(origin)),
                     ErrorKind::kUsage};
    }
    if (const std::string wrong = server::check_metrics_prefix(options.server.metrics_prefix); !wrong.empty()) {
        return Error{fmt::format("--metrics-prefix: {}", wrong), ErrorKind::kUsage};
    }
    return {};
}

server::ServerOptions server_options(const ServeVerbOptions& options) {
    server::ServerOptions server = options.server;
    server.http.port = options.port;
    if (!options.port && server.http.unix_socket.empty()) server.http.port = server::HttpOptions().port;
    if (options.log_format == "json") server.log.format = server::LogFormat::kJson;
    server.log.file = options.log_file;
    if (options.models.session.quiet && options.log_file.empty()) server.log.file = "/dev/null";
    return server;
}

Result<int> serve(const ServeVerbOptions& options, const Environment& environment) {
    RAFTER_TRY_VOID(check_usage(options));
    RunningServer running;
    // Before any other thread, so that none of them receives a signal.
    SignalThread signals([&running](Signal signal) { running.receive(signal); });
    RAFTER_TRY(ServedModels models, open_served_models(environment, options.models));
    const auto tell = [quiet = options.models.session.quiet](std::string_view sentence) {
        if (!quiet) fmt::print(stderr, "rafter serve: {}\n", sentence);
    };
    for (const std::filesystem::path& file : models.kv_files_left_over) {
        tell(fmt::format("--kv-disk: {} is of no model that is served; delete it if none will be", quote(file.string())));
    }
    RAFTER_TRY(const std::unique_ptr<server::Server> server,
               server::Server::start(std::move(models.offers), server_options(options), tell));
    running.set(server.get());
    const Result<void> told = write_stdout(fmt::format("Listening on {} · {}\n", fmt::join(server->addresses(), " and "), models.title));
    if (told) server->run();
    running.set(nullptr);
    if (!told) return told.error();
    return 0;
}

}  // namespace

void add_serve(CLI::App& app, Cli& cli) {
    const auto serve_options = std::make_shared<ServeVerbOptions>();
    ServeVerbOptions& o = *serve_options;
    Verb verb{.name = "serve", .summary = "Serve OpenAI's API over HTTP, with a web page and metrics"};
    verb.options.add("model", o.models.session.model);
    verb.options.add("chat-template", o.models.session.chat_template_file);
    verb.options.add("tool-parser", o.models.answer_format.tools);
    verb.options.add("reasoning-parser", o.models.answer_format.reasoning);
    verb.options.add("host", o.server.http.host);
    verb.options.add("port", o.port);
    verb.options.add("unix-socket", o.server.http.unix_socket);
    verb.options.add("tls-cert", o.server.http.tls_cert_file);
    verb.options.add("tls-key", o.server.http.tls_key_file);
    verb.options.add("served-name", o.models.served_names);
    verb.options.add("also-model", o.models.named);
    verb.options.add("models-folder", o.models.folder);
    verb.options.add("models-memory", o.server.models_memory_bytes);
    verb.options.add("idle-unload", o.server.idle_unload_seconds);
    verb.options.add("api-key-file", o.server.api_key_file);
    verb.options.add("api-key", o.server.api_key);
    verb.options.add("insecure", o.server.insecure);
    verb.options.add("cors", o.server.cors_origins);
    verb.options.add("allowed-host", o.server.allowed_hosts);
    verb.options.add("batch", o.models.n_together, {.default_value = "32"});
    verb.options.add("max-queue", o.server.max_queue);
    verb.options.add("max-queue-seconds", o.server.max_queue_seconds);
    verb.options.add("max-request-bytes", o.server.http.max_request_bytes);
    verb.options.add("max-connections", o.server.http.max_connections);
    verb.options.add("request-timeout", o.server.request_timeout_seconds);
    verb.options.add("drain-seconds", o.server.drain_seconds);
    verb.options.add("metrics-prefix", o.server.metrics_prefix);
    verb.options.add("log-format", o.log_format);
    verb.options.add("log-file", o.log_file);
    verb.options.add("log-prompts", o.server.log.log_prompts);
    verb.options.add("context", o.models.session.context, {.otherwise = "the model's, at most 8192"});
    verb.options.add("kv-memory", o.models.kv_memory_bytes);
    verb.options.add("no-prefix-cache", o.models.no_prefix_cache);
    verb.options.add("target-itl", o.models.target_itl_ms);
    add_session_options(verb.options, o.models.session);
    add_kv_disk_options(verb.options, o.models.session.kv_disk);
    add_speculation_options(verb.options, o.models.session.speculation, {.default_value = "auto", .except = "compare"});
    verb.options.add("quiet", o.models.session.quiet);
    verb.footer =
        "\"Listening on ...\" is printed on standard output once MODEL is loaded and requests are taken; --model and --models need no "
        "MODEL.\n"
        "RAFTER_API_KEY is one key that clients must send, for who wants no --api-key-file.\n"
        "SIGTERM or Ctrl-C stops: what is under way has --drain-seconds to complete; a second one ends it at once.\n\n"
        "Example:\n"
        "  rafter serve SmolLM2-135M-Instruct --port 8080\n"
        "  curl http://127.0.0.1:8080/v1/chat/completions -H 'Content-Type: application/json' \\\n"
        "    -d '{\"messages\": [{\"role\": \"user\", \"content\": \"Why is the sky blue?\"}]}'";
    verb.run = [serve_options](const Environment& environment) { return serve(*serve_options, environment); };
    add_verb(app, cli, std::move(verb));
}

}  // namespace rafter::apps
