// Settings of sockets that Asio has no names for.
#pragma once

#include <cstdint>

namespace rafter {

// Lets this process have so many files and sockets open at once, or as many as it is allowed to let itself have; never fewer than before.
void allow_open_files(std::uint64_t n);

// Of a TCP connection: small answers go out at once, and a client that vanished without a word (its machine lost power, its network went
// away) is noticed within a minute, whether something is being sent to it or not.
void tune_connection(int socket);

// The file that bind() will make for this unix socket is for its owner and group from its first moment.
void make_socket_file_private(int socket);

}  // namespace rafter
