// The server's loop. Each turn of it runs what is ready, then sends what has collected for each connection: all events of a turn go out in
// one piece. Nothing in the loop itself needs memory that may not be there.
#include "server/http/http_server.h"

#include <fmt/chrono.h>

#include <algorithm>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cmath>
#include <ctime>

#include "base/clock.h"
#include "base/os_socket.h"
#include "server/http/connection.h"
#include "server/http/listener.h"
#include "server/http/tls.h"

namespace rafter::server {
namespace {

namespace asio = boost::asio;

constexpr std::size_t kScratchBytes = 65'536;
constexpr int kMaxHandlersPerTurn = 256;  // before what they wrote is sent
constexpr std::int64_t kAcceptPauseNs = 100'000'000;
constexpr std::int64_t kAcceptWarningNs = 60'000'000'000;  // between two warnings of the same
constexpr int kRoomForPaused = 8;                          // connections

// Often enough for the shortest deadline, and never often.
std::int64_t sweep_ns(const HttpOptions& options) {
    const double shortest = std::min(
        {options.header_seconds, options.body_seconds, options.idle_seconds, options.heartbeat_seconds, options.max_stalled_seconds});
    return static_cast<std::int64_t>(std::clamp(shortest / 8.0, 0.01, 0.25) * 1e9);
}

HeadLimits limits_of(const HttpOptions& options) {
    HeadLimits limits;
    limits.max_header_bytes = options.max_header_bytes;
    limits.max_target_bytes = std::min(limits.max_target_bytes, options.max_header_bytes / 2);
    limits.max_request_bytes = options.max_request_bytes;
    return limits;
}

// Of an accept under way. Goes when the operation ends, and when it is destroyed without an end: Asio does that when memory runs out in it.
class ArmedMark {
  public:
    ArmedMark() = default;
    explicit ArmedMark(std::shared_ptr<bool> armed) : armed_(std::move(armed)) {}
    ArmedMark(ArmedMark&&) noexcept = default;
    ArmedMark& operator=(ArmedMark&& other) noexcept {
        if (armed_) *armed_ = false;
        armed_ = std::move(other.armed_);
        return *this;
    }
    ~ArmedMark() {
        if (armed_) *armed_ = false;
    }

  private:
    std::shared_ptr<bool> armed_;
};

}  // namespace

class HttpServer::Impl {
  public:
    explicit Impl(const HttpOptions& wanted)
        : options_(wanted), host_{.options = options_, .limits = limits_of(wanted)}, sweep_ns_(sweep_ns(wanted)) {
        host_.scratch.resize(kScratchBytes);
    }
    ~Impl() { shut(); }

    Result<void> bind() {
        constexpr std::uint64_t kOtherFiles = 256;  // models, logs, listeners
        allow_open_files(options_.max_connections + kOtherFiles);
        if (!options_.tls_cert_file.empty() || !options_.tls_key_file.empty()) RAFTER_TRY_VOID(reload_tls());
        if (options_.port) {
            RAFTER_TRY(listeners_, listen_tcp(io_, options_.host, *options_.port));
        }
        if (!options_.unix_socket.empty()) {
            RAFTER_TRY(Listener listener, listen_unix(io_, options_.unix_socket));
            listeners_.push_back(std::move(listener));
        }
        if (listeners_.empty()) return bad_input("nowhere to listen: expected a port or a unix socket");
        return {};
    }

    Result<void> reload_tls() {
        if (options_.tls_cert_file.empty()) return tls_file_missing("certificate", options_.tls_key_file);
        if (options_.tls_key_file.empty()) return tls_file_missing("key", options_.tls_cert_file);
        RAFTER_TRY(auto loaded, load_tls(options_.tls_cert_file, options_.tls_key_file));
        tls_ = std::move(loaded);  // connections that have begun keep OpenSSL's object alive
        return {};
    }

