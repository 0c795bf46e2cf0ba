// Plain sockets are non-blocking and tried first; Asio's operations only wait for them. See transport.h.
#include "server/http/transport.h"

#include <array>
#include <boost/asio/buffer.hpp>

namespace rafter::server {

namespace asio = boost::asio;

struct Transport::Tls {
    Tls(Socket& socket, asio::ssl::context& context) : stream(socket, context) {}
    asio::ssl::stream<Socket&> stream;
    std::array<char, 4096> buffer;  // what has arrived
    std::size_t n_bytes = 0;
    ErrorCode error;
};

Transport::Transport(Socket socket, asio::ssl::context* tls) : socket_(std::move(socket)) {
    ErrorCode ignored;
    socket_.non_blocking(true, ignored);
    if (tls != nullptr) tls_ = std::make_unique<Tls>(socket_, *tls);
}
Transport::~Transport() = default;

void Transport::handshake(Done done) { tls_->stream.async_handshake(asio::ssl::stream_base::server, std::move(done)); }

void Transport::when_readable(Done done) {
    if (!tls_) {
        socket_.async_wait(Socket::wait_read, std::move(done));
        return;
    }
    tls_->stream.async_read_some(asio::buffer(tls_->buffer), [tls = tls_.get(), done = std::move(done)](ErrorCode error, std::size_t n) {
        if (error != asio::error::operation_aborted) {
            tls->n_bytes = n;
            tls->error = error;
            error = {};
        }
        done(error);
    });
}

void Transport::write(std::string_view data, std::function<void(ErrorCode, std::size_t)> done) {
    if (tls_) {
        tls_->stream.async_write_some(asio::const_buffer(data.data(), data.size()), std::move(done));
    } else {
        socket_.async_wait(Socket::wait_write, [done = std::move(done)](ErrorCode error) { done(error, 0); });
    }
}

void Transport::shut_tls(Done done) { tls_->stream.async_shutdown(std::move(done)); }

Transport::Read Transport::read(std::span<char> scratch) {
    if (tls_) {
        const std::size_t n = std::exchange(tls_->n_bytes, 0);
        return {{tls_->buffer.data(), n}, static_cast<bool>(tls_->error)};
    }
    ErrorCode error;
    const std::size_t n = socket_.read_some(asio::buffer(scratch.data(), scratch.size()), error);
    const bool nothing_yet = error == asio::error::would_block || error == asio::error::try_again;
    return {{scratch.data(), n}, error && !nothing_yet};
}

std::size_t Transport::write_now(std::string_view data, ErrorCode& error) {
    if (tls_) return 0;
    const std::size_t n = socket_.write_some(asio::const_buffer(data.data(), data.size()), error);
    if (error == asio::error::would_block || error == asio::error::try_again) error = {};
    return n;
}

void Transport::shut_sending() {
    ErrorCode ignored;
    socket_.shutdown(Socket::shutdown_send, ignored);
}

void Transport::close(How how) {
    ErrorCode ignored;
    // A reset frees at once what the kernel holds for a reader that does not read.
    if (how == How::kReset) socket_.set_option(asio::socket_base::linger(true, 0), ignored);
    socket_.close(ignored);
}

}  // namespace rafter::server
