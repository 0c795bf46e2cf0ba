// The life of a connection. See connection.h.
#include "server/http/connection.h"

#include "base/clock.h"

namespace rafter::server {
namespace {

constexpr std::size_t kMaxEarlyBytes = 65'536;      // of requests that came before the answer to an earlier one was sent
constexpr std::int64_t kLeavingNs = 2'000'000'000;  // for the client to read the last answer and close
constexpr std::size_t kKeptBufferBytes = 4'096;     // of a buffer that has emptied

std::int64_t ns_of(double seconds) { return static_cast<std::int64_t>(seconds * 1e9); }

void shrink(std::string& text) {
    text.clear();
    if (text.capacity() > kKeptBufferBytes) text = {};
}

}  // namespace

// What the handler holds. The two know each other until the answer is sent, the connection is gone, or the handler has let go.
class ConnectionExchange final : public Exchange {
  public:
    ConnectionExchange(std::weak_ptr<Connection> connection, HttpRequest request)
        : connection_(std::move(connection)), request_(std::move(request)) {}
    ~ConnectionExchange() override {
        if (const auto connection = connection_.lock()) connection->exchange_left();
    }
    [[nodiscard]] const HttpRequest& request() const override { return request_; }
    void respond(HttpResponse response) override {
        on_connection([&](Connection& connection) { connection.respond(response); });
    }
    void begin_events(std::vector<Header> headers) override {
        on_connection([&](Connection& connection) { connection.begin_events(headers); });
    }
    void send_event(std::string_view event, std::string_view data) override {
        on_connection([&](Connection& connection) { connection.send_event(event, data); });
    }
    void end_events() override {
        on_connection([](Connection& connection) { connection.end_events(); });
    }
    void on_gone(std::function<void(Gone)> call) override { on_gone_ = std::move(call); }
    [[nodiscard]] bool gone() const override { return gone_; }

    // For the connection, which is not touched any more. What is returned must be called or destroyed after the last use of this.
    [[nodiscard]] std::function<void(Gone)> detach(bool gone) noexcept {
        connection_.reset();
        gone_ = gone;
        return std::exchange(on_gone_, nullptr);
    }

  private:
    template <typename Work>
    void on_connection(Work&& work) {
        const auto connection = connection_.lock();
        if (!connection) return;
        try {
            work(*connection);
        } catch (const std::exception&) {
            connection->fail();
        }
    }

    std::weak_ptr<Connection> connection_;
    HttpRequest request_;
    std::function<void(Gone)> on_gone_;
    bool gone_ = false;
};

Connection::Connection(ConnectionHost& host, Socket socket, boost::asio::ssl::context* tls, std::string client)
    : host_(host), transport_(std::move(socket), tls), client_(std::move(client)), reader_(host.limits), since_ns_(monotonic_ns()) {}

// An exception here is want of memory, and the end of this connection alone.
template <typename Work>
void Connection::guarded(Work&& work) noexcept {
    try {
        work();
    } catch (const std::exception&) {
        drop(Gone::kClosed);
    }
}

void Connection::start() {
    if (!transport_.secure()) {
        phase_ = Phase::kIdle;
        listen();
        return;
    }
    transport_.handshake([self = shared_from_this()](ErrorCode error) {
        if (self->closed()) return;
        if (error) return self->drop(Gone::kClosed);
        self->phase_ = Phase::kIdle;
        self->since_ns_ = monotonic_ns();
        self->guarded([&] { self->listen(); });
    });
}

void Connection::listen() {
    if (closed() || input_ended_) return;
    if (phase_ == Phase::kAnswering && early_.size() >= kMaxEarlyBytes) {
        if (std::exchange(waiting_for_break_, true)) return;
        transport_.when_broken([self = shared_from_this()](ErrorCode) {
            self->waiting_for_break_ = false;
            if (!self->closed() && !self->reading_) self->guarded([&] { self->input_ended(); });
        });
        return;
    }
    if (std::exchange(reading_, true)) return;
    transport_.when_readable([self = shared_from_this()](ErrorCode) {
        self->reading_ = false;
        if (!self->closed()) self->guarded([&] { self->readable(); });
    });
}

void Connection::readable() {
    const Transport::Read read = transport_.read(host_.scratch);
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
        phase_ = Phase::kReceiving;
        since_ns_ = monotonic_ns();
        body_began_ = false;
    }
    if (state == State::kBad) return refuse(reader_.bad());
    if (state == State::kBody && !body_began_) body_begins();
    if (state != State::kComplete) return;
    early_ = bytes.substr(n_used);
    dispatch();
}

