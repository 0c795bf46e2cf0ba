// Sockets that listen, TCP and unix alike. Included by the sources of this folder alone: it brings in Asio.
#pragma once

#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"

namespace rafter::server {

struct Listener {
    boost::asio::basic_socket_acceptor<boost::asio::generic::stream_protocol> acceptor;
    std::string address;                                          // "127.0.0.1:8080", "unix:/run/rafter.sock"
    std::filesystem::path socket_file;                            // to be removed; empty: TCP
    std::shared_ptr<bool> armed = std::make_shared<bool>(false);  // an accept is under way
};

// host: a name, whose addresses are all listened on, or an address. port 0: any free one, the same for all.
[[nodiscard]] Result<std::vector<Listener>> listen_tcp(boost::asio::io_context& io, const std::string& host, std::uint16_t port);
// A socket file that nobody listens on is replaced. The new one is for the owner and the group.
[[nodiscard]] Result<Listener> listen_unix(boost::asio::io_context& io, const std::string& path);

// Of a connection's other side, for logs: "127.0.0.1", "::1", "unix".
[[nodiscard]] std::string client_of(const boost::asio::generic::stream_protocol::socket& socket);

}  // namespace rafter::server