    std::vector<std::string> addresses() const {
        std::vector<std::string> all;
        for (const Listener& listener : listeners_) {
            const bool tcp = listener.socket_file.empty();
            all.push_back(tcp ? fmt::format("{}://{}", tls_ ? "https" : "http", listener.address) : listener.address);
        }
        return all;
    }

    void run(Handler handler, Screen screen) {
        host_.handler = std::move(handler);
        host_.screen = std::move(screen);
        const auto guard = asio::make_work_guard(io_);
        while (!stopped_) {
            try {
                turn();
            } catch (...) {
                host_.warn_of_exception("work on the server's thread");  // which goes on
            }
            flushing_.swap(host_.unflushed);
            for (std::size_t i = 0; i < flushing_.size(); ++i) flushing_[i]->flush();
            flushing_.clear();
        }
        shut();
        host_.handler = nullptr;
        host_.screen = nullptr;
    }

    void post(std::function<void()> work) { asio::post(io_, std::move(work)); }

    void after(double seconds, std::function<void()> work) {
        constexpr double kMaxSeconds = 1e9;  // 30 years, which fit into the clock's nanoseconds
        const double bounded = std::isnan(seconds) ? 0.0 : std::clamp(seconds, 0.0, kMaxSeconds);
        const auto timer = std::make_shared<asio::steady_timer>(io_, std::chrono::nanoseconds(static_cast<std::int64_t>(bounded * 1e9)));
        timer->async_wait([timer, work = std::move(work)](ErrorCode error) {
            if (!error) work();
        });
    }

    void stop_accepting() {
        host_.accepting = false;
        for (Listener& listener : listeners_) {
            ErrorCode ignored;
            std::error_code not_there;
            // Its name goes before the socket: who comes next may take the name at once.
            if (!listener.socket_file.empty() && listener.acceptor.is_open()) std::filesystem::remove(listener.socket_file, not_there);
            listener.acceptor.close(ignored);
        }
        for (std::size_t i = 0; i < host_.connections.size(); ++i) host_.connections[i]->drop_if_idle();
    }

    void stop() { stopped_ = true; }
    std::size_t n_exchanges() const { return host_.n_exchanges; }
    HttpCounters counters() const { return host_.counters; }

  private:
    static Error tls_file_missing(std::string_view what, const std::string& other) {
        return bad_input("TLS: expected a file with the {} that belongs to {}", what, other);
    }

    void turn() {
        for (Listener& listener : listeners_) arm(listener);
        const bool may_wait = host_.unflushed.empty();
        if (!may_wait) {
            io_.poll_one();
        } else if (host_.connections.empty() && !retry_accept_at_ns_) {
            io_.run_one();
        } else {
            io_.run_one_for(std::chrono::nanoseconds(sweep_ns_));
        }
        for (int i = 0; i < kMaxHandlersPerTurn && !stopped_ && io_.poll_one() > 0; ++i) {}
        if (const std::int64_t now_ns = monotonic_ns(); now_ns >= next_sweep_ns_) sweep(now_ns);
    }

    void sweep(std::int64_t now_ns) {
        next_sweep_ns_ = now_ns + sweep_ns_;
        if (const std::time_t now = std::time(nullptr); now != date_s_) {
            host_.date = fmt::format("{:%a, %d %b %Y %H:%M:%S GMT}", fmt::gmtime(now));
            date_s_ = now;
        }
        for (std::size_t i = 0; i < host_.connections.size(); ++i) host_.connections[i]->sweep(now_ns);
        std::erase_if(host_.connections, [](const std::shared_ptr<Connection>& connection) { return connection->closed(); });
    }

    void arm(Listener& listener) {
        if (*listener.armed || !listener.acceptor.is_open()) return;
        if (retry_accept_at_ns_) {
            if (monotonic_ns() < *retry_accept_at_ns_) return;
            retry_accept_at_ns_.reset();
        }
        *listener.armed = true;
        listener.acceptor.async_accept([this, &listener, mark = ArmedMark{listener.armed}](ErrorCode error, Socket socket) mutable {
            mark = {};
            if (error == asio::error::operation_aborted) return;
            if (error) return pause_accepting(error);
            accepted(listener, std::move(socket));
            arm(listener);
        });
    }

