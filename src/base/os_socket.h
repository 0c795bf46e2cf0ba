// Settings of sockets that Asio has no names for.
#pragma once

namespace rafter {

// Of a TCP connection: small answers go out at once, and a client that vanished without a word (its machine lost power, its network went
// away) is noticed within a minute, whether something is being sent to it or not.
void tune_connection(int socket);

// The file that bind() will make for this unix socket is for its owner and group from its first moment.
void make_socket_file_private(int socket);

}  // namespace rafter
