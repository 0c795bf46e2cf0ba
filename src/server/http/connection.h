// One connection: requests come in, each is handed to the handler, its answer goes out, then the next. Included by the sources of this
// folder alone: it brings in Asio.
//
//   kHandshake -> kIdle <-> kReceiving -> kAnswering -> kIdle ... -> kLeaving -> kClosed
//
// Whatever is sent collects in out_ and goes out in flush(), once a turn of the server's loop. Deadlines are looked at by sweep(), which
// the server calls on every connection some times a second: a timer each would cost more than all else that an event of a stream does.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/http/answer_text.h"
#include "server/http/http_server.h"
#include "server/http/request_reader.h"
#include "server/http/transport.h"

namespace rafter::server {

class Connection;

// What connections share: the server's own, on its thread.
struct ConnectionHost {
    const HttpOptions& options;
    HeadLimits limits;
    Handler handler;
    Screen screen;
    HttpCounters counters;
    std::size_t n_exchanges = 0;
    bool accepting = true;                                 // false: each connection closes after the answer that is under way
    std::vector<char> scratch;                             // what a plain connection has just read
    std::uint64_t n_held_bytes = 0;                        // of bodies
    std::list<Connection*> idle;                           // the one that has been longest first
    std::vector<std::shared_ptr<Connection>> connections;  // those that were closed too, until the next sweep
    std::vector<std::shared_ptr<Connection>> unflushed;    // room for all of them: what marks one must not fail
    std::string date;                                      // of the answers' headers

    void warn(const std::string& message) noexcept;
    // Of the exception that is being handled. doing: "handling a request".
    void warn_of_exception(const char* doing) noexcept;
};

class ConnectionExchange;

class Connection : public std::enable_shared_from_this<Connection> {
  public:
    Connection(ConnectionHost& host, Socket socket, boost::asio::ssl::context* tls, std::string client);
    ~Connection();
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;
    void start() noexcept;
    // Sends what has collected.
    void flush() noexcept;
    // Ends what has taken too long, and keeps silent streams alive.
    void sweep(std::int64_t now_ns) noexcept;
    // At once. Tells who waits for the answer.
    void drop(Gone why) noexcept;
    // Unless a request arrives or is answered.
    void drop_if_idle() noexcept;
    // Ends the one that has been idle longest, for a new one when there are too many. False: none has been idle for a second. (What a
    // client has just sent may not be read yet.)
    static bool make_room(ConnectionHost& host) noexcept;
    [[nodiscard]] bool closed() const { return phase_ == Phase::kClosed; }

    // For the exchange.
    void respond(const HttpResponse& response);
    void begin_stream(StreamKind kind, const std::vector<Header>& headers);
    void send_comment(std::string_view text);
    void set_heartbeat(std::string_view event, std::string_view data);
    void send_event(std::string_view event, std::string_view data);
    void send_line(std::string_view line);
    void end_events();
    void exchange_left() noexcept;
    void fail() noexcept;  // memory ran out: the connection ends at the next flush

  private:
    enum class Phase { kHandshake, kIdle, kReceiving, kAnswering, kLeaving, kClosed };
    enum class Answer { kNone, kStream, kWhole };  // of kAnswering: how far the handler has come

    // An exception of work is want of memory, and the end of this connection alone.
    template <typename Work>
    void guarded(Work&& work) noexcept {
        try {
            work();
        } catch (...) {
            drop(Gone::kClosed);
        }
    }
    void listen();
    void readable();
    void input_ended();
    void received(std::string_view bytes);
    void body_begins();
    void hold_body();
    void release_body() noexcept;
    void become_idle() noexcept;
    void leave_idle() noexcept;
    void dispatch();
    void refuse(const BadRequest& bad);
    void refuse_with(const HttpResponse& response);
    [[nodiscard]] ErrorForm error_form_of(std::string_view path) const;
    void mark_unflushed();
    void try_flush();
    void write_some();
    void answer_sent();
    void detach_exchange(std::optional<Gone> gone) noexcept;
    void leave();
    [[nodiscard]] AnswerForm form() const;
    [[nodiscard]] std::size_t n_unsent() const { return out_.size() + writing_.size() - n_written_; }
    void sweep_phase(std::int64_t now_ns);

    ConnectionHost& host_;
    Transport transport_;
    std::string client_;
    RequestReader reader_;
    Phase phase_ = Phase::kHandshake;
    Answer answer_ = Answer::kNone;
    StreamKind stream_kind_ = StreamKind::kEvents;
    ConnectionExchange* exchange_ = nullptr;  // which the handler holds
    bool http_1_0_ = false, keep_alive_ = true, is_head_ = false;
    bool counted_ = false;                   // in n_exchanges
    bool reading_ = false, writes_ = false;  // operations under way
    bool marked_ = false, failed_ = false, input_ended_ = false;
    bool body_began_ = false;        // of kReceiving
    std::int64_t since_ns_ = 0;      // the phase's beginning; of kReceiving: the head's, then the body's
    std::int64_t last_sent_ns_ = 0;  // when the client last took something, or had taken everything
    std::int64_t last_event_ns_ = 0;
    std::string early_;                       // what came while an answer was under way: the next requests
    std::string out_;                         // to be sent
    std::string writing_;                     // being sent
    std::size_t n_written_ = 0;               // of writing_
    std::uint64_t n_held_bytes_ = 0;          // of the request's body, counted in the host's
    std::list<Connection*> idle_link_{this};  // one element, which is in the host's list while this is idle: moving it takes no memory
    std::list<Connection*>::iterator idle_place_ = idle_link_.begin();
    std::uint64_t n_ignored_ = 0;                        // bytes, of kLeaving
    ErrorForm error_form_ = ErrorForm::kOpenAi;          // of the request that is answered
    std::string_view heartbeat_event_, heartbeat_data_;  // of the answer; empty: a comment
};

}  // namespace rafter::server
