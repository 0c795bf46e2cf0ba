// HTTP/1.1 on sockets: connections with limits and timeouts, TLS, one thread. What a request means is the handler's matter.
//
// Requests of a connection are answered in turn, so those that come early wait; a client that sends 32 KB ahead of an answer that is still
// being made is cut off. HTTP/1.0 gets one answer a connection, streams without chunks. What is malformed, too large or too slow is
// answered here, with an error in the form of its path (OpenAI's where no path has arrived), and the connection closes. Want of memory ends
// the connection that it hits. All times are of the monotonic clock: setting the machine's clock changes nothing but the date in answers.
//
// Every function is for the thread in run(), where nothing may wait, but for those that say otherwise.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "server/http/message.h"

namespace rafter::server {

struct HttpOptions {
    std::string host = "127.0.0.1";            // a name or an address
    std::optional<std::uint16_t> port = 8080;  // 0: any free one; none: no TCP
    std::string unix_socket;                   // a path; "": none
    std::string tls_cert_file, tls_key_file;   // PEM, for TCP; "": no TLS
    std::size_t max_header_bytes = 16'384;
    std::uint64_t max_request_bytes = 32'000'000;  // of a body
    std::uint64_t max_held_bytes = 512'000'000;    // of the bodies of all requests that arrive or wait for their answer; beyond it: 503
    // Beyond it, the one that has been idle longest makes room; if none has been for a second, new ones are refused.
    std::size_t max_connections = 10'000;
    double header_seconds = 10.0;              // for a request's headers to arrive, from their first byte
    double body_seconds = 60.0;                // for its body
    double idle_seconds = 75.0;                // between requests on a connection
    double heartbeat_seconds = 15.0;           // a comment on a stream of events that is silent for so long
    std::size_t max_unread_bytes = 1'000'000;  // of an answer that the client has not taken
    double max_stalled_seconds = 30.0;         // in which it took nothing
    // Of errors that are answered here. Null: all are OpenAI's.
    ErrorForm (*error_form)(std::string_view path) = nullptr;
    // What an operator should know, for the log; on run()'s thread.
    std::function<void(const std::string&)> on_warning;
};

enum class Gone {
    kClosed,   // the client closed its connection, or its sending side; or memory ran out for it here
    kStalled,  // it read too slowly
    kStopped,  // the server stops
};

// One request on its connection. Answered once: respond(), or begin_events() or begin_lines() and what follows; a second answer is dropped.
// The handler keeps the pointer until then; when the last pointer goes unanswered, the client gets a 500, and a stream without its end is
// cut off. May outlive the server.
class Exchange {
  public:
    virtual ~Exchange() = default;
    [[nodiscard]] virtual const HttpRequest& request() const = 0;
    virtual void respond(HttpResponse response) = 0;
    // 200 and "text/event-stream".
    virtual void begin_events(std::vector<Header> headers) = 0;
    // Before begin_events(): the event that keeps a silent stream alive, in place of a comment. Both texts outlive the connection.
    virtual void set_heartbeat(std::string_view event, std::string_view data) = 0;
    // event: its name, or "" for none. data: without line ends.
    virtual void send_event(std::string_view event, std::string_view data) = 0;
    // A line that clients of the stream pass over. text: without line ends.
    virtual void send_comment(std::string_view text) = 0;
    virtual void end_events() = 0;
    // 200 and "application/x-ndjson"; end_events() ends it too.
    virtual void begin_lines(std::vector<Header> headers) = 0;
    // line: without line ends.
    virtual void send_line(std::string_view line) = 0;
    // Called once, when the client is gone before its answer was complete; at once, if it is gone already. What is sent after that is
    // dropped. A client whose answer is complete may still take its time to read it: that is no longer the handler's matter.
    virtual void on_gone(std::function<void(Gone)> call) = 0;
    [[nodiscard]] virtual bool gone() const = 0;
};
using Handler = std::function<void(std::shared_ptr<Exchange>)>;
// Looks at a request whose headers have arrived and whose body has not. An answer refuses it: the body is not read.
using Screen = std::function<std::optional<HttpResponse>(const HttpRequest& head)>;

struct HttpCounters {
    std::uint64_t n_connections = 0;  // open
    std::uint64_t n_accepted = 0;
    std::uint64_t n_refused = 0;       // beyond max_connections
    std::uint64_t n_bad_requests = 0;  // that were answered here: malformed, too large, too slow
};

class HttpServer {
  public:
    // Binds and listens, and raises the process's limit of open files to what max_connections need, where it may. Fails on an address in
    // use, and on a certificate that cannot be read.
    [[nodiscard]] static Result<std::unique_ptr<HttpServer>> bind(const HttpOptions& options);
    ~HttpServer();
    HttpServer(const HttpServer&) = delete;
    HttpServer& operator=(const HttpServer&) = delete;

    // "http://127.0.0.1:8080", "unix:/run/rafter.sock": where it listens.
    [[nodiscard]] std::vector<std::string> addresses() const;
    // Serves until stop(). handler: called with each whole request; one that throws has answered with 500. screen: called for requests
    // whose body is still to come; those that arrive whole are the handler's alone, so it makes the same checks.
    void run(Handler handler, Screen screen = {});
    // From any thread, and from handlers: what run()'s thread does next.
    void post(std::function<void()> work);
    // Once, after so many seconds of run()'s thread.
    void after(double seconds, std::function<void()> work);
    // From here on nothing is accepted, and each connection closes after the answer that is under way.
    void stop_accepting();
    // Exchanges whose answer is not complete, or not sent yet.
    [[nodiscard]] std::size_t n_exchanges() const;
    // Ends run(): what is not answered is gone (kStopped).
    void stop();
    // The certificate and its key, read again, for connections to come. Fails and goes on with the old ones.
    [[nodiscard]] Result<void> reload_tls();
    [[nodiscard]] HttpCounters counters() const;

  private:
    class Impl;
    explicit HttpServer(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

}  // namespace rafter::server