void Connection::body_begins() {
    body_began_ = true;
    since_ns_ = monotonic_ns();
    if (!reader_.facts().wants_continue || reader_.body_bytes() > 0) return;
    out_.append("HTTP/1.1 100 Continue\r\n\r\n");
    mark_unflushed();
}

void Connection::dispatch() {
    http_1_0_ = reader_.facts().http_1_0;
    keep_alive_ = reader_.facts().keep_alive;
    HttpRequest request = reader_.take();
    request.client = client_;
    request.secure = transport_.secure();
    is_head_ = request.method == "HEAD";
    const auto exchange = std::make_shared<ConnectionExchange>(weak_from_this(), std::move(request));
    exchange_ = exchange.get();
    phase_ = Phase::kAnswering;
    answer_ = Answer::kNone;
    counted_ = true;
    ++host_.n_exchanges;
    try {
        host_.handler(exchange);
    } catch (...) {
        if (answer_ != Answer::kNone) return fail();
        respond(error_response(500, "the server failed to handle this request"));
    }
}

void Connection::refuse(const BadRequest& bad) {
    ++host_.counters.n_bad_requests;
    phase_ = Phase::kAnswering;
    answer_ = Answer::kNone;
    keep_alive_ = false;
    is_head_ = false;
    respond(error_response(bad.status, bad.message));
}

AnswerForm Connection::form() const {
    const After after = keep_alive_ && host_.accepting ? After::kKeepAlive : After::kClose;
    return {after, is_head_ ? "HEAD" : "GET", !http_1_0_, host_.date};
}

void Connection::respond(const HttpResponse& response) {
    if (phase_ != Phase::kAnswering || answer_ != Answer::kNone) return;
    append_response(out_, response, form());
    keep_alive_ = keep_alive_ && host_.accepting;
    answer_ = Answer::kWhole;
    mark_unflushed();
}

void Connection::begin_events(const std::vector<Header>& headers) {
    if (phase_ != Phase::kAnswering || answer_ != Answer::kNone) return;
    append_events_head(out_, headers, form());
    keep_alive_ = keep_alive_ && host_.accepting;
    answer_ = is_head_ ? Answer::kWhole : Answer::kEvents;
    last_event_ns_ = monotonic_ns();
    mark_unflushed();
}

void Connection::send_event(std::string_view event, std::string_view data) {
    if (phase_ != Phase::kAnswering || answer_ != Answer::kEvents) return;
    append_event(out_, event, data, !http_1_0_);
    last_event_ns_ = monotonic_ns();
    mark_unflushed();
}

void Connection::end_events() {
    if (phase_ != Phase::kAnswering || answer_ != Answer::kEvents) return;
    if (!http_1_0_) append_last_chunk(out_);
    answer_ = Answer::kWhole;
    mark_unflushed();
}

void Connection::exchange_left() noexcept {
    exchange_ = nullptr;
    if (phase_ != Phase::kAnswering || answer_ == Answer::kWhole) return;
    if (answer_ == Answer::kEvents) return fail();  // cut short: the client must not take what it has for the whole
    try {
        respond(error_response(500, "the server did not answer this request"));
    } catch (const std::exception&) {
        fail();
    }
}

void Connection::fail() noexcept {
    failed_ = true;
    mark_unflushed();
}

void Connection::mark_unflushed() {
    if (!std::exchange(marked_, true)) host_.unflushed.push_back(shared_from_this());
}

void Connection::flush() noexcept {
    marked_ = false;
    guarded([&] { try_flush(); });
}

void Connection::try_flush() {
    if (closed()) return;
    if (failed_) return drop(Gone::kClosed);
    while (!writes_ && n_unsent() > 0 && !closed()) write_some();
    if (closed()) return;
    if (answer_ == Answer::kEvents && n_unsent() > host_.options.max_unread_bytes) return drop(Gone::kStalled);
    if (n_unsent() == 0 && phase_ == Phase::kAnswering && answer_ == Answer::kWhole) answer_sent();
}

