// Linux's socket options. See os_socket.h.
#include "base/os_socket.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>

namespace rafter {

void allow_open_files(std::uint64_t n) {
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = std::max<rlim_t>(limit.rlim_cur, std::min<rlim_t>(n, limit.rlim_max));
    (void)setrlimit(RLIMIT_NOFILE, &limit);  // what is refused is met again when a connection cannot be accepted
}

void tune_connection(int socket) {
    // What cannot be set changes speed or delays only, so errors are of no interest.
    const auto set = [socket](int level, int option, int value) { (void)setsockopt(socket, level, option, &value, sizeof(value)); };
    set(IPPROTO_TCP, TCP_NODELAY, 1);
    set(SOL_SOCKET, SO_KEEPALIVE, 1);
    set(IPPROTO_TCP, TCP_KEEPIDLE, 30);
    set(IPPROTO_TCP, TCP_KEEPINTVL, 10);
    set(IPPROTO_TCP, TCP_KEEPCNT, 3);
    set(IPPROTO_TCP, TCP_USER_TIMEOUT, 60'000);
    // Unsent data beyond this stays in this program, where it is counted and limited per connection.
    set(SOL_SOCKET, SO_SNDBUF, 128 * 1024);
}

void make_socket_file_private(int socket) { (void)fchmod(socket, S_IRUSR | S_IWUSR | S_IRGRP | S_IWGRP); }

}  // namespace rafter
