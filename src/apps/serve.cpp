// rafter serve: a model behind HTTP, for OpenAI's clients, dashboards and browsers.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <optional>

#include "apps/cli.h"
#include "apps/model_title.h"
#include "apps/options/flags.h"
#include "apps/output.h"
#include "apps/session.h"
#include "base/os_signals.h"
#include "base/quote.h"
#include "report/units.h"
#include "server/cors.h"
#include "server/observe/metrics.h"
#include "server/server.h"

namespace rafter::apps {
namespace {

constexpr std::uint64_t kUsualContext = 8192;   // of one sequence, where the model has it
constexpr std::uint32_t kFullSequences = 8;     // that the cache has room for at full length
constexpr std::uint32_t kSequencesPerFull = 4;  // and beyond those one in so many: few fill their context

struct ServeVerbOptions {
    SessionOptions session;
    std::uint32_t n_together = 32;
    std::optional<std::uint64_t> kv_memory_bytes;
    bool no_prefix_cache = false;
    std::optional<double> target_itl_ms;
    std::optional<std::uint16_t> port;
    std::vector<std::string> served_names;
    std::string log_format = "plain";
    std::string log_file;
    server::ServerOptions server;
};

std::uint32_t usual_full_sequences(std::uint32_t n_together) {
    return std::max(std::min(n_together, kFullSequences), n_together / kSequencesPerFull);
}

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
    RAFTER_TRY_VOID(check_usage(options.session.speculation));
    for (const std::string& origin : options.server.cors_origins) {
        if (origin == "*" || server::is_origin(origin)) continue;
        return Error{fmt::format("--cors: expected origins such as https://chat.example.com, or *, found {}", quote(origin)),
                     ErrorKind::kUsage};
    }
    if (const std::string wrong = server::check_metrics_prefix(options.server.metrics_prefix); !wrong.empty()) {
        return Error{fmt::format("--metrics-prefix: {}", wrong), ErrorKind::kUsage};
    }
    for (const std::string& name : options.served_names) {
        if (name.empty()) return Error{"--served-name: expected names that are not empty, found one that is", ErrorKind::kUsage};
    }
    return {};
}

server::ServerOptions server_options(const ServeVerbOptions& options, const Session& session) {
    server::ServerOptions server = options.server;
    server.http.port = options.port;
    if (!options.port && server.http.unix_socket.empty()) server.http.port = server::HttpOptions().port;
    server.model_names = options.served_names;
    const std::filesystem::path file = session.opened().source->name();
    server.file_name = file.filename();
    server.quantization = quantization_name(*session.opened().source);
    if (server.model_names.empty()) {
        server.model_names.push_back(file.stem());
        if (options.session.model != server.model_names.front() && options.session.model.find('/') == std::string::npos)
            server.model_names.push_back(options.session.model);
    }
    if (options.log_format == "json") server.log.format = server::LogFormat::kJson;
    server.log.file = options.log_file;
    if (options.session.quiet && options.log_file.empty()) server.log.file = "/dev/null";
    return server;
}

Result<int> serve(const ServeVerbOptions& options, const Environment& environment) {
    RAFTER_TRY_VOID(check_usage(options));
    RunningServer running;
    // Before any other thread, so that none of them receives a signal.
    SignalThread signals([&running](Signal signal) { running.receive(signal); });
    RAFTER_TRY(const std::unique_ptr<Session> session, Session::open(environment, options.session));
    RAFTER_TRY_VOID(
        session->load({.context = std::min<std::uint64_t>(session->opened().config.n_context, kUsualContext),
                       .n_outputs = options.n_together,
                       .n_sequences = options.kv_memory_bytes ? options.n_together : usual_full_sequences(options.n_together),
                       .kv_memory_bytes = options.kv_memory_bytes,
                       .prefix_cache = !options.no_prefix_cache,
                       .priced_for = "serve",
                       .target_itl_seconds = options.target_itl_ms ? std::optional(*options.target_itl_ms * 1e-3) : std::nullopt,
                       .learns_texts = true}));
    const auto tell = [quiet = options.session.quiet](std::string_view sentence) {
        if (!quiet) fmt::print(stderr, "rafter serve: {}\n", sentence);
    };
    RAFTER_TRY(const std::unique_ptr<server::Server> server,
               server::Server::start(session->served(), server_options(options, *session), tell));
    running.set(server.get());
    const std::string_view weights = session->held_weights();
    const std::string title = model_title(*session->opened().source) + (weights.empty() ? "" : fmt::format(", weights as {}", weights));
    const Result<void> told = write_stdout(fmt::format("Listening on {} · {}\n", fmt::join(server->addresses(), " and "), title));
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
    verb.options.add("model", o.session.model, {.required = true});
    verb.options.add("chat-template", o.session.chat_template_file);
    verb.options.add("tool-parser", o.server.answer_format.tools);
    verb.options.add("reasoning-parser", o.server.answer_format.reasoning);
    verb.options.add("host", o.server.http.host);
    verb.options.add("port", o.port);
    verb.options.add("unix-socket", o.server.http.unix_socket);
    verb.options.add("tls-cert", o.server.http.tls_cert_file);
    verb.options.add("tls-key", o.server.http.tls_key_file);
    verb.options.add("served-name", o.served_names);
    verb.options.add("api-key-file", o.server.api_key_file);
    verb.options.add("api-key", o.server.api_key);
    verb.options.add("insecure", o.server.insecure);
    verb.options.add("cors", o.server.cors_origins);
    verb.options.add("allowed-host", o.server.allowed_hosts);
    verb.options.add("batch", o.n_together, {.default_value = "32"});
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
    verb.options.add("context", o.session.context, {.otherwise = "the model's, at most 8192"});
    verb.options.add("kv-memory", o.kv_memory_bytes);
    verb.options.add("no-prefix-cache", o.no_prefix_cache);
    verb.options.add("target-itl", o.target_itl_ms);
    add_session_options(verb.options, o.session);
    add_kv_disk_options(verb.options, o.session.kv_disk);
    add_speculation_options(verb.options, o.session.speculation, {.default_value = "auto", .except = "compare"});
    verb.options.add("quiet", o.session.quiet);
    verb.footer =
        "\"Listening on ...\" is printed on standard output once the model is loaded and requests are taken.\n"
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
