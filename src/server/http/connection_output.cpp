// A connection's answers on their way out, and its end. See connection.h.
#include "base/clock.h"
#include "server/http/connection.h"
#include "server/http/connection_exchange.h"

namespace rafter::server {
namespace {

constexpr std::int64_t kLeavingNs = 2'000'000'000;  // for the client to read the last answer and close
constexpr std::int64_t kMinIdleNs = 1'000'000'000;  // before it makes room for another
constexpr std::size_t kKeptBufferBytes = 4'096;     // of a buffer that has emptied

std::int64_t ns_of(double seconds) { return static_cast<std::int64_t>(seconds * 1e9); }

void shrink(std::string& text) {
    text.clear();
    if (text.capacity() > kKeptBufferBytes) text = {};
}

}  // namespace

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

void Connection::begin_stream(StreamKind kind, const std::vector<Header>& headers) {
    if (phase_ != Phase::kAnswering || answer_ != Answer::kNone) return;
    append_stream_head(out_, kind, headers, form());
    stream_kind_ = kind;
    keep_alive_ = keep_alive_ && host_.accepting;
    answer_ = is_head_ ? Answer::kWhole : Answer::kStream;
    last_event_ns_ = monotonic_ns();
    mark_unflushed();
}

void Connection::set_heartbeat(std::string_view event, std::string_view data) {
    heartbeat_event_ = event;
    heartbeat_data_ = data;
}

void Connection::send_event(std::string_view event, std::string_view data) {
    if (phase_ != Phase::kAnswering || answer_ != Answer::kStream) return;
    append_event(out_, event, data, !http_1_0_);
    last_event_ns_ = monotonic_ns();
    mark_unflushed();
}

void Connection::send_comment(std::string_view text) {
    if (phase_ != Phase::kAnswering || answer_ != Answer::kStream || stream_kind_ != StreamKind::kEvents) return;
    append_comment(out_, text, !http_1_0_);
    last_event_ns_ = monotonic_ns();
    mark_unflushed();
}

void Connection::send_line(std::string_view line) {
    if (phase_ != Phase::kAnswering || answer_ != Answer::kStream) return;
    append_line(out_, line, !http_1_0_);
    last_event_ns_ = monotonic_ns();
    mark_unflushed();
}

void Connection::end_events() {
    if (phase_ != Phase::kAnswering || answer_ != Answer::kStream) return;
    if (!http_1_0_) append_last_chunk(out_);
    answer_ = Answer::kWhole;
    mark_unflushed();
}

void Connection::exchange_left() noexcept {
    exchange_ = nullptr;
    if (phase_ != Phase::kAnswering || answer_ == Answer::kWhole) return;
    if (answer_ == Answer::kStream) return fail();  // cut short: the client must not take what it has for the whole
    try {
        respond(error_response(500, "the server did not answer this request", error_form_));
    } catch (...) {
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
    if (answer_ == Answer::kStream && n_unsent() > host_.options.max_unread_bytes) return drop(Gone::kStalled);
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
    heartbeat_event_ = heartbeat_data_ = {};
    detach_exchange(std::nullopt);
    release_body();
    shrink(out_);
    shrink(writing_);
    n_written_ = 0;
    since_ns_ = monotonic_ns();
    if (!keep_alive_ || !host_.accepting || input_ended_) return leave();
    become_idle();
    if (const std::string early = std::exchange(early_, {}); !early.empty()) received(early);
    listen();
}

// Closing a socket whose input was not read resets the connection, and a reset may overtake the answer. So the sending side is closed, what
// still comes is read and forgotten, and the client's close ends it.
void Connection::leave() {
    phase_ = Phase::kLeaving;
    if (!idle_link_.empty()) host_.idle.splice(host_.idle.end(), idle_link_);  // it may make room for another, too
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
    const std::function<void(Gone)> call = exchange->detach(gone);
    try {
        if (gone && call) call(*gone);
    } catch (...) {
        // The one who waited knows no way to fail; the connection is closed either way.
    }
}

void Connection::drop(Gone why) noexcept {
    if (closed()) return;
    phase_ = Phase::kClosed;
    leave_idle();
    release_body();
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

bool Connection::make_room(ConnectionHost& host) noexcept {
    if (host.idle.empty() || monotonic_ns() - host.idle.front()->since_ns_ < kMinIdleNs) return false;
    host.idle.front()->drop(Gone::kClosed);
    return true;
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
            if (answer_ != Answer::kStream || now_ns - last_event_ns_ < ns_of(options.heartbeat_seconds)) return;
            if (stream_kind_ == StreamKind::kLines || heartbeat_event_.empty()) {
                append_heartbeat(out_, stream_kind_, !http_1_0_);
            } else {
                append_event(out_, heartbeat_event_, heartbeat_data_, !http_1_0_);
            }
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
