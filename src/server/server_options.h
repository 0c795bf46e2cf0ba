// What a server is told: where it listens, who may ask, how much it takes on. Plain data; the command line fills it in.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "server/http/http_server.h"
#include "server/observe/request_log.h"

namespace rafter::server {

struct ServerOptions {
    HttpOptions http;
    std::optional<std::uint64_t> models_memory_bytes;  // that models may take together, as planned; none: what is available
    double idle_unload_seconds = 0.0;                  // a model that nobody asks for in so long leaves memory; 0: none does
    std::string api_key_file;                          // "": none
    std::string api_key;                               // one key in place of a file; "": none
    bool insecure = false;                             // beyond loopback without a key
    std::vector<std::string> cors_origins;             // beside its own and loopback ones
    std::vector<std::string> allowed_hosts;            // names that a Host header may have, where it listens on loopback only
    std::size_t max_queue = 1024;                      // sequences, of all models together
    double max_queue_seconds = 0.0;                    // 0: any
    double request_timeout_seconds = 0.0;              // 0: none
    double drain_seconds = 30.0;
    std::string metrics_prefix = "rafter_";
    RequestLogOptions log;  // but for its notice
};

}  // namespace rafter::server
