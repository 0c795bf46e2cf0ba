// A connection's requests on their way in, up to the handler. See connection.h.
#include "server/http/connection.h"

#include "base/clock.h"
#include "server/http/connection_exchange.h"

namespace rafter::server {
namespace {

constexpr std::size_t kMaxEarlyBytes = 32'768;  // of requests that came before the answer to an earlier one was sent

}  // namespace

void ConnectionHost::warn(const std::string& message) noexcept {
    try {
        if (options.on_warning) options.on_warning(message);
    } catch (...) {
        // A log that cannot be written is no reason to stop.
    }
}

void ConnectionHost::warn_of_exception(const char* doing) noexcept {
    try {
        throw;
    } catch (const std::exception& thrown) {
        try {
            warn(fmt::format("{} failed: {}", doing, thrown.what()));
        } catch (...) {
            // Out of memory, most likely: a message would be one thing too many.
        }
    } catch (...) {
        warn(doing);
    }
}

Connection::Connection(ConnectionHost& host, Socket socket, boost::asio::ssl::context* tls, std::string client)
    : host_(host), transport_(std::move(socket), tls), client_(std::move(client)), reader_(host.limits), since_ns_(monotonic_ns()) {}

Connection::~Connection() {
    release_body();
    leave_idle();
}

void Connection::start() noexcept {
    guarded([&] {
        if (!transport_.secure()) {
            become_idle();
            return listen();
        }
        transport_.handshake([self = shared_from_this()](ErrorCode error) {
            if (self->closed()) return;
            if (error) return self->drop(Gone::kClosed);
            self->become_idle();
            self->guarded([&] { self->listen(); });
        });
    });
}

void Connection::become_idle() noexcept {
    phase_ = Phase::kIdle;
    since_ns_ = monotonic_ns();
    if (!idle_link_.empty()) host_.idle.splice(host_.idle.end(), idle_link_);
}

void Connection::leave_idle() noexcept {
    if (idle_link_.empty()) idle_link_.splice(idle_link_.end(), host_.idle, idle_place_);
}

void Connection::listen() {
    if (closed() || input_ended_) return;
    if (phase_ == Phase::kAnswering && early_.size() >= kMaxEarlyBytes) {
        // While the answer is being sent, what comes may wait in the kernel. While it is being made, what cannot be read hides whether the
        // client is still there, and work goes on for nobody: no client has reason to send so much ahead.
        if (answer_ != Answer::kWhole) drop(Gone::kClosed);
        return;
    }
    if (std::exchange(reading_, true)) return;
    transport_.when_readable([self = shared_from_this()](ErrorCode) {
        self->reading_ = false;
        if (!self->closed()) self->guarded([&] { self->readable(); });
    });
}

void Connection::readable() {
    std::size_t n_wanted = kMaxEarlyBytes;
    if (phase_ == Phase::kReceiving && body_began_) n_wanted = host_.scratch.size();
    if (phase_ == Phase::kAnswering) n_wanted -= std::min(n_wanted, early_.size());
    if (n_wanted == 0) return listen();
    const Transport::Read read = transport_.read(std::span(host_.scratch).first(n_wanted));
    if (phase_ == Phase::kAnswering) {
        early_.append(read.bytes);
    } else if (phase_ == Phase::kLeaving) {
        n_ignored_ += read.bytes.size();
        if (n_ignored_ > 2 * host_.limits.max_request_bytes) return drop(Gone::kClosed);
    } else if (!read.bytes.empty()) {
        received(read.bytes);
    }
    if (read.ended) {
        input_ended();
    } else {
        listen();
    }
}

// A client that closes its sending side while it waits for an answer counts as gone: it cannot be told from one that has closed everything.
// What the handler has answered already is still sent.
void Connection::input_ended() {
    input_ended_ = true;
    if (phase_ == Phase::kAnswering && answer_ == Answer::kWhole) {
        keep_alive_ = false;
    } else {
        drop(Gone::kClosed);
    }
}

void Connection::received(std::string_view bytes) {
    using State = RequestReader::State;
    const std::size_t n_used = reader_.feed(bytes);
    const State state = reader_.state();
    if (state == State::kNothing) return;
    if (phase_ == Phase::kIdle) {
        leave_idle();
        phase_ = Phase::kReceiving;
        since_ns_ = monotonic_ns();
        body_began_ = false;
    }
    if (state == State::kBad) return refuse(reader_.bad());
    hold_body();
    if (host_.n_held_bytes > host_.options.max_held_bytes && n_held_bytes_ > 0) {
        return refuse({503, "the server holds too many requests at the moment; try again later"});
    }
    if (state == State::kBody && !body_began_) return body_begins();
    if (state != State::kComplete) return;
    early_ = bytes.substr(n_used);
    dispatch();
}

void Connection::body_begins() {
    body_began_ = true;
    since_ns_ = monotonic_ns();
    if (std::optional<HttpResponse> refusal = host_.screen ? host_.screen(reader_.request()) : std::nullopt) return refuse_with(*refusal);
    if (!reader_.facts().wants_continue || !reader_.request().body.empty()) return;
    out_.append("HTTP/1.1 100 Continue\r\n\r\n");
    mark_unflushed();
}

// Bodies of all connections together have a limit: no number of clients, each within its own, may take all memory.
void Connection::hold_body() {
    const std::uint64_t n_now = reader_.request().body.size();
    host_.n_held_bytes += n_now - n_held_bytes_;
    n_held_bytes_ = n_now;
}

void Connection::release_body() noexcept { host_.n_held_bytes -= std::exchange(n_held_bytes_, 0); }

void Connection::dispatch() {
    http_1_0_ = reader_.facts().http_1_0;
    keep_alive_ = reader_.facts().keep_alive;
    HttpRequest request = reader_.take();
    request.client = client_;
    request.secure = transport_.secure();
    is_head_ = request.method == "HEAD";
    const auto exchange = std::make_shared<ConnectionExchange>(weak_from_this(), std::move(request));
    exchange_ = exchange.get();
    error_form_ = error_form_of(exchange->request().path);
    phase_ = Phase::kAnswering;
    answer_ = Answer::kNone;
    counted_ = true;
    ++host_.n_exchanges;
    try {
        host_.handler(exchange);
    } catch (...) {
        host_.warn_of_exception("handling a request");
        if (answer_ == Answer::kStream) return fail();
        respond(error_response(500, "the server failed to handle this request", error_form_));
    }
}

void Connection::refuse(const BadRequest& bad) {
    ++host_.counters.n_bad_requests;
    refuse_with(error_response(bad.status, bad.message, error_form_of(reader_.path())));
}

ErrorForm Connection::error_form_of(std::string_view path) const {
    return host_.options.error_form == nullptr ? ErrorForm::kOpenAi : host_.options.error_form(path);
}

// Before the request has arrived: what is to come of it cannot be told from another, so the connection ends with the answer.
void Connection::refuse_with(const HttpResponse& response) {
    reader_ = RequestReader(host_.limits);
    release_body();
    phase_ = Phase::kAnswering;
    answer_ = Answer::kNone;
    keep_alive_ = false;
    is_head_ = false;
    http_1_0_ = false;
    respond(response);
}

}  // namespace rafter::server