void Connection::write_some() {
    if (n_written_ == writing_.size()) {
        writing_.clear();
        n_written_ = 0;
        writing_.swap(out_);
        last_sent_ns_ = monotonic_ns();
    }
    ErrorCode error;
    const std::size_t n = transport_.write_now(std::string_view(writing_).substr(n_written_), error);
    if (error) return drop(Gone::kClosed);
    n_written_ += n;
    if (n > 0) last_sent_ns_ = monotonic_ns();
    if (n_written_ == writing_.size()) return;
    writes_ = true;
    transport_.write(std::string_view(writing_).substr(n_written_), [self = shared_from_this()](ErrorCode failed, std::size_t n_taken) {
        self->writes_ = false;
        if (self->closed()) return;
        if (failed) return self->drop(Gone::kClosed);
        self->n_written_ += n_taken;
        if (n_taken > 0) self->last_sent_ns_ = monotonic_ns();
        self->guarded([&] { self->try_flush(); });
    });
}

void Connection::answer_sent() {
    answer_ = Answer::kNone;
    detach_exchange(std::nullopt);
    shrink(out_);
    shrink(writing_);
    n_written_ = 0;
    since_ns_ = monotonic_ns();
    if (!keep_alive_ || !host_.accepting || input_ended_) return leave();
    phase_ = Phase::kIdle;
    if (const std::string early = std::exchange(early_, {}); !early.empty()) received(early);
    listen();
}

// Closing a socket whose input was not read resets the connection, and a reset may overtake the answer. So the sending side is closed, what
// still comes is read and forgotten, and the client's close ends it.
void Connection::leave() {
    phase_ = Phase::kLeaving;
    early_ = {};
    if (input_ended_) return drop(Gone::kClosed);
    if (transport_.secure()) {
        transport_.shut_tls([self = shared_from_this()](ErrorCode) { self->drop(Gone::kClosed); });
    } else {
        transport_.shut_sending();
    }
    listen();
}

void Connection::detach_exchange(std::optional<Gone> gone) noexcept {
    if (std::exchange(counted_, false)) --host_.n_exchanges;
    ConnectionExchange* const exchange = std::exchange(exchange_, nullptr);
    if (exchange == nullptr) return;
    const std::function<void(Gone)> call = exchange->detach(gone.has_value());
    try {
        if (gone && call) call(*gone);
    } catch (...) {
        // The one who waited knows no way to fail; the connection is closed either way.
    }
}

void Connection::drop(Gone why) noexcept {
    if (closed()) return;
    phase_ = Phase::kClosed;
    transport_.close(why == Gone::kStalled ? Transport::How::kReset : Transport::How::kOrderly);
    --host_.counters.n_connections;
    early_ = {};
    out_ = {};
    if (!writes_) writing_ = {};
    reader_ = RequestReader(host_.limits);
    detach_exchange(why);
}

void Connection::drop_if_idle() noexcept {
    if (phase_ == Phase::kIdle || phase_ == Phase::kHandshake) drop(Gone::kStopped);
}

void Connection::sweep(std::int64_t now_ns) noexcept {
    guarded([&] { sweep_phase(now_ns); });
}

void Connection::sweep_phase(std::int64_t now_ns) {
    const HttpOptions& options = host_.options;
    const std::int64_t spent_ns = now_ns - since_ns_;
    switch (phase_) {
        case Phase::kHandshake:
            if (spent_ns > ns_of(options.header_seconds)) drop(Gone::kClosed);
            return;
        case Phase::kIdle:
            if (spent_ns > ns_of(options.idle_seconds)) drop(Gone::kClosed);
            return;
        case Phase::kReceiving:
            if (!body_began_ && spent_ns > ns_of(options.header_seconds)) refuse({408, "headers: they took too long to arrive"});
            if (body_began_ && spent_ns > ns_of(options.body_seconds)) refuse({408, "body: it took too long to arrive"});
            return;
        case Phase::kAnswering:
            // The kernel reports room only once a good part of its buffer is free, so a reader cannot hold on with a byte now and then.
            if (writes_ && now_ns - last_sent_ns_ > ns_of(options.max_stalled_seconds)) return drop(Gone::kStalled);
            if (answer_ != Answer::kEvents || now_ns - last_event_ns_ < ns_of(options.heartbeat_seconds)) return;
            append_heartbeat(out_, !http_1_0_);
            last_event_ns_ = now_ns;
            mark_unflushed();
            return;
        case Phase::kLeaving:
            if (spent_ns > kLeavingNs) drop(Gone::kClosed);
            return;
        case Phase::kClosed:
            return;
    }
}

}  // namespace rafter::server