    // Out of file descriptors or memory: clients wait in the kernel's queue, and connections that idle make room.
    void pause_accepting(const ErrorCode& error) {
        const std::int64_t now_ns = monotonic_ns();
        retry_accept_at_ns_ = now_ns + kAcceptPauseNs;
        for (int i = 0; i < kRoomForPaused && Connection::make_room(host_); ++i) {}
        if (now_ns < next_accept_warning_ns_) return;
        next_accept_warning_ns_ = now_ns + kAcceptWarningNs;
        host_.warn(fmt::format("cannot accept connections: {}; trying again", error.message()));
    }

    void accepted(const Listener& listener, Socket socket) {
        ++host_.counters.n_accepted;
        if (host_.counters.n_connections >= options_.max_connections) (void)Connection::make_room(host_);
        if (!host_.accepting || host_.counters.n_connections >= options_.max_connections) {
            ++host_.counters.n_refused;
            return;
        }
        const bool tcp = listener.socket_file.empty();
        if (tcp) tune_connection(socket.native_handle());
        // A unix socket needs no TLS: who may open it is the file system's matter.
        std::string client = client_of(socket);
        auto connection = std::make_shared<Connection>(host_, std::move(socket), tcp ? tls_.get() : nullptr, std::move(client));
        make_room_for_one();
        host_.connections.push_back(connection);
        ++host_.counters.n_connections;
        connection->start();
    }

    // In all lists of connections, so that adding to one cannot fail later.
    void make_room_for_one() {
        if (host_.connections.size() < host_.connections.capacity()) return;
        const std::size_t n = std::max<std::size_t>(64, 2 * host_.connections.size());
        host_.unflushed.reserve(n);
        flushing_.reserve(n);
        host_.connections.reserve(n);
    }

    void shut() {
        stopped_ = true;
        stop_accepting();
        for (std::size_t i = 0; i < host_.connections.size(); ++i) host_.connections[i]->drop(Gone::kStopped);
        host_.connections.clear();
        host_.unflushed.clear();
        flushing_.clear();
    }

    const HttpOptions options_;
    ConnectionHost host_;  // outlives what is under way in io_
    asio::io_context io_{1};
    std::unique_ptr<asio::ssl::context> tls_;
    std::vector<Listener> listeners_;
    std::vector<std::shared_ptr<Connection>> flushing_;
    std::int64_t sweep_ns_;
    std::int64_t next_sweep_ns_ = 0;
    std::time_t date_s_ = 0;
    std::optional<std::int64_t> retry_accept_at_ns_;
    std::int64_t next_accept_warning_ns_ = 0;
    bool stopped_ = false;
};

Result<std::unique_ptr<HttpServer>> HttpServer::bind(const HttpOptions& options) {
    try {
        auto impl = std::make_unique<Impl>(options);
        RAFTER_TRY_VOID(impl->bind());
        return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
    } catch (const std::exception& thrown) {
        return error_of(thrown);
    }
}

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HttpServer::~HttpServer() = default;
std::vector<std::string> HttpServer::addresses() const { return impl_->addresses(); }
void HttpServer::run(Handler handler, Screen screen) { impl_->run(std::move(handler), std::move(screen)); }
void HttpServer::post(std::function<void()> work) { impl_->post(std::move(work)); }
void HttpServer::after(double seconds, std::function<void()> work) { impl_->after(seconds, std::move(work)); }
void HttpServer::stop_accepting() { impl_->stop_accepting(); }
std::size_t HttpServer::n_exchanges() const { return impl_->n_exchanges(); }
void HttpServer::stop() { impl_->stop(); }
Result<void> HttpServer::reload_tls() { return impl_->reload_tls(); }
HttpCounters HttpServer::counters() const { return impl_->counters(); }

}  // namespace rafter::server
