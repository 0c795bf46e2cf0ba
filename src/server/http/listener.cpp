// Binding, with errors that say what and where: "127.0.0.1:8080: address already in use". See listener.h.
#include "server/http/listener.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <cctype>
#include <cstring>
#include <optional>
#include <system_error>

#include "base/os_socket.h"

namespace rafter::server {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using Generic = asio::generic::stream_protocol;
using ErrorCode = boost::system::error_code;

Error io_error(std::string_view where, const ErrorCode& code) {
    std::string words = code.message();
    if (words.size() > 1 && !std::isupper(static_cast<unsigned char>(words[1]))) {
        words[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(words[0])));
    }
    return {fmt::format("{}: {}", where, words), ErrorKind::kIo};
}

std::string text_of(const tcp::endpoint& endpoint) {
    const std::string address = endpoint.address().to_string();
    return fmt::format(fmt::runtime(endpoint.address().is_v6() ? "[{}]:{}" : "{}:{}"), address, endpoint.port());
}

Result<Listener> listen_on(asio::io_context& io, tcp::endpoint endpoint, ErrorCode& error) {
    const std::string where = text_of(endpoint);
    Listener listener{asio::basic_socket_acceptor<Generic>(io), {}, {}};
    listener.acceptor.open(Generic(endpoint.protocol().family(), endpoint.protocol().protocol()), error);
    if (error) return io_error(where, error);
    listener.acceptor.set_option(asio::socket_base::reuse_address(true), error);
    // "::" takes IPv4 as well, whatever the machine's default is.
    if (endpoint.address().is_v6()) listener.acceptor.set_option(asio::ip::v6_only(!endpoint.address().is_unspecified()), error);
    listener.acceptor.bind(endpoint, error);
    if (!error) listener.acceptor.listen(asio::socket_base::max_listen_connections, error);
    if (error) return io_error(where, error);
    const Generic::endpoint local = listener.acceptor.local_endpoint(error);
    if (error) return io_error(where, error);
    std::memcpy(endpoint.data(), local.data(), std::min(local.size(), endpoint.capacity()));
    listener.address = text_of(endpoint);
    return listener;
}

// Is somebody there who accepts?
bool answers(asio::io_context& io, const asio::local::stream_protocol::endpoint& endpoint) {
    asio::local::stream_protocol::socket socket(io);
    ErrorCode error;
    socket.connect(endpoint, error);
    return !error;
}

}  // namespace

Result<std::vector<Listener>> listen_tcp(asio::io_context& io, const std::string& host, std::uint16_t port) {
    const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
    const std::string name = bracketed ? host.substr(1, host.size() - 2) : host;
    tcp::resolver resolver(io);
    ErrorCode error;
    const auto found = resolver.resolve(name, std::to_string(port), tcp::resolver::passive | tcp::resolver::numeric_service, error);
    if (error) return io_error(host, error);
    std::vector<Listener> listeners;
    std::optional<Error> first_error;
    for (const auto& entry : found) {
        tcp::endpoint endpoint = entry.endpoint();
        endpoint.port(port);
        ErrorCode why;
        Result<Listener> listener = listen_on(io, endpoint, why);
        if (!listener) {
            // A name may have addresses of a family that this machine has not. What is in use or forbidden is an error.
            const bool family_is_missing = why == asio::error::address_family_not_supported || why == std::errc::address_not_available;
            if (!family_is_missing) return listener.error();
            if (!first_error) first_error = listener.error();
            continue;
        }
        if (port == 0) port = static_cast<std::uint16_t>(std::stoi(listener->address.substr(listener->address.rfind(':') + 1)));
        listeners.push_back(*std::move(listener));
    }
    if (listeners.empty()) return first_error ? *first_error : bad_input("{}: no address", host);
    return listeners;
}

Result<Listener> listen_unix(asio::io_context& io, const std::string& path) {
    const std::string where = "unix:" + path;
    namespace fs = std::filesystem;
    asio::local::stream_protocol::endpoint endpoint;
    try {
        endpoint = asio::local::stream_protocol::endpoint(path);
    } catch (const boost::system::system_error&) {
        return bad_input("{}: a path of {} bytes, expected at most 107", where, path.size());
    }
    std::error_code ignored;
    const fs::file_status status = fs::symlink_status(path, ignored);
    if (fs::exists(status)) {
        if (!fs::is_socket(status)) return Error{fmt::format("{}: exists and is no socket", where), ErrorKind::kIo};
        if (answers(io, endpoint)) return Error{fmt::format("{}: address already in use", where), ErrorKind::kIo};
        fs::remove(path, ignored);
    }
    Listener listener{asio::basic_socket_acceptor<Generic>(io), where, {}};
    ErrorCode error;
    listener.acceptor.open(Generic(endpoint.protocol().family(), 0), error);
    if (error) return io_error(where, error);
    make_socket_file_private(listener.acceptor.native_handle());
    listener.acceptor.bind(endpoint, error);
    if (error) return io_error(where, error);
    listener.socket_file = path;
    std::error_code failed;
    fs::permissions(path, fs::perms::owner_read | fs::perms::owner_write | fs::perms::group_read | fs::perms::group_write, failed);
    if (failed) return Error{fmt::format("{}: {}", where, failed.message()), ErrorKind::kIo};
    listener.acceptor.listen(asio::socket_base::max_listen_connections, error);
    if (error) return io_error(where, error);
    return listener;
}

std::string client_of(const Generic::socket& socket) {
    ErrorCode error;
    const Generic::endpoint remote = socket.remote_endpoint(error);
    if (error) return "unknown";
    const int family = remote.protocol().family();
    if (family != tcp::v4().family() && family != tcp::v6().family()) return "unix";
    tcp::endpoint endpoint;
    endpoint.resize(remote.size());
    std::memcpy(endpoint.data(), remote.data(), remote.size());
    asio::ip::address address = endpoint.address();
    if (address.is_v6() && address.to_v6().is_v4_mapped()) address = asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6());
    return address.to_string();
}

}  // namespace rafter::server
