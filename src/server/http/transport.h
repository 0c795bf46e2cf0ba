// The bytes of one connection: a TCP or unix socket, perhaps with TLS on it. Included by the sources of this folder alone: it brings in
// Asio.
//
// A plain socket is read and written directly, without an operation under way or a buffer of its own until there is something to read:
// an idle connection holds no memory for it. TLS goes through Asio's stream, which has its own buffers.
#pragma once

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <functional>
#include <memory>
#include <span>
#include <string_view>

namespace rafter::server {

using Socket = boost::asio::generic::stream_protocol::socket;
using ErrorCode = boost::system::error_code;

class Transport {
  public:
    Transport(Socket socket, boost::asio::ssl::context* tls);  // tls: null: none
    ~Transport();
    Transport(const Transport&) = delete;
    Transport& operator=(const Transport&) = delete;

    [[nodiscard]] bool secure() const { return tls_ != nullptr; }
    // Each of these calls back once; at most one of each kind is under way. After close() they call back with an error.
    using Done = std::function<void(ErrorCode)>;
    void handshake(Done done);
    // Calls back when read() has something, which may be an end or an error.
    void when_readable(Done done);
    // data: stays as it is until then. n: of it, taken.
    void write(std::string_view data, std::function<void(ErrorCode, std::size_t n)> done);
    // TLS only: says to the other side that nothing follows.
    void shut_tls(Done done);

    struct Read {
        std::string_view bytes;  // until the next call
        bool ended = false;      // the other side sends nothing more, or is gone
    };
    // scratch: room for bytes. None and not ended: nothing has come.
    [[nodiscard]] Read read(std::span<char> scratch);
    // Sends what fits into the socket's buffer now; with TLS always 0.
    [[nodiscard]] std::size_t write_now(std::string_view data, ErrorCode& error);
    // Nothing more is sent.
    void shut_sending();
    // At once: what was not sent is not.
    enum class How { kOrderly, kReset };
    void close(How how);

  private:
    struct Tls;
    Socket socket_;
    std::unique_ptr<Tls> tls_;
};

}  // namespace rafter::server
