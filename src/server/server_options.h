// What a server is told: where it listens, who may ask, how much it takes on. Plain data; the command line fills it in.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "protocols/answers/answer_format.h"
#include "server/http/http_server.h"
#include "server/observe/request_log.h"

namespace rafter::server {

struct ServerOptions {
    HttpOptions http;
    std::vector<std::string> model_names;        // as clients call the model; answers give the first
    protocols::AnswerFormatNames answer_format;  // how the model writes calls and thoughts
    std::string file_name;                       // of the model, without its folder
    std::string quantization;                    // of the model: "Q4_1"; "": not known
    std::string api_key_file;                    // "": none
    std::string api_key;                         // one key in place of a file; "": none
    bool insecure = false;                       // beyond loopback without a key
    std::vector<std::string> cors_origins;       // beside its own and loopback ones
    std::vector<std::string> allowed_hosts;      // names that a Host header may have, where it listens on loopback only
    std::size_t max_queue = 1024;                // sequences
    double max_queue_seconds = 0.0;              // 0: any
    double request_timeout_seconds = 0.0;        // 0: none
    double drain_seconds = 30.0;
    std::string metrics_prefix = "rafter_";
    RequestLogOptions log;  // but for its notice
};

}  // namespace rafter::server
